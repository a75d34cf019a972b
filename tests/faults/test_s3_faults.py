"""An S3 server that fails, or the way to it: each time the error names the object, readers see whole days, and the next run heals."""

import json
import subprocess
import threading
from datetime import date, timedelta

import pytest

import etl
import rgw
from proxy import Proxy
from test_death import BIG, BIG_DAY, big
from watched import OnS3, Watched, failed

DAYS = [date(2024, 1, 3) + timedelta(days=n) for n in range(3)]


@pytest.fixture
def proxy(bucket):
    with Proxy(bucket.env["AWS_ENDPOINT_URL"]) as proxy:
        yield proxy


@pytest.fixture
def watched(api, bucket):
    """A lake of three days, which every run restates."""
    watched = Watched(OnS3(bucket), api, DAYS)
    watched.fill(1)
    return watched


def through(proxy, watched, seed, *flags, **more):
    env = watched.lake.env | {"AWS_ENDPOINT_URL": proxy.endpoint} | more
    run = watched.run(seed, *flags, env=env)
    assert rgw.SECRET_KEY not in run.stdout + run.stderr
    return run


def aws(status, code, message="injected"):
    """An error as S3 words it."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return status, [("Content-Type", "application/xml")], body.encode()


def nothing(_):
    pass


# what passes, and is tried again until it does
PASSING = {
    "connection reset before a request": ("before", nothing),
    "connection reset half-way through an upload": ("half-way", nothing),
    "connection reset before the answer": ("after", nothing),
    "503 SlowDown": aws(503, "SlowDown", "Please reduce your request rate."),
    "500 InternalError": aws(500, "InternalError"),
    "429": aws(429, "TooManyRequests"),
}
KINDS = ("list", "read", "head", "put")


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_is_survived(watched, proxy, draw, often, injected, name):
    """Each kind of request meets it once or twice; the run ends well, and every day is what was served."""
    for n in range(often(1, 8)):
        hit = []
        left = {kind: draw.choice((1, 2)) for kind in KINDS}

        def script(_, request, hit=hit, left=left):
            if left.get(request.kind, 0) and draw.random() < 0.7:
                left[request.kind] -= 1
                hit.append(request.kind)
                return PASSING[name]
            return None

        seed = 2 + n % 5
        with proxy.doing(script):
            run = through(proxy, watched, seed)
        assert run.code == 0, run
        assert len(run.result["restated"]) == len(DAYS), "each day is told as restated"
        watched.look()
        assert hit
        injected(f"S3: {name}", len(hit))
        healed = watched.heal(seed)
        assert healed.result["dates"]["unchanged"] == len(DAYS)


# what does not pass: where, what, and what the error says
LASTING = {
    "503 SlowDown on every PUT": ("put", aws(503, "SlowDown", "Please reduce your request rate."), ("pay_date=", "SlowDown")),
    "500 InternalError on every PUT": ("put", aws(500, "InternalError"), ("pay_date=", "InternalError")),
    "every PUT reset half-way": ("put", ("half-way", nothing), ("pay_date=",)),
    "every read reset": ("read", ("before", nothing), ("pay_date=",)),
    "every read 500": ("read", aws(500, "InternalError"), ("pay_date=", "InternalError")),
    "credentials expired when days are written": ("put", aws(403, "ExpiredToken", "The provided token has expired."), ("pay_date=", "ExpiredToken")),
    "credentials expired at once": (None, aws(403, "ExpiredToken", "The provided token has expired."), ("ExpiredToken",)),
    "507 on every PUT": ("put", aws(507, "InsufficientStorage"), ("pay_date=",)),
    "403 QuotaExceeded on every PUT": ("put", aws(403, "QuotaExceeded"), ("pay_date=", "QuotaExceeded")),
}


@pytest.mark.parametrize("name", LASTING)
def test_a_fault_that_lasts_is_told(watched, proxy, often, injected, name):
    kind, action, words = LASTING[name]
    for n in range(often(1, 3)):
        seed = 2 + n
        with proxy.doing(lambda _, request: action if kind in (None, request.kind) else None):
            run = through(proxy, watched, seed)
            times = sum(kind in (None, request.kind) for request in proxy.requests)
        failed(run, *words)
        assert run.seconds < 60, run
        assert times, run
        injected(f"S3: {name}", times)
        watched.look()
        watched.heal(seed)


def test_the_server_is_gone_in_the_middle(watched, proxy, injected):
    """The n-th request and all after it meet nobody."""
    for nth in (3, 8, 14):
        with proxy.doing(lambda n, _, nth=nth: ("before", nothing) if n >= nth else None):
            run = through(proxy, watched, 2)
        failed(run, codes=(3, 7))
        injected("S3: the server is gone in the middle of a run")
        watched.look()
        watched.heal(3)


@pytest.mark.parametrize("where", ["stall", "stall answer"])
def test_a_stall(watched, proxy, injected, where):
    """A request, or an answer to a read, stops half-way and the connection stays open: it is given up, and tried again."""
    release, stalled = threading.Event(), []

    def script(_, request):
        if request.kind in ("put", "read") and stalled.count(request.kind) < 1:
            stalled.append(request.kind)
            return where, release
        return None

    with proxy.doing(script):
        try:
            run = through(proxy, watched, 2, AWS_TIMEOUT="2s")
        finally:
            release.set()
    assert sorted(stalled) == ["put", "read"]
    assert run.code == 0 and run.seconds < 30, run
    injected(f"S3: {'an upload' if where == 'stall' else 'an answer'} stalls", len(stalled))
    watched.heal(2)


def test_a_server_that_stalls_for_good(watched, proxy, injected):
    release = threading.Event()
    with proxy.doing(lambda _, request: ("stall", release) if request.kind == "put" else None):
        try:
            run = through(proxy, watched, 2, AWS_TIMEOUT="1s")
        finally:
            release.set()
    failed(run, "pay_date=")
    assert run.seconds < 90, run
    injected("S3: every upload stalls")
    watched.look()
    watched.heal(2)


def test_no_room_for_temporary_files(watched, injected, tmp_path):
    """A version that is replaced is fetched into a temporary file: where there is no room, the error says so."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", tmp_path], check=True)
    try:
        (tmp_path / "full").write_bytes(bytes(4096))
        run = watched.run(2, env={"TMPDIR": str(tmp_path)})
        failed(run, "pay_date=", str(tmp_path), "No space left on device")
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    injected("S3: the disk for temporary files is full")
    watched.look()
    watched.heal(2)


