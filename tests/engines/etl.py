"""Runs the binary as a user does, and reads what it leaves."""

import hashlib
import io
import json
import os
import subprocess
import time
from dataclasses import dataclass
from datetime import date, timedelta, timezone
from decimal import Decimal
from functools import cached_property
from pathlib import Path

import pyarrow.parquet as pq

from processes import die_with_parent

BINARY = os.environ["COOKIEPAY_ETL"]
# nothing of the user's own settings reaches a run, and loopback needs no proxy
OWN = ("AWS_", "COOKIEPAY_")
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(OWN) and not name.lower().endswith("_proxy")
}

SEOUL = timezone(timedelta(hours=9))
FIRST, LAST = date(2024, 1, 1), date(2024, 3, 31)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
SUMMED = ("auth_amount", "fee", "vat", "payment_amount", "final_amount")

# the contract's columns: name, Parquet type as pyarrow prints it, whether NULL may be
COLUMNS = [
    ("merchant_id", "string", False),
    ("transaction_id", "string", False),
    ("order_no", "string", True),
    ("cpid", "string", True),
    ("payment_status", "string", False),
    ("pay_type", "string", True),
    ("acquirer_code", "string", True),
    ("auth_amount", "decimal128(18, 2)", True),
    ("fee_rate", "decimal128(9, 4)", True),
    ("fee", "decimal128(18, 2)", True),
    ("vat", "decimal128(18, 2)", True),
    ("payment_amount", "decimal128(18, 2)", True),
    ("final_amount", "decimal128(18, 2)", True),
    ("settle_cycle_code", "string", True),
    ("auth_date", "date32[day]", True),
    ("payoff_date", "date32[day]", True),
    ("payoff_status", "string", True),
    ("extra", "string", True),
    ("source_row", "int32", False),
    ("extracted_at", "timestamp[ms, tz=UTC]", False),
    ("run_id", "string", False),
]
# their types in the words that Hive, Athena and Spark share
HIVE_TYPES = {
    "string": "string",
    "decimal128(18, 2)": "decimal(18,2)",
    "decimal128(9, 4)": "decimal(9,4)",
    "date32[day]": "date",
    "int32": "int",
    "timestamp[ms, tz=UTC]": "timestamp",
}


@dataclass
class Run:
    """A run that has ended; printed whole where a check of it fails."""

    command: list
    code: int
    stdout: str
    stderr: str
    seconds: float

    @cached_property
    def result(self):
        return json.loads(self.stdout.splitlines()[-1])

    def __repr__(self):
        logs = "\n".join(self.stderr.splitlines()[-15:])
        return f"{' '.join(self.command)}\nended with {self.code} after {self.seconds:.1f} s\nstdout: {self.stdout}\nstderr: {logs}"


def start(*args, env=None, **streams):
    command, env = [BINARY, *map(str, args)], ENVIRONMENT | (env or {})
    return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent, **streams)


def run(*args, env=None, timeout=180):
    began = time.monotonic()
    with start(*args, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return Run(process.args, process.returncode, stdout, stderr, time.monotonic() - began)


def backfill_args(dest, *flags, first=FIRST, last=LAST):
    return ("backfill", "--env", "simulator", "--from", first, "--to", last, "--dest", dest, "--rate-limit", 0, *flags)


def backfill(dest, *flags, first=FIRST, last=LAST, env=None):
    return run(*backfill_args(dest, *flags, first=first, last=last), env=env)


def settlement(day, merchant="simulator"):
    """The name of a day's object."""
    return f"settlements/pay_date={day}/{merchant}.parquet"


def files(folder):
    """Every file under a folder, by its name from there, apart from the ledger indexes, which are copies."""
    folder = Path(folder)
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if "/ledger/" not in f"/{name}"}


class Day:
    """A day's object, read."""

    def __init__(self, content):
        self.content = content
        parquet = pq.ParquetFile(io.BytesIO(content))
        self.schema = parquet.schema_arrow.remove_metadata()
        self.rows = parquet.read()
        self.record = json.loads(parquet.metadata.metadata[b"cookiepay_etl.day"])

    def sums(self):
        return {name: total(self.rows[name].to_pylist()) for name in SUMMED}

    def is_sealed(self):
        """Whether the file's SHA-256, with the seal's own digits as zeros, is its seal."""
        seal = self.record["seal"].encode()
        unsealed = self.content.replace(seal, b"0" * 64)
        return len(seal) == 64 and self.content.count(seal) == 1 and hashlib.sha256(unsealed).hexdigest().encode() == seal

    def comparable(self):
        """Rows in order and record, less what every run has of its own."""
        own = ("run_id", "extracted_at")
        record = {key: value for key, value in self.record.items() if key not in (*own, "seal")}
        return self.rows.drop_columns(list(own)).sort_by("source_row").to_pylist(), record


def total(amounts):
    return sum((amount for amount in amounts if amount is not None), Decimal(0))


def decimals(totals):
    return {name: Decimal(value) for name, value in totals.items()}
