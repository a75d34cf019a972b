//! DDL for Trino: its Hive connector for the table, its Delta connector for the Delta table.

use crate::lake::layout::{DELTA, SETTLEMENTS};
use crate::lang::{Words, words};

use super::columns::{self, TableColumn};
use super::error::DdlError;
use super::root::Root;
use super::sql::{TypeNames, quoted};
use super::{Request, Table};

/// The Hive connector reads an instant as a time in UTC.
const TYPES: TypeNames =
    TypeNames { text: "VARCHAR", decimal: "DECIMAL", int32: "INTEGER", int64: "BIGINT", boolean: "BOOLEAN", timestamp: "TIMESTAMP(3)" };

const CATALOG: Words = words(
    "the catalog delta and its schema default: put in the names of yours",
    "카탈로그 delta, 스키마 default: 사용하는 이름으로 바꿀 것",
);
const FINDS_DAYS: Words = words(
    "makes the days known, and is to be run again as days land; put in the name of your schema for default",
    "일자 파티션을 등록함. 일자가 추가되면 다시 실행하고, default는 사용하는 스키마 이름으로 바꿀 것",
);

/// The statements for a table.
pub(super) fn print(request: &Request) -> Result<String, DdlError> {
    let root = match &request.root {
        Root::Folder { absolute, .. } => format!("file://{absolute}"),
        Root::Bucket { .. } => request.root.typed(),
    };
    match request.table {
        Table::Delta => Ok(format!(
            "-- {}\nCALL delta.system.register_table(\n  schema_name => 'default',\n  table_name => 'settlements',\n  table_location => {}\n);\n",
            CATALOG.to(request.lang),
            quoted(&format!("{root}/{DELTA}"))
        )),
        Table::Ledger | Table::Versions => {
            Err(DdlError::NotPrinted { format: request.format, table: request.table, instead: "--format duckdb, athena or spark" })
        }
        Table::Settlements | Table::Labels => {
            let line = |(name, kind, about): (&str, String, &str)| format!("  {name} {kind} COMMENT {}", quoted(about));
            let in_file = columns::in_file(request.lang);
            let lines = in_file.iter().map(|TableColumn { name, kind, about, .. }| line((name, TYPES.of(*kind), about)));
            let key = line(("pay_date", "DATE".to_owned(), columns::PAY_DATE.to(request.lang)));
            Ok(format!(
                "CREATE TABLE settlements (\n{}\n)\nWITH (\n  format = 'PARQUET',\n  external_location = {},\n  partitioned_by = ARRAY['pay_date']\n);\n-- {}\nCALL system.sync_partition_metadata('default', 'settlements', 'FULL');\n",
                lines.chain([key]).collect::<Vec<_>>().join(",\n"),
                quoted(&format!("{root}/{SETTLEMENTS}")),
                FINDS_DAYS.to(request.lang),
            ))
        }
    }
}
