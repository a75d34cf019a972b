"""How a task's arguments and a connection become a command. Pure: runs nothing, reads no connection."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cookiepay_etl import find_binary

if TYPE_CHECKING:
    from airflow.sdk import Connection

# the connection's merchant is named to all that take one: those that read the lake do not read it from the environment
_OF_A_MERCHANT = {"backfill", "sync", "check", "lookup", "status", "verify", "rebuild", "delta", "report", "reconcile"}
# those that call the API
_FETCHING = {"backfill", "sync", "check", "lookup"}
_KEY, _KEY_FILE = "COOKIEPAY_API_KEY", "COOKIEPAY_API_KEY_FILE"


@dataclass(frozen=True)
class Invocation:
    """A command, and its environment, which holds the key: it is not shown."""

    command: list[str]
    shown: str
    """The command for a log."""
    environment: dict[str, str] = field(repr=False)


def invocation(connection: Connection, arguments: Sequence[str], api_ids: Sequence[str] = ()) -> Invocation:
    """The command of `arguments` with the settings of a connection.

    `api_ids` are the merchants; without any, the connection's. Merchants that `arguments` name take precedence over both.
    """
    arguments = [str(argument) for argument in arguments]
    extra = connection.extra_dejson
    flags = ["--config", extra["config"]] if extra.get("config") and not _has(arguments, "--config") else []
    merchants = api_ids or ([connection.login] if connection.login else [])
    if arguments[0] in _OF_A_MERCHANT and not _has(arguments, "--api-id", "--merchant"):
        flags += [part for merchant in merchants for part in ("--api-id", merchant)]
    if not _has(arguments, "--output"):
        flags += ["--output", "json"]
    return Invocation(
        command=[*_supervised(), find_binary(), *arguments, *flags],
        shown=shlex.join(["cookiepay-etl", *arguments, *flags]),
        environment=_environment(connection, extra, arguments[0]),
    )


def _has(arguments: Sequence[str], *flags: str) -> bool:
    return any(argument == flag or argument.startswith(f"{flag}=") for argument in arguments for flag in flags)


def _supervised() -> list[str]:
    """If the task itself is killed, the kernel sends the binary a SIGTERM."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def _environment(connection: Connection, extra: Mapping[str, str], command: str) -> dict[str, str]:
    key = {_KEY: connection.password, _KEY_FILE: extra.get("api_key_file")}
    settings = {
        "COOKIEPAY_DEST": extra.get("dest"),
        "COOKIEPAY_ENV": extra.get("env"),
        "COOKIEPAY_BASE_URL": _base_url(connection.host, connection.port),
        **key,
    }
    # what the worker has of its own gives way to the connection's, and a key in one form to one in the other
    replaced = set(key) if any(key.values()) else set()
    own = {name: value for name, value in os.environ.items() if name not in replaced}
    environment = own | {name: value for name, value in settings.items() if value}
    if command not in _FETCHING:
        # they need no key
        for name in key:
            environment.pop(name, None)
    return environment


def _base_url(host: str | None, port: int | None) -> str | None:
    """The API's root: the host may be a URL, with a port of its own or without. Without a host, the environment decides."""
    if not host:
        return None
    url = urlsplit(host if "://" in host else f"https://{host}")
    # the binary checks it
    netloc = url.netloc if not port or ":" in url.netloc.rpartition("]")[2] else f"{url.netloc}:{port}"
    return url._replace(netloc=netloc).geturl()
