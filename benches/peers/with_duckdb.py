"""DuckDB: read_json of the file, casts in SQL, COPY to zstd Parquet. Its usual way, with all its threads."""

import sys

import duckdb

from fields import AMOUNTS, DATES, FIELDS, RATES, TEXTS

source, target = sys.argv[1:]
row = ", ".join(f'"{field}" VARCHAR' for field in FIELDS)
select = [f"nullif(trim(r.\"{field}\"), '') AS {name}" for field, name in TEXTS.items()]
select += [f"CAST(nullif(nullif(trim(r.\"{field}\"), '-'), '') AS DECIMAL(18,2)) AS {name}" for field, name in AMOUNTS.items()]
select += [f"CAST(nullif(nullif(trim(r.\"{field}\"), '-'), '') AS DECIMAL(9,4)) AS {name}" for field, name in RATES.items()]
select += [f"CAST(strptime(nullif(r.\"{field}\", ''), '%Y%m%d') AS DATE) AS {name}" for field, name in DATES.items()]
read = f"read_json('{source}', maximum_object_size = 2000000000, columns = {{RESULTCODE: 'VARCHAR', DATA: 'STRUCT({row})[]'}})"
query = f"SELECT {', '.join(select)} FROM (SELECT unnest(DATA) AS r FROM {read})"
duckdb.sql(f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
