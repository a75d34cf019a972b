"""Polars: read_json of the file, casts as expressions, write_parquet with zstd. Its usual way, with all its threads."""

import sys

import polars as pl

from fields import AMOUNTS, DATES, FIELDS, RATES, TEXTS

source, target = sys.argv[1:]
schema = {"RESULTCODE": pl.String, "RESULTMSG": pl.String, "DATA": pl.List(pl.Struct(dict.fromkeys(FIELDS, pl.String)))}
rows = pl.read_json(source, schema=schema).select(pl.col("DATA").explode()).unnest("DATA")


def given(field, *absent):
    return pl.when(pl.col(field).str.strip_chars().is_in(["", *absent])).then(None).otherwise(pl.col(field).str.strip_chars())


rows.select(
    *(given(field).alias(name) for field, name in TEXTS.items()),
    *(given(field, "-").cast(pl.Decimal(18, 2)).alias(name) for field, name in AMOUNTS.items()),
    *(given(field, "-").cast(pl.Decimal(9, 4)).alias(name) for field, name in RATES.items()),
    *(given(field).str.to_date("%Y%m%d").alias(name) for field, name in DATES.items()),
).write_parquet(target, compression="zstd", compression_level=1)
