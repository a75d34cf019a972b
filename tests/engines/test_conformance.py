"""The Rust suite that every destination must pass, against the real S3 server."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_s3_conforms(bucket):
    env = {**os.environ, **bucket.env, "COOKIEPAY_TEST_BUCKET": bucket.name}
    command = ["cargo", "test", "--locked", "--test", "conformance", "s3::", "--", "--ignored"]
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "8 passed" in run.stdout, run.stdout
    assert not bucket.uploads()
