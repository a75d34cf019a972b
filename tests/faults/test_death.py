"""A run that dies at any moment, on disk and on a real S3 server: readers see whole days, and the next run completes the rest."""

import os
import signal
import subprocess
import time
from datetime import date, timedelta

import pytest

import etl
import killing
from proxy import Proxy
from watched import SEEDS, OnDisk, OnS3, Watched, result_of

FIRST = date(2024, 1, 1)
MONTH = [FIRST + timedelta(days=n) for n in range(31)]
FORTNIGHT, WEEK = MONTH[:14], MONTH[:7]
# both with rows, so that every run restates both
TWO_DAYS = [date(2024, 1, 3), date(2024, 1, 4)]


def others():
    """Seeds in turn, so that each run restates what the one before left."""
    while True:
        yield from SEEDS


def duration(watched, seed):
    run = watched.run(seed)
    assert run.code == 0, run
    watched.look()
    return run.seconds


def killed_at_random(watched, draw, times, flags=(), **env):
    """Kills runs at random moments, and lets every other one be followed by an undisturbed one."""
    seeds = others()
    watched.fill(next(seeds))
    longest = duration(watched, next(seeds))
    kills = 0
    while kills < times:
        seed = next(seeds)
        if not killing.after(draw.uniform(0, longest), signal.SIGKILL, watched.args(seed, *flags), env=watched.lake.env):
            longest *= 0.9
            watched.look()
            continue
        kills += 1
        watched.look()
        if draw.random() < 0.5:
            watched.heal(seed, *flags)
    watched.heal(next(seeds), *flags)
    return kills


def test_killed_at_random_moments_on_disk(api, draw, often, injected, tmp_path):
    # a lake's history/ and raw/ grow with every run, and all of them is read after each
    for n in range(often(1, 10)):
        watched = Watched(OnDisk(tmp_path / f"lake-{n}"), api, FORTNIGHT)
        kills = killed_at_random(watched, draw, 20, flags=("--keep-raw",))
        injected("SIGKILL at a random moment, on disk", kills)


def test_killed_at_random_moments_on_s3(api, draw, often, injected, bucket):
    watched = Watched(OnS3(bucket), api, WEEK)
    kills = killed_at_random(watched, draw, often(8, 80), flags=("--keep-raw",))
    injected("SIGKILL at a random moment, on S3", kills)


def test_killed_in_a_first_run(api, draw, often, injected, tmp_path):
    """Days land for the first time; those empty by their code are closed at the end."""
    times = often(4, 20)
    longest = None
    for n in range(times):
        watched = Watched(OnDisk(tmp_path / f"lake-{n}"), api, MONTH)
        if longest is None:
            longest = duration(Watched(OnDisk(tmp_path / "first"), api, MONTH), 1)
        for _ in range(3):
            if killing.after(draw.uniform(0, longest), signal.SIGKILL, etl.backfill_args(watched.lake.dest, first=MONTH[0], last=MONTH[-1])):
                injected("SIGKILL at a random moment of a first run, on disk")
            watched.look()
        run = etl.backfill(watched.lake.dest, first=MONTH[0], last=MONTH[-1])
        assert run.code == 0, run
        watched.look()
        assert not any(watched.kept.values()), "nothing was replaced"
        watched.heal(1)


def at_a_call(watched, call, nth, seed, paths=()):
    run = killing.traced(watched.args(seed, "--concurrency", 1), f"{call}:signal=KILL:when={nth}", paths=paths)
    watched.look()
    return killing.was_killed(run), run


def found_after(watched, day):
    """Where on a restated day's way a run died, by what it left."""
    now = etl.Day((watched.lake.dest / etl.settlement(day)).read_bytes()).record["seal"]
    left = watched.lake.left_over()
    if any(f"history+pay_date={day}" in name for name in left):
        return "while the version that is replaced is copied"
    if now in {seal for seal, _ in watched.kept.get(day, ())}:
        return "between the kept version and the rename into the table"
    return "while a day is staged" if left else "elsewhere on a day's way"


