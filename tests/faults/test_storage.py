"""A disk that fails: full, read-only, refusing, returning errors. Each time the error names the object, the exit says whose
it is, readers see the old version whole, and the next run heals."""

import errno
import json
import os
import shutil
import subprocess
from datetime import date, timedelta

import pytest

import etl
import killing
from watched import OnDisk, Watched, failed, result_of

DAYS = [date(2024, 1, 3) + timedelta(days=n) for n in range(3)]
NOBODY = 65534


@pytest.fixture
def watched(api, tmp_path):
    """A lake of three days, which every run restates."""
    watched = Watched(OnDisk(tmp_path / "lake"), api, DAYS)
    watched.fill(1)
    return watched


def heals(watched, seed=2):
    watched.look()
    watched.heal(seed)


EIO = os.strerror(errno.EIO)
INJECTIONS = {
    "fsync fails with EIO": (("fsync:error=EIO",), None, ("pay_date=", EIO)),
    "the first fsync of a thread fails with EIO": (("fsync:error=EIO:when=1",), None, ("pay_date=", EIO)),
    "every second fsync fails with EIO": (("fsync:error=EIO:when=2+2",), None, ("pay_date=", EIO)),
    "rename fails with EIO": (("rename:error=EIO",), None, ("pay_date=", EIO)),
    "every second rename of a thread fails with EIO": (("rename:error=EIO:when=2+2",), None, ("pay_date=", EIO)),
    "rename fails with ENOSPC": (("rename:error=ENOSPC",), None, ("pay_date=", os.strerror(errno.ENOSPC))),
    "opening a day fails with EIO": (("openat:error=EIO",), "settlements/pay_date={}/simulator.parquet", ("settlements/pay_date=", EIO)),
    "reading a day fails with EIO": (("pread64:error=EIO", "read:error=EIO"), "settlements/pay_date={}/simulator.parquet", ()),
    "the folder's fsync in the table fails with EIO": (("fsync:error=EIO",), "settlements/pay_date={}", ("settlements/pay_date=", EIO)),
    "the folder's fsync in history/ fails with EIO": (("fsync:error=EIO",), "history/pay_date={}", ("history/pay_date=", EIO)),
    "a day's folder cannot be opened: EMFILE": (
        ("openat:error=EMFILE",),
        "settlements/pay_date={}",
        ("settlements/pay_date=", os.strerror(errno.EMFILE)),
    ),
}


@pytest.mark.parametrize("name", INJECTIONS)
def test_an_error_from_the_disk(watched, often, injected, name):
    injections, path, words = INJECTIONS[name]
    watched.heal(2)
    seeds = [seed for _ in range(often(1, 10)) for seed in (3, 4)]
    for seed in seeds:
        paths = [watched.lake.dest / path.format(day) for day in DAYS] if path else ()
        before = watched.look()
        run = killing.traced(watched.args(seed), *injections, paths=paths)
        after = watched.look()
        if run.code == 0:
            # a thread that made no such call
            assert "when=" in injections[0], run
            continue
        if name.startswith("reading a day"):
            # what cannot be read is replaced by what was asked for, or is an error: either way it is told
            assert run.code in (0, 3, 7) and EIO in run.stderr, run
        else:
            result = failed(run, *words, codes=(3, 7))
            failures = {failure["pay_date"] for failure in result["failures"]}
            new = {str(day) for day in DAYS if after[day]["seal"] != before[day]["seal"]}
            # only where the rename was done and the sync after it failed may a day that failed be the new one
            assert "fsync" in name or not failures & new, run
        injected(f"disk: {name}")
        watched.heal(seed)


