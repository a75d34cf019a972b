-- Do the payouts arrive at the bank? For users who have the account's lines beside the lake, as a table deposits (deposited_on DATE, amount
-- DECIMAL(18, 2)); withdrawals are zero or less, and left out. A pay date is matched if the deposits of that date add up to its payout, or if one
-- deposit of exactly its amount arrives up to three days later, as after a holiday. For files as the bank exports them, payouts of several
-- merchants or accounts, and what is not due yet: cookiepay-etl reconcile --deposits FILE.
WITH expected AS (
    SELECT pay_date, sum(payment_amount) AS payout FROM settlements GROUP BY pay_date HAVING sum(payment_amount) > 0
),
deposit AS (
    SELECT row_number() OVER (ORDER BY deposited_on, amount) AS id, deposited_on, amount FROM deposits WHERE amount > 0
),
same_day AS (
    SELECT expected.pay_date, expected.payout
    FROM expected
    JOIN (SELECT deposited_on, sum(amount) AS deposited FROM deposit GROUP BY deposited_on) AS arrived
        ON arrived.deposited_on = expected.pay_date AND arrived.deposited = expected.payout
),
late AS (
    SELECT expected.pay_date, deposit.id, deposit.deposited_on, expected.payout
    FROM expected
    JOIN deposit ON deposit.amount = expected.payout AND deposit.deposited_on BETWEEN expected.pay_date AND expected.pay_date + 3
    WHERE expected.pay_date NOT IN (SELECT pay_date FROM same_day)
        AND deposit.deposited_on NOT IN (SELECT pay_date FROM same_day)
    -- a payout takes the first deposit, and a deposit goes to the nearest payout
    QUALIFY row_number() OVER (PARTITION BY expected.pay_date ORDER BY deposit.deposited_on, deposit.id) = 1
        AND row_number() OVER (PARTITION BY deposit.id ORDER BY expected.pay_date DESC) = 1
),
unmatched AS (
    SELECT coalesce(pay_date, deposited_on) AS day, payout, deposited
    FROM (
        SELECT pay_date, payout
        FROM expected
        WHERE pay_date NOT IN (SELECT pay_date FROM same_day) AND pay_date NOT IN (SELECT pay_date FROM late)
    ) AS due
    FULL JOIN (
        SELECT deposited_on, sum(amount) AS deposited
        FROM deposit
        WHERE deposited_on NOT IN (SELECT pay_date FROM same_day) AND id NOT IN (SELECT id FROM late)
        GROUP BY deposited_on
    ) AS arrived ON arrived.deposited_on = due.pay_date
)
SELECT pay_date AS day, 'matched' AS status, 0 AS days_late, payout, payout AS deposited, 0.00 AS difference FROM same_day
UNION ALL
SELECT pay_date, 'matched', deposited_on - pay_date, payout, payout, 0 FROM late
UNION ALL
SELECT
    day,
    CASE WHEN deposited IS NULL THEN 'missing_deposit' WHEN payout IS NULL THEN 'unexpected_deposit' ELSE 'difference' END,
    NULL,
    payout,
    deposited,
    coalesce(deposited, 0) - coalesce(payout, 0)
FROM unmatched
ORDER BY day, status;
