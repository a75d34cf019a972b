-- What the lake contained at a moment, a line for each merchant and pay date, from the ledger alone: the newest version of then, also if it had
-- no rows. A day that was fetched again and closed without a change carries the later time, because its file was only marked closed:
-- before that, it is not in this list. Set the moment first.
SET VARIABLE as_of = TIMESTAMPTZ '2024-02-05 18:00:00+09';

SELECT
    pay_date,
    merchant_id,
    state,
    "rows" AS row_count,
    payment_amount AS payout,
    extracted_at AT TIME ZONE 'Asia/Seoul' AS seen_at,
    "current" AS is_still_so
FROM ledger
WHERE extracted_at <= getvariable('as_of')
QUALIFY row_number() OVER (PARTITION BY merchant_id, pay_date ORDER BY extracted_at DESC, "current" DESC) = 1
ORDER BY pay_date, merchant_id;
