-- What changed on a pay date, row by row, from each version to the next: `seen_at` is when the later one was seen, in Seoul's time. Rows that are
-- equal in all that the API sent are left out; of the others, those that share transaction and status are one changed row. Set the merchant and
-- the pay date first.
SET VARIABLE merchant = 'your-api-id';
SET VARIABLE day = DATE '2024-01-05';

WITH known AS (
    SELECT path, extracted_at, row_number() OVER (ORDER BY "current", extracted_at) AS version
    FROM ledger
    WHERE merchant_id = getvariable('merchant') AND pay_date = getvariable('day')
),
content AS (
    -- the pay date is compared with a constant, so that no other day's file is opened
    SELECT version, versions.* EXCLUDE (pay_date, "current", path, source_row, extracted_at, run_id)
    FROM versions
    JOIN known USING (path)
    WHERE versions.pay_date = getvariable('day')
),
earlier AS (
    SELECT * REPLACE (version + 1 AS version) FROM content WHERE version < (SELECT max(version) FROM known)
),
later AS (
    SELECT * FROM content WHERE version > 1
),
removed AS (
    SELECT *, row_number() OVER (PARTITION BY version, transaction_id, payment_status ORDER BY auth_amount, payment_amount) AS nth
    FROM (FROM earlier EXCEPT ALL FROM later)
),
added AS (
    SELECT *, row_number() OVER (PARTITION BY version, transaction_id, payment_status ORDER BY auth_amount, payment_amount) AS nth
    FROM (FROM later EXCEPT ALL FROM earlier)
)
SELECT
    known.extracted_at AT TIME ZONE 'Asia/Seoul' AS seen_at,
    CASE WHEN removed.version IS NULL THEN 'added' WHEN added.version IS NULL THEN 'removed' ELSE 'changed' END AS change,
    transaction_id,
    payment_status,
    coalesce(added.order_no, removed.order_no) AS order_no,
    removed.auth_amount AS auth_amount_before,
    added.auth_amount AS auth_amount_after,
    removed.fee AS fee_before,
    added.fee AS fee_after,
    removed.payment_amount AS payout_before,
    added.payment_amount AS payout_after,
    removed.payoff_status AS payoff_status_before,
    added.payoff_status AS payoff_status_after,
    coalesce(added.payment_amount, 0) - coalesce(removed.payment_amount, 0) AS difference
FROM removed
FULL JOIN added USING (version, transaction_id, payment_status, nth)
JOIN known USING (version)
ORDER BY version, transaction_id, payment_status, nth;
