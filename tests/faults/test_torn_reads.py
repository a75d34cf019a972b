"""A day is replaced while engines read it from S3, where a read is several requests.

Of the plain table an engine may see two versions at once; what each does is asserted here and told in docs/delta.md. Of the Delta
table each sees one version, whole.
"""

import threading
from collections import Counter
from datetime import date
from types import SimpleNamespace

import polars
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyarrow.fs import S3FileSystem

import etl
from asking import EXAMPLES, ask, connect_s3
from proxy import Proxy

DAY = date(2024, 1, 3)
# two row groups
ROWS = 150_000
COLUMNS = ["transaction_id", "order_no", "payment_amount", "source_row", "run_id"]
PLAIN, DELTA = f"lake/{etl.settlement(DAY)}", "lake/delta"
CONNECT_DELTA = (EXAMPLES / "duckdb" / "delta" / "connect.sql").read_text()


def key(table):
    """What tells the versions apart, and a mixture from both."""
    columns = table.to_pydict() if hasattr(table, "to_pydict") else table.to_dict(as_series=False)
    return len(columns["run_id"]), *(hash(tuple(columns[name])) for name in COLUMNS)


def by_duckdb(bucket, name):
    # before the aggregates come together, every value has been read
    sums = ", ".join(f"sum(hash({column})::HUGEINT)" for column in COLUMNS)
    table = f"delta_scan('{bucket.url(name)}')" if name == DELTA else f"read_parquet('{bucket.url(name)}')"
    setup = [connect_s3(bucket)] + ([CONNECT_DELTA] if name == DELTA else [])
    [found] = ask(setup, {"q": f"SELECT count(*), {sums} FROM {table}"}, env=bucket.env)["q"][2]
    return tuple(found)


def by_pyarrow(bucket, name):
    env = bucket.env
    if name == DELTA:
        # delta-rs has the log, pyarrow the rows
        return key(DeltaTable(bucket.url(name), storage_options=env | {"AWS_ALLOW_HTTP": "true"}).to_pyarrow_table(columns=COLUMNS))
    server = env["AWS_ENDPOINT_URL"].removeprefix("http://")
    store = S3FileSystem(endpoint_override=server, scheme="http", access_key=env["AWS_ACCESS_KEY_ID"], secret_key=env["AWS_SECRET_ACCESS_KEY"], region="us-east-1")
    return key(pq.read_table(f"{bucket.name}/{name}", columns=COLUMNS, filesystem=store, partitioning=None))


def by_polars(bucket, name):
    options = bucket.env | {"AWS_ALLOW_HTTP": "true"}
    if name == DELTA:
        return key(polars.scan_delta(bucket.url(name), storage_options=options).select(COLUMNS).collect())
    return key(polars.scan_parquet(bucket.url(name), storage_options=options, hive_partitioning=False).select(COLUMNS).collect())


READERS = {"DuckDB": by_duckdb, "pyarrow": by_pyarrow, "polars": by_polars}


class Lake:
    """A lake of one large day, of which each run writes another version."""

    def __init__(self, bucket):
        self._bucket, self._seed = bucket, 0

    def replace(self):
        self._seed += 1
        rows = ("--sim-rows", f"={ROWS}", "--sim-seed", self._seed, "--refetch", "all", "--delta")
        run = etl.backfill(self._bucket.url("lake"), *rows, first=DAY, last=DAY, env=self._bucket.env)
        assert run.code == 0 and run.result["delta"]["days"] == 1, run


@pytest.fixture
def lake(bucket):
    lake = Lake(bucket)
    lake.replace()
    return lake


@pytest.mark.parametrize("reader", READERS)
def test_a_day_that_is_replaced_between_two_requests(lake, bucket, reader, often, injected):
    """The day is replaced before the second, third… read of the object: the reader's first is of the old version."""
    read, found = READERS[reader], {PLAIN: Counter(), DELTA: Counter()}
    with Proxy(bucket.env["AWS_ENDPOINT_URL"]) as proxy:
        through = SimpleNamespace(name=bucket.name, url=bucket.url, env=bucket.env | {"AWS_ENDPOINT_URL": proxy.endpoint})
        for name, seen in found.items():
            with proxy.doing(None):
                old = read(through, name)
                reads = sum(request.kind == "read" and request.path.endswith(".parquet") for request in proxy.requests)
            assert reads > 1, f"{reader} reads {name} at once"
            for nth in often(sorted({2, reads}), range(2, reads + 1)):
                count = 0

                def script(_, request, nth=nth):
                    nonlocal count
                    if request.kind == "read" and request.path.endswith(".parquet"):
                        count += 1
                        if count == nth:
                            lake.replace()

                with proxy.doing(script):
                    try:
                        now = read(through, name)
                    except Exception as error:
                        now = f"an error: {str(error).strip().splitlines()[-1][:160]}"
                new = read(bucket, name)
                seen["old" if now == old else "new" if now == new else now if isinstance(now, str) else "a mixture"] += 1
                old = new
                injected(f"a day is replaced while {reader} reads it")
    print(f"{reader}: the plain table {dict(found[PLAIN])}, the Delta table {dict(found[DELTA])}")
    # new where the log, whose checkpoints are Parquet too, was still being read
    assert found[DELTA].keys() <= {"old", "new"}, found[DELTA]
    # it compares ETags; the others take the bytes as they come, and fail where these make no sense
    assert reader != "DuckDB" or all("etag" in outcome for outcome in found[PLAIN]), found[PLAIN]


def test_readers_of_the_delta_table_while_days_are_replaced(lake, bucket, often, injected):
    """A writer that does nothing else, and readers that do nothing else."""
    over, versions, failed = threading.Event(), [], []

    def write():
        try:
            while not over.is_set():
                lake.replace()
                versions.append(DeltaTable(bucket.url(DELTA), storage_options=bucket.env | {"AWS_ALLOW_HTTP": "true"}).version())
        except Exception as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = Counter()
        while len(versions) < often(4, 40) and not failed:
            for reader in ("pyarrow", "polars"):
                rows = READERS[reader](bucket, DELTA)
                assert rows[0] == ROWS
                seen[rows] += 1
            question = f"SELECT count(*), count(DISTINCT run_id), count(DISTINCT source_row) FROM delta_scan('{bucket.url(DELTA)}')"
            [found] = ask([connect_s3(bucket), CONNECT_DELTA], {"q": question}, env=bucket.env)["q"][2]
            assert tuple(found) == (ROWS, 1, ROWS)
            injected("the Delta table is read while days are replaced", 3)
    finally:
        over.set()
        writer.join()
    assert not failed, failed
    assert len(seen) > 1, "no reader has seen a replacement"
