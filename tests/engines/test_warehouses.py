"""The statements for engines that are not here, as sqlglot parses them in their dialects: columns, types, comments and places."""

import pytest
import sqlglot
from sqlglot import exp

import etl
from asking import schema

TYPES = {
    "trino": {"string": "VARCHAR", "decimal128(18, 2)": "DECIMAL(18, 2)", "decimal128(9, 4)": "DECIMAL(9, 4)", "date32[day]": "DATE", "int32": "INTEGER", "timestamp[ms, tz=UTC]": "TIMESTAMP(3)"},
    "bigquery": {"string": "STRING", "decimal128(18, 2)": "NUMERIC(18, 2)", "decimal128(9, 4)": "NUMERIC(9, 4)", "date32[day]": "DATE", "int32": "INT64", "timestamp[ms, tz=UTC]": "TIMESTAMP"},
    "snowflake": {"string": "VARCHAR", "decimal128(18, 2)": "DECIMAL(18, 2)", "decimal128(9, 4)": "DECIMAL(9, 4)", "date32[day]": "DATE", "int32": "INT", "timestamp[ms, tz=UTC]": "TIMESTAMPTZ"},
    "redshift": {"string": "VARCHAR(65535)", "decimal128(18, 2)": "DECIMAL(18, 2)", "decimal128(9, 4)": "DECIMAL(9, 4)", "date32[day]": "DATE", "int32": "INTEGER", "timestamp[ms, tz=UTC]": "TIMESTAMP"},
}  # fmt: skip
ODD = "s3://bucket/a%20b/100%25/%5Bx%5D/p+q/%EC%A0%95%EC%82%B0/merchant_id=x/it%27s"
AS_IT_IS = "s3://bucket/a b/100%/[x]/p+q/정산/merchant_id=x/it's"


def parsed(format, *flags, dest=ODD):
    return [found for found in sqlglot.parse(schema(dest, "--format", format, *flags), read=format) if found is not None]


def texts(statement):
    """Every literal of a statement."""
    return [found.this for found in statement.find_all(exp.Literal) if found.is_string]


@pytest.mark.parametrize("format", TYPES)
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_columns_are_those_of_the_files(format, lang):
    [table] = [found for found in parsed(format, "--lang", lang) if isinstance(found, exp.Create) and found.kind == "TABLE"]
    declared = [(column.name, column.kind.sql(format)) for column in table.this.expressions if isinstance(column, exp.ColumnDef)]
    expected = [(name, TYPES[format][kind]) for name, kind, _ in etl.COLUMNS]
    assert [column for column in declared if column[0] != "pay_date"] == expected
    if format == "bigquery":
        [view] = [found for found in parsed(format) if found.kind == "VIEW"]
        assert view.expression.named_selects == ["pay_date", *(name for name, *_ in etl.COLUMNS)]
    about = {"en": "the merchant's order number", "ko": "가맹점 주문번호"}[lang]
    assert about in table.sql(format).replace("''", "'").replace("\\'", "'")


@pytest.mark.parametrize("format", [*TYPES, "athena"])
def test_the_place_is_the_lakes_as_it_is_named(format):
    found = [text for statement in parsed(format) for text in texts(statement)]
    wanted = {"trino": "/settlements", "bigquery": "/settlements/*", "snowflake": "/"}.get(format, "/settlements/")
    assert AS_IT_IS + wanted in found


def test_redshifts_partitions_are_the_days():
    statements = parsed("redshift", "--from", "2024-01-01", "--to", "2024-04-30")
    assert len(statements) == 2
    text = schema(ODD, "--format", "redshift", "--from", "2024-01-01", "--to", "2024-04-30")
    assert text.count("PARTITION (pay_date = '2024-") == 121
    assert "LOCATION '" + AS_IT_IS.replace("'", "''") + "/settlements/pay_date=2024-02-29/'" in text


@pytest.mark.parametrize("format", [*TYPES, "athena", "spark", "duckdb", "clickhouse"])
def test_labels_are_a_view_in_every_dialect(format):
    [view] = parsed(format, "--table", "labels", "--lang", "ko")
    assert isinstance(view, exp.Create) and view.kind == "VIEW" and view.this.name == "settlements_labels"
    assert {"승인", "지급완료", "BC카드"} <= set(texts(view))


@pytest.mark.parametrize("format", ["duckdb", "athena", "spark", "trino", "clickhouse"])
def test_the_delta_table_is_parsed_in_every_dialect(format):
    dest = "s3://bucket/lake"
    [statement] = parsed(format, "--table", "delta", dest=dest)
    assert f"{dest}/delta" in [text.rstrip("/") for text in texts(statement)] or f"'{dest}/delta'" in statement.sql(format)
    if format == "athena":
        assert not isinstance(statement.this, exp.Schema), "no columns: Athena takes them from the table's log"
