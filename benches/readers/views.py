#!/usr/bin/env python3
"""What the printed DuckDB view costs on a long lake, beside the view as it was (`union_by_name`): seconds and requests, all in one run.

    python3 benches/readers/views.py --lake LAKE [--delay-ms 25] [--binary target/release/cookiepay-etl]

LAKE is one that `run.py --lake LAKE` built and kept. Needs a Python with duckdb (on S3: 1.4 with duckdb-ext-httpfs).
"""

import argparse
import subprocess
import time
from pathlib import Path

import duckdb

from served import Served

MONTH = ("2023-11-01", "2023-11-30")
QUESTION = "SELECT count(*), sum(payment_amount) FROM settlements"
IN_MONTH = f"{QUESTION} WHERE pay_date BETWEEN '{MONTH[0]}' AND '{MONTH[1]}'"


def view(binary, dest, *flags):
    return subprocess.run([binary, "schema", "--format", "duckdb", "--dest", dest, *flags], check=True, capture_output=True, text=True).stdout


def connect(server):
    if server is None:
        return duckdb.connect()
    import duckdb_ext

    db = duckdb.connect(config={"autoinstall_known_extensions": "false", "extension_directory": str(duckdb_ext.get_extension_dir())})
    db.execute("LOAD httpfs")
    endpoint = server.endpoint.removeprefix("http://")
    db.execute(f"CREATE SECRET (TYPE s3, KEY_ID 'id', SECRET 'secret', REGION 'us-east-1', ENDPOINT '{endpoint}', URL_STYLE 'path', USE_SSL false)")
    return db


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--lake", type=Path, required=True)
    arguments.add_argument("--delay-ms", type=float, default=25)
    arguments.add_argument("--binary", type=Path, default=Path("target/release/cookiepay-etl"))
    given = arguments.parse_args()
    print(f"{'':44} {'seconds':>8} {'requests':>9}")
    for place in ("disk", "S3"):
        dest = str(given.lake) if place == "disk" else "s3://b/lake"
        plain = view(given.binary, dest)
        before = plain.replace("hive_types = {'pay_date': DATE}\n", "hive_types = {'pay_date': DATE},\n    union_by_name = true\n")
        assert before != plain
        narrowed = view(given.binary, dest, "--from", MONTH[0], "--to", MONTH[1])
        answers = set()
        for name, statement, question in (
            ("a month, union_by_name", before, IN_MONTH),
            ("a month", plain, IN_MONTH),
            ("a month, --from and --to", narrowed, QUESTION),
        ):
            server = Served(given.lake, given.delay_ms / 1000) if place == "S3" else None
            with connect(server) as db:
                began = time.monotonic()
                db.execute(statement)
                answers.add(tuple(db.sql(question).fetchall()))
                seconds = time.monotonic() - began
            requests = "-"
            if server:
                requests = server.requests
                server.close()
            print(f"{f'{place}: {name}':44} {seconds:>8.2f} {requests:>9}", flush=True)
        assert len(answers) == 1, answers


if __name__ == "__main__":
    main()
