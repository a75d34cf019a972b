"""The machine's clock jumps while a run goes on, or was ahead when a day was written."""

import time
from datetime import date, datetime, timedelta, timezone

import pytest

import etl
import killing
from clocks import clock
from watched import OnDisk, Watched, result_of

WEEK = [date(2024, 1, 1) + timedelta(days=n) for n in range(7)]
SLOW = ("--sim-fault", "latency=400ms", "--concurrency", 1)


@pytest.mark.parametrize("jumps", [("+400d",), ("-400d",), ("-2h", "+2h", "-1d", "+1d")], ids=" ".join)
def test_the_clock_jumps_in_the_middle_of_a_run(jumps, api, injected, tmp_path):
    watched = Watched(OnDisk(tmp_path / "lake"), api, WEEK)
    told, result = tmp_path / "clock", tmp_path / "result.json"
    told.write_text("+0\n")
    env = etl.ENVIRONMENT | clock(FAKETIME_TIMESTAMP_FILE=str(told), FAKETIME_NO_CACHE="1")
    run = etl.start(*watched.args(1, *SLOW, "--result-file", result), env=env, stdout=killing.DEVNULL, stderr=killing.DEVNULL)
    for jump in jumps:
        time.sleep(1.2 / len(jumps))
        assert run.poll() is None, "the run ended before its clock jumped"
        told.write_text(f"{jump}\n")
        injected("the clock jumps in mid-run")
    assert run.wait(timeout=60) == 0
    assert result_of(result)["dates"]["published"] == len(WEEK)
    assert result_of(result)["duration_ms"] < 60_000
    watched.look()
    # afterwards the clock is right again, and what the API says by then is what counts, wherever days were dated
    Watched(watched.lake, api, WEEK).heal(2, seen=False)
    days = [etl.Day((watched.lake.dest / etl.settlement(day)).read_bytes()) for day in WEEK]
    assert all(datetime.fromisoformat(day.record["extracted_at"]) <= datetime.now(timezone.utc) for day in days)


def test_days_written_by_a_clock_that_was_ahead_are_asked_for_again(api, injected, tmp_path):
    lake = tmp_path / "lake"
    today = datetime.now(etl.SEOUL).date()
    days = [today - timedelta(days=2), today]
    rows = ("--sim-rows", "=3")
    ahead = etl.backfill(lake, *rows, first=days[0], last=days[1], env=clock(FAKETIME="+400d"))
    assert ahead.code == 0, ahead
    injected("days are written by a clock that is ahead")
    # today was closed as if it were over
    states = etl.run("status", "--dest", lake, "--output", "json").result["counts"]
    assert states["open"] == 0, states
    run = etl.backfill(lake, *rows, first=days[0], last=days[1])
    assert run.code == 0 and run.result["dates"]["published"] == 3, run
    assert "check the clocks" in run.stderr
    record = etl.Day((lake / etl.settlement(today)).read_bytes()).record
    assert record["state"] == "open" and "pay_date_not_passed" in record["open_because"], record
    assert etl.run("verify", "--dest", lake, "--output", "json").code == 0
