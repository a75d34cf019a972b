CREATE EXTERNAL TABLE settlements (
  merchant_id STRING COMMENT 'the requested API id',
  transaction_id STRING COMMENT 'the PG\'s transaction number, which a cancellation shares with its payment',
  order_no STRING COMMENT 'the merchant\'s order number',
  cpid STRING COMMENT 'the merchant\'s id at the PG',
  payment_status STRING COMMENT '11 approved, 21 cancelled the same day, 22 cancelled later',
  pay_type STRING COMMENT 'payment method',
  acquirer_code STRING COMMENT 'card acquirer, such as CCLG (Shinhan) or CCBC (BC)',
  auth_amount DECIMAL(18,2) COMMENT 'approved amount',
  fee_rate DECIMAL(9,4) COMMENT 'fee rate in percent, as given',
  fee DECIMAL(18,2) COMMENT 'fee, NULL if the API sends -',
  vat DECIMAL(18,2) COMMENT 'VAT on the fee, NULL if the API sends -',
  payment_amount DECIMAL(18,2) COMMENT 'amount paid out, NULL if the API sends -',
  final_amount DECIMAL(18,2) COMMENT 'amount for reconciliation, NULL if the API sends -',
  settle_cycle_code STRING COMMENT 'settlement cycle',
  auth_date DATE COMMENT 'approval date, or the cancel date on a cancellation',
  payoff_date DATE COMMENT 'pay date, as the row gives it',
  payoff_status STRING COMMENT '01 pending, 03 paid',
  extra STRING COMMENT 'JSON of the fields that the manual does not name',
  source_row INT COMMENT '1-based position in the response',
  extracted_at TIMESTAMP COMMENT 'when the response headers arrived',
  run_id STRING COMMENT 'the run that wrote the row (UUIDv7)'
)
PARTITIONED BY (pay_date STRING COMMENT 'the requested pay date')
STORED AS PARQUET
LOCATION 's3://bucket/prefix/settlements/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.pay_date.type' = 'date',
  'projection.pay_date.format' = 'yyyy-MM-dd',
  'projection.pay_date.range' = '2015-01-01,NOW+60DAYS',
  'projection.pay_date.interval' = '1',
  'projection.pay_date.interval.unit' = 'DAYS',
  'storage.location.template' = 's3://bucket/prefix/settlements/pay_date=${pay_date}/'
);
