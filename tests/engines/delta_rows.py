"""The rows of a Delta table, as delta-rs reads it, and of the day files that it must equal."""

from datetime import date
from pathlib import Path

from deltalake import DeltaTable

import etl

CONTENT = ["pay_date", "merchant_id", "transaction_id", "payment_status", "auth_amount", "payment_amount", "source_row", "extracted_at", "run_id"]


def key(rows):
    return sorted(tuple(row[name] for name in CONTENT) for row in rows)


def _rows(name, content):
    day = date.fromisoformat(name.split("pay_date=")[1].partition("/")[0])
    return [row | {"pay_date": day} for row in etl.Day(content).rows.to_pylist()]


class OnDisk:
    """A lake in a folder."""

    def __init__(self, lake):
        self.dest, self.env = Path(lake), {}

    def days(self):
        paths = (self.dest / "settlements").rglob("*.parquet")
        return key(row for path in paths for row in _rows(path.as_posix(), path.read_bytes()))

    def open(self):
        return DeltaTable(str(self.dest / "delta"))

    def rows(self):
        table = self.open()
        assert (table.protocol().min_reader_version, table.protocol().min_writer_version) == (1, 2)
        assert table.metadata().partition_columns == []
        return key(table.to_pyarrow_table().to_pylist())


class OnS3(OnDisk):
    """A lake in a bucket."""

    def __init__(self, bucket, prefix="lake"):
        self.bucket, self.prefix, self.dest, self.env = bucket, prefix, bucket.url(prefix), bucket.env

    def days(self):
        names = [name for name in self.bucket.names() if name.startswith(f"{self.prefix}/settlements/")]
        return key(row for name in names for row in _rows(name, self.bucket.read(name)))

    def open(self):
        return DeltaTable(f"{self.dest}/delta", storage_options=self.env | {"AWS_ALLOW_HTTP": "true"})
