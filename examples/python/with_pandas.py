#!/usr/bin/env python3
"""The table in pandas, and what was paid out by month.

    python3 with_pandas.py ./lake
    python3 with_pandas.py s3://your-bucket/cookiepay     (needs s3fs)

Reads `settlements/` alone: the lake's root also holds other files. `pay_date`, which is in the path, is a date; amounts are exact decimals.
"""

import sys

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

lake = sys.argv[1].rstrip("/")
settlements = pd.read_parquet(
    f"{lake}/settlements",
    partitioning=ds.partitioning(pa.schema([("pay_date", pa.date32())]), flavor="hive"),
    dtype_backend="pyarrow",
)
# to read some days only:  filters=[("pay_date", ">=", date(2024, 1, 1)), ("pay_date", "<=", date(2024, 1, 31))]

month = settlements["pay_date"].dt.strftime("%Y-%m").rename("month")
payout = settlements.groupby([month, "merchant_id"]).agg(rows=("merchant_id", "size"), payout=("payment_amount", "sum"), fee=("fee", "sum"))
print(payout.to_string())
