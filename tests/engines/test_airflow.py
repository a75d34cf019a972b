"""The Airflow provider and the example DAGs as they stand, in a real Airflow 3 that has both from the wheel."""

import json
import os
import re
import shutil
import signal
import sqlite3
import urllib.error
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import etl
from airflow_home import BIN, Airflow, wait_until
from simulator import KEY, MERCHANT, Simulator

# the binary makes six attempts for a day: so many failures end a task, and its retry succeeds
ONCE_PER_TASK = 6
SECOND, SECOND_KEY = "shop-2", "Pw4nHs8ZjQ6gVd3Ky9RfMtX2"
STUCK, REFUSED = date(2024, 5, 20), date(2024, 7, 1)
# waits in the triggerer for a range of the run's own
WAITING = """
from airflow.sdk import DAG
from cookiepay_etl.airflow.sensors import CookiepayCompleteSensor

with DAG("waiting", schedule=None, params={"from": "2024-01-01", "to": "2024-01-01", "conn": "cookiepay_default"}):
    CookiepayCompleteSensor(
        task_id="complete",
        from_date="{{ params['from'] }}",
        to_date="{{ params['to'] }}",
        cookiepay_conn_id="{{ params['conn'] }}",
        deferrable=True,
        poke_interval=1,
        retries=2,
    )
"""

# finds ten years missing
WIDE = """
from airflow.sdk import DAG
from cookiepay_etl.airflow.operators import CookiepayOperator

with DAG("wide", schedule=None):
    bounds = ["--from", "1990-01-01", "--to", "1999-12-31"]
    CookiepayOperator(task_id="status", arguments=["status", "--require-complete", *bounds], api_ids=["{{ 'shop-1' }}", "shop-2"])
"""


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return tmp_path_factory.mktemp("airflow-lake")


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, lake):
    faults = [f"503@{day}x{ONCE_PER_TASK}" for day in ("2024-02-05", "2023-11-03")] + [f"latency=100s@{STUCK}", f"401@{REFUSED}"]
    flags = [word for fault in faults for word in ("--sim-fault", fault)]
    flags += ["--sim-merchant", f"{SECOND}={SECOND_KEY}"]
    airflow = Airflow(tmp_path_factory.mktemp("airflow") / "home")
    airflow.add_dag("waiting", WAITING)
    airflow.add_dag("wide", WIDE)
    with Simulator("--sim-today", "2024-03-15", *flags) as simulator:
        airflow.api, airflow.lake = urlsplit(simulator.url), lake
        airflow.run("db", "migrate")
        airflow.run("pools", "set", "cookiepay_api", "1", "requests to CookiePay")
        airflow.run("pools", "set", "cookiepay_shards", "2", "shards")
        try:
            yield airflow
        finally:
            airflow.end()


def connection(airflow, **extra):
    """What the form of a connection sends."""
    return {
        "conn_type": "cookiepay",
        "host": f"{airflow.api.scheme}://{airflow.api.hostname}",
        "port": airflow.api.port,
        "login": MERCHANT,
        "extra": json.dumps({"dest": str(airflow.lake), "env": "live", "api_key_file": None, "config": None} | extra),
    }


def days(first, last):
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def backfill(scheduler, first, last):
    return scheduler.trigger("cookiepay_backfill", **{"from": first, "to": last})


def announced(scheduler):
    """The events of the backfill, oldest first."""

    def started():
        # the API cannot list events while a run that one of them has created is queued
        return all(run["start_date"] for run in scheduler.ask("GET", "dags/cookiepay_changes/dagRuns")["dag_runs"])

    wait_until(started, 30)
    events = scheduler.ask("GET", "assets/events?source_dag_id=cookiepay_backfill&order_by=timestamp")["asset_events"]
    return [event["extra"]["written"] for event in events]


def check_lake(lake, first, last):
    """Every day from first to last is in the table, whole; their rows."""
    table = etl.files(lake / "settlements")
    inside = {name for name in table if f"pay_date={first}" <= name.split("/")[0] <= f"pay_date={last}"}
    assert inside == {etl.settlement(day, MERCHANT).removeprefix("settlements/") for day in days(first, last)}
    read = [etl.Day(table[name]) for name in inside]
    assert all(day.is_sealed() and day.rows.num_rows == day.record["rows"] for day in read)
    return sum(day.rows.num_rows for day in read)


