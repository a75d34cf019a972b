"""Many processes at once, each with a shard of the merchants, on one S3 lake and one API with a rate limit.

    COOKIEPAY_ETL=target/release/cookiepay-etl target/engines/bin/python -m pytest -s tests/engines/test_shards.py

runs a small size; with SHARDS_DAYS=30 in front of it, ten times as many days.
"""

import json
import os
import subprocess
import time
import urllib.request
from collections import Counter
from datetime import date, timedelta

import pytest

import etl
from simulator import MERCHANT, Simulator

MERCHANTS = [f"shop-{number:03}" for number in range(1, 201)]
SHARDS = 10
# requests per second that the API allows, and the days of each merchant
RATE = int(os.environ.get("SHARDS_RATE", 100))
DAYS = int(os.environ.get("SHARDS_DAYS", 3))
FIRST = date(2024, 1, 2)
LAST = FIRST + timedelta(days=DAYS - 1)


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "merchants.toml"
    (tmp_path / "key").write_text("a key")
    (tmp_path / "key").chmod(0o600)
    table = '[[merchant]]\nname = "{0}"\napi_id = "{0}"\napi_key_file = "{1}"\n'
    path.write_text("".join(table.format(merchant, tmp_path / "key") for merchant in MERCHANTS))
    return path


def api():
    merchants = [word for merchant in MERCHANTS for word in ("--sim-merchant", f"{merchant}=a key")]
    return Simulator(*merchants, "--sim-rows", 5, "--sim-rate-limit", RATE)


def counts(api):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{api.url}/_simulator/requests", timeout=10) as response:
        return json.load(response)


def backfill(api, settings, dest, rate, *flags):
    days = ("--from", FIRST, "--to", LAST, "--dest", dest, "--rate-limit", rate)
    return ("backfill", "--base-url", api.url, "--config", settings, *days, "-q", "--output", "json", *flags)


def start(api, settings, bucket, number):
    args = backfill(api, settings, bucket.url("shards"), RATE // SHARDS, "--shard", f"{number}/{SHARDS}")
    return etl.start(*args, env=bucket.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")


def ended(process):
    stdout, stderr = process.communicate(timeout=1800)
    return etl.Run(process.args, process.returncode, stdout, stderr, 0)


def test_ten_processes_share_two_hundred_merchants(settings, bucket):
    with api() as server:
        began = time.monotonic()
        processes = [start(server, settings, bucket, number) for number in range(1, SHARDS + 1)]
        # one is killed in its middle, and run again, as a scheduler does
        killed = processes[3]
        while counts(server)["settlement_requests"] < len(MERCHANTS) * DAYS // 3:
            assert killed.poll() is None, "the shard ended before it could be killed"
            time.sleep(0.01)
        killed.kill()
        killed.communicate()
        processes[3] = start(server, settings, bucket, 4)
        runs = [ended(process) for process in processes]
        seconds = time.monotonic() - began
        assert [run.code for run in runs] == [0] * SHARDS, runs
        sent = counts(server)

    # each merchant is in one shard, and each of its days was published once
    shards = Counter(part["merchant_id"] for run in runs for part in run.result["merchants"])
    assert shards == {merchant: 1 for merchant in MERCHANTS}
    dates = {key: sum(run.result["dates"][key] for run in runs) for key in ("planned", "published", "skipped")}
    assert dates["planned"] == len(MERCHANTS) * DAYS
    left_by_the_killed_run = runs[3].result["dates"]["skipped"]
    assert dates["published"] + left_by_the_killed_run == dates["planned"] and dates["skipped"] == left_by_the_killed_run > 0
    days = [FIRST + timedelta(days=number) for number in range(DAYS)]
    expected = sorted(f"shards/{etl.settlement(day, merchant)}" for day in days for merchant in MERCHANTS)
    assert sorted(bucket.names()) == expected, "each day once, no replaced version, and nothing else"

    # the budget was kept: the API refused nothing. Only what the killed run had requested and not published came twice
    assert sent["answered"].keys() == {"200"}, sent
    again = sent["settlement_requests"] - dates["planned"]
    assert 0 <= again <= 4 * 2, "at most the days in progress when it was killed"
    assert sum(run.result["retries"] for run in runs) == 0

    with api() as server:
        one = etl.run(*backfill(server, settings, bucket.url("one"), RATE), env=bucket.env, timeout=1800)
        assert one.code == 0 and counts(server)["answered"].keys() == {"200"}, one
    assert one.result["dates"]["published"] == dates["planned"]
    for name in expected[::10]:
        alone = bucket.read(name.replace("shards/", "one/", 1))
        # the simulators differ in their ports alone, and so do the records in their source
        assert etl.Day(bucket.read(name)).comparable()[0] == etl.Day(alone).comparable()[0], name
    largest = max(len(run.result["merchants"]) for run in runs)
    print(
        f"\n{len(MERCHANTS)} merchants, {DAYS} days, {RATE} requests per second: {sent['token_requests'] + sent['settlement_requests']} "
        f"requests; {SHARDS} processes {seconds:.1f} s (largest shard {largest} merchants), one process {one.seconds:.1f} s"
    )


def test_more_than_the_budget_is_refused_and_made_up_for(settings, bucket):
    """What the simulator's limit is worth as evidence: runs that together send more are refused, wait, and lose nothing."""
    with api() as server:
        only = [word for merchant in MERCHANTS[:20] for word in ("--merchant", merchant)]
        args = backfill(server, settings, bucket.url("lake"), 0, *only, "--concurrency", 16)
        run = etl.run(*args, "--refetch", "all", "--retries", 20, env=bucket.env)
        refused = counts(server)["answered"].get("429", 0)
    assert run.code == 0 and run.result["dates"]["published"] == 20 * DAYS, run
    if 20 * DAYS + 20 > 2 * RATE:
        assert refused > 0
