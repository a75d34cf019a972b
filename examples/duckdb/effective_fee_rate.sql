-- Do we pay the rate that is stated? Approved rows by merchant, method, acquirer and stated rate (percent), the largest difference first.
-- `fee_at_rate` is exact, amount x rate of each row; `difference` is what was charged beyond it. Fees cut to whole won leave a
-- little below zero: `rows_off` counts rows that are off by a won or more. Rows that lack a figure for this are in `unstated` alone.
WITH approved AS (
    SELECT
        *,
        -- wider than stored, so that no amount overflows
        auth_amount::DECIMAL(24, 2) * fee_rate * 0.01 AS fee_at_rate,
        auth_amount IS NOT NULL AND fee IS NOT NULL AND fee_rate IS NOT NULL AS stated
    FROM settlements
    WHERE payment_status = '11'
)
SELECT
    merchant_id,
    pay_type,
    acquirer_code,
    fee_rate AS stated_rate,
    min(pay_date) AS first_seen,
    max(pay_date) AS last_seen,
    count(*) FILTER (WHERE stated) AS row_count,
    sum(auth_amount) FILTER (WHERE stated) AS amount,
    sum(fee) FILTER (WHERE stated) AS fee,
    -- the one quotient here, and so the one figure by way of a DOUBLE; money never is
    (100 * sum(fee) FILTER (WHERE stated) / nullif(sum(auth_amount) FILTER (WHERE stated), 0))::DECIMAL(38, 4) AS effective_rate,
    sum(fee_at_rate) FILTER (WHERE stated)::DECIMAL(38, 2) AS fee_at_rate,
    (sum(fee) FILTER (WHERE stated) - sum(fee_at_rate) FILTER (WHERE stated))::DECIMAL(38, 2) AS difference,
    count(*) FILTER (WHERE abs(fee - fee_at_rate) >= 1) AS rows_off,
    count(*) FILTER (WHERE NOT stated) AS unstated
FROM approved
GROUP BY ALL
ORDER BY abs(difference) DESC NULLS LAST, merchant_id, pay_type, acquirer_code, stated_rate;
