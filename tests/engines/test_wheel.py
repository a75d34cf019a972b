"""What comes in the wheel beside the binary: the list of all that is linked into it."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_lists_all_that_is_linked():
    [sbom] = Path(os.environ["COOKIEPAY_AIRFLOW"]).glob("lib/python*/site-packages/cookiepay_etl-*.dist-info/sboms/*.cyclonedx.json")
    components = {(part["name"], part["version"]): part for part in json.loads(sbom.read_text())["components"]}
    command = ["cargo", "tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"]
    tree = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    linked = {(name, version.removeprefix("v")) for name, version, *_ in map(str.split, filter(None, tree.splitlines()))}
    assert len(linked) > 200
    unlisted = linked - components.keys()
    assert {name for name, _ in unlisted} == {"cookiepay-etl"}, "the list's own subject, and nothing else, is not in it"
    for part in components.values():
        assert part["licenses"] and part["hashes"] and part["purl"].startswith("pkg:cargo/"), part
