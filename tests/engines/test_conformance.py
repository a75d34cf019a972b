"""The Rust suite that every destination must pass, against the real S3 server."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "tests" / "it" / "conformance.rs"


def test_s3_conforms(bucket):
    env = {**os.environ, **bucket.env, "COOKIEPAY_TEST_BUCKET": bucket.name}
    command = ["cargo", "test", "--locked", "--test", "it", "conformance::s3::", "--", "--ignored"]
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
    suites = re.search(r"conforms!\(\n(.*?)\);", SUITE.read_text(), re.DOTALL)[1].split(",")
    assert f"{len(suites)} passed; 0 failed" in run.stdout, run.stdout
    assert not bucket.uploads()
