-- if files have several versions of the schema, rebuild the older ones, or add union_by_name = true, which opens every file
CREATE OR REPLACE VIEW settlements AS
SELECT
    pay_date,                                                -- the requested pay date
    CAST(merchant_id AS VARCHAR) AS merchant_id,             -- the requested API id
    CAST(transaction_id AS VARCHAR) AS transaction_id,       -- the PG's transaction number, which a cancellation shares with its payment
    CAST(order_no AS VARCHAR) AS order_no,                   -- the merchant's order number
    CAST(cpid AS VARCHAR) AS cpid,                           -- the merchant's id at the PG
    CAST(payment_status AS VARCHAR) AS payment_status,       -- 11 approved, 21 cancelled the same day, 22 cancelled later
    CAST(pay_type AS VARCHAR) AS pay_type,                   -- payment method
    CAST(acquirer_code AS VARCHAR) AS acquirer_code,         -- card acquirer, such as CCLG (Shinhan) or CCBC (BC)
    CAST(auth_amount AS DECIMAL(18,2)) AS auth_amount,       -- approved amount
    CAST(fee_rate AS DECIMAL(9,4)) AS fee_rate,              -- fee rate in percent, as given
    CAST(fee AS DECIMAL(18,2)) AS fee,                       -- fee, NULL if the API sends -
    CAST(vat AS DECIMAL(18,2)) AS vat,                       -- VAT on the fee, NULL if the API sends -
    CAST(payment_amount AS DECIMAL(18,2)) AS payment_amount, -- amount paid out, NULL if the API sends -
    CAST(final_amount AS DECIMAL(18,2)) AS final_amount,     -- amount for reconciliation, NULL if the API sends -
    CAST(settle_cycle_code AS VARCHAR) AS settle_cycle_code, -- settlement cycle
    CAST(auth_date AS DATE) AS auth_date,                    -- approval date, or the cancel date on a cancellation
    CAST(payoff_date AS DATE) AS payoff_date,                -- pay date, as the row gives it
    CAST(payoff_status AS VARCHAR) AS payoff_status,         -- 01 pending, 03 paid
    CAST(extra AS VARCHAR) AS extra,                         -- JSON of the fields that the manual does not name
    CAST(source_row AS INTEGER) AS source_row,               -- 1-based position in the response
    CAST(extracted_at AS TIMESTAMPTZ) AS extracted_at,       -- when the response headers arrived
    CAST(run_id AS VARCHAR) AS run_id                        -- the run that wrote the row (UUIDv7)
FROM read_parquet(
    's3://bucket/prefix/settlements/*/*.parquet',
    hive_partitioning = true,
    hive_types = {'pay_date': DATE}
);
