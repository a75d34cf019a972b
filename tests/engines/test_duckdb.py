"""DuckDB and Arrow read what a quarter's backfill leaves on disk."""

import io
import re
from collections import Counter
from datetime import date
from decimal import Decimal

import duckdb
import pyarrow.parquet as pq
import pytest

import etl
import served
from etl import DAYS, SUMMED

SUMS = ", ".join(f"sum({name}) AS {name}" for name in SUMMED)

DUCKDB_TYPES = {
    "string": "VARCHAR",
    "decimal128(18, 2)": "DECIMAL(18,2)",
    "decimal128(9, 4)": "DECIMAL(9,4)",
    "date32[day]": "DATE",
    "int32": "INTEGER",
    "timestamp[ms, tz=UTC]": "TIMESTAMP WITH TIME ZONE",
}
TYPES = [(name, DUCKDB_TYPES[kind]) for name, kind, _ in etl.COLUMNS]


@pytest.fixture
def db():
    with duckdb.connect() as db:
        yield db


def table(lake):
    """The files as a user would name them, without the help of the view."""
    files = str(lake / "settlements/*/*.parquet").replace("'", "''")
    return f"read_parquet('{files}', hive_partitioning = true)"


def test_every_day_is_one_file_and_nothing_else_lies_in_the_lake(quarter):
    lake, run = quarter
    assert run.result["dates"]["planned"] == run.result["dates"]["published"] == len(DAYS) == 91
    assert sorted(etl.files(lake)) == [etl.settlement(day) for day in DAYS]


def test_count_and_sums_are_those_of_the_result(quarter, db):
    lake, run = quarter
    [(count, *sums)] = db.sql(f"SELECT count(*), {SUMS} FROM {table(lake)}").fetchall()
    assert count == run.result["rows"] > 0
    assert dict(zip(SUMMED, sums)) == etl.decimals(run.result["totals"])
    assert sums[0] > 0
    assert run.result["bytes_written"] == sum(map(len, etl.files(lake).values()))


def test_each_days_record_says_what_its_rows_say(quarter, db):
    lake, _ = quarter
    query = f"SELECT pay_date, count(*), {SUMS} FROM {table(lake)} GROUP BY pay_date"
    rows = {day: (count, dict(zip(SUMMED, sums))) for day, count, *sums in db.sql(query).fetchall()}
    nothing = (0, dict.fromkeys(SUMMED, Decimal(0)))
    for day in DAYS:
        record = etl.Day((lake / etl.settlement(day)).read_bytes()).record
        assert (record["rows"], etl.decimals(record["sums"])) == rows.get(day, nothing), day
        assert (record["pay_date"], record["merchant_id"], record["environment"]) == (str(day), "simulator", "simulator")


def test_types_are_the_contracts(quarter, db):
    lake, _ = quarter
    described = [(name, kind) for name, kind, *_ in db.sql(f"DESCRIBE SELECT * FROM {table(lake)}").fetchall()]
    assert described == [*TYPES, ("pay_date", "DATE")]


def test_a_day_without_rows_is_a_typed_file_of_no_rows(quarter, db):
    lake, run = quarter
    files = str(lake / "settlements/*/*.parquet").replace("'", "''")
    empty = db.sql(f"SELECT file_name FROM parquet_file_metadata('{files}') WHERE num_rows = 0").fetchall()
    assert len(empty) == run.result["dates"]["empty"]
    found = {date.fromisoformat(re.search(r"pay_date=([\d-]+)", name)[1]) for (name,) in empty}
    assert {day for day in DAYS if day.weekday() >= 5} <= found
    for (name,) in empty:
        quoted = name.replace("'", "''")
        query = db.sql(f"SELECT * FROM read_parquet('{quoted}', hive_partitioning = false)")
        assert list(zip(query.columns, map(str, query.types))) == TYPES
        assert query.fetchall() == []


def test_the_printed_view_reads_the_lake(quarter, db):
    lake, run = quarter
    ddl = etl.run("schema", "--format", "duckdb", "--dest", lake)
    assert ddl.code == 0, ddl
    db.execute(ddl.stdout)
    described = [(name, kind) for name, kind, *_ in db.sql("DESCRIBE settlements").fetchall()]
    assert described == [("pay_date", "DATE"), *TYPES]
    [(count, *sums)] = db.sql(f"SELECT count(*), {SUMS} FROM settlements").fetchall()
    assert (count, dict(zip(SUMMED, sums))) == (run.result["rows"], etl.decimals(run.result["totals"]))
    january = "SELECT count(DISTINCT pay_date) FROM settlements WHERE pay_date BETWEEN '2024-01-01' AND '2024-01-31'"
    with_rows = [day for day in DAYS if day.month == 1 and pq.read_metadata(lake / etl.settlement(day)).num_rows > 0]
    assert db.sql(january).fetchall() == [(len(with_rows),)]
    assert db.sql("SELECT DISTINCT run_id, epoch_ms(extracted_at) > 0 FROM settlements").fetchall() == [(run.result["run_id"], True)]


def test_every_file_has_the_printed_arrow_schema(quarter):
    lake, _ = quarter
    printed = etl.run("schema", "--format", "arrow")
    assert printed.code == 0, printed
    expected = [f"{name}: {kind}{'' if nullable else ' not null'}" for name, kind, nullable in etl.COLUMNS]
    assert printed.stdout.splitlines() == expected
    for name, content in etl.files(lake).items():
        schema = pq.ParquetFile(io.BytesIO(content)).schema_arrow
        assert schema.remove_metadata().to_string() + "\n" == printed.stdout, name


def test_seals_hold_and_break_with_one_byte(quarter):
    lake, _ = quarter
    for name, content in etl.files(lake).items():
        assert etl.Day(content).is_sealed(), name
    flipped = bytearray(content)
    flipped[-1 - len(content) // 50] ^= 1
    day = etl.Day(content)
    day.content = bytes(flipped)
    assert not day.is_sealed()


@pytest.fixture(scope="module")
def api():
    """A simulator of the same seed."""
    with served.Simulator() as api:
        yield api


def test_the_table_is_what_the_api_answers_row_by_row(quarter, api, db):
    lake, run = quarter
    columns = ", ".join(served.FIELDS.values())
    stored = {day: [] for day in DAYS}
    for day, *row in db.sql(f"SELECT pay_date, {columns} FROM {table(lake)} ORDER BY pay_date, source_row").fetchall():
        stored[day].append(tuple(row))
    seen = Counter()
    for day in DAYS:
        answer = api.answer(day)
        rows = answer.get("DATA") or []
        assert stored[day] == api.rows(day), day
        seen[answer["RESULTCODE"]] += 1
        seen.update(f"status {row['PAYMENTSTATUS']}" for row in rows)
        seen["rows"] += len(rows)
    assert seen["rows"] == run.result["rows"]
    assert {"0000", "E008", "status 11", "status 21", "status 22"} <= set(seen), "the quarter has every kind of day and row"
