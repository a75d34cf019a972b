"""The Delta table by the statements that `schema` prints: the questions of the plain table, a snapshot, and an earlier version."""

import re
import shutil
from datetime import date
from urllib.parse import quote

import chdb
import pytest

import etl
from asking import EXAMPLES, ask, connect_s3, schema

FOLDER = EXAMPLES / "duckdb"
QUESTIONS = ("payout_by_day", "payout_by_month", "fees_by_method", "effective_fee_rate", "cancellations", "pending_payouts", "days_that_do_not_add_up")
ODD = ["a b", "100%", "[x]", "p+q", "정산", "merchant_id=x", "it's"]
DAYS = {"first": date(2024, 1, 29), "last": date(2024, 2, 9)}
CONNECT = (FOLDER / "delta" / "connect.sql").read_text()


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    lake = tmp_path_factory.mktemp("delta") / "lake"
    for flags in ((), ("--sim-seed", 2, "--refetch", "all")):
        run = etl.backfill(lake, "--delta", *flags, **DAYS)
        assert run.code == 0, run
    return lake


def test_the_same_questions_have_the_same_answers(lake):
    queries = {name: (FOLDER / f"{name}.sql").read_text() for name in QUESTIONS}
    plain = ask([schema(lake, "--format", "duckdb")], queries)
    delta = ask([CONNECT, schema(lake, "--format", "duckdb", "--table", "delta", "--lang", "ko")], queries)
    assert delta == plain and plain["payout_by_day"][2]


def test_an_earlier_version_is_attached_by_the_first_line_of_the_view(lake):
    view = schema(lake, "--format", "duckdb", "--table", "delta")
    attach = re.match(r"-- .*: (ATTACH .*)", view)[1]
    question = {"changes": (FOLDER / "delta" / "time_travel.sql").read_text(), "newest": "SELECT count(*) FROM settlements"}
    tables = ask([CONNECT, attach, view], question)
    columns, _, lines = tables["changes"]
    changed = {line[columns.index("pay_date")]: line for line in lines}
    found = etl.run("status", "--dest", lake, "--output", "json").result["days"]
    assert changed.keys() == {date.fromisoformat(day["pay_date"]) for day in found if day["restated"]} and changed


@pytest.mark.parametrize("name", ODD)
def test_duckdb_and_clickhouse_read_it_in_a_folder_of_any_name(lake, tmp_path, monkeypatch, name):
    at = tmp_path / name / "lake"
    shutil.copytree(lake, at)
    count = {"rows": "SELECT count(*), sum(payment_amount) FROM settlements"}
    [plain] = ask([schema(at, "--format", "duckdb")], count)["rows"][2]
    assert ask([CONNECT, schema(at, "--format", "duckdb", "--table", "delta")], count)["rows"][2] == [plain]
    # a server reads folders below its user_files alone, and chdb those below the working folder
    monkeypatch.chdir(tmp_path)
    select = schema(at, "--format", "clickhouse", "--table", "delta").partition(" AS\n")[2].rstrip().rstrip(";")
    answer = str(chdb.query(f"SELECT count(), sum(payment_amount) FROM ({select})", "CSV")).strip()
    assert answer == f"{plain[0]},{plain[1]:.0f}"


def test_on_s3_duckdb_reads_it_below_a_prefix_of_any_name(lake, bucket):
    contents = {path.relative_to(lake).as_posix(): path.read_bytes() for path in (lake / "delta").rglob("*") if path.is_file()}
    setup, questions = [connect_s3(bucket), CONNECT], {}
    for number, name in enumerate(ODD):
        for path, content in contents.items():
            bucket.client.put_object(Bucket=bucket.name, Key=f"{name}/lake/{path}", Body=content)
        view = schema(bucket.url(f"{quote(name)}/lake"), "--format", "duckdb", "--table", "delta")
        setup.append(view.replace("VIEW settlements", f"VIEW settlements_{number}"))
        questions[name] = f"SELECT count(*), sum(payment_amount) FROM settlements_{number}"
    expected = ask([schema(lake, "--format", "duckdb")], {"rows": "SELECT count(*), sum(payment_amount) FROM settlements"})["rows"][2]
    for name, (_, _, lines) in ask(setup, questions, env=bucket.env).items():
        assert lines == expected, name
