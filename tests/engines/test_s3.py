"""The lake on a real S3 server: Ceph's RADOS Gateway."""

import socket
from datetime import date
from decimal import Decimal

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs

import etl
import rgw
from etl import DAYS, SUMMED

FEBRUARY = {"first": date(2024, 2, 1), "last": date(2024, 2, 29)}


def test_s3_holds_what_disk_holds_and_nothing_else(quarter, bucket):
    lake, disk_run = quarter
    run = etl.backfill(bucket.url("team/lake"), env=bucket.env)
    assert run.code == 0, run
    for key in ("dates", "rows", "totals"):
        assert run.result[key] == disk_run.result[key]

    expected = {etl.settlement(day) for day in DAYS}
    on_disk = etl.files(lake)
    assert set(on_disk) == expected
    assert set(bucket.names()) == {f"team/lake/{name}" for name in expected}
    assert bucket.uploads() == []
    for name in expected:
        there, here = etl.Day(bucket.read(f"team/lake/{name}")), etl.Day(on_disk[name])
        assert there.schema.equals(here.schema, check_metadata=True), name
        assert there.comparable() == here.comparable(), name
        assert there.record["run_id"] == run.result["run_id"] != here.record["run_id"]
        assert there.is_sealed(), name


def test_days_that_are_there_are_not_asked_for(bucket):
    first = etl.backfill(bucket.url("lake"), env=bucket.env, **FEBRUARY)
    assert first.code == 0, first
    before = {name: bucket.read(name) for name in bucket.names()}

    again = etl.backfill(bucket.url("lake"), env=bucket.env, **FEBRUARY)
    assert again.code == 0, again
    assert again.result["dates"]["skipped"] == again.result["dates"]["planned"] == 29
    assert (again.result["requests"], again.result["token_requests"]) == (0, 0)

    all_again = etl.backfill(bucket.url("lake"), "--refetch", "all", env=bucket.env, **FEBRUARY)
    assert all_again.code == 0, all_again
    assert all_again.result["dates"]["unchanged"] == 29
    assert all_again.result["bytes_written"] == 0
    assert all_again.result["restated"] == []
    assert (all_again.result["rows"], all_again.result["totals"]) == (first.result["rows"], first.result["totals"])

    assert {name: bucket.read(name) for name in bucket.names()} == before


def test_a_restated_day_is_replaced_and_its_old_version_kept(bucket):
    only = {"first": date(2024, 2, 13), "last": date(2024, 2, 13)}
    first = etl.backfill(bucket.url("lake"), env=bucket.env, **only)
    name = "lake/" + etl.settlement(only["first"])
    old = bucket.read(name)
    second = etl.backfill(bucket.url("lake"), "--sim-seed", 2, "--refetch", "all", env=bucket.env, **only)
    assert (first.code, second.code) == (0, 0), second
    [restated] = second.result["restated"]
    assert (restated["rows_before"], restated["rows_after"]) == (first.result["rows"], second.result["rows"])
    sums = [Decimal(run.result["totals"]["payment_amount"]) for run in (first, second)]
    assert Decimal(restated["delta"]["payment_amount"]) == sums[1] - sums[0]

    [history] = set(bucket.names()) - {name}
    assert history.startswith(f"lake/history/pay_date={only['first']}/simulator-")
    assert history.endswith(first.result["run_id"][-8:] + ".parquet")
    assert bucket.read(history) == old
    assert etl.Day(bucket.read(name)).record["run_id"] == second.result["run_id"]


def test_pyarrow_reads_the_table_where_it_lies(bucket):
    run = etl.backfill(bucket.url("lake"), env=bucket.env, **FEBRUARY)
    assert run.code == 0, run
    s3 = pyarrow.fs.S3FileSystem(
        access_key=rgw.ACCESS_KEY, secret_key=rgw.SECRET_KEY, endpoint_override=bucket.env["AWS_ENDPOINT_URL"], region="us-east-1"
    )
    table = ds.dataset(f"{bucket.name}/lake/settlements", filesystem=s3, partitioning="hive").to_table()
    assert table.num_rows == run.result["rows"] > 0
    sums = {name: pc.sum(table[name]).as_py() for name in SUMMED}
    assert sums == etl.decimals(run.result["totals"])


def test_a_big_day_goes_up_in_parts_and_reads_back_whole(bucket):
    day = date(2024, 1, 2)
    run = etl.backfill(bucket.url("lake"), "--sim-rows", "=1500000", first=day, last=day, env=bucket.env)
    assert run.code == 0, run
    name = "lake/" + etl.settlement(day)
    assert bucket.names() == [name]
    head = bucket.client.head_object(Bucket=bucket.name, Key=name)
    assert int(head["ETag"].strip('"').partition("-")[2]) >= 2, "an ETag of several parts"
    assert bucket.uploads() == []

    content = bucket.read(name)
    assert len(content) == run.result["bytes_written"] > 2 * (8 << 20)
    stored = etl.Day(content)
    assert stored.rows.num_rows == stored.record["rows"] == run.result["rows"] == 1_500_000
    sums = {name: pc.sum(stored.rows[name]).as_py() for name in SUMMED}
    assert sums == etl.decimals(stored.record["sums"]) == etl.decimals(run.result["totals"])
    assert stored.rows["source_row"].to_pylist() == list(range(1, 1_500_001))
    assert stored.is_sealed()


