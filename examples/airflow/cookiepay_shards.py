"""The daily job of many merchants, in shards: each task processes the merchants of one, and the pool limits how many run at once.

The connection has no API ID and names a settings file with the merchants and where their keys are. The rate limit is each run's own:
divide what the API allows by the slots of the pool `cookiepay_shards`.
"""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Asset, CronTriggerTimetable
from cookiepay_etl.airflow.operators import CookiepayOperator

SEOUL = "Asia/Seoul"
SHARDS = 4
SLOTS = 2
SETTLEMENTS = Asset("cookiepay_settlements_shards")

with DAG(
    "cookiepay_shards",
    schedule=CronTriggerTimetable("0 6 * * *", timezone=SEOUL),
    start_date=pendulum.datetime(2024, 1, 1, tz=SEOUL),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "execution_timeout": timedelta(hours=2), "cookiepay_conn_id": "cookiepay_shards"},
    user_defined_macros={"today": lambda: pendulum.today(SEOUL).to_date_string()},
    tags=["cookiepay"],
    doc_md=__doc__,
):
    sync = CookiepayOperator.partial(
        task_id="sync",
        pool="cookiepay_shards",
        map_index_template="{{ task.arguments[-1] }}",
    ).expand(arguments=[["sync", "--rate-limit", f"{10 // SLOTS}", "--shard", f"{n}/{SHARDS}"] for n in range(1, SHARDS + 1)])
    # of each merchant from its first day to its last
    status = CookiepayOperator(task_id="status", arguments=["status", "--require-complete"], asset=SETTLEMENTS)
    first, last = (f"{{{{ ti.xcom_pull('status')['written']['{end}'] or today() }}}}" for end in ("first", "last"))
    verify = CookiepayOperator(task_id="verify", arguments=["verify", "--from", first, "--to", last])
    sync >> status >> verify