def test_the_daily_dag_goes_by_seouls_midnight_and_a_retry_ends_well(airflow, lake, tmp_path):
    # the binary alone gets another clock, in its last step before it starts: in Seoul the 15th has begun, for the worker it is the 14th
    [faketime] = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    clock = f"LD_PRELOAD={faketime} FAKETIME='@2024-03-14 15:00:05' FAKETIME_DONT_FAKE_MONOTONIC=1"
    (tmp_path / "setpriv").write_text(f'#!/bin/sh\n{clock} exec {shutil.which("setpriv")} "$@"\n')
    (tmp_path / "setpriv").chmod(0o755)
    # here the key comes from a file; the backfill takes it from the database
    (tmp_path / "key").write_text(KEY)
    keyless = json.dumps(connection(airflow, api_key_file=str(tmp_path / "key")))
    env = {"PATH": f"{tmp_path}:{airflow.env['PATH']}", "AIRFLOW_CONN_COOKIEPAY_DEFAULT": keyless}
    output = airflow.run("dags", "test", "cookiepay_daily", "2024-03-14T15:00:00+00:00", env=env)

    with sqlite3.connect(airflow.home / "airflow.db") as database:
        [state] = database.execute("SELECT state FROM dag_run WHERE dag_id = 'cookiepay_daily'").fetchone()
        tries = dict(database.execute("SELECT task_id, try_number FROM task_instance WHERE dag_id = 'cookiepay_daily'"))
        xcoms = dict(database.execute("SELECT task_id, value FROM xcom WHERE dag_id = 'cookiepay_daily' AND key = 'return_value'"))
        [[event]] = database.execute("SELECT extra FROM asset_event WHERE source_dag_id = 'cookiepay_daily'")
    assert state == "success", output
    assert tries == {"sync": 2, "status": 1, "verify": 1}
    sync, status, verify = (json.loads(xcoms[task]) for task in ("sync", "status", "verify"))
    assert (sync["status"], sync["exit_code"]) == ("success", 0)
    assert sync["to"] == "2024-03-22", "a week after today in Seoul"
    assert sync["dates"]["published"] == 1 and sync["dates"]["failed"] == 0
    asked = len(days(date(2024, 1, 1), date(2024, 3, 22)))
    assert status["counts"]["missing"] == 0 and sum(status["counts"][state] for state in ("closed", "closed_empty", "open")) == asked
    assert status["days"] == [], "every day is listed by the binary, and none here"
    assert sync["from"] == "2024-02-05", "the second try begins with the failed day"
    written = sync["written"]
    assert (written["days"], written["first"], written["last"]) == (asked, "2024-01-01", "2024-03-22"), "and both tries are announced"
    assert json.loads(event) == {name: value for name, value in sync.items() if name != "merchants"}
    assert (verify["status"], verify["checked"], verify["differences"]) == ("ok", asked, [])
    assert "sync ended with 3; 2024-02-05: the API responded with HTTP 503" in output
    assert check_lake(lake, date(2024, 1, 1), date(2024, 3, 22)) > 2000
    assert KEY not in output


@pytest.fixture(scope="module")
def scheduler(airflow):
    airflow.serve()
    airflow.ask("POST", "connections", {"connection_id": "cookiepay_default", "password": KEY} | connection(airflow))
    for folder in ("reports", "books"):
        (airflow.home.parent / folder).mkdir()
        airflow.ask("POST", "variables", {"key": f"cookiepay_{folder}", "value": str(airflow.home.parent / folder)})
    for dag in ("cookiepay_backfill", "cookiepay_changes", "cookiepay_report", "waiting", "wide"):
        airflow.unpause(dag)
    return airflow


def test_airflow_lists_the_provider_and_serves_its_form(scheduler):
    [provider] = [provider for provider in scheduler.ask("GET", "providers")["providers"] if provider["package_name"] == "cookiepay-etl"]
    assert provider["version"] == etl.run("--version").stdout.split()[1]
    forms = scheduler.ask("GET", "connections/hook_meta", root="ui")
    [form] = [form for form in forms if form["connection_type"] == "cookiepay"]
    assert form["hook_name"] == "CookiePay"
    standard = {name: field["title"] for name, field in form["standard_fields"].items() if field and not field["hidden"]}
    assert standard == {"host": "Base URL", "port": None, "login": "API ID", "password": "API key"}
    assert form["standard_fields"]["url_schema"]["hidden"]
    fields = {name: field["schema"]["title"] for name, field in form["extra_fields"].items()}
    assert fields == {"dest": "Lake", "env": "Environment", "api_key_file": "API key file", "config": "Settings file"}
    assert form["extra_fields"]["env"]["schema"]["enum"] == ["live", "sandbox", "simulator"]


