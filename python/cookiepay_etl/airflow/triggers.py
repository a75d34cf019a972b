"""What the sensor waits with in the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from .hooks import CookiepayHook, log_lines, outcome
from .invocation import invocation
from .outcome import INCOMPLETE, Outcome


class CookiepayCompleteTrigger(BaseTrigger):
    """Fires once `status --require-complete` ends with anything but "a day is missing", with what it ended with."""

    def __init__(self, arguments: Sequence[str], cookiepay_conn_id: str, api_ids: Sequence[str], poke_interval: float) -> None:
        super().__init__()
        self.arguments = arguments
        self.cookiepay_conn_id = cookiepay_conn_id
        self.api_ids = api_ids
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, as Airflow stores them."""
        names = ("arguments", "cookiepay_conn_id", "api_ids", "poke_interval")
        return f"{type(self).__module__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Looks, and looks again after each interval."""
        while (looked := await self._look()).exit_code == INCOMPLETE:
            await asyncio.sleep(self.poke_interval)
        yield TriggerEvent({"exit_code": looked.exit_code, "result": looked.summary(), "errors": list(looked.errors)})

    async def _look(self) -> Outcome:
        connection = await CookiepayHook.aget_connection(self.cookiepay_conn_id)
        made = invocation(connection, self.arguments, self.api_ids)
        process = await asyncio.create_subprocess_exec(
            *made.command,
            env=made.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            stdout, stderr = await process.communicate()
        finally:
            # cancelled
            if process.returncode is None:
                process.terminate()
                await process.wait()
        errors = log_lines(self.log, stderr.decode(errors="replace").splitlines())
        return outcome(self.arguments[0], process.returncode, stdout.decode(errors="replace"), errors)
