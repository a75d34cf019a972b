-- What the fees cost, by month, payment method and card acquirer (NULL where the method has none); the dearest of a month first.
-- `fee_charged` is that of approved rows; `fee_returned` what cancellations give back, negative, and zero where the API writes "-".
-- `cost` is the fee with its VAT, less what came back. Codes without a name are passed through as the API gives them.
SELECT
    date_trunc('month', pay_date)::DATE AS month,
    pay_type,
    acquirer_code,
    acquirer,
    count(*) AS row_count,
    coalesce(sum(auth_amount) FILTER (WHERE payment_status = '11'), 0) AS approved,
    coalesce(sum(fee) FILTER (WHERE payment_status = '11'), 0) AS fee_charged,
    coalesce(sum(fee) FILTER (WHERE payment_status IN ('21', '22')), 0) AS fee_returned,
    coalesce(sum(vat), 0) AS vat,
    coalesce(sum(fee), 0) + coalesce(sum(vat), 0) AS cost
FROM settlements
LEFT JOIN (
    VALUES
        ('CCLG', 'Shinhan'), ('CCBC', 'BC'), ('CCKM', 'Kookmin'), ('CCSS', 'Samsung'), ('CCDI', 'Hyundai'),
        ('CCLO', 'Lotte'), ('CCKE', 'KEB Hana'), ('CCHN', 'Hana'), ('CCNH', 'NH')
) AS acquirers (acquirer_code, acquirer) USING (acquirer_code)
GROUP BY ALL
ORDER BY month, cost DESC, pay_type, acquirer_code;
