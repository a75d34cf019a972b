CREATE OR REPLACE VIEW ledger AS
SELECT
    "merchant_id",    -- the requested API id
    "pay_date",       -- the pay date
    "current",        -- whether this version is the one in the table; else it is in history/
    "state",          -- closed, or open
    "open_because",   -- why it is open: names separated by commas
    "rows",           -- rows of the version
    "pending_rows",   -- rows still to be paid out
    "rejected_rows",  -- rows that could not be read and are not in the version
    "auth_amount",    -- the sum of the column; NULL counts as 0
    "fee",            -- the sum of the column; NULL counts as 0
    "vat",            -- the sum of the column; NULL counts as 0
    "payment_amount", -- the sum of the column; NULL counts as 0
    "final_amount",   -- the sum of the column; NULL counts as 0
    "extracted_at",   -- when the response headers arrived
    "run_id",         -- the run that wrote the version
    "result_code",    -- the code of the response
    "path",           -- the object, below the root of the lake
    "bytes",          -- size of the object
    "etag",           -- ETag of the object by which the record is known; NULL if it is not known
    "digest",         -- changes if the content changes
    "record"          -- the day record, as JSON
FROM read_parquet('s3://bucket/prefix/ledger/*.parquet');
