"""Readers of years ago read the lake: exact decimals, dates, times and text, where they have such types."""

import json
import os
import pickle
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

import etl
from asking import schema


@pytest.fixture(scope="module")
def found(quarter):
    lake, _ = quarter
    views = [schema(lake, "--format", "duckdb", "--table", table) for table in ("settlements", "ledger")]
    command = [os.environ["OLD_READERS_PYTHON"], Path(__file__).with_name("old_readers.py")]
    run = subprocess.run(command, input=json.dumps([str(lake), views]).encode(), env=etl.ENVIRONMENT, capture_output=True, timeout=120)
    assert run.returncode == 0, run.stderr.decode()
    return pickle.loads(run.stdout)


@pytest.fixture(scope="module")
def expected(quarter):
    lake, run = quarter
    first = next(day for day in etl.DAYS if etl.Day((lake / etl.settlement(day)).read_bytes()).record["rows"])
    [row, *_] = etl.Day((lake / etl.settlement(first)).read_bytes()).rows.to_pylist()
    return run.result["rows"], Decimal(run.result["totals"]["payment_amount"]), first, row


def test_pyarrow_10(found, expected):
    version, count, payout, types, row = found["pyarrow"]
    rows, total, day, first = expected
    assert (version, count, payout) == ("10.0.1", rows, total)
    assert types == {name: kind for name, kind, _ in etl.COLUMNS} | {"pay_date": "date32[day]"}
    assert row == first | {"pay_date": day}


def test_duckdb_0_9(found, expected, quarter):
    lake, run = quarter
    version, count, payout, days, versions, indexed = found["duckdb"]
    rows, total, *_ = expected
    assert (version, count, payout, versions, indexed) == ("0.9.2", rows, total, len(etl.DAYS), rows)
    assert days == len(etl.DAYS) - run.result["dates"]["empty"]


def test_fastparquet(found, expected):
    version, count, payout, order_no, extracted_at = found["fastparquet"]
    rows, total, _, first = expected
    assert (version, count, payout, order_no) == ("2024.5.0", rows, float(total), first["order_no"])
    assert extracted_at[:23] == f"{first['extracted_at']:%Y-%m-%dT%H:%M:%S.%f}"[:23]
