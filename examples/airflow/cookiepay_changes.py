"""What a DAG of your own looks like that runs whenever days changed: the asset's event holds which, and the figures of the run."""

from airflow.sdk import DAG, Asset, task

SETTLEMENTS = Asset("cookiepay_settlements")

with DAG("cookiepay_changes", schedule=SETTLEMENTS, catchup=False, tags=["cookiepay"], doc_md=__doc__):

    @task
    def pay_dates(triggering_asset_events=None):
        """The first and the last pay date to read again; each event holds the list as well, if it is short."""
        written = [event.extra["written"] for event in triggering_asset_events[SETTLEMENTS]]
        return {"first": min(days["first"] for days in written), "last": max(days["last"] for days in written)}

    pay_dates()
