"""The Airflow examples as they stand, in a real Airflow 3 that has the binary from the wheel."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from datetime import date, timedelta
from pathlib import Path

import pytest

import etl
from processes import die_with_parent
from rgw import free_port
from simulator import KEY, MERCHANT, Simulator

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "airflow"
BIN = Path(os.environ["COOKIEPAY_AIRFLOW"]) / "bin"
# the binary gives a day six tries: so many failures end a task, and the next one mends it
ONCE_PER_TASK = 6
STUCK, REFUSED = date(2024, 5, 20), date(2024, 7, 1)


class Airflow:
    """An AIRFLOW_HOME with the examples as its DAGs, and the real components over it."""

    def __init__(self, home):
        self.home, self.port, self._services = home, free_port(), []
        # no PATH to the binary: the operator finds what pip has installed
        self.env = {name: value for name, value in etl.ENVIRONMENT.items() if not name.startswith("AIRFLOW")} | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            # five minutes by default
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "2",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{self.port}",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "TZ": "UTC",
        }
        shutil.copytree(EXAMPLES, home / "dags", ignore=shutil.ignore_patterns("__pycache__"))

    def run(self, *args, env=None):
        command, env = [BIN / "airflow", *args], self.env | (env or {})
        run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, preexec_fn=die_with_parent)
        assert run.returncode == 0, f"{command} ended with {run.returncode}\n{run.stdout}\n{run.stderr}"
        return run.stdout + run.stderr

    def serve(self):
        for name in ("api-server", "dag-processor", "scheduler"):
            flags = ["--skip-serve-logs"] if name == "scheduler" else []
            with open(self.home / "logs" / f"{name}.out", "wb") as out:
                self._services.append(
                    subprocess.Popen(
                        [BIN / "airflow", name, *flags],
                        env=self.env,
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=out,
                        start_new_session=True,
                        preexec_fn=die_with_parent,
                    )
                )

    def end(self):
        for signum in (signal.SIGTERM, signal.SIGKILL):
            for service in self._services:
                try:
                    # each leads a group of its own, with its children
                    os.killpg(service.pid, signum)
                except ProcessLookupError:
                    pass
            if signum == signal.SIGTERM:
                deadline = time.monotonic() + 10
                while any(service.poll() is None for service in self._services) and time.monotonic() < deadline:
                    time.sleep(0.1)
        for service in self._services:
            service.wait()

    def ask(self, method, path, body=None):
        """The public API, as the UI uses it."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v2/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)

    def trigger(self, first, last):
        body = {"logical_date": None, "conf": {"from": f"{first}", "to": f"{last}"}}
        return "dags/cookiepay_backfill/dagRuns/" + self.ask("POST", "dags/cookiepay_backfill/dagRuns", body)["dag_run_id"]

    def tasks(self, run):
        tasks = self.ask("GET", f"{run}/taskInstances")["task_instances"]
        return {(task["task_id"], task["map_index"]): task for task in tasks}

    def xcom(self, run, task, index=-1):
        return self.ask("GET", f"{run}/taskInstances/{task}/xcomEntries/return_value?map_index={index}&deserialize=true")["value"]

    def wait_for_end(self, run, within=120):
        wait_until(lambda: self.ask("GET", run)["state"] in ("success", "failed"), within)
        return self.ask("GET", run)["state"]

    def log(self, dag, task):
        """Everything that a task has logged, in all of its tries."""
        return "\n".join(path.read_text() for path in sorted(self.home.glob(f"logs/dag_id={dag}/run_id=*/task_id={task}/**/*.log")))


def wait_until(reached, within):
    deadline = time.monotonic() + within
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return tmp_path_factory.mktemp("airflow-lake")


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, lake):
    faults = [f"503@{day}x{ONCE_PER_TASK}" for day in ("2024-02-05", "2023-11-03")] + [f"latency=100s@{STUCK}", f"401@{REFUSED}"]
    flags = [word for fault in faults for word in ("--sim-fault", fault)]
    airflow = Airflow(tmp_path_factory.mktemp("airflow") / "home")
    with Simulator("--sim-today", "2024-03-15", *flags) as simulator:
        connections = airflow.home.parent / "connections.json"
        airflow.extra = {"dest": str(lake), "base_url": simulator.url}
        connections.write_text(json.dumps({"cookiepay": connection(airflow.extra, password=KEY)}))
        airflow.run("db", "migrate")
        airflow.run("connections", "import", connections)
        connections.unlink()
        airflow.run("pools", "set", "cookiepay_api", "1", "requests to CookiePay")
        try:
            yield airflow
        finally:
            airflow.end()


def connection(extra, **more):
    return {"conn_type": "generic", "login": MERCHANT, "extra": json.dumps(extra), **more}


def days(first, last):
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def check_lake(lake, first, last):
    """Every day from first to last is in the table, whole; their rows."""
    table = etl.files(lake / "settlements")
    inside = {name for name in table if f"pay_date={first}" <= name.split("/")[0] <= f"pay_date={last}"}
    assert inside == {etl.settlement(day, MERCHANT).removeprefix("settlements/") for day in days(first, last)}
    read = [etl.Day(table[name]) for name in inside]
    assert all(day.is_sealed() and day.rows.num_rows == day.record["rows"] for day in read)
    return sum(day.rows.num_rows for day in read)


