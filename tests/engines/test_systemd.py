"""The systemd examples: what systemd itself says of them, and the service's command run as it would run it."""

import re
import signal
import subprocess
import time
from datetime import date, timedelta
from pathlib import Path

import pytest

import etl
from machine import Machine, as_user
from simulator import KEY, Simulator

UNITS = Path(__file__).resolve().parents[2] / "examples" / "systemd"
INSTALLED = f"""
install -m 644 {UNITS}/* /etc/systemd/system/
touch /usr/sbin/sendmail && chmod 755 /usr/sbin/sendmail
cd /etc/systemd/system
"""


def setting(name, unit="cookiepay-etl.service"):
    [value] = re.findall(rf"^{name}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)
    return value


@pytest.fixture(scope="module")
def simulator():
    with Simulator("--sim-fault", f"latency=60s@{date.today() + timedelta(days=2)}") as simulator:
        yield simulator


@pytest.fixture
def machine(tmp_path, simulator):
    return Machine(tmp_path, simulator.url, KEY)


def test_systemd_has_nothing_to_say_against_the_units(machine):
    names = " ".join(sorted(path.name for path in UNITS.iterdir()))
    verified = machine.run(f"{INSTALLED}systemd-analyze verify --man=no {names}")
    assert (verified.code, verified.stdout, verified.stderr) == (0, "", ""), verified
    # 0 is the tightest sandbox, 10 none
    sandbox = machine.run(f"{INSTALLED}systemd-analyze security --offline=true --threshold=15 cookiepay-etl.service")
    assert sandbox.code == 0, sandbox


def test_the_timer_is_seouls_morning():
    base = ["--base-time=2026-11-23 21:09:59 UTC", setting("OnCalendar", "cookiepay-etl.timer")]
    run = subprocess.run(["systemd-analyze", "calendar", *base], env={**etl.ENVIRONMENT, "TZ": "UTC"}, capture_output=True, text=True)
    assert "2026-11-23 21:10:00 UTC" in run.stdout, run


def service(machine, *more):
    """ExecStart, with the credential where systemd puts it: a folder that only the job can read."""
    assert setting("LoadCredential") == "api-key:/etc/cookiepay-etl/api-key"
    folder = "/run/credentials/cookiepay-etl.service"
    name, path = setting("Environment").replace("%d", folder).split("=")
    copy = f"install -d -m 500 -o cookiepay {folder}\ninstall -m 400 -o cookiepay /etc/cookiepay-etl/api-key {folder}/api-key\n"
    # what the settings file names is not there: the credential is what counts
    return f"{copy}rm /etc/cookiepay-etl/api-key\nexport {name}={path}\n" + as_user(*setting("ExecStart").split(), *more)


def test_the_service_is_quiet_where_it_goes_well_and_is_not_tried_again_in_vain(machine):
    since = ("--since", str(date.today() - timedelta(days=3)), "--ahead", "0")
    good = machine.run(service(machine, *since))
    assert (good.code, good.stderr, good.result["status"]) == (0, "", "success"), good
    machine.key = "revoked-key-0123456789"
    refused = machine.run(service(machine, "--ahead", "0"))
    assert refused.code == 4 and "credentials" in refused.stderr, refused
    assert machine.key not in refused.stdout + refused.stderr
    assert {str(code) for code in (2, 4, 5)} == set(setting("RestartPreventExitStatus").split())


def test_a_service_that_is_stopped_has_not_failed(machine):
    since = ("--since", str(date.today() - timedelta(days=3)))
    with machine.start(service(machine, *since), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        # one day the API keeps waiting, and empty ones may wait for the run's end with it
        while len(list(machine.state.glob("lake/settlements/*/*.parquet"))) < 4:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert str(process.returncode) == setting("SuccessExitStatus") == "143"
    assert not list(machine.state.glob("lake/.staging/*"))