def test_killed_at_chosen_steps_of_a_day(api, often, injected, tmp_path):
    """Before and after each rename, lock and fsync that a restated day takes on its way."""
    watched = Watched(OnDisk(tmp_path / "lake"), api, TWO_DAYS[:1])
    seeds = others()
    watched.fill(next(seeds))
    watched.heal(next(seeds))
    folders = [watched.lake.dest / f"{name}/pay_date={TWO_DAYS[0]}" for name in ("settlements", "history")]
    steps = [("rename", nth, (), None) for nth in (1, 2, 3, 4)] + [("fsync", nth, (), None) for nth in (1, 2, 3, 4)]
    steps += [
        ("flock", 1, folders[:1], "before a day is locked"),
        ("fsync", 1, folders[:1], "between the rename into the table and its folder's fsync"),
        ("fsync", 1, folders[1:], "between the rename into history/ and its folder's fsync"),
    ]
    found = set()
    for call, nth, paths, name in steps * often(1, 6):
        seed = next(seeds)
        killed, run = at_a_call(watched, call, nth, seed, paths)
        assert killed or not name, run
        if killed:
            found.add(name := name or found_after(watched, TWO_DAYS[0]))
            injected(f"SIGKILL at a chosen step, on disk: {name}")
        watched.heal(seed)
    assert {"while the version that is replaced is copied", "between the kept version and the rename into the table"} <= found


CALLS = ("rename", "fsync", "mkdir", "flock", "unlinkat", "rmdir", "openat", "write", "ftruncate", "close")


def test_killed_at_the_nth_call(api, draw, often, injected, tmp_path):
    """At every call that changes the disk, and at many that do not."""
    watched = Watched(OnDisk(tmp_path / "lake"), api, TWO_DAYS)
    seeds = others()
    watched.fill(next(seeds))
    few = [(call, nth) for call in CALLS[:6] for nth in (range(1, 9) if call in ("rename", "fsync") else (1, 2))]
    few += [(call, draw.randrange(1, 150)) for call in CALLS[6:] for _ in range(20)]
    for call, nth in draw.sample(few, often(12, len(few))):
        seed = next(seeds)
        if at_a_call(watched, call, nth, seed)[0]:
            injected("SIGKILL at the n-th call of a thread, by strace")
        if draw.random() < 0.5:
            watched.heal(seed)
    watched.heal(next(seeds))


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("where", ["disk", "S3"])
def test_asked_to_stop_at_random_moments(api, draw, often, injected, tmp_path, request, where, number, expected):
    lake = OnDisk(tmp_path / "lake") if where == "disk" else OnS3(request.getfixturevalue("bucket"))
    watched = Watched(lake, api, FORTNIGHT if where == "disk" else WEEK)
    seeds = others()
    watched.fill(next(seeds))
    longest = duration(watched, next(seeds))
    stopped = 0
    while stopped < often(4, 30):
        seed, file = next(seeds), tmp_path / "result.json"
        file.unlink(missing_ok=True)
        moment = draw.uniform(0, longest)
        ended = killing.after(moment, number, watched.args(seed, "--result-file", file), env=lake.env)
        records = watched.look()
        if ended is None or ended[0] == 0:
            longest *= 0.9
            continue
        code, seconds = ended
        assert code == expected, (ended, moment)
        assert seconds < 5, ended
        result = result_of(file)
        assert (result["status"], result["exit_code"]) == ("interrupted", expected)
        written = [record for record in records.values() if record["run_id"] == result["run_id"]]
        assert len(written) == result["dates"]["published"], result
        assert lake.left_over() == []
        stopped += 1
        if draw.random() < 0.5:
            watched.heal(seed)
    watched.heal(next(seeds))
    injected(f"{number.name} at a random moment, on {where}", stopped)


