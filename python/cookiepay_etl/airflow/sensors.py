"""Waits until the lake has every day of a range."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf
from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowFailException

from .hooks import CookiepayHook
from .outcome import INCOMPLETE, SUCCESS, Outcome
from .triggers import CookiepayCompleteTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class CookiepayCompleteSensor(BaseSensorOperator):
    """Waits until `status --require-complete` succeeds: no day of the range is missing. A lake that does not exist yet is waited for.

    Calls no API; needs the lake where it runs, and in the triggerer if it is deferrable. The XCom is the summary of the status.

    :param from_date: first pay date, `YYYY-MM-DD` (templated).
    :param to_date: last pay date, inclusive (templated).
    :param cookiepay_conn_id: the connection.
    :param api_ids: the merchants, by API id (templated); without any, the connection's, or all of the lake if that has none.
    :param deferrable: wait in the triggerer, without a worker's slot.
    """

    template_fields: Sequence[str] = ("from_date", "to_date", "api_ids", "cookiepay_conn_id")
    ui_color = "#e8f3ec"

    def __init__(
        self,
        *,
        from_date: str,
        to_date: str,
        cookiepay_conn_id: str = CookiepayHook.default_conn_name,
        api_ids: Sequence[str] = (),
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.from_date = from_date
        self.to_date = to_date
        self.cookiepay_conn_id = cookiepay_conn_id
        self.api_ids = api_ids
        self.deferrable = deferrable
        self._hook: CookiepayHook | None = None

    def poke(self, context: Context) -> PokeReturnValue:
        """Looks once."""
        self._hook = CookiepayHook(self.cookiepay_conn_id)
        try:
            outcome = self._hook.run(self._arguments(), self.api_ids)
        except FileNotFoundError as error:
            raise AirflowFailException(str(error)) from error
        if outcome.exit_code not in (SUCCESS, INCOMPLETE):
            raise outcome.failure()
        return PokeReturnValue(is_done=outcome.exit_code == SUCCESS, xcom_value=outcome.summary())

    def execute(self, context: Context) -> Any:
        """Waits here, or looks once and goes on waiting in the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        looked = self.poke(context)
        if looked:
            return looked.xcom_value
        self.defer(
            timeout=timedelta(seconds=self.timeout),
            trigger=CookiepayCompleteTrigger(
                arguments=self._arguments(),
                cookiepay_conn_id=self.cookiepay_conn_id,
                api_ids=list(self.api_ids),
                poke_interval=self.poke_interval,
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Called when the trigger has fired: the days are there, or cannot be looked for."""
        outcome = Outcome("status", event["exit_code"], event["result"], event["errors"])
        if outcome.exit_code != SUCCESS:
            raise outcome.failure()
        return outcome.summary()

    def on_kill(self) -> None:
        """Ends the binary."""
        if self._hook is not None:
            self._hook.terminate()

    def _arguments(self) -> list[str]:
        return ["status", "--require-complete", "--from", self.from_date, "--to", self.to_date]
