#!/usr/bin/env python3
"""What it costs to look at a long lake, with the ledger index and without: requests, time and CPU, all in one run.

    python3 benches/readers/run.py [--merchants 10] [--years 10] [--delay-ms 25] [--binary target/release/cookiepay-etl]

Builds the lake with the embedded simulator (once: `--lake` names the folder to keep it in), serves it as S3 with the delay for each
request, and prints a table. Needs Python alone.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from served import Served

# a Friday: settlement is paid out on it
LAST = date(2023, 12, 29)


def run(command, env=None):
    """Wall seconds, CPU seconds, and the result."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([str(word) for word in command], env=os.environ | (env or {}), capture_output=True, text=True)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3):
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, json.loads(done.stdout.splitlines()[-1])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--merchants", type=int, default=10)
    arguments.add_argument("--years", type=int, default=10)
    arguments.add_argument("--delay-ms", type=float, default=25)
    arguments.add_argument("--binary", type=Path, default=Path("target/release/cookiepay-etl"))
    arguments.add_argument("--lake", type=Path, help="keep the lake here, and use it again")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(given, given.lake or Path(scratch) / "lake", Path(scratch))


def measure(given, lake, scratch):
    binary = given.binary.resolve()
    merchants = [f"m{number}" for number in range(1, given.merchants + 1)]
    first = LAST - timedelta(days=round(365.25 * given.years))
    days = (LAST - first).days + 1
    settings = scratch / "etl.toml"
    tables = "".join(f'[[merchant]]\nname = "{name}"\napi_id = "{name}"\n' for name in merchants)
    settings.write_text(f'env = "simulator"\nrate_limit = 0\nconcurrency = 16\nahead = 0\n{tables}')
    common = ["--config", settings, "--sim-rows", 8, "--sim-today", "2024-03-01", "-q", "--output", "json"]
    backfill = [binary, "backfill", *common, "--from", first, "--to", LAST]
    if not lake.exists():
        wall, cpu, result = run([*backfill, "--dest", lake])
        print(f"built: {result['dates']['published']} days, {result['rows']} rows in {wall:.0f} s, {cpu:.0f} s of CPU", flush=True)
    plan = [binary, "backfill", *common, "--from", first, "--to", LAST, "--dry-run"]
    status = [binary, "status", "--output", "json", "-q"]
    aside = scratch / "ledger"
    print(f"{len(merchants)} merchants, {days} days each, {len(merchants) * days} files; {given.delay_ms:g} ms a request")
    print(f"{'':28} {'requests':>9} {'seconds':>9} {'CPU s':>7}   the same without the index")
    s3 = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1", "AWS_CONFIG_FILE": "/nowhere"}
    for name, command in (("plan", plan), ("status", status)):
        for place in ("S3", "disk"):
            found = []
            for indexed in (True, False):
                if not indexed:
                    shutil.move(lake / "ledger", aside)
                served = Served(lake, given.delay_ms / 1000)
                env = s3 | {"AWS_ENDPOINT_URL": served.endpoint}
                dest = "s3://b/lake" if place == "S3" else lake
                wall, cpu, result = run([*command, "--dest", dest], env)
                result.pop("dest", None)
                found.append((served.requests, wall, cpu, result))
                served.close()
                if not indexed:
                    shutil.move(aside, lake / "ledger")
            (requests, wall, cpu, result), (bare_requests, bare_wall, bare_cpu, bare_result) = found
            assert result == bare_result, f"{name} on {place} differs without the index"
            print(
                f"{name + ' on ' + place:28} {requests or '-':>9} {wall:>9.2f} {cpu:>7.2f}   "
                f"{bare_requests or '-'} requests, {bare_wall:.2f} s, {bare_cpu:.2f} CPU s: {bare_wall / wall:.1f} x",
                flush=True,
            )
    write(given, lake, scratch, binary, merchants[0])


def write(given, lake, scratch, binary, merchant):
    """The CPU to write the index: of a run that changes one day, less one that finds it unchanged, in a lake of all days and of that one."""
    flags = ["--env", "simulator", "--api-id", merchant, "--rate-limit", 0, "--sim-rows", 8, "--refetch", "all", "-q", "--output", "json"]
    command = [binary, "backfill", *flags, "--from", LAST, "--to", LAST, "--sim-today", "2024-03-01"]
    differences = []
    for dest in (lake, scratch / "small"):
        spent = {"published": [], "unchanged": []}
        # every round another seed than before, so that the day differs, and then the same again
        for seed in range(2, 13):
            for found, times in spent.items():
                _, cpu, result = run([*command, "--sim-seed", seed, "--dest", dest])
                assert result["dates"][found] == 1, result
                times.append(cpu)
        changed, unchanged = (sorted(times)[len(times) // 2] for times in spent.values())
        differences.append(changed - unchanged)
        print(f"one day of {dest.name}: {changed * 1000:.0f} ms of CPU if it changed, {unchanged * 1000:.0f} ms if not", flush=True)
    print(f"to write the index of all days: {(differences[0] - differences[1]) * 1000:.0f} ms of CPU")


if __name__ == "__main__":
    main()