def test_the_test_button_runs_check(scheduler):
    # the UI sends the stored key masked
    stored = {"connection_id": "cookiepay_default", "password": "***"} | connection(scheduler)
    tested = scheduler.ask("POST", "connections/test", stored)
    assert tested["status"], tested
    for step in ("settings: merchant shop-1", "token: the API accepts", "settlement: ", "lake: wrote, replaced and read"):
        assert step in tested["message"]

    refused = scheduler.ask("POST", "connections/test", stored | {"password": "another key"})
    assert not refused["status"]
    assert "token: the API refused the credentials of merchant shop-1" in refused["message"]
    assert "another key" not in refused["message"]

    lost = scheduler.ask("POST", "connections/test", {**stored, **connection(scheduler, dest="/proc/nowhere")})
    assert not lost["status"] and "lake: " in lost["message"]


def test_the_daily_dag_is_due_at_six_in_seoul(scheduler):
    assert scheduler.ask("GET", "dags/cookiepay_daily")["next_dagrun_run_after"].endswith("T21:00:00Z")


def test_the_backfill_dag_runs_months_one_at_a_time_and_a_retry_ends_well(scheduler, lake):
    first, last = date(2023, 10, 30), date(2023, 12, 2)
    run = backfill(scheduler, first, last)
    assert scheduler.wait_for_end(run) == "success", scheduler.log("cookiepay_backfill", "*")

    tasks = scheduler.tasks(run)
    assert {key: task["try_number"] for key, task in tasks.items()} == {
        ("months", -1): 1,
        ("backfill", 0): 1,
        ("backfill", 1): 2,
        ("backfill", 2): 1,
        ("status", -1): 1,
        ("verify", -1): 1,
    }
    assert [tasks["backfill", index]["rendered_map_index"] for index in range(3)] == ["2023-10", "2023-11", "2023-12"]
    # the pool has one slot: no month begins before another's end
    spans = sorted((tasks["backfill", index]["start_date"], tasks["backfill", index]["end_date"]) for index in range(3))
    assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:])), spans

    results = [scheduler.xcom(run, "backfill", index) for index in range(3)]
    bounds = [("2023-10-30", "2023-10-31"), ("2023-11-01", "2023-11-30"), ("2023-12-01", "2023-12-02")]
    assert [(result["from"], result["to"]) for result in results] == bounds
    assert [result["dates"]["published"] for result in results] == [2, 1, 2], "the retry asked for the failed day alone"
    assert scheduler.xcom(run, "status")["counts"]["missing"] == 0
    assert scheduler.xcom(run, "verify")["checked"] == len(days(first, last))
    assert check_lake(lake, first, last) > 0


