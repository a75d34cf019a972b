"""Every morning: brings the lake up to today, checks that no day is missing, and verifies what has changed.

No date is computed here. `sync` goes by today in Seoul, whatever the worker's zone, and fetches what is missing or not closed yet:
a run that is late, or repeated, brings the lake up to the day on which it runs. `status` and `verify` take their days from what
`sync` did, so that all three mean the same ones on both sides of midnight.

If days changed, the asset `cookiepay_settlements` is updated: other DAGs can be scheduled on it.
"""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Asset, CronTriggerTimetable
from cookiepay_etl.airflow.operators import CookiepayOperator

SEOUL = "Asia/Seoul"
SINCE = pendulum.datetime(2024, 1, 1, tz=SEOUL)  # the first pay date that you want
SETTLEMENTS = Asset("cookiepay_settlements")

with DAG(
    "cookiepay_daily",
    schedule=CronTriggerTimetable("0 6 * * *", timezone=SEOUL),
    start_date=SINCE,
    # one run makes up for all that were missed
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "execution_timeout": timedelta(hours=2)},
    tags=["cookiepay"],
    doc_md=__doc__,
):
    sync = CookiepayOperator(
        task_id="sync",
        arguments=["sync", "--since", SINCE.to_date_string()],
        asset=SETTLEMENTS,
        # shared with the backfill, and before its months
        pool="cookiepay_api",
        priority_weight=100,
    )
    status = CookiepayOperator(
        task_id="status",
        arguments=["status", "--require-complete", "--from", SINCE.to_date_string(), "--to", "{{ ti.xcom_pull('sync')['to'] }}"],
    )
    # what was written since the asset was last updated, also by tries that failed; if nothing was, the days that sync looked at
    first = "{{ ti.xcom_pull('sync')['written']['first'] or ti.xcom_pull('sync')['from'] }}"
    last = "{{ ti.xcom_pull('sync')['written']['last'] or ti.xcom_pull('sync')['to'] }}"
    verify = CookiepayOperator(task_id="verify", arguments=["verify", "--from", first, "--to", last])
    sync >> status >> verify
