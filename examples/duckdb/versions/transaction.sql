-- Every version of one transaction, under whichever pay dates: `replaced_at` is when a later version of that pay date was seen (NULL: it is what
-- the table contains). If the last line of a pay date has a time there, the transaction is no longer in it. Times are Seoul's. Set the
-- transaction first; a range of pay dates in the view (schema --table versions --from … --to …) opens fewer files.
SET VARIABLE transaction = 'CTS00000000000000001';

WITH known AS (
    SELECT
        path,
        extracted_at AS seen_at,
        lead(extracted_at) OVER (PARTITION BY merchant_id, pay_date ORDER BY "current", extracted_at) AS replaced_at
    FROM ledger
)
SELECT
    versions.pay_date,
    versions.merchant_id,
    known.seen_at AT TIME ZONE 'Asia/Seoul' AS seen_at,
    known.replaced_at AT TIME ZONE 'Asia/Seoul' AS replaced_at,
    versions.payment_status,
    versions.order_no,
    versions.auth_amount,
    versions.fee,
    versions.vat,
    versions.payment_amount,
    versions.payoff_status
FROM versions
JOIN known USING (path)
WHERE versions.transaction_id = getvariable('transaction')
ORDER BY versions.pay_date, versions.merchant_id, known.seen_at, versions.source_row;