@pytest.mark.parametrize("runs", [2, 4])
@pytest.mark.parametrize("where", ["disk", "S3"])
def test_runs_at_once(api, draw, often, injected, tmp_path, request, where, runs):
    """Several runs over the same days, some of them killed: each version is in the table or in history/ once."""
    lake = OnDisk(tmp_path / "lake") if where == "disk" else OnS3(request.getfixturevalue("bucket"))
    watched = Watched(lake, api, WEEK)
    watched.fill(1)
    # versions that runs say they published, and that looks found
    published, longest = len(WEEK), None
    for n in range(often(2, 10)):
        killed = n % 2 == 1
        env = etl.ENVIRONMENT | (lake.env or {})
        began = time.monotonic()
        seeds = draw.sample(SEEDS, runs)
        files = [tmp_path / f"{seed}.json" for seed in seeds]
        started = [
            etl.start(*watched.args(seed, "--result-file", file), env=env, stdout=killing.DEVNULL, stderr=killing.DEVNULL)
            for seed, file in zip(seeds, files)
        ]
        if killed:
            time.sleep(draw.uniform(0.05, 0.5) * longest)
            for process in started[: runs // 2]:
                alive = process.poll() is None
                process.kill()
                injected(f"SIGKILL of some of {runs} runs at once, on {where}", alive)
        codes = [process.wait(timeout=120) for process in started]
        longest = time.monotonic() - began if longest is None else longest
        assert set(codes[runs // 2 :] if killed else codes) == {0}, [result_of(file) for file in files]
        if not killed:
            published += sum(result_of(file)["dates"]["published"] for file in files)
        records = watched.look()
        there = len(records) + sum(map(len, watched.kept.values()))
        assert there >= published if killed else there == published, "as many versions as were published"
        published = there
        run = watched.heal(next(seed for seed in SEEDS if seed not in seeds) if runs < 6 else 1, seen=False)
        published += run.result["dates"]["published"]
        assert sum(map(len, watched.kept.values())) + len(WEEK) == published
        injected(f"{runs} runs at once over the same days, on {where}")


MODES = ("before", "half-way", "after")


def test_killed_at_the_nth_request(api, draw, often, injected, bucket):
    """Before a request to the server is sent, half-way through it, and when it is done but not answered."""
    watched = Watched(OnS3(bucket), api, TWO_DAYS)
    seeds = others()
    watched.fill(next(seeds))
    with Proxy(bucket.env["AWS_ENDPOINT_URL"]) as proxy:
        env = bucket.env | {"AWS_ENDPOINT_URL": proxy.endpoint}
        assert watched.run(next(seeds), "--concurrency", 1, env=env).code == 0
        watched.look()
        total = len(proxy.requests)
        moments = [(nth, mode) for nth in range(1, total + 1) for mode in MODES]
        for nth, mode in draw.sample(moments, often(15, len(moments))):
            seed = next(seeds)
            request = killed_at_request(proxy, watched.args(seed, "--concurrency", 1), env, lambda n, _, nth=nth: n == nth, mode)
            watched.look()
            if request:
                injected(f"SIGKILL {mode} a request to S3: {request.kind}")
            if draw.random() < 0.5:
                watched.heal(seed)
        watched.heal(next(seeds))


def killed_at_request(proxy, args, env, wanted, mode):
    """Kills a run at the first request that is wanted; the request, or none where there was no such."""
    killed = []
    with proxy.watching() as script:
        process = etl.start(*args, env=env, stdout=killing.DEVNULL, stderr=killing.DEVNULL)

        def end(request):
            process.kill()
            process.wait()
            killed.append(request)

        script(lambda n, request: (mode, end) if not killed and wanted(n, request) else None)
        process.wait(timeout=180)
    return killed[0] if killed else None


# large enough to go up in parts
BIG = ("--sim-rows", "=720000")
BIG_DAY = date(2024, 1, 3)
BIG_MOMENTS = [
    ("begin", 1, "after"),
    ("part", 1, "half-way"),
    ("part", 1, "after"),
    ("part", 2, "half-way"),
    ("complete", 1, "before"),
    ("complete", 1, "after"),
    # the version that is replaced goes up first
    ("complete", 2, "before"),
    ("complete", 2, "after"),
]


def big(content):
    """A big day's rows and record, to be compared."""
    day = etl.Day(content)
    assert day.is_sealed()
    record = {key: value for key, value in day.record.items() if key not in ("run_id", "extracted_at", "seal")}
    return day.rows.drop_columns(["run_id", "extracted_at"]), record


def test_killed_while_parts_go_up(draw, often, injected, bucket, tmp_path):
    """A day of several parts replaces another: at each step of the upload, and of the copy of what it replaces."""
    day = {"first": BIG_DAY, "last": BIG_DAY}
    clean = {}
    for seed in (1, 2):
        assert etl.backfill(tmp_path / str(seed), *BIG, "--sim-seed", seed, **day).code == 0
        clean[seed] = big((tmp_path / str(seed) / etl.settlement(BIG_DAY)).read_bytes())
    table = f"lake/{etl.settlement(BIG_DAY)}"
    args = {seed: etl.backfill_args(bucket.url("lake"), *BIG, "--sim-seed", seed, "--refetch", "all", **day) for seed in clean}
    assert etl.run(*args[1], env=bucket.env).code == 0
    now, versions = 1, {bucket.read(table)}

    def same(content, seed):
        rows, record = big(content)
        return record == clean[seed][1] and rows.equals(clean[seed][0])

    with Proxy(bucket.env["AWS_ENDPOINT_URL"]) as proxy:
        env = bucket.env | {"AWS_ENDPOINT_URL": proxy.endpoint}
        for kind, nth, mode in draw.sample(BIG_MOMENTS, often(1, len(BIG_MOMENTS))):
            seed = 3 - now
            seen = []

            def wanted(_, request, kind=kind, nth=nth, seen=seen):
                seen.append(request.kind)
                return request.kind == kind and seen.count(kind) == nth

            request = killed_at_request(proxy, args[seed], env, wanted, mode)
            assert request, (kind, nth, seen)
            left = bucket.read(table)
            if left not in versions:
                assert (kind, nth, mode) == ("complete", 2, "after"), "only the last completion changes the table"
                assert same(left, seed)
            else:
                assert same(left, now)
            versions.add(left)
            injected(f"SIGKILL {mode} a request to S3: {kind} of a big day")
            healed = etl.run(*args[seed], env=bucket.env)
            assert healed.code == 0, healed
            content = bucket.read(table)
            assert same(content, seed)
            versions.add(content)
            history = [bucket.read(name) for name in bucket.names() if name.startswith("lake/history/")]
            assert len(history) == len(set(history)) and set(history) == versions - {content}
            now = seed
    sound = etl.run("verify", "--output", "json", "--dest", bucket.url("lake"), env=bucket.env)
    assert sound.code == 0, sound


def test_a_signal_while_the_lake_is_opened(often, injected, tmp_path):
    """A run is asked to stop before it has asked for anything: it has a result nevertheless."""
    for number, expected in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        lake, file, pid = tmp_path / number.name, tmp_path / f"{number.name}.json", tmp_path / f"{number.name}.pid"
        args = etl.backfill_args(lake, "--result-file", file, first=WEEK[0], last=WEEK[-1])
        # making the lake's folder takes two seconds
        shell = f'echo $$ > "{pid}"; exec "$@"'
        command = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", lake, "-e", "trace=mkdir", "-e", "inject=mkdir:delay_enter=2s"]
        command = [str(word) for word in [*command, "sh", "-c", shell, "sh", etl.BINARY, *args]]
        with subprocess.Popen(command, env=etl.ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=killing.DEVNULL) as process:
            try:
                time.sleep(1.2)
                os.kill(int(pid.read_text()), number)
                process.communicate(timeout=30)
            finally:
                process.kill()
        assert process.returncode == expected
        result = result_of(file)
        assert (result["status"], result["dates"]["not_attempted"]) == ("interrupted", len(WEEK))
        injected(f"{number.name} while the lake is opened")
