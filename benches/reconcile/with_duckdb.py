"""DuckDB: both sides added up by order number, and a full join. Its usual way, with all its threads."""

import json
import sys

import duckdb

orders, lake = sys.argv[1:]
sql = f"""
WITH lines AS (
    SELECT "주문번호" AS order_no,
           sum(CASE WHEN "승인취소구분" = '승인' THEN amount ELSE -abs(amount) END) AS order_amount
    FROM (SELECT "주문번호", "승인취소구분", CAST(replace("결제금액(원)", ',', '') AS DECIMAL(18,2)) AS amount
          FROM read_csv('{orders}', all_varchar = true, header = true))
    GROUP BY ALL
), rows AS (
    SELECT order_no, sum(CASE payment_status WHEN '11' THEN auth_amount WHEN '21' THEN -abs(auth_amount) WHEN '22' THEN -abs(auth_amount) ELSE 0 END) AS pg_amount,
           count(*) AS rows
    FROM read_parquet('{lake}/settlements/*/*.parquet')
    GROUP BY ALL
)
SELECT sum(order_amount), sum(rows), count(*) FILTER (coalesce(order_amount, 0) = coalesce(pg_amount, 0)), count(*)
FROM lines FULL JOIN rows USING (order_no)
"""
order_amount, rows, matched, cases = duckdb.sql(sql).fetchall()[0]
print(json.dumps({"order_amount": str(order_amount), "rows": int(rows), "matched": matched, "cases": cases}))
