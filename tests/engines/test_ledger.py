"""The lake as its own ledger, ten years long: what a look at it costs on S3."""

import json
from datetime import date
from pathlib import Path

import duckdb

import etl
from counting import Counter

DECADE = {"first": date(2014, 1, 1), "last": date(2023, 12, 29)}
DAYS = 3650
PAGE = 1000


def test_a_decade_is_read_by_one_listing_and_its_index(bucket):
    small = ("--sim-rows", 2, "--concurrency", 32)
    run = etl.backfill(bucket.url("lake"), *small, env=bucket.env, **DECADE)
    assert run.code == 0 and run.result["dates"]["published"] == DAYS, run
    pages = -(-DAYS // PAGE)

    with Counter(bucket.env["AWS_ENDPOINT_URL"]) as counter:
        env = bucket.env | {"AWS_ENDPOINT_URL": counter.endpoint}
        status = etl.run("status", "--dest", bucket.url("lake"), "--output", "json", env=env)
        assert status.code == 0, status
        counts = json.loads(status.stdout)["counts"]
        assert counts["closed"] + counts["closed_empty"] == DAYS and counts["missing"] == 0
        # the table's listing, and the index
        assert sorted({line.split(b" ")[0] for line in counter.requests}) == [b"GET"]
        assert len(counter.requests) == pages + 1
        print(f"status: {len(counter.requests)} requests, {status.seconds:.1f} s")

        counter.requests.clear()
        again = etl.backfill(bucket.url("lake"), *small, env=env, **DECADE)
        assert again.code == 0 and again.result["dates"]["skipped"] == DAYS, again
        assert again.result["requests"] == 0
        assert len(counter.requests) == pages + 1

        counter.requests.clear()
        missing = etl.backfill(bucket.url("lake"), *small, "--refetch", "missing", env=env, **DECADE)
        assert missing.code == 0, missing
        # one file tells whose lake it is; the rest the listing does
        assert len(counter.requests) == pages + 1


QUERIES = Path(__file__).resolve().parents[2] / "examples" / "duckdb" / "ledger"


def test_without_an_index_the_files_are_read_and_the_next_run_writes_it(bucket):
    small = ("--sim-rows", 2, "--concurrency", 16)
    days = {"first": date(2024, 1, 1), "last": date(2024, 1, 31)}
    assert etl.backfill(bucket.url("lake"), *small, env=bucket.env, **days).code == 0
    bucket.client.delete_object(Bucket=bucket.name, Key="lake/ledger/simulator.parquet")
    with Counter(bucket.env["AWS_ENDPOINT_URL"]) as counter:
        env = bucket.env | {"AWS_ENDPOINT_URL": counter.endpoint}
        status = etl.run("status", "--dest", bucket.url("lake"), "--output", "json", env=env)
        assert status.code == 0, status
        # the listings of the table, of history/ and of the Delta table's log, of which only an index would know that there is none; the
        # index that is not there, and the end of each file
        assert len(counter.requests) == 3 + 1 + 31
        assert etl.backfill(bucket.url("lake"), *small, env=env, **days).code == 0
        counter.requests.clear()
        again = etl.run("status", "--dest", bucket.url("lake"), "--output", "json", env=env)
        assert (again.stdout, len(counter.requests)) == (status.stdout, 2)


def test_the_index_as_a_table_of_analysts(tmp_path):
    lake = tmp_path / "lake"
    days = ("--from", "2024-01-01", "--to", "2024-02-29", "--env", "simulator", "--rate-limit", 0, "--dest", lake)
    for today in ("2024-02-10", "2024-02-20", "2024-06-01"):
        run = etl.run("backfill", *days, "--refetch", "all", "--sim-today", today)
        assert run.code == 0, run
    connection = duckdb.connect()
    connection.execute(etl.run("schema", "--format", "duckdb", "--table", "ledger", "--dest", lake).stdout)

    def ask(name):
        found = connection.execute((QUERIES / f"{name}.sql").read_text())
        return [dict(zip([column[0] for column in found.description], row)) for row in found.fetchall()]

    status = etl.run("status", "--output", "json", "--dest", lake).result
    states = ask("states")
    for state in ("closed", "closed_empty", "open"):
        assert sum(month[state] for month in states) == status["counts"][state]
    # every replaced version is one change, and the restated ones are those of status
    changes = ask("changes")
    kept = [name for name in etl.files(lake) if name.startswith("history/")]
    assert len(changes) == len(kept) > 0
    restated = {str(change["pay_date"]) for change in changes if change["change"] == "restated"}
    assert restated == {day["pay_date"] for day in status["days"] if day["restated"]}
    totals = {day["pay_date"]: day["totals"]["payment_amount"] for day in status["days"]}
    newest = {}
    for change in changes:
        newest.setdefault(str(change["pay_date"]), change["payout_after"])
    assert all(str(payout) == totals[day] for day, payout in newest.items())
    [fresh] = ask("freshness")
    assert (fresh["merchant_id"], str(fresh["last_pay_date"])) == ("simulator", "2024-02-29")
