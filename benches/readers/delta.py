#!/usr/bin/env python3
"""What the Delta table gains and costs: DuckDB over it, over the day files' view, and over one packed Parquet file for each month and
merchant; the first `delta` of a long lake; and what `--delta` adds to a daily run. All in one run.

    target/engines-duckdb-1/bin/python benches/readers/delta.py --lake LAKE [--runs 5] [--binary target/release/cookiepay-etl]

LAKE is one that `run.py --lake LAKE` built and kept. Needs a Python with duckdb 1.4 and duckdb-ext-delta. Prints tables, and writes
../../docs/delta.svg.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import duckdb_ext

from run import LAST

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches"))
from chart import bars  # noqa: E402

QUESTIONS = {
    "by month over all": "SELECT date_trunc('month', pay_date) AS month, merchant_id, sum(payment_amount) FROM settlements GROUP BY ALL ORDER BY ALL",
    "one month": "SELECT merchant_id, count(*), sum(payment_amount) FROM settlements WHERE pay_date BETWEEN '2023-11-01' AND '2023-11-30' GROUP BY ALL ORDER BY ALL",
    "one transaction": "SELECT pay_date, source_row, payment_amount FROM settlements WHERE transaction_id = '{transaction}' ORDER BY ALL",
}
NAMES = {"delta": "Delta table", "packed": "packed files", "days": "day files"}


def measured(command):
    """Wall seconds, CPU seconds, peak MiB, and the result."""
    began = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, command
    return time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, json.loads(printed.splitlines()[-1])


def connect():
    db = duckdb.connect(config={"autoinstall_known_extensions": "false", "extension_directory": str(duckdb_ext.get_extension_dir())})
    db.execute("LOAD delta")
    return db


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def create(binary, lake):
    """The first `delta` of the lake."""
    shutil.rmtree(lake / "delta", ignore_errors=True)
    wall, cpu, memory, result = measured([binary, "delta", "--dest", lake, "--output", "json", "-q"])
    print(f"first delta: {result['delta']['days']:,} days into {result['delta']['files_added']:,} files in {wall:.1f} s ({cpu:.1f} s of CPU), peak {memory:.0f} MiB")


def pack(lake, packed):
    """The same rows as any packer would leave them: a file for each month and merchant."""
    with connect() as db:
        db.execute(f"CREATE TABLE rows AS FROM delta_scan('{lake}/delta')")
        months = db.sql("SELECT DISTINCT merchant_id, strftime(pay_date, '%Y-%m') FROM rows").fetchall()
        for merchant, month in months:
            folder = packed / month
            folder.mkdir(parents=True, exist_ok=True)
            chosen = f"FROM rows WHERE merchant_id = '{merchant}' AND pay_date BETWEEN '{month}-01' AND last_day(DATE '{month}-01') ORDER BY pay_date"
            db.execute(f"COPY ({chosen}) TO '{folder}/{merchant}.parquet' (COMPRESSION zstd)")
        return db.sql("SELECT transaction_id FROM rows ORDER BY hash(transaction_id) LIMIT 1").fetchone()[0]


def ask(view, question):
    """The seconds of a query, with the view made and everything opened anew; the answer."""
    with connect() as db:
        began = time.monotonic()
        db.execute(view)
        answer = db.sql(question).fetchall()
        return time.monotonic() - began, answer


def compare(binary, lake, packed, transaction, runs):
    def printed(*flags):
        return subprocess.run([binary, "schema", "--format", "duckdb", "--dest", lake, *flags], check=True, capture_output=True, text=True).stdout

    views = {
        "delta": printed("--table", "delta"),
        "packed": f"CREATE VIEW settlements AS FROM read_parquet('{packed}/*/*.parquet')",
        "days": printed(),
    }
    print(f"\n| DuckDB {duckdb.__version__} | {' | '.join(NAMES.values())} | Delta : packed | days : Delta |\n|---|--:|--:|--:|--:|--:|")
    lines = []
    for name, question in QUESTIONS.items():
        question = question.format(transaction=transaction)
        seconds, answers = {}, set()
        for of, view in views.items():
            tries = [ask(view, question) for _ in range(runs + 1)]
            seconds[of] = statistics.median(wall for wall, _ in tries[1:])
            answers.update(str(answer) for _, answer in tries)
        assert len(answers) == 1, f"the answers to {name} differ"
        print(f"| {name} | {' | '.join(f'{seconds[of]:.2f} s' for of in NAMES)} | {seconds['delta'] / seconds['packed']:.2f} | {seconds['days'] / seconds['delta']:.1f} |")
        lines += [(f"{name}: {NAMES[of]}", seconds[of], f"{seconds[of]:.2f} s", of == "delta") for of in NAMES] + [None]
    sizes = {"delta": size(lake / "delta"), "packed": size(packed), "days": size(lake / "settlements")}
    print(f"| size | {' | '.join(f'{sizes[of] / 1e6:.1f} MB' for of in NAMES)} | {sizes['delta'] / sizes['packed']:.2f} | {sizes['days'] / sizes['delta']:.1f} |")
    return lines[:-1]


def daily(binary, lake, scratch, merchants, runs):
    """The CPU of a run that changes a day of each merchant, with `--delta` and without, in turn."""
    settings = scratch / "etl.toml"
    tables = "".join(f'[[merchant]]\nname = "{name}"\napi_id = "{name}"\n' for name in merchants)
    settings.write_text(f'env = "simulator"\nrate_limit = 0\n{tables}')
    day = LAST - timedelta(days=1)
    common = ["--config", settings, "--sim-rows", 8, "--sim-today", "2024-03-01", "-q", "--output", "json", "--dest", lake]
    command = [binary, "backfill", *common, "--from", day, "--to", day, "--refetch", "all", "--allow-empty-replacement"]
    spent = {"without": [], "with": []}
    for seed in range(1, 2 * runs + 3):
        of = "with" if seed % 2 == 0 else "without"
        if of == "with":
            # what the run before left to do is not this run's
            measured([binary, "delta", "--dest", lake, "-q", "--output", "json"])
        _, cpu, _, result = measured([*command, "--sim-seed", 100 + seed, *(["--delta"] if of == "with" else [])])
        changed = result["dates"]["published"]
        assert changed == len(merchants), result["dates"]
        spent[of].append(cpu)
    without, with_delta = (statistics.median(times[1:]) * 1000 for times in spent.values())
    print(f"\na daily run of {len(merchants)} merchants: {without:.0f} ms of CPU, with --delta {with_delta:.0f} ms: {with_delta - without:.0f} ms more")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--lake", type=Path, required=True)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--binary", type=Path, default=ROOT / "target/release/cookiepay-etl")
    given = arguments.parse_args()
    binary, lake = given.binary.resolve(), given.lake.resolve()
    merchants = sorted({path.stem for path in (lake / "settlements").glob(f"pay_date={LAST}/*.parquet")}, key=lambda name: int(name[1:]))
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        create(binary, lake)
        transaction = pack(lake, scratch / "packed")
        lines = compare(binary, lake, scratch / "packed", transaction, given.runs)
        days = sum(1 for _ in (lake / "settlements").rglob("*.parquet"))
        title = f"DuckDB over {days:,} days of {len(merchants)} merchants: seconds"
        (ROOT / "docs" / "delta.svg").write_text(bars(title, lines))
        daily(binary, lake, scratch, merchants, given.runs)


if __name__ == "__main__":
    main()
