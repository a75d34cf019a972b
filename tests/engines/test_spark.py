"""Spark 4 makes the table from the printed DDL, with the script of examples/spark as it stands, and reads every value as pyarrow does."""

import contextlib
import io
import json
import runpy
import shlex
import shutil
import sys
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import asking
import books
import etl
from etl import SEOUL

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "spark" / "settlements.py"

# what spark-submit would say on a small machine; the catalogue in memory
SMALL = {
    "spark.master": "local[2]",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:memory:metastore;create=true",
}
NULLS = ("acquirer_code", "fee_rate", *etl.SUMMED, "payoff_date", "payoff_status", "extra")


@pytest.fixture(scope="module")
def printed(shops, tmp_path_factory):
    """What the example prints; the session that it leaves is this module's."""
    home = tmp_path_factory.mktemp("spark")
    ddl = etl.run("schema", "--format", "spark", "--dest", shops)
    assert ddl.code == 0, ddl
    (home / "settlements.sql").write_text(ddl.stdout, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        settings = [word for name, value in SMALL.items() for word in ("--conf", f"{name}={value}")]
        patch.setenv("PYSPARK_SUBMIT_ARGS", shlex.join([*settings, "pyspark-shell"]))
        # the catalogue's log lies where Java starts
        patch.chdir(home)
        patch.setattr(sys, "argv", [str(SCRIPT), "settlements.sql"])
        with contextlib.redirect_stdout(io.StringIO()) as out:
            runpy.run_path(str(SCRIPT), run_name="__main__")
    yield out.getvalue()
    SparkSession.getActiveSession().stop()


@pytest.fixture
def spark(printed):
    return SparkSession.getActiveSession()


def stored(lake):
    """Every row by pay date, merchant and position, as pyarrow reads it."""
    rows = {}
    for name, content in etl.files(lake / "settlements").items():
        pay_date = name.split("/")[0].removeprefix("pay_date=")
        for row in pq.read_table(io.BytesIO(content)).to_pylist():
            rows[pay_date, row["merchant_id"], row["source_row"]] = row
    return rows


def read(spark):
    """The same, as Spark reads it; Arrow carries the values over without Python's local time."""
    table = spark.table("settlements").toArrow()
    index = table.schema.get_field_index("extracted_at")
    table = table.set_column(index, "extracted_at", table["extracted_at"].cast(pa.timestamp("us", "UTC")))
    rows = [dict(row) for row in table.to_pylist()]
    return {(str(row.pop("pay_date")), row["merchant_id"], row["source_row"]): row for row in rows}


def test_the_table_has_the_columns_of_the_files(spark):
    described = [(field.name, field.dataType.simpleString()) for field in spark.table("settlements").schema]
    assert described == [*((name, etl.HIVE_TYPES[kind]) for name, kind, _ in etl.COLUMNS), ("pay_date", "date")]
    about = {column["name"]: column["about"] for column in json.loads(etl.run("schema", "--format", "json").stdout)["columns"]}
    comments = {field.name: field.metadata["comment"] for field in spark.table("settlements").schema}
    assert comments == about | {"pay_date": "the requested pay date"}


def test_every_day_is_a_partition_with_rows_or_without(spark, shops):
    partitions = [row.partition for row in spark.sql("SHOW PARTITIONS settlements").collect()]
    assert partitions == sorted({name.split("/")[0] for name in etl.files(shops / "settlements")})
    empty = set(partitions) - {f"pay_date={day}" for day, *_ in stored(shops)}
    assert len(partitions) == len(books.DAYS) + 1 and len(empty) > 5


@pytest.mark.parametrize("zone", ["Asia/Seoul", "UTC", "America/New_York"])
def test_every_value_is_what_pyarrow_reads(spark, shops, zone):
    spark.conf.set("spark.sql.session.timeZone", zone)
    expected, found = stored(shops), read(spark)
    assert len(expected) > 200
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert found[key] == row, key
    # what engines could disagree on is there
    values = {name: {row[name] for row in expected.values()} for name, *_ in etl.COLUMNS}
    assert all(found > {None} for found in (values[name] for name in NULLS))
    assert {Decimal(books.LARGEST), Decimal("1000.55")} < values["auth_amount"]
    assert -Decimal(books.LARGEST) in values["fee"] and Decimal("99999.9900") in values["fee_rate"]
    assert any(instant.microsecond for instant in values["extracted_at"])


def test_times_are_instants_shown_in_the_sessions_zone(spark, shops):
    spark.conf.set("spark.sql.session.timeZone", "Asia/Seoul")
    query = "SELECT DISTINCT date_format(extracted_at, 'yyyy-MM-dd HH:mm:ss.SSS') AS shown FROM settlements"
    shown = {row.shown for row in spark.sql(query).collect()}
    instants = {row["extracted_at"].astimezone(SEOUL) for row in stored(shops).values()}
    assert shown == {f"{instant:%Y-%m-%d %H:%M:%S.%f}"[:-3] for instant in instants}


def test_the_example_shows_payouts_by_month(printed, shops):
    sums = defaultdict(Decimal)
    for (day, merchant, _), row in stored(shops).items():
        sums[day[:7], merchant] += row["payment_amount"] or 0
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if line.startswith("|")]
    assert lines[0] == ["month", "merchant_id", "row_count", "payout", "fee", "asked_at"]
    assert [(month[:7], merchant, Decimal(payout)) for month, merchant, _, payout, *_ in lines[1:]] == [
        (*key, amount) for key, amount in sorted(sums.items())
    ]
    # in Seoul's time, which is the example's
    assert {line[-1][:10] for line in lines[1:]} <= {f"{datetime.now(SEOUL) - timedelta(days=n):%Y-%m-%d}" for n in (0, 1)}


