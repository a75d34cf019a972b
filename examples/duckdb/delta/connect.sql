-- Before the view of the Delta table: the extension that reads it. On S3, s3.sql comes before this.
INSTALL delta;
LOAD delta;
