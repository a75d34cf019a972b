CREATE EXTERNAL TABLE ledger (
  `merchant_id` STRING COMMENT 'the requested API id',
  `pay_date` DATE COMMENT 'the pay date',
  `current` BOOLEAN COMMENT 'whether this version is the one in the table; else it is in history/',
  `state` STRING COMMENT 'closed, or open',
  `open_because` STRING COMMENT 'why it is open: names separated by commas',
  `rows` BIGINT COMMENT 'rows of the version',
  `pending_rows` BIGINT COMMENT 'rows still to be paid out',
  `rejected_rows` BIGINT COMMENT 'rows that could not be read and are not in the version',
  `auth_amount` DECIMAL(38,2) COMMENT 'the sum of the column; NULL counts as 0',
  `fee` DECIMAL(38,2) COMMENT 'the sum of the column; NULL counts as 0',
  `vat` DECIMAL(38,2) COMMENT 'the sum of the column; NULL counts as 0',
  `payment_amount` DECIMAL(38,2) COMMENT 'the sum of the column; NULL counts as 0',
  `final_amount` DECIMAL(38,2) COMMENT 'the sum of the column; NULL counts as 0',
  `extracted_at` TIMESTAMP COMMENT 'when the response headers arrived',
  `run_id` STRING COMMENT 'the run that wrote the version',
  `result_code` STRING COMMENT 'the code of the response',
  `path` STRING COMMENT 'the object, below the root of the lake',
  `bytes` BIGINT COMMENT 'size of the object',
  `etag` STRING COMMENT 'ETag of the object by which the record is known; NULL if it is not known',
  `digest` STRING COMMENT 'changes if the content changes',
  `record` STRING COMMENT 'the day record, as JSON'
)
STORED AS PARQUET
LOCATION 's3://bucket/prefix/ledger/';
