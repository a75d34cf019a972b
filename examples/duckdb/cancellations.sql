-- Every cancellation beside the payment that it goes against, which carries the same transaction number and may lie under another pay
-- date. `amount` is what was cancelled, without sign; `taken_from_payout` what the pay date loses by it (NULL where the API gives "-").
-- `left_of_original` is after all cancellations of the transaction: below zero, more was cancelled than sold. It is NULL where the lake
-- has no original, as with a payment voided on its own day, or one paid out before the lake begins.
WITH original AS (
    -- one line a transaction, or the join would count a cancellation twice
    SELECT merchant_id, transaction_id, min(pay_date) AS pay_date, min(auth_date) AS auth_date, sum(auth_amount) AS amount
    FROM settlements
    WHERE payment_status = '11'
    GROUP BY merchant_id, transaction_id
)
SELECT
    c.pay_date,
    c.merchant_id,
    c.transaction_id,
    c.order_no,
    CASE c.payment_status WHEN '21' THEN 'same day' ELSE 'later' END AS kind,
    c.auth_date AS cancelled_on,
    abs(c.auth_amount) AS amount,
    c.payment_amount AS taken_from_payout,
    o.pay_date AS original_pay_date,
    o.amount AS original_amount,
    c.auth_date - o.auth_date AS days_after,
    o.amount - sum(abs(c.auth_amount)) OVER (PARTITION BY c.merchant_id, c.transaction_id) AS left_of_original
FROM settlements AS c
LEFT JOIN original AS o USING (merchant_id, transaction_id)
WHERE c.payment_status IN ('21', '22')
ORDER BY c.pay_date, c.merchant_id, c.source_row;
