"""The lake as its own ledger, ten years long: what a look at it costs on S3."""

import json
from datetime import date

import etl
from counting import Counter

DECADE = {"first": date(2014, 1, 1), "last": date(2023, 12, 29)}
DAYS = 3650
PAGE = 1000


def test_a_decade_is_read_by_one_listing_and_a_read_a_day(bucket):
    small = ("--sim-rows", 2, "--concurrency", 32)
    run = etl.backfill(bucket.url("lake"), *small, env=bucket.env, **DECADE)
    assert run.code == 0 and run.result["dates"]["published"] == DAYS, run
    pages = -(-DAYS // PAGE)

    with Counter(bucket.env["AWS_ENDPOINT_URL"]) as counter:
        env = bucket.env | {"AWS_ENDPOINT_URL": counter.endpoint}
        status = etl.run("status", "--dest", bucket.url("lake"), "--output", "json", env=env)
        assert status.code == 0, status
        counts = json.loads(status.stdout)["counts"]
        assert counts["closed"] + counts["closed_empty"] == DAYS and counts["missing"] == 0
        # the table's listing, the one of history/, and the end of each file
        assert sorted({line.split(b" ")[0] for line in counter.requests}) == [b"GET"]
        assert len(counter.requests) == pages + 1 + DAYS
        print(f"status: {len(counter.requests)} requests, {status.seconds:.1f} s")

        counter.requests.clear()
        again = etl.backfill(bucket.url("lake"), *small, env=env, **DECADE)
        assert again.code == 0 and again.result["dates"]["skipped"] == DAYS, again
        assert again.result["requests"] == 0
        assert len(counter.requests) == pages + DAYS

        counter.requests.clear()
        missing = etl.backfill(bucket.url("lake"), *small, "--refetch", "missing", env=env, **DECADE)
        assert missing.code == 0, missing
        # one file tells whose lake it is; the rest the listing does
        assert len(counter.requests) == pages + 1
