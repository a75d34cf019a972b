//! DDL for Athena and Spark, which share Hive's dialect.

use crate::lake::layout::{DELTA, LEDGER, SETTLEMENTS};

use super::columns::{self, TableColumn};
use super::error::DdlError;
use super::sql::{TypeNames, backslash_quoted as quoted};
use super::{Days, Request, Table};

const TYPES: TypeNames =
    TypeNames { text: "STRING", decimal: "DECIMAL", int32: "INT", int64: "BIGINT", boolean: "BOOLEAN", timestamp: "TIMESTAMP" };

const ON_S3: &str = "it reads S3 alone; copy the lake there (aws s3 sync FOLDER s3://bucket/prefix) and use --dest s3://bucket/prefix";

/// The first pay date and the last, unless they are narrowed. NOW is UTC: a range that ends there hides Seoul's today until 09:00, and every
/// future pay date.
const PROJECTED: (&str, &str) = ("2015-01-01", "NOW+60DAYS");

/// Athena's table.
pub(super) fn athena(request: &Request) -> Result<String, DdlError> {
    let root = request.root.in_bucket(request.format, &["s3"], ON_S3)?;
    Ok(match request.table {
        Table::Ledger => ledger(request, &format!("{root}/{LEDGER}/")),
        Table::Delta => {
            format!(
                "CREATE EXTERNAL TABLE settlements\nLOCATION {}\nTBLPROPERTIES ('table_type' = 'DELTA');\n",
                quoted(&format!("{root}/{DELTA}/"))
            )
        }
        Table::Settlements | Table::Labels | Table::Versions => {
            let about = columns::PAY_DATE.to(request.lang);
            format!(
                "CREATE EXTERNAL TABLE settlements (\n{}\n)\nPARTITIONED BY (pay_date STRING COMMENT {})\nSTORED AS PARQUET\nLOCATION {}\nTBLPROPERTIES (\n  'projection.enabled' = 'true',\n  'projection.pay_date.type' = 'date',\n  'projection.pay_date.format' = 'yyyy-MM-dd',\n  'projection.pay_date.range' = '{}',\n  'projection.pay_date.interval' = '1',\n  'projection.pay_date.interval.unit' = 'DAYS',\n  'storage.location.template' = {}\n);\n",
                list(&columns::in_file(request.lang), plain),
                quoted(about),
                quoted(&format!("{root}/{SETTLEMENTS}/")),
                projected(request.days),
                quoted(&format!("{root}/{SETTLEMENTS}/pay_date=${{pay_date}}/")),
            )
        }
    })
}

fn projected(days: Days) -> String {
    let end = |day: Option<chrono::NaiveDate>, default: &str| day.map_or_else(|| default.to_owned(), |day| day.to_string());
    format!("{},{}", end(days.from, PROJECTED.0), end(days.to, PROJECTED.1))
}

/// Spark's table. Spark resolves a relative path against its warehouse, not against the working folder.
pub(super) fn spark(request: &Request) -> String {
    let root = request.root.absolute();
    match request.table {
        Table::Ledger => ledger(request, &format!("{root}/{LEDGER}")),
        Table::Delta => format!("CREATE TABLE settlements\nUSING DELTA\nLOCATION {};\n", quoted(&format!("{root}/{DELTA}"))),
        Table::Settlements | Table::Labels | Table::Versions => format!(
            "CREATE EXTERNAL TABLE settlements (\n{}\n)\nPARTITIONED BY (pay_date DATE COMMENT {})\nSTORED AS PARQUET\nLOCATION {};\nMSCK REPAIR TABLE settlements;\n",
            list(&columns::in_file(request.lang), plain),
            quoted(columns::PAY_DATE.to(request.lang)),
            quoted(&format!("{root}/{SETTLEMENTS}")),
        ),
    }
}

fn list(columns: &[TableColumn], name: impl Fn(&str) -> String) -> String {
    let line = |column: &TableColumn| format!("  {} {} COMMENT {}", name(&column.name), TYPES.of(column.kind), quoted(column.about));
    columns.iter().map(line).collect::<Vec<_>>().join(",\n")
}

fn plain(name: &str) -> String {
    name.to_owned()
}

fn ledger(request: &Request, location: &str) -> String {
    // some of the names are reserved
    let columns = list(&columns::ledger(request.lang), |name| format!("`{name}`"));
    format!("CREATE EXTERNAL TABLE ledger (\n{columns}\n)\nSTORED AS PARQUET\nLOCATION {};\n", quoted(location))
}
