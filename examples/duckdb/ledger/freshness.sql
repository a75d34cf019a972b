-- How fresh each merchant's days are: the last pay date that has a file, the last one that is closed, and the last response that changed
-- anything, in Seoul's time. A day that was fetched again and found unchanged is not written, and does not count.
SELECT
    merchant_id,
    max(pay_date) AS last_pay_date,
    max(pay_date) FILTER (WHERE state = 'closed') AS last_closed,
    max(extracted_at) AT TIME ZONE 'Asia/Seoul' AS last_change,
    count(*) FILTER (WHERE state = 'open' AND pay_date < (now() AT TIME ZONE 'Asia/Seoul')::DATE) AS open_and_passed
FROM ledger
WHERE "current"
GROUP BY merchant_id
ORDER BY merchant_id;
