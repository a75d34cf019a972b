"""What the checks share: a filled lake, a real S3 server, a bucket of their own."""

import signal

import pytest

import books
import etl
from buckets import bucket, gateway  # noqa: F401, fixtures of all the checks

# ended from outside, the checks end what they started
signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="module")
def quarter(tmp_path_factory):
    """A quarter in a folder whose name wants quoting, and the result of the run that filled it."""
    lake = tmp_path_factory.mktemp("quarter") / "the lake's 정산"
    run = etl.backfill(lake)
    assert run.code == 0, run
    return lake, run


@pytest.fixture(scope="session")
def shops(tmp_path_factory):
    """The lake of two merchants' books."""
    lake = tmp_path_factory.mktemp("shops") / "the shops' 장부"
    with books.api() as api:
        for merchant in books.MERCHANTS:
            for first, last in ((books.FIRST, books.LAST), (books.AHEAD, books.AHEAD)):
                account = ("--base-url", api.url, "--api-id", merchant)
                days = ("--from", first, "--to", last, "--rate-limit", 0)
                run = etl.run("backfill", *account, *days, "--dest", lake, env={"COOKIEPAY_API_KEY": "a key"})
                assert run.code == 0, run
    return lake
