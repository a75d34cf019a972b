CREATE OR REPLACE EXTERNAL TABLE settlements_files (
  merchant_id STRING OPTIONS (description = 'the requested API id'),
  transaction_id STRING OPTIONS (description = 'the PG\'s transaction number, which a cancellation shares with its payment'),
  order_no STRING OPTIONS (description = 'the merchant\'s order number'),
  cpid STRING OPTIONS (description = 'the merchant\'s id at the PG'),
  payment_status STRING OPTIONS (description = '11 approved, 21 cancelled the same day, 22 cancelled later'),
  pay_type STRING OPTIONS (description = 'payment method'),
  acquirer_code STRING OPTIONS (description = 'card acquirer, such as CCLG (Shinhan) or CCBC (BC)'),
  auth_amount NUMERIC(18,2) OPTIONS (description = 'approved amount'),
  fee_rate NUMERIC(9,4) OPTIONS (description = 'fee rate in percent, as given'),
  fee NUMERIC(18,2) OPTIONS (description = 'fee, NULL if the API sends -'),
  vat NUMERIC(18,2) OPTIONS (description = 'VAT on the fee, NULL if the API sends -'),
  payment_amount NUMERIC(18,2) OPTIONS (description = 'amount paid out, NULL if the API sends -'),
  final_amount NUMERIC(18,2) OPTIONS (description = 'amount for reconciliation, NULL if the API sends -'),
  settle_cycle_code STRING OPTIONS (description = 'settlement cycle'),
  auth_date DATE OPTIONS (description = 'approval date, or the cancel date on a cancellation'),
  payoff_date DATE OPTIONS (description = 'pay date, as the row gives it'),
  payoff_status STRING OPTIONS (description = '01 pending, 03 paid'),
  extra STRING OPTIONS (description = 'JSON of the fields that the manual does not name'),
  source_row INT64 OPTIONS (description = '1-based position in the response'),
  extracted_at TIMESTAMP OPTIONS (description = 'when the response headers arrived'),
  run_id STRING OPTIONS (description = 'the run that wrote the row (UUIDv7)')
)
-- S3 needs your connection to AWS here: WITH CONNECTION `aws-ap-northeast-2.cookiepay`
OPTIONS (
  format = 'PARQUET',
  uris = ['s3://bucket/prefix/settlements/*']
);
CREATE OR REPLACE VIEW settlements AS
SELECT
    PARSE_DATE('%F', REGEXP_EXTRACT(_FILE_NAME, r'pay_date=([0-9-]{10})/[^/]*$')) AS pay_date,
    merchant_id,
    transaction_id,
    order_no,
    cpid,
    payment_status,
    pay_type,
    acquirer_code,
    auth_amount,
    fee_rate,
    fee,
    vat,
    payment_amount,
    final_amount,
    settle_cycle_code,
    auth_date,
    payoff_date,
    payoff_status,
    extra,
    source_row,
    extracted_at,
    run_id
FROM settlements_files;
