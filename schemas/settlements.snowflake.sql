-- the integration that may read the bucket: put in the name of yours
CREATE STAGE IF NOT EXISTS cookiepay_lake
  URL = 's3://bucket/prefix/'
  STORAGE_INTEGRATION = cookiepay;
-- to be run as days land: ALTER EXTERNAL TABLE settlements REFRESH
CREATE OR REPLACE EXTERNAL TABLE settlements (
  pay_date DATE AS (TO_DATE(SUBSTR(SPLIT_PART(METADATA$FILENAME, '/', -2), 10, 10), 'YYYY-MM-DD')) COMMENT 'the requested pay date',
  merchant_id VARCHAR AS (VALUE:merchant_id::VARCHAR) COMMENT 'the requested API id',
  transaction_id VARCHAR AS (VALUE:transaction_id::VARCHAR) COMMENT 'the PG\'s transaction number, which a cancellation shares with its payment',
  order_no VARCHAR AS (VALUE:order_no::VARCHAR) COMMENT 'the merchant\'s order number',
  cpid VARCHAR AS (VALUE:cpid::VARCHAR) COMMENT 'the merchant\'s id at the PG',
  payment_status VARCHAR AS (VALUE:payment_status::VARCHAR) COMMENT '11 approved, 21 cancelled the same day, 22 cancelled later',
  pay_type VARCHAR AS (VALUE:pay_type::VARCHAR) COMMENT 'payment method',
  acquirer_code VARCHAR AS (VALUE:acquirer_code::VARCHAR) COMMENT 'card acquirer, such as CCLG (Shinhan) or CCBC (BC)',
  auth_amount NUMBER(18,2) AS (VALUE:auth_amount::NUMBER(18,2)) COMMENT 'approved amount',
  fee_rate NUMBER(9,4) AS (VALUE:fee_rate::NUMBER(9,4)) COMMENT 'fee rate in percent, as given',
  fee NUMBER(18,2) AS (VALUE:fee::NUMBER(18,2)) COMMENT 'fee, NULL if the API sends -',
  vat NUMBER(18,2) AS (VALUE:vat::NUMBER(18,2)) COMMENT 'VAT on the fee, NULL if the API sends -',
  payment_amount NUMBER(18,2) AS (VALUE:payment_amount::NUMBER(18,2)) COMMENT 'amount paid out, NULL if the API sends -',
  final_amount NUMBER(18,2) AS (VALUE:final_amount::NUMBER(18,2)) COMMENT 'amount for reconciliation, NULL if the API sends -',
  settle_cycle_code VARCHAR AS (VALUE:settle_cycle_code::VARCHAR) COMMENT 'settlement cycle',
  auth_date DATE AS (VALUE:auth_date::DATE) COMMENT 'approval date, or the cancel date on a cancellation',
  payoff_date DATE AS (VALUE:payoff_date::DATE) COMMENT 'pay date, as the row gives it',
  payoff_status VARCHAR AS (VALUE:payoff_status::VARCHAR) COMMENT '01 pending, 03 paid',
  extra VARCHAR AS (VALUE:extra::VARCHAR) COMMENT 'JSON of the fields that the manual does not name',
  source_row INTEGER AS (VALUE:source_row::INTEGER) COMMENT '1-based position in the response',
  extracted_at TIMESTAMP_TZ AS (VALUE:extracted_at::TIMESTAMP_TZ) COMMENT 'when the response headers arrived',
  run_id VARCHAR AS (VALUE:run_id::VARCHAR) COMMENT 'the run that wrote the row (UUIDv7)'
)
PARTITION BY (pay_date)
LOCATION = @cookiepay_lake/settlements/
AUTO_REFRESH = FALSE
FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE);
