"""The statements that `schema` prints, on their engines, for lakes in places with odd names; and what they open."""

import json
import re
import shutil
from datetime import date
from decimal import Decimal
from urllib.parse import quote

import chdb
import duckdb
import pytest

import etl
from asking import ask, connect_s3, schema

ODD = ["a b", "100%", "x%20y", "[x]", "p+q", "정산", "merchant_id=x", "pay_date=2020-01-01", "it's", "a*b", "{a}", "q&a;--", "$^"]
FEBRUARY = (date(2024, 1, 30), date(2024, 3, 1))
# across digits of the day and of the month, one day, and from before the lake
ENDS = [("2024-02-15", "2024-02-21"), ("2024-01-31", "2024-02-01"), ("2024-02-05", "2024-02-05"), ("2023-12-31", "2024-02-02")]
SUMS = "count(*), sum(payment_amount), min(merchant_id), max(merchant_id), min(pay_date), max(pay_date)"


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    """A month, and what its table must sum up to."""
    lake = tmp_path_factory.mktemp("month") / "lake"
    first, last = FEBRUARY
    run = etl.backfill(lake, "--keep-raw", first=first, last=last)
    assert run.code == 0, run
    days = sorted(
        date.fromisoformat(name.split("/")[1].removeprefix("pay_date="))
        for name, content in etl.files(lake).items()
        if name.startswith("settlements/") and etl.Day(content).record["rows"]
    )
    result = run.result
    return lake, (result["rows"], Decimal(result["totals"]["payment_amount"]), "simulator", "simulator", days[0], days[-1])


def placed(month, folder, name):
    lake, expected = month
    at = folder / name / "lake"
    shutil.copytree(lake, at)
    return at, expected


@pytest.mark.parametrize("name", [*ODD, "why?", "h#h"])
def test_duckdb_reads_a_folder_of_any_name(month, tmp_path, name):
    lake, expected = placed(month, tmp_path, name)
    with duckdb.connect() as db:
        db.execute(schema(lake, "--format", "duckdb"))
        assert db.sql(f"SELECT {SUMS} FROM settlements").fetchall() == [expected]
        db.execute(schema(lake, "--format", "duckdb", "--table", "labels", "--lang", "ko"))
        counted = dict(db.sql("SELECT payment_status_label, count(*) FROM settlements_labels GROUP BY ALL").fetchall())
        assert sum(counted.values()) == expected[0] and {"승인", "일반취소"} <= set(counted)
        db.execute(schema(lake, "--format", "duckdb", "--table", "ledger"))
        assert db.sql("SELECT sum(rows), sum(payment_amount) FROM ledger").fetchall() == [expected[:2]]
        db.execute(schema(lake, "--format", "duckdb", "--table", "versions"))
        assert db.sql(f'SELECT {SUMS} FROM versions WHERE "current"').fetchall() == [expected]
        assert db.sql("SELECT count(*) FROM versions JOIN ledger USING (path)").fetchall() == [expected[:1]]


def test_duckdb_reads_a_file_url_and_a_relative_folder(month, tmp_path, monkeypatch):
    lake, expected = placed(month, tmp_path, "a b")
    monkeypatch.chdir(tmp_path)
    for dest in (f"file://{quote(str(lake))}", "a b/lake/", "./a b/lake"):
        with duckdb.connect() as db:
            db.execute(schema(dest, "--format", "duckdb"))
            assert db.sql(f"SELECT {SUMS} FROM settlements").fetchall() == [expected]


def test_a_link_is_the_way_round_a_backslash(month, tmp_path, monkeypatch):
    placed(month, tmp_path, r"back\slash")
    monkeypatch.chdir(tmp_path)
    refused = etl.run("schema", "--format", "duckdb", "--dest", r"back\slash/lake")
    assert refused.code == 2 and "ln -s FOLDER lake" in refused.stderr, refused
    (tmp_path / "link").symlink_to(tmp_path / r"back\slash" / "lake")
    with duckdb.connect() as db:
        db.execute(schema("link", "--format", "duckdb"))
        assert db.sql(f"SELECT {SUMS} FROM settlements").fetchall() == [month[1]]


def opened(db, query):
    """How many files a query opens."""
    [(_, plan)] = db.execute(f"EXPLAIN ANALYZE {query}").fetchall()
    return int(re.search(r"Total Files Read: (\d+)", plan)[1])


@pytest.mark.parametrize("name", ["plain", "merchant_id=x"])
def test_duckdb_opens_the_files_of_the_days_alone(month, tmp_path, name):
    lake, _ = placed(month, tmp_path, name)
    query = "SELECT sum(fee) FROM settlements WHERE pay_date BETWEEN '2024-02-05' AND '2024-02-07'"
    with duckdb.connect() as db:
        db.execute(schema(lake, "--format", "duckdb"))
        assert opened(db, query) == 3
        [whole] = db.sql(query).fetchall()
        db.execute(schema(lake, "--format", "duckdb", "--from", "2024-02-05", "--to", "2024-02-07"))
        assert opened(db, "SELECT sum(fee) FROM settlements") == 3
        assert db.sql("SELECT sum(fee) FROM settlements").fetchall() == [whole]
        db.execute(schema(lake, "--format", "duckdb", "--table", "versions"))
        assert opened(db, query.replace("settlements", "versions")) == 3