def test_keys_that_the_server_takes_back(api, gateway, bucket, proxy, injected):
    """The user is suspended in the middle of a run, on the server itself."""
    watched = Watched(OnS3(bucket), api, DAYS)
    user = gateway.user("leaver")
    allow = [f"arn:aws:s3:::{bucket.name}", f"arn:aws:s3:::{bucket.name}/*"]
    statement = {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/leaver"]}, "Action": ["s3:*"], "Resource": allow}
    bucket.client.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    watched.fill(1)
    suspended = []

    def suspend(n, request):
        if request.kind == "put" and not suspended:
            suspended.append(gateway.suspend("leaver"))

    with proxy.doing(suspend):
        run = through(proxy, watched, 2, "--concurrency", 1, **user)
    failed(run, "UserSuspended")
    assert suspended
    injected("S3: keys taken back in the middle of a run")
    watched.look()
    watched.heal(2)


UPLOADS = {
    "500 on a completion": ("complete", aws(500, "InternalError"), 1),
    "200 with an error in it on a completion": ("complete", aws(200, "InternalError", "We encountered an internal error. Please try again."), 1),
    "connection reset before a completion": ("complete", ("before", nothing), 1),
    "the answer to a completion is lost": ("complete", ("after", nothing), 1),
    "503 SlowDown on a part": ("part", aws(503, "SlowDown"), 2),
    "connection reset half-way through a part": ("part", ("half-way", nothing), 2),
    "every completion 500": ("complete", aws(500, "InternalError"), 1 << 30),
    "every part reset half-way": ("part", ("half-way", nothing), 1 << 30),
}
BOUNDED = ("the answer to a completion is lost",)


@pytest.fixture(scope="module")
def big_days(tmp_path_factory):
    """What a clean run makes of a big day, by seed."""
    days = {}
    for seed in (1, 2):
        lake = tmp_path_factory.mktemp("clean")
        assert etl.backfill(lake, *BIG, "--sim-seed", seed, first=BIG_DAY, last=BIG_DAY).code == 0
        days[seed] = big((lake / etl.settlement(BIG_DAY)).read_bytes())
    return days


def test_uploads_in_parts(big_days, bucket, proxy, often, injected):
    """A day of several parts replaces a small one."""
    table = f"lake/{etl.settlement(BIG_DAY)}"
    only = {"first": BIG_DAY, "last": BIG_DAY}
    assert etl.backfill(bucket.url("lake"), **only, env=bucket.env).code == 0
    seed = 1
    env = bucket.env | {"AWS_ENDPOINT_URL": proxy.endpoint}
    for name in often(BOUNDED, tuple(UPLOADS)):
        kind, action, times = UPLOADS[name]
        before, hit = bucket.read(table), []

        def script(_, request, hit=hit, kind=kind, action=action, times=times):
            # not the copy of the version that is replaced
            if request.kind == kind and "/settlements/" in request.path and len(hit) < times:
                hit.append(request)
                return action
            return None

        seed = 3 - seed
        args = etl.backfill_args(bucket.url("lake"), *BIG, "--sim-seed", seed, "--refetch", "all", **only)
        with proxy.doing(script):
            run = etl.run(*args, env=env)
        assert hit
        injected(f"S3: {name}", len(hit))
        after = bucket.read(table)
        if times > 2:
            failed(run, table.removeprefix("lake/"))
            assert after == before
        else:
            assert run.code == 0, run
            assert len(run.result["restated"]) == 1, "what changed is told"
            assert bucket.uploads() == []
        healed = etl.run(*args, env=bucket.env)
        assert healed.code == 0, healed
        rows, record = big(bucket.read(table))
        assert record == big_days[seed][1] and rows.equals(big_days[seed][0])
        history = [bucket.read(name) for name in bucket.names() if name.startswith("lake/history/")]
        assert before in history and len(set(history)) == len(history)
    sound = etl.run("verify", "--output", "json", "--dest", bucket.url("lake"), env=bucket.env)
    assert sound.code == 0, sound
