"""Runs `cookiepay-etl` as an Airflow task. Put it beside the two DAGs; the binary comes by `pip install`.

The connection `cookiepay` (of any type) holds what the binary is told:

    login     the merchant's API id
    password  its key; left empty where the extra names the key's file
    extra     {"dest": "s3://your-bucket/cookiepay"}, and as wanted "api_key_file", "env", "base_url"

`AWS_*` variables, proxies and the like are those of the worker.
"""

import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
from datetime import timedelta, timezone

from airflow.sdk import BaseHook, BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

EXTRAS = ("dest", "env", "base_url", "api_key_file")
# settings, credentials, an answer that was refused or a lake that is damaged: to ask again changes nothing
FINAL = {2, 4, 5}


class CookiepayOperator(BaseOperator):
    """The XCom is the binary's result, also where the task fails; the binary's log is the task's."""

    template_fields = ("arguments",)

    def __init__(self, *, arguments, conn_id="cookiepay", **kwargs):
        super().__init__(**kwargs)
        self.arguments = arguments
        self.conn_id = conn_id
        self.process = None

    def execute(self, context):
        # pip puts the binary beside python, which need not be on the worker's PATH
        places = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
        binary = shutil.which("cookiepay-etl", path=places)
        if binary is None:
            raise AirflowFailException(f"no cookiepay-etl in {places}: pip install it where the tasks run")
        # setpriv: where the task itself is killed, the binary gets its SIGTERM from the kernel
        command = ["setpriv", "--pdeathsig", "TERM", binary, *self.arguments, "--output", "json"]
        self.log.info("cookiepay-etl %s", " ".join(self.arguments))
        # the result goes to a file: a pipe that nobody reads while the log is read would fill up
        with tempfile.TemporaryFile("w+", encoding="utf-8") as stdout:
            self.process = subprocess.Popen(
                command,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                # a signal reaches the binary by on_kill alone, and once
                start_new_session=True,
            )
            with self.process:
                try:
                    self._follow_log()
                finally:
                    # a timeout gets here with the binary still at work
                    self.on_kill()
                    self._follow_log()
            stdout.seek(0)
            lines = stdout.read().splitlines()
        run = context["dag_run"]
        result = _short(json.loads(lines[-1]), due=run.logical_date or run.run_after) if lines else {}
        code = self.process.returncode
        if code == 0:
            return result
        context["ti"].xcom_push(key="return_value", value=result)
        raise (AirflowFailException if code in FINAL else AirflowException)(_why(self.arguments[0], code, result))

    def on_kill(self):
        """Has the binary finish or drop the days in flight, which takes it four seconds at most; Airflow grants five."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def _environment(self):
        connection = BaseHook.get_connection(self.conn_id)
        extra = connection.extra_dejson
        settings = {"COOKIEPAY_API_ID": connection.login, "COOKIEPAY_API_KEY": connection.password}
        settings |= {f"COOKIEPAY_{name.upper()}": extra.get(name) for name in EXTRAS}
        return os.environ | {name: value for name, value in settings.items() if value}

    def _follow_log(self):
        """The binary's log, a line at a time and each at its own level."""
        for line in self.process.stderr:
            level = (line.split(maxsplit=2) + ["", ""])[1]
            log = {"ERROR": self.log.error, "WARN": self.log.warning}.get(level, self.log.info)
            log("%s", line.rstrip())


def _short(result, due):
    """A status lists every day. Those that want a look, and those written since the run was due, are enough for an XCom."""
    if "days" in result:
        # an hour for clocks that differ
        since = (due.astimezone(timezone.utc) - timedelta(hours=1)).isoformat()
        result["written"] = [day["pay_date"] for day in result["days"] if (day["extracted_at"] or "") >= since]
        result["days"] = [day for day in result["days"] if day["state"] == "missing" or day["overdue"]]
    return result


def _why(command, code, result):
    """What an alert should say."""
    reasons = [result["error"]] if "error" in result else []
    reasons += [f"{failure['pay_date']}: {failure['message']}" for failure in result.get("failures", [])]
    reasons += [f"{difference['path']}: {difference['what']}" for difference in result.get("differences", [])]
    reasons += [f"{day['pay_date']}: {day['state']}" for day in result.get("days", [])]
    more = [f"and {len(reasons) - 5} more"] if len(reasons) > 5 else []
    return f"{command} ended with {code}; " + "; ".join([*reasons[:5], *more] or ["see its log"])
