#!/usr/bin/env python3
"""Registers the lake as a table in AWS Glue, for Athena, through the API; the same table as `cookiepay-etl schema --format athena` prints.

    cookiepay-etl schema --format json | python3 register_table.py --dest s3://bucket/prefix --database finance

The columns are those that are read from stdin. Partitions are projected from the pay date, so that days need no registering as they
land; run it again only where a newer version of cookiepay-etl has other columns. Needs boto3 and, in Glue, the rights to CreateTable and
UpdateTable.
"""

import argparse
import json
import sys

import boto3

GLUE_TYPES = {"int32": "int", "timestamp(ms, UTC)": "timestamp"}


def table_input(schema, name, dest):
    settlements = f"{dest.rstrip('/')}/settlements/"
    columns = [
        {"Name": column["name"], "Type": GLUE_TYPES.get(column["type"], column["type"]), "Comment": column["about"]}
        for column in schema["columns"]
    ]
    key = schema["partition_key"]["name"]
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        # as text: Athena compares it with what stands in the path
        "PartitionKeys": [{"Name": key, "Type": "string"}],
        "Parameters": {
            "EXTERNAL": "TRUE",
            "classification": "parquet",
            "projection.enabled": "true",
            f"projection.{key}.type": "date",
            f"projection.{key}.format": "yyyy-MM-dd",
            # NOW is UTC: a range that ended there would hide Seoul's today until 09:00, and every payout to come
            f"projection.{key}.range": "2015-01-01,NOW+60DAYS",
            f"projection.{key}.interval": "1",
            f"projection.{key}.interval.unit": "DAYS",
            "storage.location.template": f"{settlements}{key}=${{{key}}}/",
        },
        "StorageDescriptor": {
            "Columns": columns,
            "Location": settlements,
            "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
                "Parameters": {"serialization.format": "1"},
            },
        },
    }


def main():
    parser = argparse.ArgumentParser(description="Register the lake in AWS Glue; reads the table's schema, as JSON, from stdin.")
    parser.add_argument("--dest", required=True, help="the lake's root, as s3://bucket/prefix")
    parser.add_argument("--database", required=True, help="the Glue database, which must exist")
    parser.add_argument("--table", default="settlements", help="the table's name [default: settlements]")
    options = parser.parse_args()
    if not options.dest.startswith("s3://"):
        parser.error("--dest: Athena reads s3:// alone")

    glue = boto3.client("glue")
    table = table_input(json.load(sys.stdin), options.table, options.dest)
    try:
        glue.create_table(DatabaseName=options.database, TableInput=table)
        print(f"created {options.database}.{options.table}")
    except glue.exceptions.AlreadyExistsException:
        glue.update_table(DatabaseName=options.database, TableInput=table)
        print(f"updated {options.database}.{options.table}")


if __name__ == "__main__":
    main()
