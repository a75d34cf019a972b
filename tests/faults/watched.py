"""A lake as a reader finds it at any moment, held against what the simulator serves."""

import hashlib
import json
import re
from collections import defaultdict
from datetime import date, datetime
from pathlib import Path

import etl
import served

COLUMNS = list(served.FIELDS.values())
# each run serves one of these, so that it restates what the run before left
SEEDS = range(1, 7)
TABLE = re.compile(r"settlements/pay_date=(\d{4}-\d\d-\d\d)/simulator\.parquet")
HISTORY = re.compile(r"history/pay_date=(\d{4}-\d\d-\d\d)/simulator-(\d{8}T\d{9}Z)-([0-9a-f]{8})\.parquet")
RAW = re.compile(r"raw/pay_date=\d{4}-\d\d-\d\d/simulator-\d{8}T\d{9}Z-[0-9a-f]{8}\.json\.zst")


def failed(run, *words, codes=(7,)):
    """What a run says of a lake that fails: kind and exit code, and the words, of each day that failed."""
    assert run.code in codes, run
    result = run.result
    told = [failure["message"] for failure in result["failures"]] or [result["error"]]
    assert {failure["kind"] for failure in result["failures"]} <= {"storage"}, run
    for message in told:
        for word in words:
            assert word in message, f"{word!r} is not told: {message}"
    # a result that calls a day failed is loud in the logs, too
    assert all(message[:60] in run.stderr for message in told), run
    return result


def stamp(record):
    """When a record's answer came, as names have it."""
    answered = datetime.fromisoformat(record["extracted_at"])
    return f"{answered:%Y%m%dT%H%M%S}{answered.microsecond // 1000:03}Z"


class OnDisk:
    """A lake in a folder."""

    env = None

    def __init__(self, folder):
        self.dest = Path(folder)

    def objects(self):
        return {name: content for name, content in etl.files(self.dest).items() if not name.startswith(".staging/")}

    def left_over(self):
        """What only a run that is under way may leave."""
        return [name for name in etl.files(self.dest) if name.startswith(".staging/")]


class OnS3:
    """A lake in a bucket."""

    def __init__(self, bucket):
        self._bucket, self.env, self.dest = bucket, bucket.env, bucket.url("lake")
        self._kept = {}

    def objects(self):
        found = {}
        for name in self._bucket.names():
            short = name.removeprefix("lake/")
            # what is kept never changes, and is read once
            if short not in self._kept or TABLE.fullmatch(short):
                self._kept[short] = self._bucket.read(name)
            found[short] = self._kept[short]
        return found

    def left_over(self):
        # parts of a killed run's uploads are no objects; a lifecycle rule clears them
        return []


