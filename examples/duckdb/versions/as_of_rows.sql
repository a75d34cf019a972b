-- The rows that the lake contained at a moment, with the columns of the table. A pay date whose newest version of then had no rows has none here:
-- the version is chosen in the ledger, which knows it, and not among the rows, where an older one would take its place. Set the moment first.
SET VARIABLE as_of = TIMESTAMPTZ '2024-02-05 18:00:00+09';

WITH of_then AS (
    SELECT path
    FROM ledger
    WHERE extracted_at <= getvariable('as_of')
    QUALIFY row_number() OVER (PARTITION BY merchant_id, pay_date ORDER BY extracted_at DESC, "current" DESC) = 1
)
SELECT versions.* EXCLUDE ("current", path)
FROM versions
SEMI JOIN of_then USING (path)
ORDER BY pay_date, merchant_id, source_row;