def test_the_daily_dag_goes_by_seouls_midnight_and_a_retry_mends_a_failure(airflow, lake, tmp_path):
    # the binary alone gets another clock, in its last step before it starts: in Seoul the 15th has begun, for the worker it is the 14th
    [faketime] = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    clock = f"LD_PRELOAD={faketime} FAKETIME='@2024-03-14 15:00:05' FAKETIME_DONT_FAKE_MONOTONIC=1"
    (tmp_path / "setpriv").write_text(f'#!/bin/sh\n{clock} exec {shutil.which("setpriv")} "$@"\n')
    (tmp_path / "setpriv").chmod(0o755)
    # here the key comes from a file; the backfill takes it from the database
    (tmp_path / "key").write_text(KEY)
    extra = airflow.extra | {"api_key_file": str(tmp_path / "key")}
    env = {"PATH": f"{tmp_path}:{airflow.env['PATH']}", "AIRFLOW_CONN_COOKIEPAY": json.dumps(connection(extra))}
    output = airflow.run("dags", "test", "cookiepay_daily", "2024-03-14T15:00:00+00:00", env=env)

    with sqlite3.connect(airflow.home / "airflow.db") as database:
        [state] = database.execute("SELECT state FROM dag_run WHERE dag_id = 'cookiepay_daily'").fetchone()
        tries = dict(database.execute("SELECT task_id, try_number FROM task_instance WHERE dag_id = 'cookiepay_daily'"))
        xcoms = dict(database.execute("SELECT task_id, value FROM xcom WHERE dag_id = 'cookiepay_daily' AND key = 'return_value'"))
    assert state == "success", output
    assert tries == {"sync": 2, "status": 1, "verify": 1}
    sync, status, verify = (json.loads(xcoms[task]) for task in ("sync", "status", "verify"))
    assert (sync["status"], sync["exit_code"]) == ("success", 0)
    assert sync["to"] == "2024-03-22", "a week after today in Seoul"
    assert sync["dates"]["published"] == 1 and sync["dates"]["failed"] == 0
    asked = len(days(date(2024, 1, 1), date(2024, 3, 22)))
    assert status["counts"]["missing"] == 0 and sum(status["counts"][state] for state in ("closed", "closed_empty", "open")) == asked
    assert status["days"] == [], "every day is listed by the binary, and none here"
    assert sync["from"] == "2024-02-05", "the second try begins with the failed day, and the check is of both tries' days"
    assert (verify["status"], verify["checked"], verify["differences"]) == ("ok", asked, [])
    assert "sync ended with 3; 2024-02-05: the API responded with HTTP 503" in output
    assert check_lake(lake, date(2024, 1, 1), date(2024, 3, 22)) > 2000
    assert KEY not in output


@pytest.fixture(scope="module")
def scheduler(airflow):
    airflow.serve()

    def served():
        try:
            return {dag["dag_id"] for dag in airflow.ask("GET", "dags")["dags"]} == {"cookiepay_daily", "cookiepay_backfill"}
        except OSError:
            return False

    wait_until(served, 90)
    assert airflow.ask("GET", "importErrors")["import_errors"] == []
    airflow.ask("PATCH", "dags/cookiepay_backfill", {"is_paused": False})
    return airflow


def test_the_daily_dag_is_due_at_six_in_seoul(scheduler):
    assert scheduler.ask("GET", "dags/cookiepay_daily")["next_dagrun_run_after"].endswith("T21:00:00Z")


def test_the_backfill_dag_runs_months_one_at_a_time_and_a_retry_mends_a_failure(scheduler, lake):
    first, last = date(2023, 10, 30), date(2023, 12, 2)
    run = scheduler.trigger(first, last)
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
    run = scheduler.trigger(first, last)
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


def test_what_another_try_cannot_mend_is_not_tried_again(scheduler):
    backwards, refused = scheduler.trigger("2024-02-01", "2024-01-01"), scheduler.trigger(REFUSED, REFUSED)
    assert (scheduler.wait_for_end(backwards), scheduler.wait_for_end(refused)) == ("failed", "failed")
    assert scheduler.tasks(backwards)["months", -1]["try_number"] == 1
    assert "from 2024-02-01 is after to 2024-01-01" in scheduler.log("cookiepay_backfill", "months")
    assert scheduler.tasks(refused)["backfill", 0]["try_number"] == 1
    [failure] = scheduler.xcom(refused, "backfill", 0)["failures"]
    assert (failure["pay_date"], failure["kind"]) == (f"{REFUSED}", "auth")


def test_a_date_that_is_none_is_refused(scheduler):
    with pytest.raises(urllib.error.HTTPError) as refused:
        scheduler.trigger("yesterday", "2024-01-01")
    assert refused.value.code == 400


def test_the_key_is_nowhere_under_airflow_home(scheduler):
    left = etl.files(scheduler.home)
    assert b"published pay_date=" in b"".join(content for name, content in left.items() if name.startswith("logs/"))
    assert b"cookiepay" in left["airflow.db"], "the connection's row is in there"
    assert [name for name, content in left.items() if KEY.encode() in content] == []
