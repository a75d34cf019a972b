"""Reads a lake with old readers, in the environment of requirements-old-readers.txt: a folder and views in, what each found out, as a pickle."""

import json
import pickle
import sys
from datetime import timezone

import duckdb
import fastparquet
import pandas
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

lake, views = json.load(sys.stdin)
found = {}

partitioning = ds.partitioning(pa.schema([("pay_date", pa.date32())]), flavor="hive")
table = ds.dataset(f"{lake}/settlements", partitioning=partitioning).to_table()
types = {field.name: str(field.type) for field in table.schema}
first = table.sort_by("pay_date").to_pylist()[0]
# its zone is pytz's
first["extracted_at"] = first["extracted_at"].replace(tzinfo=timezone.utc)
found["pyarrow"] = (pa.__version__, table.num_rows, pc.sum(table["payment_amount"]).as_py(), types, first)

with duckdb.connect() as db:
    for view in views:
        db.execute(view)
    [(count, payout, days)] = db.execute("SELECT count(*), sum(payment_amount), count(DISTINCT pay_date) FROM settlements").fetchall()
    [(versions, rows)] = db.execute('SELECT count(*), sum("rows") FROM ledger').fetchall()
    found["duckdb"] = (duckdb.__version__, count, payout, days, versions, rows)

# has no decimals: amounts are doubles
frame = pandas.read_parquet(f"{lake}/settlements", engine="fastparquet")
# pay dates are a category, in no order
first = frame.assign(pay_date=frame["pay_date"].astype(str)).sort_values(["pay_date", "source_row"]).iloc[0]
found["fastparquet"] = (fastparquet.__version__, len(frame), float(frame["payment_amount"].sum()), first["order_no"], first["extracted_at"].isoformat())
pickle.dump(found, sys.stdout.buffer)
