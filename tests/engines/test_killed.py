"""A run killed in its middle: readers see whole days, and the next run completes the rest."""

import os
import time
from datetime import date

import etl
from etl import DAYS


def kill_when(reached, *args, env=None):
    """Starts a run and ends it with SIGKILL as soon as `reached()`."""
    with open(os.devnull, "wb") as nothing:
        process = etl.start(*args, env=env, stdout=nothing, stderr=nothing)
    try:
        deadline = time.monotonic() + 120
        while not reached():
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()


def check_days(days):
    """Every object is a whole day: it opens, its rows are as many as it says, and its seal holds."""
    for name, content in days.items():
        day = etl.Day(content)
        assert f"pay_date={day.record['pay_date']}/" in name
        assert day.rows.num_rows == day.record["rows"], name
        assert day.is_sealed(), name


SLOW = ("--sim-fault", "latency=50ms")


def test_killed_on_disk(quarter, tmp_path):
    lake = tmp_path / "lake"
    table = lake / "settlements"
    for days in (5, 25, 50):
        kill_when(lambda: len(etl.files(table)) >= days, *etl.backfill_args(lake, *SLOW))
        left = etl.files(table)
        assert days <= len(left) < len(DAYS)
        check_days(left)
    second = etl.backfill(lake)
    assert second.code == 0, second
    assert second.result["dates"]["skipped"] >= 50
    assert second.result["dates"]["published"] > 0
    assert sorted(etl.files(lake)) == [etl.settlement(day) for day in DAYS], "the table, and no file in .staging"
    assert not list((lake / ".staging").glob("*"))
    compare(etl.files(lake), quarter)


def test_killed_on_s3(quarter, bucket):
    for days in (5, 25, 50):
        args = etl.backfill_args(bucket.url("lake"), *SLOW)
        kill_when(lambda: len(bucket.names()) >= days, *args, env=bucket.env)
        names = bucket.names()
        assert days <= len(names) < len(DAYS)
        check_days({name: bucket.read(name) for name in names})
    second = etl.backfill(bucket.url("lake"), env=bucket.env)
    assert second.code == 0, second
    assert second.result["dates"]["skipped"] >= 50
    assert second.result["dates"]["published"] > 0
    assert sorted(bucket.names()) == [f"lake/{etl.settlement(day)}" for day in DAYS]
    compare({name.removeprefix("lake/"): bucket.read(name) for name in bucket.names()}, quarter)


def compare(days, quarter):
    """What several runs made in turns is what one run makes."""
    lake, _ = quarter
    for name, content in etl.files(lake).items():
        assert etl.Day(days[name]).comparable() == etl.Day(content).comparable(), name


BIG_DAY = {"first": date(2024, 1, 2), "last": date(2024, 1, 2)}
BIG = ("--sim-rows", "=1200000", "--refetch", "all")


def check_big(run, content):
    """The run replaced the day with all of its rows."""
    assert run.code == 0, run
    assert run.result["dates"]["published"] == 1
    day = etl.Day(content)
    assert day.rows.num_rows == day.record["rows"] == run.result["rows"] == 1_200_000
    assert day.sums() == etl.decimals(run.result["totals"])
    assert day.is_sealed()


def test_killed_while_a_big_day_is_on_its_way_to_disk(tmp_path):
    lake, name = tmp_path / "lake", etl.settlement(BIG_DAY["first"])
    assert etl.backfill(lake, **BIG_DAY).code == 0
    before = etl.files(lake)

    def under_way():
        try:
            return sum(path.stat().st_size for path in (lake / ".staging").rglob("*") if path.is_file()) > 1 << 20
        except FileNotFoundError:
            return False

    kill_when(under_way, *etl.backfill_args(lake, *BIG, **BIG_DAY))
    left = etl.files(lake)
    assert left.keys() > before.keys(), "the kill came in the middle"
    assert all(staged.startswith(".staging/") for staged in left.keys() - before.keys())
    assert left[name] == before[name], "readers see the day as it was"
    second = etl.backfill(lake, *BIG, **BIG_DAY)
    after = etl.files(lake)
    check_big(second, after[name])
    [history] = after.keys() - {name}
    assert after[history] == before[name]


def test_killed_while_a_big_day_is_on_its_way_to_s3(bucket):
    dest, name = bucket.url("lake"), "lake/" + etl.settlement(BIG_DAY["first"])
    assert etl.backfill(dest, env=bucket.env, **BIG_DAY).code == 0
    before = bucket.read(name)
    kill_when(bucket.uploads, *etl.backfill_args(dest, *BIG, **BIG_DAY), env=bucket.env)
    assert bucket.uploads(), "the kill came in the middle"
    assert bucket.names() == [name], "an upload that was not completed is no object"
    assert bucket.read(name) == before, "readers see the day as it was"
    second = etl.backfill(dest, *BIG, env=bucket.env, **BIG_DAY)
    check_big(second, bucket.read(name))
    [history] = set(bucket.names()) - {name}
    assert history.startswith("lake/history/") and bucket.read(history) == before
