#!/usr/bin/env python3
"""Makes the table in Spark and shows what was paid out by month.

    cookiepay-etl schema --format spark --dest ./lake > settlements.sql
    spark-submit settlements.py settlements.sql

`--dest` is the lake as Spark sees it: a folder, or s3a://bucket/prefix with Hadoop's S3 client on the class path (s3:// on EMR). Comments are
in Korean with `--lang ko`; `--table labels` prints a view that names statuses and acquirers; `--table delta` prints the same table over delta/,
with Delta Lake's jar on the class path.
`spark-sql -f settlements.sql` makes the same table. As days land, MSCK REPAIR TABLE settlements makes them known; a day that was fetched
again is seen by the next session, or after REFRESH TABLE settlements.
"""

import sys
from pathlib import Path

from pyspark.sql import SparkSession

PAYOUT = """
    SELECT date_trunc('MONTH', pay_date)::DATE AS month, merchant_id, count(*) AS row_count, sum(payment_amount) AS payout, sum(fee) AS fee,
           max(extracted_at) AS asked_at
    FROM settlements
    GROUP BY ALL
    ORDER BY month, merchant_id
"""

spark = (
    SparkSession.builder.appName("settlements")
    # times are stored as instants and shown in the session's time zone
    .config("spark.sql.session.timeZone", "Asia/Seoul")
    # the table is one of Hive's
    .enableHiveSupport()
    .getOrCreate()
)
spark.sql("DROP TABLE IF EXISTS settlements")
# a statement ends with its line: comments hold semicolons too
for statement in Path(sys.argv[1]).read_text(encoding="utf-8").split(";\n"):
    if statement.strip():
        spark.sql(statement)
spark.sql(PAYOUT).show(truncate=False)
