#!/usr/bin/env python3
"""Books against a lake: `reconcile`, and the same join in DuckDB and in pandas, all in one run.

    python3 benches/reconcile/run.py [--rows 1000000] [--runs 3]

Needs Python 3.11 and the release build; installs the peers into an environment of their own under target/peers/. The simulator makes a lake
of one month with about so many rows, the books of its payments (`simulate --books`), and ten years of one merchant with the books of its
last months. Each run is a process of its own, measured whole by the kernel: wall clock, CPU (user + system), peak resident memory. The
peers read the same CSV and the same Parquet files, add up both sides by order number and join them: no transaction numbers, no voids,
no duplicates, no fees. All are run in turn, the first round is not counted, and the sums of what they found are compared.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "peers"
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("COOKIEPAY_", "AWS_"))}


def environment():
    python = WORK / "reconcile" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", HERE / "requirements.txt"]
    subprocess.run(install, check=True)
    return python


def run(command, allowed=(0,)):
    done = subprocess.run([str(word) for word in command], env=CLEAN, capture_output=True, text=True)
    if done.returncode not in allowed:
        sys.exit(f"{command} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def measure(command):
    began = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], env=CLEAN, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    printed = process.stdout.read()
    errors = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    # 5: something differs
    assert process.returncode in (0, 5), f"{command} ended with {process.returncode}:\n{errors.decode()}"
    measured = {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss / 1024}
    return measured, json.loads(printed.splitlines()[-1])


def made(binary, folder, first, last, rows, books_from, delta):
    """A lake of simulated rows, and the books of a part of it, in UTF-8."""
    if not (folder / "orders.csv").exists():
        shutil.rmtree(folder, ignore_errors=True)
        simulated = ["--sim-rows", rows, "--sim-today", "2024-03-01"]
        pace = ["--rate-limit", 0, "--concurrency", 4, "-q"]
        backfill = [binary, "backfill", "--env", "simulator", *simulated, *pace, "--from", first, "--to", last, "--dest", folder / "lake"]
        run(backfill + (["--delta"] if delta else []))
        run([binary, "simulate", *simulated, "--books", folder, "--from", books_from, "--to", last])
        # the peers read neither CP949 nor titles and totals
        lines = (folder / "orders.csv").read_bytes().decode("cp949").splitlines()
        header = next(number for number, line in enumerate(lines) if "주문번호" in line)
        (folder / "orders.csv").write_text("\n".join(lines[header:-1]) + "\n", encoding="utf-8")
    return folder


def table(contenders, runs):
    found = {name: [] for name, _ in contenders}
    results = {}
    for number in range(runs + 1):
        for name, command in contenders:
            measured, results[name] = measure(command)
            print(f"{name:28} {measured['wall']:7.2f} s {measured['cpu']:7.2f} s CPU {measured['memory']:8.0f} MiB", file=sys.stderr)
            if number > 0:
                found[name].append(measured)
    median = lambda name, key: statistics.median(run[key] for run in found[name])  # noqa: E731
    first = contenders[0][0]
    print("| | wall | CPU | peak memory |")
    print("|---|---|---|---|")
    for name, _ in contenders:
        cells = [f"{median(name, 'wall'):.2f} s ({median(name, 'wall') / median(first, 'wall'):.1f} ×)"]
        cells += [f"{median(name, 'cpu'):.2f} s ({median(name, 'cpu') / median(first, 'cpu'):.1f} ×)", f"{median(name, 'memory'):,.0f} MiB"]
        print(f"| {name} | {' | '.join(cells)} |")
    return results


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=1_000_000, help="about so many rows in the month")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--binary", type=Path, default=ROOT / "target" / "release" / "cookiepay-etl")
    given = options.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    binary, python = given.binary.resolve(), environment()

    # a month has about 22 days with payouts
    month = made(binary, WORK / f"reconcile-{given.rows}", "2023-12-01", "2023-12-31", given.rows // 20, "2023-12-01", delta=False)
    ours = [binary, "reconcile", "--dest", month / "lake", "--orders", month / "orders.csv", "--output", "json", "-q"]
    peers = [(name, [python, HERE / f"with_{name.lower()}.py", month / "orders.csv", month / "lake"]) for name in ("DuckDB", "pandas")]
    results = table([("reconcile", ours), *peers], given.runs)
    orders = results["reconcile"]["orders"]
    print(f"\n{orders['lines']:,} lines, {results['DuckDB']['rows']:,} rows, {sum(part['cases'] for part in orders['statuses'].values()):,} cases\n")
    for name, _ in peers:
        assert results[name]["order_amount"] == orders["order_amount"], results[name]
    assert results["DuckDB"] == results["pandas"], results

    long = made(binary, WORK / "reconcile-years", "2014-01-01", "2023-12-31", 75, "2023-06-01", delta=True)
    ours = [binary, "reconcile", "--orders", long / "orders.csv", "--output", "json", "-q"]
    plain = WORK / "reconcile-years" / "plain"
    if not plain.exists():
        plain.mkdir()
        for part in ("settlements", "ledger"):
            shutil.copytree(long / "lake" / part, plain / part, copy_function=os.link)
    results = table([("ten years, Delta table", [*ours, "--dest", long / "lake"]), ("ten years, day files", [*ours, "--dest", plain])], given.runs)
    one, other = results.values()
    assert one["orders"] == other["orders"], (one["orders"], other["orders"])
    print(f"\n{one['orders']['lines']:,} lines")


if __name__ == "__main__":
    main()
