"""dlt: a resource of rows with typed columns, to its filesystem destination as Parquet. Its usual way."""

import json
import os
import shutil
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import dlt

from fields import AMOUNTS, DATES, FIELDS, RATES, TEXTS

source, target = sys.argv[1:]
folder = Path(target + ".dlt").absolute()
shutil.rmtree(folder, ignore_errors=True)
os.environ["DLT_DATA_DIR"] = str(folder / "work")
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
columns = {name: {"data_type": "text"} for name in TEXTS.values()}
columns |= {name: {"data_type": "decimal", "precision": 18, "scale": 2} for name in AMOUNTS.values()}
columns |= {name: {"data_type": "decimal", "precision": 9, "scale": 4} for name in RATES.values()}
columns |= {name: {"data_type": "date"} for name in DATES.values()}


def value(field, text):
    text = text.strip()
    if text in ("", "-"):
        return None
    if field in AMOUNTS or field in RATES:
        return Decimal(text)
    return datetime.strptime(text, "%Y%m%d").date() if field in DATES else text


@dlt.resource(name="settlements", columns=columns, write_disposition="replace")
def settlements():
    with open(source, encoding="utf-8") as file:
        for row in json.load(file)["DATA"]:
            yield {name: value(field, row[field]) for field, name in FIELDS.items()}


destination = dlt.destinations.filesystem(bucket_url=(folder / "lake").as_uri())
dlt.pipeline("peer", destination=destination, dataset_name="lake", pipelines_dir=str(folder / "pipelines")).run(
    settlements(), loader_file_format="parquet"
)