@pytest.mark.parametrize("name", ["a b [x] p+q", "100% x%20y", "merchant_id=x", r"back\slash {a} a*b why? h#h"])
def test_a_folder_of_any_name_is_read(spark, shops, tmp_path, name):
    lake = tmp_path / name / "lake"
    shutil.copytree(shops, lake)
    for statement in asking.schema(lake, "--format", "spark").replace("settlements (", "odd (").replace("TABLE settlements;", "TABLE odd;").split(";\n"):
        if statement.strip():
            spark.sql(statement)
    try:
        query = "SELECT count(*) AS found, sum(payment_amount) AS payout, count(DISTINCT merchant_id) AS merchants FROM {}"
        assert spark.sql(query.format("odd")).first() == spark.sql(query.format("settlements")).first()
    finally:
        spark.sql("DROP TABLE odd")


def test_labels_are_a_view_beside_the_table(spark, shops):
    [view] = [statement for statement in asking.schema(shops, "--format", "spark", "--table", "labels", "--lang", "ko").split(";\n") if statement]
    spark.sql(view)
    counted = {row[0]: row[1] for row in spark.sql("SELECT payment_status_label, count(*) FROM settlements_labels GROUP BY ALL").collect()}
    assert sum(counted.values()) == len(stored(shops)) and {"승인", "당일취소", "일반취소"} <= set(counted)


def test_the_ledger_is_a_table(spark, shops):
    spark.sql(asking.schema(shops, "--format", "spark", "--table", "ledger", "--lang", "ko").rstrip().rstrip(";"))
    found = spark.sql("SELECT sum(`rows`) AS found, sum(payment_amount) AS payout FROM ledger WHERE `current`").first()
    assert (found.found, found.payout) == (len(stored(shops)), etl.total(row["payment_amount"] for row in stored(shops).values()))


def test_a_day_is_seen_after_a_repair_and_again_after_a_refresh(spark, shops):
    day, merchant = books.LAST + timedelta(days=1), books.MERCHANTS[0]
    landed = shops / etl.settlement(day, merchant)
    query = f"SELECT count(*) AS found, sum(payment_amount) AS payout FROM settlements WHERE pay_date = '{day}'"
    try:
        landed.parent.mkdir()
        for other, statement in ((books.DAYS[1], "MSCK REPAIR TABLE settlements"), (books.DAYS[3], "REFRESH TABLE settlements")):
            landed.write_bytes((shops / etl.settlement(other, merchant)).read_bytes())
            spark.sql(statement)
            amounts = pq.read_table(landed, partitioning=None)["payment_amount"].to_pylist()
            assert tuple(spark.sql(query).first()) == (len(amounts), etl.total(amounts))
    finally:
        landed.unlink(missing_ok=True)
        landed.parent.rmdir()
