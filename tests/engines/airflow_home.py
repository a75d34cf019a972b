"""An Airflow of its own: a home with the examples as its DAGs, and the real components over it."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import etl
from processes import die_with_parent
from rgw import free_port

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "airflow"
BIN = Path(os.environ["COOKIEPAY_AIRFLOW"]) / "bin"
COMPONENTS = ("api-server", "dag-processor", "scheduler", "triggerer")


class Airflow:
    """The components run from `serve` to `end`; commands work without them."""

    def __init__(self, home):
        self.home, self.port, self._services = home, free_port(), []
        # no PATH to the binary: the provider finds what pip has installed
        self.env = {name: value for name, value in etl.ENVIRONMENT.items() if not name.startswith("AIRFLOW")} | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
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
        self.dags = {path.stem for path in EXAMPLES.glob("*.py")}

    def add_dag(self, name, text):
        """A DAG beside the examples, before `serve`; the file has its name."""
        (self.home / "dags" / f"{name}.py").write_text(text)
        self.dags.add(name)

    def run(self, *args, env=None):
        command, env = [BIN / "airflow", *args], self.env | (env or {})
        run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, preexec_fn=die_with_parent)
        assert run.returncode == 0, f"{command} ended with {run.returncode}\n{run.stdout}\n{run.stderr}"
        return run.stdout + run.stderr

    def serve(self):
        """Starts the components, and waits until all DAGs are there."""
        for name in COMPONENTS:
            flags = ["--skip-serve-logs"] if name in ("scheduler", "triggerer") else []
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

        def served():
            try:
                return {dag["dag_id"] for dag in self.ask("GET", "dags")["dags"]} == self.dags
            except OSError:
                return False

        wait_until(served, 90)
        assert self.ask("GET", "importErrors")["import_errors"] == []

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

    def ask(self, method, path, body=None, root="api/v2"):
        """The public API, as the UI uses it; `root="ui"` is the UI's own."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{root}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
            return json.load(response)

    def unpause(self, dag):
        self.ask("PATCH", f"dags/{dag}", {"is_paused": False})

    def trigger(self, dag, **conf):
        body = {"logical_date": None, "conf": {name: f"{value}" for name, value in conf.items()}}
        return f"dags/{dag}/dagRuns/" + self.ask("POST", f"dags/{dag}/dagRuns", body)["dag_run_id"]

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
        return "\n".join(path.read_text() for path in sorted(self.home.glob(f"logs/dag_id={dag}/run_id=*/task_id={task}/**/*.log*")))


def wait_until(reached, within):
    deadline = time.monotonic() + within
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.2)
