CREATE TABLE settlements (
  merchant_id VARCHAR COMMENT 'the requested API id',
  transaction_id VARCHAR COMMENT 'the PG''s transaction number, which a cancellation shares with its payment',
  order_no VARCHAR COMMENT 'the merchant''s order number',
  cpid VARCHAR COMMENT 'the merchant''s id at the PG',
  payment_status VARCHAR COMMENT '11 approved, 21 cancelled the same day, 22 cancelled later',
  pay_type VARCHAR COMMENT 'payment method',
  acquirer_code VARCHAR COMMENT 'card acquirer, such as CCLG (Shinhan) or CCBC (BC)',
  auth_amount DECIMAL(18,2) COMMENT 'approved amount',
  fee_rate DECIMAL(9,4) COMMENT 'fee rate in percent, as given',
  fee DECIMAL(18,2) COMMENT 'fee, NULL if the API sends -',
  vat DECIMAL(18,2) COMMENT 'VAT on the fee, NULL if the API sends -',
  payment_amount DECIMAL(18,2) COMMENT 'amount paid out, NULL if the API sends -',
  final_amount DECIMAL(18,2) COMMENT 'amount for reconciliation, NULL if the API sends -',
  settle_cycle_code VARCHAR COMMENT 'settlement cycle',
  auth_date DATE COMMENT 'approval date, or the cancel date on a cancellation',
  payoff_date DATE COMMENT 'pay date, as the row gives it',
  payoff_status VARCHAR COMMENT '01 pending, 03 paid',
  extra VARCHAR COMMENT 'JSON of the fields that the manual does not name',
  source_row INTEGER COMMENT '1-based position in the response',
  extracted_at TIMESTAMP(3) COMMENT 'when the response headers arrived',
  run_id VARCHAR COMMENT 'the run that wrote the row (UUIDv7)',
  pay_date DATE COMMENT 'the requested pay date'
)
WITH (
  format = 'PARQUET',
  external_location = 's3://bucket/prefix/settlements',
  partitioned_by = ARRAY['pay_date']
);
-- makes the days known, and is to be run again as days land; put in the name of your schema for default
CALL system.sync_partition_metadata('default', 'settlements', 'FULL');
