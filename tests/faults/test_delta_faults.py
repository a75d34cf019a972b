"""The Delta table, whose writers die, race, or meet a store that fails: a reader always finds one of the committed states, whole,
and the next run brings the table up to date."""

import json
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

import etl
import killing
import rgw
from buckets import Bucket
from clocks import clock
from delta_rows import OnDisk, OnS3
from proxy import Proxy
from test_s3_faults import nothing

FIRST, LAST = date(2024, 1, 29), date(2024, 2, 9)
# the commit after these writes a checkpoint and cleans up
BEFORE_CHECKPOINT = 10
LONG_AGO = timedelta(days=8)
PUTS = ("link", "linkat")
REMOVALS = ("unlink", "unlinkat")


def backfill_args(dest, seed, *flags, first=FIRST, last=LAST):
    return etl.backfill_args(dest, "--refetch", "all", "--allow-empty-replacement", "--sim-seed", seed, *flags, first=first, last=last)


def backfill(lake, seed, *flags, env=None, **days):
    run = etl.run(*backfill_args(lake.dest, seed, "--delta", *flags, **days), env=lake.env | (env or {}))
    assert run.code == 0, run
    return run.result["delta"]


def fill(lake, env=None):
    """A table whose next commit writes a checkpoint and cleans up."""
    for seed in range(1, BEFORE_CHECKPOINT + 1):
        assert backfill(lake, seed, env=env)["version"] == seed - 1


def restate(lake):
    """Days that the table does not hold yet."""
    run = etl.run(*backfill_args(lake.dest, 99), env=lake.env)
    assert run.code == 0, run


def prepare(lake):
    """A table whose next commit writes a checkpoint and cleans up, and days that it does not hold yet."""
    fill(lake)
    restate(lake)
    assert lake.rows() != lake.days()


def delta_args(lake):
    return "delta", "--dest", lake.dest, "--output", "json"


def heal(lake, env=None):
    """Whatever was before: afterwards the table holds the days, and no file that it does not know is there for good."""
    env = lake.env | (env or {})
    run = etl.run(*delta_args(lake), env=env)
    assert run.code == 0, run
    assert lake.rows() == lake.days()
    verified = etl.run("verify", "--dest", lake.dest, env=env)
    assert verified.code == 0, verified
    return run


def committed(lake, before):
    """A table that is as it was, or as the days are."""
    now = lake.rows()
    assert now in (before, lake.days())
    return now != before


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    lake = OnDisk(tmp_path_factory.mktemp("prepared") / "lake")
    prepare(lake)
    return lake.dest