class Watched:
    """Looks at a lake again and again, and knows every version that its table ever held.

    Whatever happens, a look finds whole days that the simulator served and nothing else; no day goes
    back to an older answer; a version that was replaced is in `history/` once, as it was.
    """

    def __init__(self, lake, api, days):
        self.lake, self.days, self._api = lake, days, api
        # by day: every version seen in the table, by its seal; those in history at the last look
        self.versions, self.kept = defaultdict(dict), {}
        # by day the newest answer seen; what a file was found to hold
        self._newest, self._checked = {}, {}

    def _day(self, name, content, day, seeds):
        """A file that is whole and holds what was served; read once."""
        mark = hashlib.sha256(content).digest()
        if mark not in self._checked:
            found = etl.Day(content)
            record = found.record
            assert found.is_sealed(), name
            assert (record["pay_date"], record["merchant_id"]) == (str(day), "simulator"), name
            assert found.rows.num_rows == record["rows"], name
            assert found.sums() == etl.decimals(record["sums"]), name
            assert found.rows["source_row"].to_pylist() == list(range(1, record["rows"] + 1)), name
            assert set(found.rows["run_id"].to_pylist()) <= {record["run_id"]}, name
            rows = list(zip(*(found.rows[column].to_pylist() for column in COLUMNS)))
            self._checked[mark] = record, rows
        record, rows = self._checked[mark]
        assert any(self._api.rows(seed, day) == rows for seed in seeds), f"{name} holds rows that were not served"
        return record

    def look(self):
        """The lake now; gives the records by day."""
        objects, records, kept = self.lake.objects(), {}, defaultdict(list)
        for name, content in objects.items():
            if found := TABLE.fullmatch(name):
                day = date.fromisoformat(found[1])
                record = self._day(name, content, day, SEEDS)
                answered = datetime.fromisoformat(record["extracted_at"])
                assert answered >= self._newest.get(day, answered), f"{name} went back to an older answer"
                self._newest[day] = answered
                self.versions[day][record["seal"]] = record, content
                records[day] = record
            elif found := HISTORY.fullmatch(name):
                day = date.fromisoformat(found[1])
                record = self._day(name, content, day, SEEDS)
                assert (stamp(record), record["run_id"][-8:]) == (found[2], found[3]), name
                kept[day].append((record["seal"], content))
            else:
                assert RAW.fullmatch(name), f"{name} does not belong in a lake"
            if (TABLE.fullmatch(name) or HISTORY.fullmatch(name)) and (raw := record.get("raw")):
                assert hashlib.sha256(objects[raw["name"]]).hexdigest() == raw["sha256"], raw["name"]
        assert self._newest.keys() == records.keys(), "a day that was there is gone"
        for day, versions in kept.items():
            assert len({seal for seal, _ in versions}) == len(versions), f"a version of {day} is kept twice"
        for day, versions in self.versions.items():
            for seal, (_, content) in versions.items():
                if seal != records[day]["seal"] and (seal in dict(kept[day]) or seal not in self._closed_later(day)):
                    assert dict(kept[day]).get(seal) == content, f"a version of {day} that was replaced is not kept as it was"
        self.kept = kept
        return records

    def _closed_later(self, day):
        """Versions that were open only as long as no day was known to have rows, and need not be in `history/`."""
        records = [record for record, _ in self.versions[day].values()]
        closed = {record["digest"] for record in records if record["state"] == "closed"}
        return {r["seal"] for r in records if r["open_because"] == ["empty_unproven"] and r["digest"] in closed}

    def run(self, seed, *flags, env=None, **given):
        return etl.run(*self.args(seed, *flags), env=(self.lake.env or {}) | (env or {}), **given)

    def args(self, seed, *flags):
        restating = ("--refetch", "all", "--allow-empty-replacement", "--sim-seed", seed)
        return etl.backfill_args(self.lake.dest, *restating, *flags, first=self.days[0], last=self.days[-1])

    def fill(self, seed=1):
        run = self.run(seed)
        assert run.code == 0, run
        self.look()

    def heal(self, seed, *flags, seen=True):
        """Runs it again, undisturbed: afterwards every day is what the seed's simulator serves, row for row.

        With `seen`, a look saw every version that the table ever held, and `history/` holds no other.
        """
        run = self.run(seed, *flags)
        assert run.code == 0, run
        records = self.look()
        assert sorted(records) == self.days
        objects = self.lake.objects()
        for day in self.days:
            name = etl.settlement(day)
            self._day(name, objects[name], day, [seed])
            now = {records[day]["seal"]}
            unlike = {seal for seal, _ in self.kept[day]} ^ self.versions[day].keys()
            assert not seen or unlike <= now | self._closed_later(day), f"{day} has versions that were never in the table"
        assert self.lake.left_over() == []
        self.verify()
        return run

    def verify(self):
        sound = etl.run("verify", "--dest", self.lake.dest, "--output", "json", env=self.lake.env)
        assert sound.code == 0, sound
        assert sound.result["differences"] == [], sound


def result_of(path):
    """A result file, whole."""
    [line] = Path(path).read_text(encoding="utf-8").splitlines()
    result = json.loads(line)
    dates = result["dates"]
    done = sum(dates[name] for name in ("published", "unchanged", "skipped", "failed", "not_attempted"))
    assert done == dates["planned"], result
    return result
