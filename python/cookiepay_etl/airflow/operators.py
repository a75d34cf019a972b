"""A run of the binary as a task, and the asset that it updates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from .hooks import CookiepayHook
from .outcome import KEPT, SUCCESS, Outcome

if TYPE_CHECKING:
    from airflow.sdk import Context

# the XCom that holds the newest run whose days this task has announced: run ids begin with a time, so that a day written by a try that
# failed later is announced by the next success. Not the asset's own events: Airflow 3.3.2 cannot list them while a run that one of them
# has created is queued.
_ANNOUNCED = "announced"
# those that write days
_WRITING = {"backfill", "sync", "rebuild"}


class CookiepayOperator(BaseOperator):
    """Runs `cookiepay-etl`. The XCom is a summary of its result, also if the task fails; its log is the task's.

    Exits 2, 4 and 5 fail at once (`AirflowFailException`), because a retry changes nothing; the others are retried.

    :param arguments: the command and its flags, such as `["sync", "--since", "2024-01-01"]` (templated).
    :param cookiepay_conn_id: the connection.
    :param api_ids: the merchants, by API id (templated); without any, the connection's, or all if that has none.
    :param asset: updated after a success if days were written since this task last updated it, by whatever run. The event's extra is
        the summary without its parts by merchant. A mapped task has no asset: give it to the task that follows.
    """

    template_fields: Sequence[str] = ("arguments", "api_ids", "cookiepay_conn_id")
    ui_color = "#e8f3ec"

    def __init__(
        self,
        *,
        arguments: Sequence[str],
        cookiepay_conn_id: str = CookiepayHook.default_conn_name,
        api_ids: Sequence[str] = (),
        asset: Asset | None = None,
        **kwargs: Any,
    ) -> None:
        if asset is not None:
            # an outlet is updated by each success; what an alias is given is updated only then
            kwargs["outlets"] = [*kwargs.get("outlets", ()), _alias(asset)]
        super().__init__(**kwargs)
        self.arguments = arguments
        self.cookiepay_conn_id = cookiepay_conn_id
        self.api_ids = api_ids
        self.asset = asset
        self._hook: CookiepayHook | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Runs the binary; returns the summary of its result."""
        if self.asset is not None and context["ti"].map_index >= 0:
            raise AirflowFailException("a mapped task cannot update an asset: set it on the task that follows")
        self._hook = CookiepayHook(self.cookiepay_conn_id)
        outcome = self._run(self.arguments, self.api_ids)
        summary = outcome.summary()
        if outcome.exit_code != SUCCESS:
            context["ti"].xcom_push(key="return_value", value=summary)
            raise outcome.failure()
        if self.asset is not None or outcome.command in _WRITING:
            summary["written"] = written = self._written(context, outcome)
            if self.asset is not None and written["days"]:
                extra = {name: value for name, value in summary.items() if name != "merchants"}
                context["outlet_events"][_alias(self.asset)].add(self.asset, extra=extra)
                context["ti"].xcom_push(key=_ANNOUNCED, value=written["through"])
        return summary

    def on_kill(self) -> None:
        """Ends the binary: days in progress are finished or discarded whole."""
        if self._hook is not None:
            self._hook.terminate()

    def _run(self, arguments: Sequence[str], api_ids: Sequence[str]) -> Outcome:
        try:
            return self._hook.run(arguments, api_ids)
        except FileNotFoundError as error:
            raise AirflowFailException(str(error)) from error

    def _written(self, context: Context, outcome: Outcome) -> dict[str, Any]:
        """The days that were written since this task last updated the asset, or without one by this run alone."""
        run = outcome.result.get("run_id", "")
        after = run if self.asset is None else self._announced(context)
        # run ids begin with the time at which the run began; this run's own count whatever its clock
        days = [day for day in self._days(outcome) if day["run_id"] and (day["run_id"] > after or day["run_id"] == run)]
        dates = sorted({day["pay_date"] for day in days})
        return {
            "days": len(days),
            "first": dates[0] if dates else None,
            "last": dates[-1] if dates else None,
            "pay_dates": dates if len(dates) <= KEPT else None,
            "through": max((day["run_id"] for day in days), default=None),
        }

    def _days(self, outcome: Outcome) -> list[dict[str, Any]]:
        """All days of the merchants that the run was about, as `status` has them."""
        if outcome.command == "status":
            return outcome.result["days"]
        merchants = [merchant["merchant_id"] for merchant in outcome.result.get("merchants", [])]
        if outcome.command in _WRITING and not merchants:
            # a shard without merchants
            return []
        status = self._run(["status"], merchants or self.api_ids)
        if status.exit_code != SUCCESS:
            raise status.failure()
        return status.result["days"]

    def _announced(self, context: Context) -> str:
        """The newest run whose days this task has announced, in whatever run of its own; without one, what comes before all runs."""
        # not from the asset's events: Airflow cannot list them while a run that one of them has created is queued
        pulled = context["ti"].xcom_pull(key=_ANNOUNCED, include_prior_dates=True)
        return max(filter(None, pulled if isinstance(pulled, list) else [pulled]), default="")


def _alias(asset: Asset) -> AssetAlias:
    return AssetAlias(f"{asset.name}: changed days")
