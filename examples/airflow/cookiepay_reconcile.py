"""Each month, on the 5th: do the merchant's books, the PG and the bank agree on the month before?

Waits in the triggerer, for up to two days, until the lake has every pay date of that month. Then `reconcile` compares it with the
files of the folder that the Airflow variable `cookiepay_books` names, else `/srv/cookiepay/books`, on the worker:
`2024-01/orders*` are the orders, `2024-01/deposits*` the bank's statement. The task fails if something differs; the result lists
what, and `2024-01/reconciled.csv` has every case.
"""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, CronTriggerTimetable, Param
from cookiepay_etl.airflow.operators import CookiepayOperator
from cookiepay_etl.airflow.sensors import CookiepayCompleteSensor

SEOUL = "Asia/Seoul"


def month(chosen, due):
    """The first day of the chosen month, else of the month before the run was due."""
    return pendulum.parse(f"{chosen}-01") if chosen else pendulum.instance(due).in_timezone(SEOUL).start_of("month").subtract(months=1)


with DAG(
    "cookiepay_reconcile",
    schedule=CronTriggerTimetable("0 9 5 * *", timezone=SEOUL),
    start_date=pendulum.datetime(2024, 1, 1, tz=SEOUL),
    catchup=False,
    params={"month": Param("", type="string", pattern=r"^(\d{4}-\d{2})?$", description="YYYY-MM; empty: the month before")},
    user_defined_macros={"month": month},
    default_args={"retries": 3},
    tags=["cookiepay"],
    doc_md=__doc__,
):
    first = "{{ month(params.month, dag_run.run_after).to_date_string() }}"
    last = "{{ month(params.month, dag_run.run_after).end_of('month').to_date_string() }}"
    books = "{{ var.value.get('cookiepay_books', '/srv/cookiepay/books') }}/{{ month(params.month, dag_run.run_after).format('YYYY-MM') }}"
    complete = CookiepayCompleteSensor(
        task_id="complete", from_date=first, to_date=last, deferrable=True, poke_interval=600, timeout=timedelta(days=2)
    )
    reconcile = CookiepayOperator(
        task_id="reconcile",
        arguments=[
            "reconcile",
            *("--from", first, "--to", last),
            *("--orders", f"{books}/orders*", "--deposits", f"{books}/deposits*"),
            *("--out", f"{books}/reconciled.csv"),
        ],
    )
    complete >> reconcile