def binary_of(first):
    """The pid of the run that begins with a day."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"/cookiepay-etl") and words[1:4] == [b"backfill", b"--from", str(first).encode()]:
            return int(entry.name)
    return None


def test_tasks_that_are_killed_end_the_binary_cleanly(scheduler, lake):
    first, last = STUCK.replace(day=1), STUCK.replace(day=31)
    run = backfill(scheduler, first, last)
    # all but the day that the API keeps waiting
    wait_until(lambda: len(list(lake.glob("settlements/pay_date=2024-05-*/*.parquet"))) == 30, 60)
    pid = binary_of(first)
    assert Path(f"/proc/{pid}/exe").resolve() == (BIN / "cookiepay-etl").resolve(), "the one from the wheel"
    # the task's process is killed outright, as for its memory: the binary ends, and then is tried again
    [staged] = lake.glob(".staging/*")
    task = int(re.search(r"^PPid:\s*(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])
    os.kill(task, signal.SIGKILL)
    wait_until(lambda: binary_of(first) != pid, 10)
    assert not staged.exists()
    wait_until(lambda: binary_of(first), 60)

    scheduler.ask("PATCH", f"{run}/taskInstances/backfill/0", {"new_state": "failed"})
    wait_until(lambda: binary_of(first) is None, 30)
    assert scheduler.wait_for_end(run) == "failed"
    assert scheduler.tasks(run)["backfill", 0]["try_number"] == 2
    wait_until(lambda: "backfill ended with 143" in scheduler.log("cookiepay_backfill", "backfill"), 10)
    assert not list(lake.glob(".staging/*")) and not list(lake.glob(f"settlements/pay_date={STUCK}/*"))
    check_lake(lake, first, STUCK - timedelta(days=1))
    check_lake(lake, STUCK + timedelta(days=1), last)


def test_changed_days_start_the_dags_that_wait_for_them(scheduler):
    first, last = date(2022, 1, 30), date(2022, 2, 2)
    before = len(announced(scheduler))
    assert scheduler.wait_for_end(backfill(scheduler, first, last)) == "success"
    [written] = announced(scheduler)[before:]
    # the run that was killed has announced nothing, and its days are not lost
    killed = [day for day in days(STUCK.replace(day=1), STUCK.replace(day=31)) if day != STUCK]
    assert written["pay_dates"] == [f"{day}" for day in days(first, last) + killed]

    def runs():
        return scheduler.ask("GET", "dags/cookiepay_changes/dagRuns?order_by=-run_after")["dag_runs"]

    wait_until(lambda: len(runs()) == before + 1 and runs()[0]["state"] == "success", 30)
    latest = runs()[0]
    assert latest["run_type"] == "asset_triggered"
    read = scheduler.xcom(f"dags/cookiepay_changes/dagRuns/{latest['dag_run_id']}", "pay_dates")
    assert read == {"first": f"{first}", "last": "2024-05-31"}

    # nothing is fetched again, so nothing has changed
    assert scheduler.wait_for_end(backfill(scheduler, first, last)) == "success"
    assert len(announced(scheduler)) == before + 1


def test_an_xcom_is_a_summary_however_much_is_wrong(scheduler):
    run = scheduler.trigger("wide")
    assert scheduler.wait_for_end(run) == "failed"
    status = scheduler.xcom(run, "status")
    missing = 2 * len(days(date(1990, 1, 1), date(1999, 12, 31)))
    assert (len(status["days"]), status["truncated"], status["counts"]["missing"]) == (100, {"days": missing}, missing)
    assert {day["merchant_id"] for day in status["days"]} == {"shop-1"}
    log = scheduler.log("wide", "status")
    assert "cookiepay-etl status --require-complete --from 1990-01-01 --to 1999-12-31 --api-id shop-1 --api-id shop-2" in log
    assert f"status ended with 3; 1990-01-01: missing; 1990-01-02: missing" in log and f"and {missing - 5} more" in log


def test_the_sensor_waits_in_the_triggerer(scheduler):
    first, last = date(2022, 6, 1), date(2022, 6, 3)
    run = scheduler.trigger("waiting", **{"from": first, "to": last})
    wait_until(lambda: scheduler.tasks(run)["complete", -1]["state"] == "deferred", 60)
    assert scheduler.tasks(run)["complete", -1]["trigger"]["classpath"] == "cookiepay_etl.airflow.triggers.CookiepayCompleteTrigger"
    assert scheduler.wait_for_end(backfill(scheduler, first, last)) == "success"
    assert scheduler.wait_for_end(run) == "success"
    assert scheduler.tasks(run)["complete", -1]["try_number"] == 1
    status = scheduler.xcom(run, "complete")
    assert (status["command"], status["counts"]["missing"], status["days"]) == ("status", 0, [])


def test_the_sensor_fails_at_once_if_its_settings_are_wrong(scheduler):
    backwards = scheduler.trigger("waiting", **{"from": "2024-02-01", "to": "2024-01-01"})
    # and a lake that is no longer one while the trigger waits for it
    moved = {"connection_id": "moved"} | connection(scheduler)
    scheduler.ask("POST", "connections", moved)
    later = scheduler.trigger("waiting", **{"from": "2021-01-01", "to": "2021-01-01", "conn": "moved"})
    wait_until(lambda: scheduler.tasks(later)["complete", -1]["state"] == "deferred", 60)
    scheduler.ask("PATCH", "connections/moved", moved | connection(scheduler, dest="ftp://lake"))
    for run in (backwards, later):
        assert scheduler.wait_for_end(run) == "failed"
        # what is wrong for good would use up all three tries; Airflow on SQLite may lose one of its own
        assert scheduler.tasks(run)["complete", -1]["try_number"] < 3
    assert scheduler.log("waiting", "complete").count("status ended with 2; ") >= 2


def test_the_report_is_published_whenever_days_changed(scheduler):
    reports = scheduler.home.parent / "reports"
    for file in reports.iterdir():
        file.unlink()
    assert scheduler.wait_for_end(backfill(scheduler, "2022-08-01", "2022-08-02")) == "success"
    wait_until(lambda: (reports / "cookiepay.xlsx").exists(), 60)
    page = (reports / "cookiepay.html").read_text()
    assert 'id="summary"' in page and MERCHANT in page


def test_the_month_is_reconciled_once_the_lake_has_its_days(scheduler):
    books = scheduler.home.parent / "books" / "2024-01"
    scheduler.unpause("cookiepay_reconcile")

    def reconcile(*faults):
        flags = [word for fault in faults for word in ("--books-fault", fault)]
        period = ("--from", "2024-01-01", "--to", "2024-01-31", "--sim-today", "2024-03-15", "--sim-merchant", f"{MERCHANT}={KEY}")
        written = etl.run("simulate", "--books", books, *period, *flags)
        assert written.code == 0, written
        run = scheduler.trigger("cookiepay_reconcile", month="2024-01")
        return run, scheduler.wait_for_end(run), scheduler.xcom(run, "reconcile")

    run, state, result = reconcile()
    assert (state, result["status"], result["differences"]) == ("success", "ok", []), result
    assert (books / "reconciled.csv").read_text(encoding="utf-8-sig").startswith("merchant_id,order_no,")

    run, state, result = reconcile("missing", "deposit-short")
    assert (state, result["exit_code"]) == ("failed", 5)
    assert scheduler.tasks(run)["reconcile", -1]["try_number"] == 1, "a retry changes nothing"
    assert {difference["status"] for difference in result["differences"]} == {"missing_in_orders", "difference"}
    assert "reconcile ended with 5; " in scheduler.log("cookiepay_reconcile", "reconcile")


def test_shards_are_mapped_and_announced_together(scheduler, tmp_path):
    since = date.today() - timedelta(days=3)
    merchants = {MERCHANT: KEY, SECOND: SECOND_KEY}
    for merchant, key in merchants.items():
        (tmp_path / merchant).write_text(key)
    table = '[[merchant]]\nname = "{0}"\napi_id = "{0}"\napi_key_file = "{1}"\nsince = "{2}"\n'
    (tmp_path / "etl.toml").write_text("".join(table.format(merchant, tmp_path / merchant, since) for merchant in merchants))
    shared = connection(scheduler, dest=str(tmp_path / "lake"), config=str(tmp_path / "etl.toml")) | {"login": None}
    scheduler.ask("POST", "connections", {"connection_id": "cookiepay_shards"} | shared)

    def runs():
        return [f"dags/cookiepay_shards/dagRuns/{run['dag_run_id']}" for run in scheduler.ask("GET", "dags/cookiepay_shards/dagRuns")["dag_runs"]]

    # this morning's run is due
    scheduler.unpause("cookiepay_shards")
    wait_until(runs, 30)
    [run] = runs()
    assert scheduler.wait_for_end(run) == "success", scheduler.log("cookiepay_shards", "*")
    shards = [scheduler.xcom(run, "sync", index) for index in range(4)]
    assert sorted(part["merchant_id"] for shard in shards for part in shard["merchants"]) == sorted(merchants)
    written = scheduler.xcom(run, "status")["written"]
    assert (written["days"], written["first"]) == (sum(shard["dates"]["published"] for shard in shards), f"{since}")
    assert scheduler.xcom(run, "verify")["checked"] == written["days"]

    again = scheduler.trigger("cookiepay_shards")
    assert scheduler.wait_for_end(again) == "success", scheduler.log("cookiepay_shards", "*")
    assert scheduler.xcom(again, "status")["written"]["days"] == 0
    events = scheduler.ask("GET", "assets/events?source_dag_id=cookiepay_shards")["asset_events"]
    assert [event["extra"]["written"] for event in events] == [written]


def test_what_a_retry_cannot_change_is_not_retried(scheduler):
    backwards, refused = backfill(scheduler, "2024-02-01", "2024-01-01"), backfill(scheduler, REFUSED, REFUSED)
    assert (scheduler.wait_for_end(backwards), scheduler.wait_for_end(refused)) == ("failed", "failed")
    assert scheduler.tasks(backwards)["months", -1]["try_number"] == 1
    assert "from 2024-02-01 is after to 2024-01-01" in scheduler.log("cookiepay_backfill", "months")
    assert scheduler.tasks(refused)["backfill", 0]["try_number"] == 1
    [failure] = scheduler.xcom(refused, "backfill", 0)["failures"]
    assert (failure["pay_date"], failure["kind"]) == (f"{REFUSED}", "auth")


def test_a_text_that_is_no_date_is_refused(scheduler):
    with pytest.raises(urllib.error.HTTPError) as refused:
        backfill(scheduler, "yesterday", "2024-01-01")
    assert refused.value.code == 400


def test_the_key_is_nowhere_under_airflow_home(scheduler):
    left = etl.files(scheduler.home)
    assert b"published pay_date=" in b"".join(content for name, content in left.items() if name.startswith("logs/"))
    assert b"cookiepay" in left["airflow.db"], "the connection's row is in there"
    assert [name for name, content in left.items() if KEY.encode() in content or SECOND_KEY.encode() in content] == []
