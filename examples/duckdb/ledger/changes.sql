-- Which pay dates changed, when that was seen (in Seoul's time), and by how much. `restated`: the version before was closed. `updated`: it
-- was open, as when announced rows arrive or pending ones are paid.
WITH versions AS (
    SELECT
        *,
        lag(state) OVER earlier_first AS state_before,
        lag(digest) OVER earlier_first AS digest_before,
        lag("rows") OVER earlier_first AS rows_before,
        lag(payment_amount) OVER earlier_first AS payout_before
    FROM ledger
    WINDOW earlier_first AS (PARTITION BY merchant_id, pay_date ORDER BY "current", extracted_at)
)
SELECT
    merchant_id,
    pay_date,
    extracted_at AT TIME ZONE 'Asia/Seoul' AS seen_at,
    CASE state_before WHEN 'closed' THEN 'restated' ELSE 'updated' END AS change,
    rows_before,
    "rows" AS rows_after,
    payout_before,
    payment_amount AS payout_after,
    payment_amount - payout_before AS difference
FROM versions
WHERE digest_before IS NOT NULL AND digest <> digest_before
ORDER BY seen_at DESC, merchant_id, pay_date;
