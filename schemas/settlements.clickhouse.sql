CREATE OR REPLACE VIEW settlements AS
SELECT
    toDate32(extract(_path, 'pay_date=([0-9-]{10})/[^/]*$')) AS pay_date, -- the requested pay date
    merchant_id,       -- the requested API id
    transaction_id,    -- the PG's transaction number, which a cancellation shares with its payment
    order_no,          -- the merchant's order number
    cpid,              -- the merchant's id at the PG
    payment_status,    -- 11 approved, 21 cancelled the same day, 22 cancelled later
    pay_type,          -- payment method
    acquirer_code,     -- card acquirer, such as CCLG (Shinhan) or CCBC (BC)
    auth_amount,       -- approved amount
    fee_rate,          -- fee rate in percent, as given
    fee,               -- fee, NULL if the API sends -
    vat,               -- VAT on the fee, NULL if the API sends -
    payment_amount,    -- amount paid out, NULL if the API sends -
    final_amount,      -- amount for reconciliation, NULL if the API sends -
    settle_cycle_code, -- settlement cycle
    auth_date,         -- approval date, or the cancel date on a cancellation
    payoff_date,       -- pay date, as the row gives it
    payoff_status,     -- 01 pending, 03 paid
    extra,             -- JSON of the fields that the manual does not name
    source_row,        -- 1-based position in the response
    extracted_at,      -- when the response headers arrived
    run_id             -- the run that wrote the row (UUIDv7)
FROM s3(
    's3://bucket/prefix/settlements/*/*.parquet',
    'Parquet',
    'merchant_id String, transaction_id String, order_no Nullable(String), cpid Nullable(String), payment_status String, pay_type Nullable(String), acquirer_code Nullable(String), auth_amount Nullable(Decimal(18,2)), fee_rate Nullable(Decimal(9,4)), fee Nullable(Decimal(18,2)), vat Nullable(Decimal(18,2)), payment_amount Nullable(Decimal(18,2)), final_amount Nullable(Decimal(18,2)), settle_cycle_code Nullable(String), auth_date Nullable(Date32), payoff_date Nullable(Date32), payoff_status Nullable(String), extra Nullable(String), source_row Int32, extracted_at DateTime64(3, \'UTC\'), run_id String'
)
SETTINGS use_hive_partitioning = 0;
