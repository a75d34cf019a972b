-- How DuckDB reaches a lake on S3; run it before the view. It takes the credentials and the region that the AWS command line would:
-- environment, profile, web identity, instance role. For another server than Amazon's add, after credential_chain,
-- ENDPOINT 'host:port', URL_STYLE 'path', and for plain http USE_SSL false.
INSTALL httpfs;
INSTALL aws;
LOAD httpfs;
LOAD aws;
CREATE OR REPLACE SECRET lake (TYPE s3, PROVIDER credential_chain);
