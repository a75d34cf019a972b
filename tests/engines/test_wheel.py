"""What comes in the wheel beside the binary: the list of all that is linked into it, and a Python package that finds it."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
AIRFLOW = Path(os.environ["COOKIEPAY_AIRFLOW"])


def test_the_wheel_lists_all_that_is_linked():
    [sbom] = AIRFLOW.glob("lib/python*/site-packages/cookiepay_etl-*.dist-info/sboms/*.cyclonedx.json")
    components = {(part["name"], part["version"]): part for part in json.loads(sbom.read_text())["components"]}
    command = ["cargo", "tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"]
    tree = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    linked = {(name, version.removeprefix("v")) for name, version, *_ in map(str.split, filter(None, tree.splitlines()))}
    assert len(linked) > 200
    unlisted = linked - components.keys()
    assert {name for name, _ in unlisted} == {"cookiepay-etl"}, "the list's own subject, and nothing else, is not in it"
    for part in components.values():
        assert part["licenses"] and part["hashes"] and part["purl"].startswith("pkg:cargo/"), part


def test_python_finds_the_binary_that_pip_installed():
    def python(*args):
        # nothing on the PATH
        run = subprocess.run([AIRFLOW / "bin" / "python", *args], env={"PATH": "/nowhere"}, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    assert python("-c", "import cookiepay_etl; print(cookiepay_etl.find_binary())") == str(AIRFLOW / "bin" / "cookiepay-etl")
    assert python("-m", "cookiepay_etl", "--version").startswith("cookiepay-etl ")


def test_the_binary_is_found_wherever_pip_puts_it(tmp_path):
    [package] = AIRFLOW.glob("lib/python*/site-packages/cookiepay_etl")
    places = {"--target": ("", "bin"), "--prefix": (f"lib/{package.parents[1].name}/site-packages", "bin")}
    for option, (library, scripts) in places.items():
        root = tmp_path / option
        (root / library).mkdir(parents=True)
        (root / library / "cookiepay_etl").symlink_to(package)
        (root / scripts).mkdir()
        (root / scripts / "cookiepay-etl").symlink_to(AIRFLOW / "bin" / "cookiepay-etl")
        # a Python that has no such script of its own
        command = [sys.executable, "-c", "import cookiepay_etl; print(cookiepay_etl.find_binary())"]
        env = {"PATH": "/nowhere", "PYTHONPATH": str(root / library), "PYTHONDONTWRITEBYTECODE": "1"}
        found = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.strip()
        assert found == str(root / scripts / "cookiepay-etl"), option


def test_the_wheel_requires_nothing():
    [metadata] = AIRFLOW.glob("lib/python*/site-packages/cookiepay_etl-*.dist-info/METADATA")
    assert "Requires-Dist" not in metadata.read_text()
