"""The connection to CookiePay, and runs of the binary with it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from typing import IO, Any

from airflow.sdk import BaseHook

from .invocation import Invocation, invocation
from .outcome import SUCCESS, Outcome


class CookiepayHook(BaseHook):
    """Runs `cookiepay-etl` with the settings of a connection of the type `cookiepay`.

    The key reaches the binary in its environment, never on its command line. The API's root is the connection's host and port, not a
    field of its own, because in a test Airflow sends a stored key to no other host and port than the stored ones.
    """

    conn_name_attr = "cookiepay_conn_id"
    default_conn_name = "cookiepay_default"
    conn_type = "cookiepay"
    hook_name = "CookiePay"

    def __init__(self, cookiepay_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cookiepay_conn_id = cookiepay_conn_id
        self._process: subprocess.Popen[str] | None = None

    def get_conn(self) -> Any:
        """The connection itself: every run is a process of its own, and nothing stays open."""
        return self.get_connection(self.cookiepay_conn_id)

    def run(self, arguments: Sequence[str], api_ids: Sequence[str] = ()) -> Outcome:
        """Runs the binary to its end, with its log in this one; `arguments` begin with the command."""
        made = invocation(self.get_conn(), arguments, api_ids)
        self.log.info("%s", made.shown)
        # the result goes to a file: a pipe that nobody reads while the log is read would fill up
        with tempfile.TemporaryFile("w+", encoding="utf-8") as stdout:
            errors = self._follow(made, stdout)
            stdout.seek(0)
            return outcome(arguments[0], self._process.returncode, stdout.read(), errors)

    def terminate(self) -> None:
        """Has the binary finish or drop the days in progress, which takes it at most four seconds; Airflow grants five."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def test_connection(self) -> tuple[bool, str]:
        """Runs `check`: settings, token, one settlement call, the lake. For Airflow's Test button."""
        # somebody is waiting for it
        outcome = self.run(["check", "--retries", "1", "--timeout", "20s"])
        if outcome.exit_code != SUCCESS:
            return False, str(outcome.failure())
        # the UI shows it as one paragraph
        return True, "; ".join(f"{check['name']}: {check['detail']}" for check in outcome.result["checks"])

    def _follow(self, made: Invocation, stdout: IO[str]) -> list[str]:
        self._process = subprocess.Popen(
            made.command,
            env=made.environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            # a signal reaches the binary by `terminate` alone, and once
            start_new_session=True,
        )
        errors: list[str] = []
        with self._process:
            try:
                errors += log_lines(self.log, self._process.stderr)
            finally:
                # a timeout gets here with the binary still at work
                self.terminate()
                errors += log_lines(self.log, self._process.stderr)
        return errors


def log_lines(log: Any, lines: Iterable[str]) -> list[str]:
    """Logs the binary's log, a line at a time and each at its own level; returns the text of the errors."""
    errors = []
    for line in lines:
        _, level, text = [*line.rstrip().split(maxsplit=2), "", "", ""][:3]
        {"ERROR": log.error, "WARN": log.warning}.get(level, log.info)("%s", line.rstrip())
        if level == "ERROR":
            errors.append(text)
    return errors


def outcome(command: str, exit_code: int, stdout: str, errors: Sequence[str]) -> Outcome:
    """A run that has ended: its result is the last line that it printed, if that is one."""
    lines = stdout.splitlines()
    try:
        result = json.loads(lines[-1]) if lines else {}
    except ValueError:
        # `schema` and the like print no result
        result = {}
    return Outcome(command, exit_code, result if isinstance(result, dict) else {}, errors)
