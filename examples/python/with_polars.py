#!/usr/bin/env python3
"""The table in polars, and what was paid out by month.

    python3 with_polars.py ./lake
    python3 with_polars.py s3://your-bucket/cookiepay

Reads `settlements/` alone: the lake's root also holds other files. `pay_date`, which is in the path, is a date; amounts are exact decimals.
The scan is lazy: a filter on pay_date opens only the files of those days.
"""

import sys

import polars as pl

lake = sys.argv[1].rstrip("/")
settlements = pl.scan_parquet(f"{lake}/settlements/", hive_partitioning=True, hive_schema={"pay_date": pl.Date})

payout = (
    settlements.group_by(pl.col("pay_date").dt.strftime("%Y-%m").alias("month"), "merchant_id")
    .agg(pl.len().alias("rows"), pl.col("payment_amount").sum().alias("payout"), pl.col("fee").sum().alias("fee"))
    .sort("month", "merchant_id")
    .collect()
)
with pl.Config(tbl_rows=-1):
    print(payout)
