-- What is still to be paid, by pay date and merchant; `running` adds it up over the pay dates. `overdue`: the pay date has passed in Seoul.
-- `as_of` is when that day was last fetched from the API, in Seoul's time: a payout may have been made since. `unstated` counts rows that give
-- no amount yet.
SELECT
    pay_date,
    merchant_id,
    count(*) AS row_count,
    coalesce(sum(payment_amount), 0) AS payout,
    sum(coalesce(sum(payment_amount), 0)) OVER (PARTITION BY merchant_id ORDER BY pay_date) AS running,
    count(*) FILTER (WHERE payment_amount IS NULL) AS unstated,
    pay_date < (now() AT TIME ZONE 'Asia/Seoul')::DATE AS overdue,
    max(extracted_at) AT TIME ZONE 'Asia/Seoul' AS as_of
FROM settlements
WHERE trim(payoff_status) IS DISTINCT FROM '03'
GROUP BY pay_date, merchant_id
ORDER BY pay_date, merchant_id;
