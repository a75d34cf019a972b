"""Athena's table: its DDL as sqlglot parses it, and the same table through Glue's API, held against the files."""

import re
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import boto3
import pyarrow.parquet as pq
import pytest
import sqlglot
from botocore.config import Config
from moto.server import ThreadedMotoServer
from sqlglot import exp

import etl
from etl import SEOUL
from processes import die_with_parent

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "athena" / "register_table.py"
DEST = "s3://a-bucket/team/lake"


@pytest.fixture(scope="module")
def columns(quarter):
    """Names and types in Athena's words, in order, of a file; every file of a lake has the same."""
    lake, _ = quarter
    schema = pq.read_schema(lake / etl.settlement(etl.FIRST))
    return [(field.name, etl.HIVE_TYPES[str(field.type)]) for field in schema]


@pytest.fixture(scope="module")
def ddl():
    printed = etl.run("schema", "--format", "athena", "--dest", DEST + "/")
    assert printed.code == 0, printed
    [statement] = sqlglot.parse(printed.stdout, read="athena")
    return statement


def properties(ddl):
    """TBLPROPERTIES; the clauses of the statement itself are properties of another kind."""
    plain = [found for found in ddl.args["properties"].expressions if type(found) is exp.Property]
    return {found.name: found.args["value"].name for found in plain}


def test_the_ddl_is_one_statement_with_the_files_columns(ddl, columns):
    assert isinstance(ddl, exp.Create) and ddl.kind == "TABLE"
    assert ddl.find(exp.ExternalProperty)
    assert ddl.find(exp.FileFormatProperty).this.name == "PARQUET"
    declared = [(column.name, column.kind.sql("hive").lower().replace(", ", ",")) for column in ddl.this.expressions]
    assert declared == columns
    assert ddl.this.this.name == "settlements"


def test_the_partition_key_is_text_and_in_no_file(ddl, columns):
    [key] = ddl.find(exp.PartitionedByProperty).this.expressions
    assert (key.name, key.kind.sql("hive")) == ("pay_date", "STRING")
    assert "pay_date" not in dict(columns)


def test_the_projected_paths_are_those_of_the_files(ddl):
    assert ddl.find(exp.LocationProperty).this.name == f"{DEST}/settlements/"
    stated = properties(ddl)
    assert (stated["projection.enabled"], stated["projection.pay_date.type"]) == ("true", "date")
    assert (stated["projection.pay_date.interval"], stated["projection.pay_date.interval.unit"]) == ("1", "DAYS")
    # yyyy-MM-dd is how Python writes a date
    assert stated["projection.pay_date.format"] == "yyyy-MM-dd"
    for day in (etl.FIRST, etl.LAST):
        file = f"{DEST}/{etl.settlement(day)}"
        assert file.rpartition("/")[0] + "/" == stated["storage.location.template"].replace("${pay_date}", str(day))


def test_the_projected_range_holds_seouls_today_and_payouts_to_come(ddl):
    first, last = properties(ddl)["projection.pay_date.range"].split(",")
    assert date.fromisoformat(first) < date(2016, 1, 1)
    ahead = int(re.fullmatch(r"NOW\+(\d+)DAYS", last)[1])
    # each hour of a day in UTC, by which Athena reckons; the longest cycles pay some weeks after the sale
    for hour in range(24):
        now = datetime(2024, 12, 31, hour, 59, tzinfo=timezone.utc)
        assert now.date() + timedelta(days=ahead) >= now.astimezone(SEOUL).date() + timedelta(days=45)


@pytest.fixture
def glue_env(tmp_path):
    """Glue's API, served by moto, and the settings a user reaches it with."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "checks",
        "AWS_SECRET_ACCESS_KEY": "a secret",
        "AWS_DEFAULT_REGION": "ap-northeast-2",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
    }
    server.stop()


def register(env, schema, *flags):
    command = [sys.executable, SCRIPT, "--dest", DEST, "--database", "finance", *flags]
    env = etl.ENVIRONMENT | env
    return subprocess.run(command, input=schema, env=env, capture_output=True, text=True, timeout=60, preexec_fn=die_with_parent)


def test_glue_takes_the_table_from_the_example(glue_env, ddl, columns):
    glue = boto3.client(
        "glue",
        endpoint_url=glue_env["AWS_ENDPOINT_URL"],
        region_name=glue_env["AWS_DEFAULT_REGION"],
        aws_access_key_id=glue_env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=glue_env["AWS_SECRET_ACCESS_KEY"],
        config=Config(proxies={}),
    )
    schema = etl.run("schema", "--format", "json").stdout
    without = register(glue_env, schema)
    assert without.returncode != 0 and "finance" in without.stderr

    glue.create_database(DatabaseInput={"Name": "finance"})
    for said in ("created finance.settlements", "updated finance.settlements"):
        run = register(glue_env, schema)
        assert (run.returncode, run.stdout.strip()) == (0, said), run.stderr

    table = glue.get_table(DatabaseName="finance", Name="settlements")["Table"]
    descriptor = table["StorageDescriptor"]
    assert [(column["Name"], column["Type"]) for column in descriptor["Columns"]] == columns
    comments = [column.find(exp.CommentColumnConstraint).this.name for column in ddl.this.expressions]
    assert [column["Comment"] for column in descriptor["Columns"]] == comments
    assert [(key["Name"], key["Type"]) for key in table["PartitionKeys"]] == [("pay_date", "string")]
    assert table["TableType"] == "EXTERNAL_TABLE"
    assert descriptor["Location"] == ddl.find(exp.LocationProperty).this.name
    assert {name: value for name, value in table["Parameters"].items() if "." in name} == properties(ddl)
    assert len(glue.get_table_versions(DatabaseName="finance", TableName="settlements")["TableVersions"]) == 2

    refused = register(glue_env, schema, "--dest", "./lake")
    assert refused.returncode == 2 and "s3://" in refused.stderr
