"""The crontab example as it stands, run by the real cron daemon."""

import fcntl
import json
import subprocess
import time
from datetime import date, timedelta
from pathlib import Path

import pytest

from machine import SYNC, UID, Machine, as_user
from simulator import KEY, Simulator

CRONTAB = Path(__file__).resolve().parents[2] / "examples" / "cron" / "cookiepay-etl"

# cron alone has another clock, three seconds before its hour; a mail is a file
CRON = f"""
rm -f /etc/cron.d/* /var/spool/cron/crontabs/*
: >/etc/crontab
install -m 644 {CRONTAB} /etc/cron.d/cookiepay-etl
printf '#!/bin/sh\\ncat >/var/lib/cookiepay/mail.part && mv /var/lib/cookiepay/mail.part /var/lib/cookiepay/mail\\n' >/usr/sbin/sendmail
chmod 755 /usr/sbin/sendmail
faketime=$(echo /usr/lib/*/faketime/libfaketime.so.1)
exec env -i LD_PRELOAD="$faketime" FAKETIME='@2026-11-23 21:09:57' TZ=UTC PATH=/usr/sbin:/usr/bin:/sbin:/bin cron -f
"""


@pytest.fixture(scope="module")
def simulator():
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def machine(tmp_path, simulator):
    machine = Machine(tmp_path, simulator.url, KEY)
    begun = machine.run(as_user("cookiepay-etl", *SYNC, "--since", str(date.today() - timedelta(days=3))))
    assert begun.code == 0, begun
    return machine


def morning(machine, over):
    """Runs cron until `over()`, and a moment longer; the mail, if there is one."""
    cron = machine.start(CRON, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while not over():
            assert cron.poll() is None, cron.stdout.read()
            assert time.monotonic() < deadline, "cron did not get so far in time"
            time.sleep(0.05)
        time.sleep(1)
    finally:
        cron.kill()
        cron.communicate()
    mail = machine.state / "mail"
    return mail.read_text() if mail.exists() else None


def test_a_good_morning_is_silent(machine):
    result = machine.state / "sync.json"
    assert morning(machine, result.exists) is None
    assert json.loads(result.read_text())["status"] == "success"
    assert result.stat().st_uid == UID, "the job ran as its user"


def test_a_bad_morning_is_mailed(machine):
    machine.key = "revoked-key-0123456789"
    text = morning(machine, (machine.state / "mail").exists)
    assert "To: root" in text
    assert "ERROR" in text and "credentials" in text and "cookiepay-etl sync ended with 4" in text
    assert machine.key not in text
    assert json.loads((machine.state / "sync.json").read_text())["exit_code"] == 4


def test_a_run_that_is_still_at_work_is_left_alone(machine):
    with open(machine.state / "sync.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        text = morning(machine, (machine.state / "mail").exists)
    assert "cookiepay-etl sync ended with 75" in text
    assert not (machine.state / "sync.json").exists()
