"""Fetches a range of pay dates, one task per month: trigger it with the first and the last one.

The months run as the pool `cookiepay_api` allows. Each run of the binary keeps to ten requests a second, so with a pool of one slot
that is the rate at the API: `airflow pools set cookiepay_api 1 "requests to CookiePay"`.
A month that fails does not stop the others, and if it is cleared, no day that is in the lake and closed is fetched again.
"""

from datetime import date, timedelta

from airflow.sdk import DAG, Asset, Param, task
from airflow.sdk.exceptions import AirflowFailException
from cookiepay_etl.airflow.operators import CookiepayOperator

SETTLEMENTS = Asset("cookiepay_settlements")

with DAG(
    "cookiepay_backfill",
    schedule=None,
    params={
        "from": Param(type="string", format="date", description="First pay date"),
        "to": Param(type="string", format="date", description="Last pay date, inclusive"),
        "refetch": Param("open", enum=["open", "missing", "all"], description="Days that are missing or open, missing, or all"),
    },
    max_active_runs=1,
    default_args={"retries": 3, "execution_timeout": timedelta(hours=2)},
    tags=["cookiepay"],
    doc_md=__doc__,
):

    @task
    def months(params=None):
        """The binary's arguments for each month of the range."""
        first, last = date.fromisoformat(params["from"]), date.fromisoformat(params["to"])
        if first > last:
            raise AirflowFailException(f"from {first} is after to {last}")
        parts = []
        while first <= last:
            following = (first.replace(day=1) + timedelta(days=31)).replace(day=1)
            end = min(following - timedelta(days=1), last)
            parts.append(["backfill", "--from", f"{first}", "--to", f"{end}", "--refetch", params["refetch"]])
            first = following
        return parts

    backfill = CookiepayOperator.partial(
        task_id="backfill",
        pool="cookiepay_api",
        map_index_template="{{ task.arguments[2][:7] }}",
    ).expand(arguments=months())
    bounds = ["--from", "{{ params['from'] }}", "--to", "{{ params['to'] }}"]
    status = CookiepayOperator(task_id="status", arguments=["status", "--require-complete", *bounds])
    # the months are mapped, and a mapped task has no asset
    verify = CookiepayOperator(task_id="verify", arguments=["verify", *bounds], asset=SETTLEMENTS)
    backfill >> status >> verify
