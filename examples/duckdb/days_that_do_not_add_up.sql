-- Days on which amount - fee - VAT is not what is paid out, row by row: two rows that are off against each other are still two rows off.
-- `difference` is what the day's payout lacks (negative: has too much); `worst` names up to five transactions, the furthest off first.
-- `unstated` counts approved rows that lack one of the four amounts and so cannot be checked. No line is good news.
WITH checked AS (
    -- wider than stored, so that no amount overflows
    SELECT *, auth_amount::DECIMAL(24, 2) - fee - vat - payment_amount AS difference
    FROM settlements
)
SELECT
    pay_date,
    merchant_id,
    count(*) AS row_count,
    count(*) FILTER (WHERE difference <> 0) AS rows_off,
    coalesce(sum(difference), 0) AS difference,
    (list(transaction_id ORDER BY abs(difference) DESC, source_row) FILTER (WHERE difference <> 0))[1:5] AS worst,
    count(*) FILTER (WHERE difference IS NULL AND payment_status = '11') AS unstated
FROM checked
GROUP BY pay_date, merchant_id
HAVING rows_off > 0 OR unstated > 0
ORDER BY pay_date, merchant_id;
