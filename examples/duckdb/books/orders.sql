-- Is every order settled, and with its amount? For users who have their orders beside the lake, as a table orders (order_no VARCHAR, ordered_on
-- DATE, amount DECIMAL(18, 2)), where amount is what the buyer finally paid. At the PG, approvals count as they are and cancellations against
-- them; a payment voided before it was settled counts as nothing. Orders of the last days before the lake's last pay date may not be settled
-- yet. For files as shops export them, refunds as lines of their own, and fees: cookiepay-etl reconcile --orders FILE.
WITH paid AS (
    SELECT
        trim(order_no) AS order_no,
        CASE
            WHEN bool_or(payment_status = '21') AND NOT bool_or(payment_status = '11') THEN 0
            ELSE sum(CASE WHEN payment_status = '11' THEN auth_amount WHEN payment_status IN ('21', '22') THEN -abs(auth_amount) END)
        END AS amount,
        max(pay_date) AS last_pay_date
    FROM settlements
    GROUP BY merchant_id, transaction_id, trim(order_no)
),
at_pg AS (
    SELECT order_no, coalesce(sum(amount), 0) AS settled, max(last_pay_date) AS last_pay_date FROM paid GROUP BY order_no
),
booked AS (
    SELECT trim(order_no) AS order_no, min(ordered_on) AS ordered_on, sum(amount) AS ordered FROM orders GROUP BY trim(order_no)
)
SELECT
    order_no,
    ordered_on,
    last_pay_date,
    ordered,
    settled,
    coalesce(settled, 0) - coalesce(ordered, 0) AS difference,
    CASE
        WHEN settled IS NULL AND ordered <> 0 THEN 'missing_at_pg'
        WHEN ordered IS NULL AND settled <> 0 THEN 'missing_in_orders'
        WHEN coalesce(settled, 0) <> coalesce(ordered, 0) THEN 'amount_differs'
        ELSE 'matched'
    END AS status
FROM booked
FULL JOIN at_pg USING (order_no)
ORDER BY abs(difference) DESC, order_no;
