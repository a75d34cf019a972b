"""DuckDB 1 in an environment of its own, because only it has extensions for S3 and Delta on PyPI."""

import json
import os
import pickle
import subprocess
from pathlib import Path
from urllib.parse import urlparse

import etl

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def connect_s3(bucket):
    """examples/duckdb/s3.sql, for the server of a bucket."""
    server = f"ENDPOINT '{urlparse(bucket.env['AWS_ENDPOINT_URL']).netloc}', URL_STYLE 'path', USE_SSL false"
    script = (EXAMPLES / "duckdb" / "s3.sql").read_text()
    return script.replace("PROVIDER credential_chain", f"PROVIDER credential_chain, {server}")


def ask(setup, questions, env=None, cwd=None):
    """The tables that DuckDB 1 returns: columns, types and lines by question."""
    # its home folder is where DuckDB would find extensions and secrets of the user's own
    env = etl.ENVIRONMENT | (env or {}) | {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent"}
    command = [os.environ["DUCKDB_1_PYTHON"], Path(__file__).with_name("duckdb_1.py")]
    asked = json.dumps([setup, questions]).encode()
    run = subprocess.run(command, input=asked, env=env, cwd=cwd, capture_output=True, timeout=180)
    assert run.returncode == 0, run.stderr.decode()
    version, tables = pickle.loads(run.stdout)
    assert version.startswith("1.")
    return tables


def schema(dest, *flags):
    """What `schema` prints for a lake."""
    printed = etl.run("schema", "--dest", dest, *flags)
    assert printed.code == 0, printed
    return printed.stdout