def test_names_are_escaped_alike_on_disk_and_s3(bucket, tmp_path):
    merchant, key = "가/ b+c#%?", "a key"
    day = {"first": date(2024, 1, 2), "last": date(2024, 1, 2)}
    flags = ("--api-id", merchant, "--sim-merchant", f"{merchant}={key}")
    env = bucket.env | {"COOKIEPAY_API_KEY": key}
    on_disk = etl.backfill(tmp_path / "my lake", *flags, env=env, **day)
    on_s3 = etl.backfill(bucket.url("my lake/정산+1"), *flags, env=env, **day)
    assert (on_disk.code, on_s3.code) == (0, 0), (on_disk, on_s3)
    name = etl.settlement(day["first"], "%EA%B0%80%2F%20b%2Bc%23%25%3F")
    assert list(etl.files(tmp_path / "my lake")) == [name]
    assert bucket.names() == [f"my lake/정산+1/{name}"]
    again = etl.backfill(bucket.url("my lake/정산+1"), *flags, env=env, **day)
    assert again.result["dates"]["skipped"] == 1, again


def test_check_passes_and_leaves_nothing(bucket):
    run = etl.run("check", "--output", "json", "--env", "simulator", "--dest", bucket.url("lake"), env=bucket.env)
    assert run.code == 0, run
    assert [check["ok"] for check in run.result["checks"]] == [True] * 4
    assert bucket.names() == []


def test_verify_passes_until_a_byte_changes(bucket):
    run = etl.backfill(bucket.url("lake"), env=bucket.env, **FEBRUARY)
    assert run.code == 0, run
    sound = etl.run("verify", "--output", "json", "--dest", bucket.url("lake"), env=bucket.env)
    assert sound.code == 0, sound
    assert (sound.result["checked"], sound.result["differences"]) == (29, [])
    name = etl.settlement(date(2024, 2, 13))
    content = bytearray(bucket.read("lake/" + name))
    content[len(content) // 2] ^= 1
    bucket.client.put_object(Bucket=bucket.name, Key="lake/" + name, Body=bytes(content))
    damaged = etl.run("verify", "--output", "json", "--dest", bucket.url("lake"), env=bucket.env)
    assert damaged.code != 0, damaged
    assert [difference["path"] for difference in damaged.result["differences"]] == [name]


def refused(bucket, within=60, **env):
    """What a run says of a lake that it cannot use: in time, and before anything is asked of the API."""
    dest, env = bucket.url("lake"), bucket.env | env
    run = etl.backfill(dest, env=env, **FEBRUARY)
    assert run.code == 7, run
    assert run.result["status"] == "failed"
    assert (run.result["requests"], run.result["token_requests"]) == (0, 0)
    assert run.result["dates"]["not_attempted"] == run.result["dates"]["planned"] == 29
    message = run.result["error"]
    assert message in run.stderr
    assert rgw.SECRET_KEY not in run.stdout + run.stderr
    assert run.seconds < within, run
    assert dest in message, "the message names the destination"
    return message


def check_says_so(bucket, **env):
    dest = bucket.url("lake")
    check = etl.run("check", "--output", "json", "--env", "simulator", "--dest", dest, env=bucket.env | env)
    assert check.code == 7, check
    [failed] = [check for check in check.result["checks"] if not check["ok"]]
    assert failed["name"] == "lake" and dest in failed["detail"]


def test_a_wrong_secret_stops_the_run_before_the_api(bucket):
    wrong = {"AWS_SECRET_ACCESS_KEY": "wrong"}
    assert "SignatureDoesNotMatch" in refused(bucket, **wrong)
    check_says_so(bucket, **wrong)
    assert bucket.names() == []


def test_a_missing_bucket_stops_the_run_before_the_api(bucket):
    bucket.name = "no-such-bucket"
    assert "NoSuchBucket" in refused(bucket)
    check_says_so(bucket)


def test_a_server_that_is_down_stops_the_run_before_the_api(bucket):
    down = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{rgw.free_port()}"}
    assert "refused" in refused(bucket, **down)
    check_says_so(bucket, **down)


def test_a_server_that_never_answers_stops_the_run_before_the_api(bucket):
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        # two tries of 30 s
        refused(bucket, within=90, AWS_ENDPOINT_URL=endpoint)
