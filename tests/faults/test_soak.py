"""Many days with one request in ten failing, in little memory: nothing grows, and every day is what was served."""

import json
import os
import resource
import statistics
import subprocess
import threading
import time
from datetime import date, timedelta

import pyarrow.parquet as pq

import etl
import served
from watched import COLUMNS

# the simulator has rows on all of 20,000 days from here, for a clock that is past them
FIRST = date(2005, 1, 3)
MIB = 1 << 20
# stacks of 2 MiB for some 70 threads are part of it
LIMIT = 384 * MIB
NAMES = ("resident KiB", "most resident KiB", "threads", "open files", "connections")
SMALL = ("--sim-rows", "=3", "--sim-today", "2099-01-01")


def sample(pid):
    """What a process holds now: resident KiB, the most of it that there ever was, threads, open files, connections."""
    with open(f"/proc/{pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    files = []
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        try:
            files.append(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
        except FileNotFoundError:
            continue
    sockets = sum(name.startswith("socket:") for name in files)
    return int(fields["VmRSS"].split()[0]), int(fields["VmHWM"].split()[0]), int(fields["Threads"]), len(files), sockets


def transposed(samples):
    return list(zip(*samples))


def test_many_days_with_one_request_in_ten_failing(often, injected, tmp_path, capsys):
    days = often(1_000, 20_000)
    part = min(1_000, days // 4)
    last = FIRST + timedelta(days=days - 1)
    lake, result = tmp_path / "lake", tmp_path / "result.json"
    samples, landed = [], 0
    with served.Simulator(*SMALL, "--sim-fault", "500:0.1") as api:
        account = ("--base-url", api.url, "--api-id", served.ACCOUNT, "--dest", lake, "--result-file", result)
        args = ("backfill", *account, "--from", FIRST, "--to", last, "--rate-limit", 0, "--concurrency", 16, "--retries", 9)
        env = {"COOKIEPAY_API_KEY": served.KEY}
        process = etl.start(*args, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8")
        # of memory that is written to: the heap and every thread's stack, resident or not
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (LIMIT, LIMIT))
        try:

            def count():
                nonlocal landed
                for line in process.stderr:
                    landed += " published pay_date=" in line

            counting = threading.Thread(target=count, daemon=True)
            counting.start()
            while process.poll() is None:
                try:
                    samples.append((landed, *sample(process.pid)))
                except (FileNotFoundError, ProcessLookupError, KeyError):
                    break
                time.sleep(0.1 if days <= 1_000 else 0.5)
            code = process.wait(timeout=600)
            counting.join()
        finally:
            process.kill()
            process.wait()
    told = json.loads(result.read_text())
    assert code == 0, told
    assert told["dates"]["published"] == days and told["rows"] == 3 * days
    assert told["retries"] > days / 12, "one in ten failed"
    injected("soak: a settlement request answered with 500", told["retries"])
    injected("soak: days", days)

    early = [found[1:] for found in samples if part // 5 <= found[0] <= part]
    middle = [found[1:] for found in samples if days // 2 - part <= found[0] <= days // 2]
    # once all have landed, the ledger index is written, which takes memory for all days
    late = [found[1:] for found in samples if days - part < found[0] < days]
    assert len(early) > 1 and len(late) > 1, samples
    figures = [f"{days} days in {told['duration_ms'] / 1000:.0f} s, {told['retries']} retries, {len(samples)} samples"]
    # the allocator's pools fill up at first; what a day leaves behind would go on
    slack = (16 << 10, 16 << 10, 24, 24, 4)
    for name, first, half, last, more in zip(NAMES, *map(transposed, (early, middle, late)), slack):
        medians = (f"{statistics.median(found):.0f} (most {max(found)})" for found in (first, half, last))
        figures.append(" ".join([f"{name}, first days, half-way, last days:", *medians]))
        assert max(last) <= max(first) + more, name
        assert max(last) <= max(half) + more // 4 + 12, name
    with capsys.disabled():
        print("", *figures, sep="\n")
    # the kernel's own mark, which no sample can miss
    assert max(found[2] for found in samples) * 1024 < LIMIT

    # a simulator of the same seed that does not fail
    with served.Simulator(*SMALL) as api:
        for n in range(0, days, often(10, 4)):
            day = FIRST + timedelta(days=n)
            rows = pq.read_table(lake / etl.settlement(day), columns=COLUMNS, partitioning=None)
            assert list(zip(*(rows[column].to_pylist() for column in COLUMNS))) == api.rows(day), day
    verify = etl.run("verify", "--output", "json", "--dest", lake)
    assert verify.code == 0 and verify.result["checked"] == days, verify
