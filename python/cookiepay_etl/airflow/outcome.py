"""What a finished run means to Airflow: what is kept of its result, what an alert reports, and whether a retry can help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

SUCCESS = 0
# `status --require-complete`: a day is missing
INCOMPLETE = 3
# settings, credentials, a response that was refused or a lake that is damaged: a retry changes nothing
FINAL = {2, 4, 5}
# entries of a list that are kept
KEPT = 100
# reasons in an alert
_REASONS = 5


@dataclass(frozen=True)
class Outcome:
    """A run that has ended."""

    command: str
    exit_code: int
    result: dict[str, Any] = field(default_factory=dict)
    """The binary's result, whole; empty if it printed none."""
    errors: Sequence[str] = ()
    """The errors it logged."""

    def summary(self) -> dict[str, Any]:
        """The result, as an XCom holds it: of a `status` the days that need attention, and 100 entries of any list.

        `truncated` has the length of each list that was cut.
        """
        summary = dict(self.result)
        if self.command == "status":
            summary["days"] = self._days()
        lengths = {name: len(value) for name, value in summary.items() if isinstance(value, list) and len(value) > KEPT}
        return summary | {name: summary[name][:KEPT] for name in lengths} | ({"truncated": lengths} if lengths else {})

    def failure(self) -> AirflowException:
        """The exception of a run that did not succeed: AirflowFailException if another try would fail as well."""
        return (AirflowFailException if self.exit_code in FINAL else AirflowException)(self._why())

    def _days(self) -> list[dict[str, Any]]:
        """Of a `status`, the days that need attention."""
        return [day for day in self.result.get("days", []) if day["state"] == "missing" or day["overdue"]]

    def _why(self) -> str:
        result = self.result
        reasons = [result["error"]] if result.get("error") else []
        reasons += [f"{check['name']}: {check['detail']}" for check in result.get("checks", []) if not check["ok"]]
        reasons += [_sentence(failure["pay_date"], failure["message"]) for failure in result.get("failures", [])]
        reasons += [_sentence(*_difference(difference)) for difference in result.get("differences", [])]
        reasons += [f"{day['pay_date']}: {'overdue' if day['overdue'] else day['state']}" for day in self._days()]
        reasons = reasons or list(self.errors)
        more = [f"and {len(reasons) - _REASONS} more"] if len(reasons) > _REASONS else []
        return f"{self.command} ended with {self.exit_code}; " + "; ".join([*reasons[:_REASONS], *more] or ["see its log"])


def _sentence(about: str | None, what: str) -> str:
    return f"{about}: {what}" if about else what


def _difference(difference: dict[str, Any]) -> tuple[str | None, str]:
    """That of `verify` is in a file, that of `reconcile` is a status of an order, a fee or a deposit."""
    if "what" in difference:
        return difference.get("path"), difference["what"]
    names = ("order_no", "transaction_id", "pay_date", "date")
    about = next((difference[name] for name in names if difference.get(name)), None)
    return about, f"{difference.get('status')} by {difference.get('difference')}"
