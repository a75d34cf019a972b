-- the external schema, if there is none yet: CREATE EXTERNAL SCHEMA cookiepay FROM DATA CATALOG DATABASE 'cookiepay' IAM_ROLE default
-- the same command with --from and --to prints the statements that make the days known
CREATE EXTERNAL TABLE cookiepay.settlements (
  merchant_id VARCHAR(65535),       -- the requested API id
  transaction_id VARCHAR(65535),    -- the PG's transaction number, which a cancellation shares with its payment
  order_no VARCHAR(65535),          -- the merchant's order number
  cpid VARCHAR(65535),              -- the merchant's id at the PG
  payment_status VARCHAR(65535),    -- 11 approved, 21 cancelled the same day, 22 cancelled later
  pay_type VARCHAR(65535),          -- payment method
  acquirer_code VARCHAR(65535),     -- card acquirer, such as CCLG (Shinhan) or CCBC (BC)
  auth_amount DECIMAL(18,2),        -- approved amount
  fee_rate DECIMAL(9,4),            -- fee rate in percent, as given
  fee DECIMAL(18,2),                -- fee, NULL if the API sends -
  vat DECIMAL(18,2),                -- VAT on the fee, NULL if the API sends -
  payment_amount DECIMAL(18,2),     -- amount paid out, NULL if the API sends -
  final_amount DECIMAL(18,2),       -- amount for reconciliation, NULL if the API sends -
  settle_cycle_code VARCHAR(65535), -- settlement cycle
  auth_date DATE,                   -- approval date, or the cancel date on a cancellation
  payoff_date DATE,                 -- pay date, as the row gives it
  payoff_status VARCHAR(65535),     -- 01 pending, 03 paid
  extra VARCHAR(65535),             -- JSON of the fields that the manual does not name
  source_row INTEGER,               -- 1-based position in the response
  extracted_at TIMESTAMP,           -- when the response headers arrived
  run_id VARCHAR(65535)             -- the run that wrote the row (UUIDv7)
)
PARTITIONED BY (pay_date DATE)
STORED AS PARQUET
LOCATION 's3://bucket/prefix/settlements/';
