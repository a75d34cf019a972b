"""pandas and polars read the lake by the lines of examples/python, which run as they stand; a lake with raw/ and all else that is not the table."""

import ast
import subprocess
import sys
from datetime import date
from decimal import Decimal

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import etl
from asking import EXAMPLES

FOLDER = EXAMPLES / "python"
PLACES = ["lake", "a b [x] 100%+정산", "merchant_id=x/lake"]


@pytest.fixture(scope="module", params=PLACES)
def lake(request, tmp_path_factory):
    lake = tmp_path_factory.mktemp("frames") / request.param
    run = etl.backfill(lake, "--keep-raw", first=date(2024, 1, 29), last=date(2024, 2, 9))
    assert run.code == 0 and (lake / "raw").is_dir(), run
    return lake, run.result


def lines_of(script, lake):
    """The table as the script reads it: its lines down to the one that makes `settlements`."""
    tree = ast.parse((FOLDER / script).read_text())
    last = next(number for number, node in enumerate(tree.body) if isinstance(node, ast.Assign) and node.targets[0].id == "settlements")
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script, str(lake)])
        exec(compile(ast.Module(tree.body[: last + 1], []), script, "exec"), names)
    return names["settlements"]


def test_pandas_types_every_column(lake):
    lake, result = lake
    table = lines_of("with_pandas.py", lake)
    kinds = {name: kind.pyarrow_dtype for name, kind in table.dtypes.items()}
    assert kinds["pay_date"] == pa.date32() and kinds["payment_amount"] == pa.decimal128(18, 2)
    assert len(table) == result["rows"] and table["payment_amount"].sum() == Decimal(result["totals"]["payment_amount"])
    assert set(table["merchant_id"]) == {"simulator"} and isinstance(table, pd.DataFrame)


def test_polars_types_every_column_and_is_lazy(lake):
    lake, result = lake
    table = lines_of("with_polars.py", lake)
    assert isinstance(table, pl.LazyFrame)
    types = table.collect_schema()
    assert types["pay_date"] == pl.Date and types["payment_amount"] == pl.Decimal(18, 2)
    collected = table.collect()
    assert len(collected) == result["rows"] and collected["payment_amount"].sum() == Decimal(result["totals"]["payment_amount"])
    assert set(collected["merchant_id"]) == {"simulator"}
    one = table.filter(pl.col("pay_date") == date(2024, 1, 30)).collect()
    assert 0 < len(one) < len(collected)


@pytest.mark.parametrize("script", ["with_pandas.py", "with_polars.py"])
def test_the_script_prints_payouts_by_month(lake, script):
    lake, result = lake
    run = subprocess.run([sys.executable, FOLDER / script, lake], env=etl.ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "2024-01" in run.stdout and "2024-02" in run.stdout and "simulator" in run.stdout
    amounts = {Decimal(word) for word in run.stdout.replace("│", " ").replace("┆", " ").split() if word.endswith(".00")}
    assert Decimal(result["totals"]["payment_amount"]) == sum(sorted(amounts, reverse=True)[:2])
