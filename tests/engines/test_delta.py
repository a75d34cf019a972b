"""The Delta table, as other implementations of the protocol read it: delta-rs, DuckDB's extension (delta_kernel), polars and
ClickHouse. Each must see exactly the rows of the day files, after any sequence of runs."""

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import chdb
import polars
import pytest

import etl
from asking import EXAMPLES, ask, connect_s3
from delta_rows import CONTENT, OnDisk, OnS3, key

FIRST, LAST = date(2024, 1, 29), date(2024, 2, 9)
CONNECT = (EXAMPLES / "duckdb" / "delta" / "connect.sql").read_text()


def run(*arguments, code=0, **more):
    ran = etl.run(*arguments, **more)
    assert ran.code == code, ran
    return ran


def backfill(lake, *flags, first=FIRST, last=LAST, code=0):
    ran = etl.backfill(lake, "--delta", "--output", "json", *flags, first=first, last=last)
    assert ran.code == code, ran
    return ran.result


def by_polars(lake):
    return key(polars.read_delta(str(Path(lake) / "delta")).to_dicts())


def sums(rows):
    """What engines are asked that do not return Python's own types: rows, days, amounts."""
    amounts = [row[CONTENT.index("payment_amount")] for row in rows]
    return len(rows), len({row[0] for row in rows}), etl.total(amounts)


def by_duckdb(lake):
    question = f"SELECT count(*), count(DISTINCT pay_date), coalesce(sum(payment_amount), 0) FROM delta_scan('{lake}/delta')"
    [(rows, days, paid)] = ask([CONNECT], {"q": question})["q"][2]
    return rows, days, paid


def by_clickhouse(lake, monkeypatch):
    monkeypatch.chdir(Path(lake).parent)
    question = f"SELECT count(), uniqExact(pay_date), toString(sum(payment_amount)) FROM deltaLakeLocal('{lake}/delta')"
    rows, days, paid = json.loads(str(chdb.query(question, "JSONCompact")))["data"][0]
    return int(rows), int(days), etl.Decimal(paid)


def log(lake):
    return sorted(path.name for path in (Path(lake) / "delta" / "_delta_log").iterdir())


def test_every_reader_sees_the_day_files_after_every_kind_of_run(tmp_path, monkeypatch):
    lake = tmp_path / "lake"
    first = backfill(lake)["delta"]
    assert first["version"] == 0 and first["files_added"] == 2 and first["days"] == 12
    for number in range(2, 24):
        # other rows each time, of a day or of all, so that there are two checkpoints
        day = FIRST + timedelta(days=number % 12)
        delta = backfill(lake, "--refetch", "all", "--sim-seed", number, "--allow-empty-replacement", first=day, last=day)["delta"]
        assert delta["files_added"] <= 1
    # a merchant whose id has to be escaped, a day that was taken away
    run(*etl.backfill_args(lake, "--delta", "--sim-merchant", "가 맹/점%=k", "--api-id", "가 맹/점%", first=FIRST, last=LAST))
    (lake / etl.settlement(LAST)).unlink()
    removed = run("delta", "--dest", lake, "--output", "json").result
    assert removed["delta"]["files_added"] == 1 and removed["dates"]["planned"] == 0
    again = run("delta", "--dest", lake, "--output", "json").result["delta"]
    assert again == {"version": removed["delta"]["version"], "files_added": 0, "files_removed": 0, "days": 0}
    rows = OnDisk(lake).days()
    assert OnDisk(lake).rows() == rows and by_polars(lake) == rows
    assert by_duckdb(lake) == sums(rows) and by_clickhouse(lake, monkeypatch) == sums(rows)
    names = log(lake)
    assert "_last_checkpoint" in names and any("checkpoint.parquet" in name for name in names)
    assert run("verify", "--dest", lake).code == 0
    status = run("status", "--dest", lake, "--output", "json").result["delta"]
    assert (status["version"], status["lag"]) == (again["version"], 0)
    # the day lists name every day, those without rows too
    actions = [json.loads(line) for name in names if name.endswith(".json") for line in (lake / "delta/_delta_log" / name).read_text().splitlines()]
    assert all(json.loads(action["add"]["tags"]["cookiepay_etl.days"]) for action in actions if "add" in action)
    commit = next(action["commitInfo"] for action in actions if "commitInfo" in action)
    assert commit.keys() >= {"operation", "engineInfo", "runId"}


def test_a_table_that_was_deleted_is_restored(tmp_path):
    lake = tmp_path / "lake"
    backfill(lake)
    backfill(lake, "--refetch", "all", "--sim-seed", 2)
    shutil.rmtree(lake / "delta")
    assert run("delta", "--dest", lake, "--output", "json").result["delta"]["days"] == 12
    assert OnDisk(lake).rows() == OnDisk(lake).days()


@pytest.mark.parametrize("action", [
    {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"], "writerFeatures": []}},
    {"txn": {"appId": "spark", "version": 3}},
    {"domainMetadata": {"domain": "x", "configuration": "", "removed": False}},
], ids=lambda action: next(iter(action)))
def test_a_log_with_what_this_tool_does_not_write_is_refused(tmp_path, action):
    lake = tmp_path / "lake"
    backfill(lake)
    (lake / "delta/_delta_log" / f"{1:020}.json").write_text(json.dumps(action) + "\n")
    before = etl.files(lake / "delta")
    result = backfill(lake, "--refetch", "all", "--sim-seed", 2, code=3)
    [failure] = result["failures"]
    assert (failure["kind"], failure["pay_date"]) == ("guard", None), failure
    assert result["delta"] is None and result["dates"]["published"] > 0
    assert run("delta", "--dest", lake, "--output", "json", code=5).result["failures"][0]["kind"] == "guard"
    assert etl.files(lake / "delta") == before


def test_on_s3_as_on_disk(tmp_path, bucket):
    lake = tmp_path / "lake"
    for seed in range(1, 13):
        flags = ("--delta", "--refetch", "all", "--sim-seed", seed)
        for dest, env in ((lake, None), (bucket.url("lake"), bucket.env)):
            ran = etl.backfill(dest, *flags, first=FIRST, last=LAST, env=env)
            assert ran.code == 0, ran
    own = [CONTENT.index(name) for name in ("extracted_at", "run_id")]
    content = lambda rows: sorted(tuple(value for at, value in enumerate(row) if at not in own) for row in rows)
    assert content(OnS3(bucket).rows()) == content(OnDisk(lake).days())
    question = f"SELECT count(*), count(DISTINCT pay_date), sum(payment_amount) FROM delta_scan('{bucket.url('lake/delta')}')"
    [found] = ask([connect_s3(bucket), CONNECT], {"q": question}, env=bucket.env)["q"][2]
    assert tuple(found) == sums(OnDisk(lake).days())
    # without conditions, two writers could not be kept apart
    env = bucket.env | {"AWS_CONDITIONAL_PUT": "disabled"}
    refused = etl.backfill(bucket.url("other"), "--delta", first=FIRST, last=LAST, env=env)
    assert refused.code == 3 and refused.result["failures"][0]["kind"] == "guard", refused
    assert refused.result["dates"]["published"] == 12 and not [name for name in bucket.names() if name.startswith("other/delta/")]
