-- What is paid out, by pay date and merchant. `payout` is net of fee and VAT: it should be the bank's deposit of that day (books/deposits.sql
-- compares the two in SQL; cookiepay-etl reconcile --deposits FILE does so with the bank's own file).
-- `approved`, `voided` (cancelled the same day) and `cancelled` (later) are gross, the last two without sign. `pending` is the part of
-- `payout` that is not paid yet; `unstated` counts rows that give no amount to pay ("-"), as voided payments do. A day without rows
-- has no line.
SELECT
    pay_date,
    merchant_id,
    count(*) AS row_count,
    coalesce(sum(auth_amount) FILTER (WHERE payment_status = '11'), 0) AS approved,
    coalesce(sum(abs(auth_amount)) FILTER (WHERE payment_status = '21'), 0) AS voided,
    coalesce(sum(abs(auth_amount)) FILTER (WHERE payment_status = '22'), 0) AS cancelled,
    coalesce(sum(fee), 0) AS fee,
    coalesce(sum(vat), 0) AS vat,
    coalesce(sum(payment_amount), 0) AS payout,
    coalesce(sum(payment_amount) FILTER (WHERE trim(payoff_status) IS DISTINCT FROM '03'), 0) AS pending,
    count(*) FILTER (WHERE payment_amount IS NULL) AS unstated
FROM settlements
GROUP BY ALL
ORDER BY pay_date, merchant_id;
