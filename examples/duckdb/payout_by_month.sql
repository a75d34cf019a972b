-- What is paid out, by month of the pay date and merchant: what to book for a month. `payout_days` counts the days that have rows.
-- The other columns mean what they do in payout_by_day.sql; `pending` above zero says that the month's payout may still move.
SELECT
    date_trunc('month', pay_date)::DATE AS month,
    merchant_id,
    count(DISTINCT pay_date) AS payout_days,
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
ORDER BY month, merchant_id;
