CREATE OR REPLACE VIEW settlements AS
SELECT
    pay_date,
    CAST(merchant_id AS VARCHAR) AS merchant_id,
    CAST(transaction_id AS VARCHAR) AS transaction_id,
    CAST(order_no AS VARCHAR) AS order_no,
    CAST(cpid AS VARCHAR) AS cpid,
    CAST(payment_status AS VARCHAR) AS payment_status,
    CAST(pay_type AS VARCHAR) AS pay_type,
    CAST(acquirer_code AS VARCHAR) AS acquirer_code,
    CAST(auth_amount AS DECIMAL(18,2)) AS auth_amount,
    CAST(fee_rate AS DECIMAL(9,4)) AS fee_rate,
    CAST(fee AS DECIMAL(18,2)) AS fee,
    CAST(vat AS DECIMAL(18,2)) AS vat,
    CAST(payment_amount AS DECIMAL(18,2)) AS payment_amount,
    CAST(final_amount AS DECIMAL(18,2)) AS final_amount,
    CAST(settle_cycle_code AS VARCHAR) AS settle_cycle_code,
    CAST(auth_date AS DATE) AS auth_date,
    CAST(payoff_date AS DATE) AS payoff_date,
    CAST(payoff_status AS VARCHAR) AS payoff_status,
    CAST(extra AS VARCHAR) AS extra,
    CAST(source_row AS INTEGER) AS source_row,
    CAST(extracted_at AS TIMESTAMPTZ) AS extracted_at,
    CAST(run_id AS VARCHAR) AS run_id
FROM read_parquet(
    's3://bucket/prefix/settlements/*/*.parquet',
    hive_partitioning = true,
    hive_types = {'pay_date': DATE},
    union_by_name = true
);
