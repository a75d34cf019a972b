"""Whenever days changed: the report that people read, in a folder that your web server shows.

The folder is the Airflow variable `cookiepay_reports`, else `/srv/cookiepay/reports`, on the worker.
"""

from airflow.sdk import DAG, Asset
from cookiepay_etl.airflow.operators import CookiepayOperator

FOLDER = "{{ var.value.get('cookiepay_reports', '/srv/cookiepay/reports') }}"

with DAG(
    "cookiepay_report",
    schedule=Asset("cookiepay_settlements"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 1},
    tags=["cookiepay"],
    doc_md=__doc__,
):
    files = [f"{FOLDER}/cookiepay.html", f"{FOLDER}/cookiepay.xlsx"]
    CookiepayOperator(task_id="report", arguments=["report", *(part for file in files for part in ("--out", file))])
