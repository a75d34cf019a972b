"""pyarrow: json.load, a table of strings, casts by its kernels, write_table with zstd. Its JSON reader takes lines only."""

import json
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fields import AMOUNTS, DATES, FIELDS, RATES, TEXTS

source, target = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    rows = json.load(file)["DATA"]
table = pa.Table.from_pylist(rows, schema=pa.schema([(field, pa.string()) for field in FIELDS]))


def given(field, *absent):
    text = pc.utf8_trim_whitespace(table[field])
    return pc.if_else(pc.is_in(text, value_set=pa.array(["", *absent])), None, text)


columns = {name: given(field) for field, name in TEXTS.items()}
columns |= {name: given(field, "-").cast(pa.decimal128(18, 2)) for field, name in AMOUNTS.items()}
columns |= {name: given(field, "-").cast(pa.decimal128(9, 4)) for field, name in RATES.items()}
columns |= {name: pc.strptime(given(field), "%Y%m%d", "s").cast(pa.date32()) for field, name in DATES.items()}
pq.write_table(pa.table(columns), target, compression="zstd", compression_level=1)
