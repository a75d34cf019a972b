#!/usr/bin/env python3
"""One day of rows into Parquet: this tool, and what a user would pick instead.

    python3 benches/peers/run.py [--rows 1000000] [--runs 5]

Needs Python 3.11 and the Rust toolchain; installs the peers into environments of their own under target/peers/. Each run is a
process of its own, measured whole by the kernel: CPU (user + system), wall clock, peak resident memory. The peers read the answer
from a file on disk; cookiepay-etl fetches it over HTTP from loopback, checks it, and publishes it with fsync. All of them are run in
turn, the first round is not counted, and the sums of what they wrote are compared. Prints a table, and writes chart.svg beside it.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "benches"))
from chart import bars  # noqa: E402

WORK = ROOT / "target" / "peers"
BINARY = ROOT / "target" / "release" / "cookiepay-etl"
DAY = "2024-01-05"
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("COOKIEPAY_", "AWS_")) and not name.lower().endswith("_proxy")}


def environment(name, requirements):
    python = WORK / name / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", WORK / name], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", HERE / requirements]
    subprocess.run(install, check=True)
    return python


def answer(rows):
    """The simulator's answer for one day of so many rows, as a file."""
    path = WORK / f"day-{rows}.json"
    if path.exists():
        return path
    simulator = subprocess.Popen([BINARY, "simulate", "--port", "0", "--sim-rows", f"={rows}"], stdout=subprocess.PIPE, text=True, env=CLEAN)
    try:
        # export COOKIEPAY_BASE_URL=…
        root = simulator.stdout.readline().strip().partition("=")[2].rstrip("/")
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def post(where, body, **headers):
            headers["Content-Type"] = "application/json"
            return direct.open(urllib.request.Request(root + where, json.dumps(body).encode(), headers))

        token = json.load(post("/payAuth/token", {"pay2_id": "simulator", "pay2_key": "simulator-key"}))["TOKEN"]
        part = path.with_suffix(".part")
        with post("/api/settlement", {"API_ID": "simulator", "DATE": DAY.replace("-", "")}, TOKEN=token) as body, part.open("wb") as file:
            shutil.copyfileobj(body, file, 1 << 20)
        part.rename(path)
    finally:
        simulator.send_signal(signal.SIGTERM)
        simulator.wait()
    return path


def measure(command, env):
    began = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    assert process.returncode == 0, f"{command} ended with {process.returncode}:\n{errors.decode()}"
    return {"user": used.ru_utime, "system": used.ru_stime, "wall": wall, "memory": used.ru_maxrss / 1024}


def chart(table, rows):
    """A bar a contender: CPU seconds, with peak memory beside it."""
    label = "{cpu:.1f} s, {memory:,.0f} MiB"
    lines = [(line["name"], line["cpu"], label.format(**line), index == 0) for index, line in enumerate(table)]
    return bars(f"One day of {rows:,} rows into Parquet: CPU seconds and peak memory", lines)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--runs", type=int, default=5, help="counted runs of each; dlt, which takes long, has one")
    options = options.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    python, dlt = environment("venv", "requirements.txt"), environment("dlt", "requirements-dlt.txt")
    source = answer(options.rows)
    server = subprocess.Popen([python, HERE / "serve.py", source], stdout=subprocess.PIPE, text=True, env=CLEAN)
    out = WORK / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    try:
        root = f"http://127.0.0.1:{int(server.stdout.readline())}"
        lake = out / "lake"
        ours = [BINARY, "backfill", "--base-url", root, "--api-id", "m1", "--from", DAY, "--to", DAY, "--dest", lake, "-q", "--concurrency", 1]
        env = CLEAN | {"COOKIEPAY_API_KEY": "key"}
        contenders = [("cookiepay-etl", ours, options.runs, lake / "settlements" / f"pay_date={DAY}" / "m1.parquet")]
        for name, interpreter, runs in (("DuckDB", python, options.runs), ("Polars", python, options.runs), ("pyarrow", python, options.runs), ("dlt", dlt, 1)):
            target = out / f"{name.lower()}.parquet"
            script = HERE / f"with_{name.lower()}.py"
            contenders.append((name, [interpreter, script, source, target], runs, target))
        found = {name: [] for name, *_ in contenders}
        for number in range(options.runs + 1):
            for name, command, runs, _ in contenders:
                # one round warms the files up; what is run once is not warmed up
                if number > runs or (runs == 1 and number == 0):
                    continue
                if name == contenders[0][0]:
                    shutil.rmtree(lake, ignore_errors=True)
                measured = measure(command, env)
                print(f"{name:14} {measured['user']:7.2f} user {measured['system']:6.2f} system {measured['wall']:7.2f} wall {measured['memory']:8.0f} MiB", file=sys.stderr)
                if number > 0:
                    found[name].append(measured)
    finally:
        server.terminate()
        server.wait()
    sums = {}
    table = []
    for name, _, _, target in contenders:
        files = [target] if target.exists() else sorted(Path(f"{target}.dlt").glob("lake/lake/settlements/*.parquet"))
        sums[name] = subprocess.run([python, HERE / "sums.py", *files], check=True, capture_output=True, text=True).stdout
        median = lambda key: statistics.median(run[key] for run in found[name])  # noqa: E731
        cpu = statistics.median(run["user"] + run["system"] for run in found[name])
        size = sum(file.stat().st_size for file in files)
        table.append({"name": name, "runs": len(found[name]), "cpu": cpu, "wall": median("wall"), "memory": median("memory"), "size": size / 1e6})
    assert len(set(sums.values())) == 1, f"the sums differ: {sums}"
    first = table[0]
    print(f"One day of {options.rows:,} rows ({source.stat().st_size / 1e6:.0f} MB of JSON), {os.cpu_count()} cores, medians:\n")
    print("| | CPU s | × ours | wall s | × ours | peak MiB | × ours | file MB | runs |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for line in table:
        cells = [f"{line[key]:.{digits}f} | {line[key] / first[key]:.1f}" for key, digits in (("cpu", 2), ("wall", 2), ("memory", 0))]
        print(f"| {line['name']} | {' | '.join(cells)} | {line['size']:.1f} | {line['runs']} |")
    print(f"\nAll wrote the same: {sums[first['name']].strip()}")
    (HERE / "chart.svg").write_text(chart(table, options.rows))


if __name__ == "__main__":
    main()