@pytest.fixture
def mount(tmp_path):
    """A small file system of its own."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def mount(options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk(api, mount, often, injected, tmp_path):
    """A disk of 1 MB, which is full in the middle of a run that fills it, and again of one that restates what fits."""
    for _ in range(often(1, 5)):
        folder, file = mount("size=1m"), tmp_path / "result.json"
        month = [date(2024, 1, 1) + timedelta(days=n) for n in range(31)]
        watched = Watched(OnDisk(folder / "lake"), api, month)
        big = ("--sim-rows", "=4000", "--result-file", file)
        args = etl.backfill_args(watched.lake.dest, *big, first=month[0], last=month[-1])
        run = etl.run(*args)
        result = failed(run, "pay_date=", os.strerror(errno.ENOSPC))
        assert result_of(file)["error"].startswith("the lake failed 5 days in a row")
        there = etl.files(watched.lake.dest)
        assert 0 < len(there) == result["dates"]["published"] < 31
        for name, content in there.items():
            day = etl.Day(content)
            assert day.is_sealed() and day.rows.num_rows == 4000, name
        injected("disk full (1 MB) in a first run")

        again = etl.run(*args, "--refetch", "all", "--sim-seed", 2)
        failed(again, "pay_date=", os.strerror(errno.ENOSPC), codes=(3, 7))
        table = {name: content for name, content in etl.files(watched.lake.dest).items() if name.startswith("settlements/")}
        assert table.keys() >= there.keys()
        replaced = {name for name in there if table[name] != there[name]}
        assert len(replaced) == again.result["dates"]["published"] - (len(table) - len(there))
        assert all(etl.Day(content).is_sealed() for content in table.values())
        injected("disk full (1 MB) in a run that restates")

        subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)
        for seed in (2, 2):
            healed = etl.run(*args, "--refetch", "all", "--sim-seed", seed)
            assert healed.code == 0, healed
        assert healed.result["dates"]["unchanged"] == 31
        history = [content for name, content in etl.files(watched.lake.dest).items() if name.startswith("history/")]
        # each version of a first run once, as it was
        assert sorted(history) == sorted(there.values())
        watched.verify()
        shutil.rmtree(watched.lake.dest)
        subprocess.run(["umount", folder], check=True)


def test_a_read_only_file_system(api, mount, injected):
    folder = mount("size=16m")
    watched = Watched(OnDisk(folder / "lake"), api, DAYS)
    watched.fill(1)
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    failed(watched.run(2), str(watched.lake.dest), os.strerror(errno.EROFS))
    failed(etl.backfill(folder / "another"), str(folder / "another"), os.strerror(errno.EROFS))
    watched.verify()
    status = etl.run("status", "--output", "json", "--dest", watched.lake.dest)
    assert status.code == 0, status
    subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
    injected("read-only file system", 2)
    heals(watched)


PARTS = ["settlements/pay_date=2024-01-04", "history/pay_date=2024-01-04", "settlements", "history", ".staging", "."]


@pytest.mark.parametrize("part", PARTS)
def test_a_folder_that_may_not_be_written(watched, injected, tmp_path, part):
    """Another user's run, since root may write anywhere."""
    watched.heal(2)
    lake = watched.lake.dest
    (lake / ".staging").mkdir()
    for path in [tmp_path, *tmp_path.parents]:
        if not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o055)
    binary = tmp_path / "cookiepay-etl"
    shutil.copy(etl.BINARY, binary)
    for path in [lake, *lake.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    closed = lake / part
    closed.chmod(0o555)
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", binary]
    command = [str(word) for word in [*user, *watched.args(3)]]
    done = subprocess.run(command, env=etl.ENVIRONMENT, capture_output=True, encoding="utf-8", timeout=60, check=False)
    run = etl.Run(command, done.returncode, done.stdout, done.stderr, 0)
    if part in ("settlements", "history"):
        # the days' folders are there and may be written
        assert run.code == 0, run
    elif part in (".", ".staging"):
        watched.look()
        if run.code:
            failed(run, ".staging", os.strerror(errno.EACCES))
    else:
        failed(run, os.strerror(errno.EACCES), "pay_date=", codes=(3, 7))
    closed.chmod(0o755)
    injected("a folder of the lake may not be written")
    heals(watched, 3)


def in_the_way(path):
    """A file where a folder should be; what was there, aside."""
    aside = path.with_name(path.name + ".aside")
    if path.exists():
        path.rename(aside)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    return aside


@pytest.mark.parametrize("part", ["settlements", "settlements/pay_date=2024-01-04", "history", "history/pay_date=2024-01-04", ".staging"])
def test_a_file_where_a_folder_should_be(watched, injected, part):
    path = watched.lake.dest / part
    aside = in_the_way(path)
    run = watched.run(2)
    failed(run, part.split("/")[0] if "history" not in part else "history/pay_date=", codes=(3, 7))
    assert path.read_text() == "in the way"
    path.unlink()
    if aside.exists():
        aside.rename(path)
    injected("a path component that is a file")
    heals(watched)


def test_a_lake_that_is_a_file_or_under_one(injected, tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    for dest in (file, file / "lake"):
        failed(etl.backfill(dest), str(dest), os.strerror(errno.ENOTDIR).lower() if dest == file else os.strerror(errno.ENOTDIR))
        injected("a path component that is a file")
    assert file.read_text() == "in the way"


def test_a_folder_where_a_day_should_be(watched, injected):
    path = watched.lake.dest / etl.settlement(DAYS[1])
    aside = path.with_name("aside")
    path.rename(aside)
    path.mkdir()
    failed(watched.run(2), f"pay_date={DAYS[1]}", codes=(3, 7))
    path.rmdir()
    aside.rename(path)
    injected("a path component that is a folder")
    heals(watched)


def whole_calls(log):
    """The calls of a strace of several threads, each where it ended: one that another interrupted is told in two lines."""
    begun = {}
    for line in log.splitlines():
        thread, call = line.split(maxsplit=1)
        if call.endswith("<unfinished ...>"):
            begun[thread] = call.removesuffix("<unfinished ...>")
        elif call.startswith("<... "):
            yield begun.pop(thread) + call.split("resumed>", 1)[1]
        else:
            yield call


def test_every_folder_that_a_run_makes_is_synced(tmp_path):
    """A folder's entry outlives a power cut only where the folder that holds it is synced after it was made."""
    log, lake = tmp_path / "calls", tmp_path / "deep" / "lake"
    calls = "mkdir,mkdirat,fsync,rename"
    args = etl.backfill_args(lake, first=DAYS[0], last=DAYS[-1])
    command = ["strace", "-f", "-qq", "-y", "-o", log, "-e", f"trace={calls}", etl.BINARY, *map(str, args)]
    done = subprocess.run(command, env=etl.ENVIRONMENT, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 0, done
    # folders that were made, until the folder that holds them is synced
    owed, synced = set(), 0
    for call in whole_calls(log.read_text()):
        if call.startswith("mkdir") and call.endswith("= 0"):
            path = os.path.join(os.getcwd(), call.split('"')[1])
            if ".staging" not in path:
                owed.add(path)
        elif call.startswith("fsync") and call.endswith("= 0"):
            folder = call.split("<")[1].split(">")[0]
            kept = {path for path in owed if os.path.dirname(path) == folder}
            synced += len(kept)
            owed -= kept
        elif call.startswith("rename") and "/settlements/pay_date=" in call.split('"')[3]:
            # other days' folders may be on their way
            unsafe = {path for path in owed if call.split('"')[3].startswith(f"{path}/")}
            assert not unsafe, f"a day was published while these could still be lost: {unsafe}"
    assert synced >= len(DAYS) + 2 and not owed, owed


@pytest.mark.parametrize("there", [True, False], ids=["its-folder-is-there", "its-folder-is-not"])
def test_a_file_system_that_cannot_sync_folders_is_refused(tmp_path, there):
    """As shared folders report it; each day would be lost by a power cut that came after it was reported."""
    lake = tmp_path / "lake"
    if there:
        lake.mkdir()
    args = etl.backfill_args(lake, first=DAYS[0], last=DAYS[-1])
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EINVAL", etl.BINARY, *map(str, args)]
    done = subprocess.run(command, env=etl.ENVIRONMENT, capture_output=True, encoding="utf-8", timeout=60, check=False)
    result = json.loads(done.stdout)
    assert done.returncode == result["exit_code"] == 2 and result["requests"] == 0, done
    assert "cannot sync folders" in result["error"], result
    assert not etl.files(lake)
