"""Every morning: brings the lake up to today, holds that no day is missing, and reads back what may have changed.

No date is computed here. `sync` goes by today in Seoul, whatever the worker's zone, and asks for what is missing or not
closed yet: a run that is late, or made again, brings the lake up to the day on which it runs. `status` and `verify` take
their days from what `sync` did, so that all three mean the same ones on both sides of midnight.
"""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, CronTriggerTimetable

from cookiepay_operator import CookiepayOperator

SEOUL = "Asia/Seoul"
SINCE = pendulum.datetime(2024, 1, 1, tz=SEOUL)  # the first pay date that you want

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
        # shared with the backfill, and before its months
        pool="cookiepay_api",
        priority_weight=100,
    )
    status = CookiepayOperator(
        task_id="status",
        arguments=["status", "--require-complete", "--from", SINCE.to_date_string(), "--to", "{{ ti.xcom_pull('sync')['to'] }}"],
    )
    # from the first to the last day that any try of sync has written; where none was, the days that sync looked at
    first = "{{ ti.xcom_pull('status')['written'] | min | default(ti.xcom_pull('sync')['from']) }}"
    last = "{{ ti.xcom_pull('status')['written'] | max | default(ti.xcom_pull('sync')['to']) }}"
    verify = CookiepayOperator(task_id="verify", arguments=["verify", "--from", first, "--to", last])
    sync >> status >> verify