@pytest.mark.parametrize("ends", ENDS)
def test_a_narrowed_view_is_the_whole_one_of_those_days(month, ends):
    lake, _ = month
    flags = ("--from", ends[0], "--to", ends[1])
    query = f"SELECT {SUMS} FROM settlements"
    with duckdb.connect() as db:
        db.execute(schema(lake, "--format", "duckdb"))
        [expected] = db.sql(f"{query} WHERE pay_date BETWEEN '{ends[0]}' AND '{ends[1]}'").fetchall()
        db.execute(schema(lake, "--format", "duckdb", *flags))
        assert db.sql(query).fetchall() == [expected] and expected[0] > 0
    assert clickhouse([schema(lake, "--format", "clickhouse", *flags)], query) == expected


def clickhouse(setup, query):
    """The first line of an answer, in Python's types."""
    session = chdb.session.Session()
    try:
        for script in setup:
            session.query(script)
        line = json.loads(str(session.query(query, "JSONCompactEachRowWithNamesAndTypes")).splitlines()[2])
    finally:
        session.close()
    rows, payout, first, last, *days = line
    return int(rows), Decimal(str(payout)), first, last, *map(date.fromisoformat, days)


@pytest.mark.parametrize("name", [*ODD, r"back\slash", "why?", "h#h"])
def test_clickhouse_reads_a_folder_of_any_name(month, tmp_path, name):
    lake, expected = placed(month, tmp_path, name)
    # a neighbour that the pattern would match as well
    placed(month, tmp_path, re.sub(r"[*?{}]", "-", name) + ("" if re.search(r"[*?{}]", name) else "-"))
    view, labels = schema(lake, "--format", "clickhouse"), schema(lake, "--format", "clickhouse", "--table", "labels", "--lang", "ko")
    assert clickhouse([view], f"SELECT {SUMS} FROM settlements") == expected
    counted = f"SELECT {SUMS} FROM settlements_labels WHERE payment_status_label IN ('승인', '당일취소', '일반취소')"
    assert clickhouse([view, labels], counted) == expected


@pytest.fixture
def odd_bucket(month, bucket):
    lake, expected = month
    contents = {name: content for name, content in etl.files(lake).items() if name.startswith("settlements/")}
    contents["ledger/simulator.parquet"] = (lake / "ledger" / "simulator.parquet").read_bytes()
    names = [name for name in (*ODD, r"back\slash", "h#h", "tab<le>") if name != "it's"]
    for name in names:
        for path, content in contents.items():
            bucket.client.put_object(Bucket=bucket.name, Key=f"{name}/lake/{path}", Body=content)
    return bucket, names, expected


def test_on_s3_duckdb_and_clickhouse_read_a_prefix_of_any_name(odd_bucket):
    bucket, names, expected = odd_bucket
    setup, questions, spelled = [connect_s3(bucket)], {}, []
    for number, name in enumerate(names):
        url = bucket.url(f"{quote(name)}/lake")
        for table in ("settlements", "ledger", "versions"):
            renamed = schema(url, "--format", "duckdb", "--table", table).replace(f"VIEW {table}", f"VIEW {table}_{number}")
            setup.append(renamed)
        questions[name] = f"SELECT {SUMS} FROM settlements_{number}"
        questions[name + " ledger"] = f"SELECT sum(rows), sum(payment_amount) FROM ledger_{number}"
        questions[name + " versions"] = f"SELECT {SUMS} FROM versions_{number}"
        if not set(name) & set("{}"):
            view = schema(url, "--format", "clickhouse").replace("VIEW settlements", f"VIEW settlements_{number}")
            # a server of its own has the credentials in its settings
            server = f"'{bucket.env['AWS_ENDPOINT_URL']}/{bucket.name}/"
            keys = f"    '{bucket.env['AWS_ACCESS_KEY_ID']}', '{bucket.env['AWS_SECRET_ACCESS_KEY']}',\n    'Parquet'"
            spelled.append((view.replace(f"'s3://{bucket.name}/", server).replace("    'Parquet'", keys), number))
    tables = ask(setup, questions, env=bucket.env)
    for name in names:
        assert tables[name][2] == [expected], name
        assert tables[name + " ledger"][2] == [expected[:2]], name
        assert tables[name + " versions"][2] == [expected], name
    for view, number in spelled:
        assert clickhouse([view], f"SELECT {SUMS} FROM settlements_{number}") == expected, names[number]
