-- How many pay dates are in which state, by merchant and month. `pending_rows` are still to be paid out. A pay date without a file has
-- no version, and is in none of the counts: `cookiepay-etl status` shows those that are missing.
SELECT
    merchant_id,
    date_trunc('month', pay_date)::DATE AS month,
    count(*) FILTER (WHERE state = 'closed' AND "rows" > 0) AS closed,
    count(*) FILTER (WHERE state = 'closed' AND "rows" = 0) AS closed_empty,
    count(*) FILTER (WHERE state = 'open') AS open,
    sum(pending_rows)::BIGINT AS pending_rows,
    string_agg(DISTINCT open_because, '; ' ORDER BY open_because) AS open_because
FROM ledger
WHERE "current"
GROUP BY ALL
ORDER BY ALL;
