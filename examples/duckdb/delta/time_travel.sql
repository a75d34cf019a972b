-- What a run changed, by pay date and merchant: the Delta table at an earlier version beside the newest. The views `settlements` (schema --table
-- delta) and `earlier` must be there; the first line of that view's DDL shows how an earlier version is attached. A version exists as long as the
-- log lasts: for older states, see versions/.
SELECT
    coalesce(now.pay_date, past.pay_date) AS pay_date,
    coalesce(now.merchant_id, past.merchant_id) AS merchant_id,
    past.row_count AS rows_before,
    now.row_count AS rows_after,
    past.payout AS payout_before,
    now.payout AS payout_after,
    coalesce(now.payout, 0) - coalesce(past.payout, 0) AS difference
FROM (
    SELECT pay_date, merchant_id, count(*) AS row_count, sum(payment_amount) AS payout, max(run_id) AS run_id FROM earlier GROUP BY ALL
) AS past
FULL JOIN (
    SELECT pay_date, merchant_id, count(*) AS row_count, sum(payment_amount) AS payout, max(run_id) AS run_id FROM settlements GROUP BY ALL
) AS now ON now.pay_date = past.pay_date AND now.merchant_id = past.merchant_id
WHERE now.run_id IS DISTINCT FROM past.run_id
ORDER BY pay_date, merchant_id;