def test_writers_that_die_at_each_step_on_disk(prepared, tmp_path, injected):
    later = clock(FAKETIME=f"+{LONG_AGO.days}d")

    def copy(name):
        return OnDisk(shutil.copytree(prepared, tmp_path / name))

    undisturbed = copy("undisturbed")
    names = lambda lake: {path.relative_to(lake.dest) for path in (lake.dest / "delta").rglob("*") if path.is_file()}
    before = names(undisturbed)
    heal(undisturbed, later)
    new, removed = names(undisturbed) - before, before - names(undisturbed)
    kinds = [str(name).split("/")[1] for name in new]
    # a file for each month, a commit, a checkpoint and the pointer to it
    assert kinds.count("_delta_log") == 3 and len(new) == 5 and len(removed) > BEFORE_CHECKPOINT, (new, removed)
    # strace does not see where a rename leads: the pointer's turn comes on S3
    steps = [(name, PUTS) for name in new if name.name != "_last_checkpoint"] + [(name, REMOVALS) for name in sorted(removed)[:: len(removed) // 3]]
    for number, (name, calls) in enumerate(steps):
        lake = copy(str(number))
        old = lake.rows()
        run = killing.traced(delta_args(lake), *(f"{call}:signal=KILL" for call in calls), paths=[lake.dest / name], env=later)
        assert killing.was_killed(run), run
        changed = committed(lake, old)
        assert changed or calls is PUTS, f"{name} was removed before the commit"
        heal(lake, later)
        injected("Delta: killed at a step, on disk")
        shutil.rmtree(lake.dest)


def test_writers_that_die_at_any_moment(tmp_path, bucket, draw, often, injected):
    for lake in (OnDisk(tmp_path / "lake"), OnS3(bucket)):
        backfill(lake, 1)
        for seed in range(2, 2 + often(15, 100)):
            before = lake.rows()
            ended = killing.after(draw.uniform(0.01, 0.35 if lake.env else 0.15), signal.SIGKILL, backfill_args(lake.dest, seed, "--delta"), env=lake.env)
            committed(lake, before)
            if ended is not None:
                injected(f"Delta: killed at a random moment, {'on S3' if lake.env else 'on disk'}")
        heal(lake)
    assert not [name for name in etl.files(tmp_path) if "#" in name or ".staging/" in name]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_writers_that_die_at_each_request(bucket, moment, draw, often, injected):
    with Proxy(bucket.env["AWS_ENDPOINT_URL"]) as proxy:
        through = bucket.env | {"AWS_ENDPOINT_URL": proxy.endpoint}

        def lake_of(number):
            lake = OnS3(bucket, f"{number}/lake")
            prepare(lake)
            return lake

        lake = lake_of("undisturbed")
        with proxy.doing(None):
            assert etl.run(*delta_args(lake), env=through).code == 0
        writes = [number for number, request in enumerate(proxy.requests, 1) if request.kind in ("put", "delete")]
        # two months, the commit, the checkpoint, the pointer to it
        assert len(writes) >= 5, proxy.requests
        for number in often(draw.sample(writes, 2), range(1, len(proxy.requests) + 1)):
            lake = lake_of(number)
            old = lake.rows()
            with proxy.watching() as begin:
                process = etl.start(*delta_args(lake), env=through, stdout=killing.DEVNULL, stderr=killing.DEVNULL)

                def kill(_, process=process):
                    process.kill()
                    process.wait()

                begin(lambda n, _, at=number, kill=kill: (moment, kill) if n == at else None)
                assert process.wait(timeout=60) == -signal.SIGKILL
            committed(lake, old)
            heal(lake)
            injected(f"Delta: killed {moment} a request to S3")


def test_answers_that_are_lost(bucket, injected):
    """Each write is done by the server, which then resets the connection: sent again, it is recognized as done."""
    lake = OnS3(bucket)
    prepare(lake)
    lost = []

    def script(_, request):
        if request.kind == "put" and request.path not in lost:
            lost.append(request.path)
            return "after", nothing
        return None

    with Proxy(bucket.env["AWS_ENDPOINT_URL"]) as proxy, proxy.doing(script):
        run = etl.run(*delta_args(lake), env=bucket.env | {"AWS_ENDPOINT_URL": proxy.endpoint})
    assert run.code == 0 and "checkpoint could not" not in run.stderr, run
    assert run.result["delta"]["version"] == BEFORE_CHECKPOINT and lake.open().version() == BEFORE_CHECKPOINT
    assert any("_delta_log" in name for name in lost) and len(lost) == 5, lost
    injected("Delta: the answer to a write is lost", len(lost))
    heal(lake)


def test_two_writers_lose_no_day(tmp_path, bucket, often, injected):
    middle = date(2024, 2, 3)
    halves = ((FIRST, middle), (middle + timedelta(days=1), LAST))
    for lake, rounds in ((OnDisk(tmp_path / "lake"), often(15, 100)), (OnS3(bucket), often(5, 100))):

        def write(half, seed, lake=lake):
            return etl.run(*backfill_args(lake.dest, seed, "--delta", first=half[0], last=half[1]), env=lake.env)

        with ThreadPoolExecutor(2) as pool:
            for seed in range(1, rounds + 1):
                for ran in pool.map(write, halves, (seed, seed)):
                    assert ran.code == 0, ran
                assert lake.rows() == lake.days(), seed
        injected(f"Delta: two writers at once, {'on S3' if lake.env else 'on disk'}", rounds)
        assert heal(lake).result["delta"]["files_added"] == 0


@pytest.fixture
def old_bucket(tmp_path):
    """A bucket of a server whose clock can be set, by writing to the file."""
    told = tmp_path / "clock"
    told.write_text("+0\n")
    with rgw.Gateway(clock(FAKETIME_TIMESTAMP_FILE=str(told), FAKETIME_NO_CACHE="1")) as gateway:
        bucket, writer = Bucket(gateway.endpoint, "aged"), gateway.user("writer")
        allow = {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/writer"]}, "Action": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"]}
        allow["Resource"] = [f"arn:aws:s3:::{bucket.name}", f"arn:aws:s3:::{bucket.name}/*"]
        bucket.client.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
        yield bucket, writer, told


def test_cleaning_up_on_s3(old_bucket, injected):
    bucket, writer, told = old_bucket
    told.write_text(f"-{LONG_AGO.days}d\n")
    lakes = [OnS3(bucket, name) for name in ("forbidden", "killed")]
    for lake in lakes:
        fill(lake, clock(FAKETIME=f"-{LONG_AGO.days}d"))
    told.write_text("+0\n")
    forbidden, killed = lakes
    files = lambda lake: [name for name in bucket.names() if name.startswith(f"{lake.prefix}/delta/")]
    # a user who may write and not delete
    restate(forbidden)
    before = files(forbidden)
    # the owner of the bucket may not read what the writer has written
    forbidden.env = bucket.env | writer
    run = etl.run(*delta_args(forbidden), env=forbidden.env)
    assert run.code == 0 and "could not be removed" in run.stderr, run
    assert set(before) < set(files(forbidden)) and forbidden.rows() == forbidden.days()
    injected("Delta: clean-up that may not delete")
    # a run that is killed when it has removed some
    restate(killed)
    removals = []
    with Proxy(bucket.env["AWS_ENDPOINT_URL"]) as proxy, proxy.watching() as begin:
        process = etl.start(*delta_args(killed), env=bucket.env | {"AWS_ENDPOINT_URL": proxy.endpoint}, stdout=killing.DEVNULL, stderr=killing.DEVNULL)

        def script(_, request):
            if request.kind == "delete":
                removals.append(request.path)
            return ("after", lambda _: process.kill()) if len(removals) == 5 else None

        begin(script)
        assert process.wait(timeout=60) == -signal.SIGKILL
    injected("Delta: killed while it cleans up on S3")
    assert killed.rows() == killed.days()
    for seed in range(1, BEFORE_CHECKPOINT + 1):
        backfill(killed, seed)
    # what the next checkpoint's run finds out of use, it removes
    kept = files(killed)
    assert not [name for name in before if name.replace("forbidden", "killed") in kept and name.endswith(".parquet") and "_delta_log" not in name]
    assert killed.rows() == killed.days()


def test_years_of_daily_runs(tmp_path, often, injected):
    """Log and files stay small: forty days, or with --whole ten years."""
    lake, number_of_days = OnDisk(tmp_path / "lake"), often(40, 3652)
    today = datetime.now(timezone.utc)
    since = (today - timedelta(days=number_of_days)).date()
    flags = ("--env", "simulator", "--since", since, "--rate-limit", 0, "--dest", lake.dest, "--delta", "--output", "json")
    changed = 0
    for number in range(number_of_days):
        ago = number_of_days - number
        now = (today - timedelta(days=ago)).timestamp()
        run = etl.run("sync", *flags, env=clock(FAKETIME=f"-{ago}d"))
        assert run.code == 0, run
        changed += run.result["delta"]["files_added"] > 0
        sizes = {}
        for path in (lake.dest / "delta").rglob("*.*"):
            status = path.stat()
            sizes[path] = status.st_size
            # the kernel dates files by the machine's clock
            if status.st_mtime > now:
                os.utime(path, (now, now))
        log = sum(size for path, size in sizes.items() if path.parent.name == "_delta_log")
        assert log < 10e6, f"the log has {log} bytes after {number + 1} days"
        if (number + 1) % 365 == 0 or number + 1 == number_of_days:
            files = sum(sizes.values()) - log
            live = sum(Path(uri).stat().st_size for uri in lake.open().file_uris())
            print(f"{number + 1} days, {changed} commits: log {log / 1e6:.2f} MB, files {files / 1e6:.2f} MB, of which in use {live / 1e6:.2f} MB")
    assert lake.rows() == lake.days()
    injected("Delta: daily runs", changed)
    assert number_of_days < 365 or files < 2 * live
