//! Prints the table's schema for people and for each engine, derived from [`COLUMNS`].

use serde_json::{Value as Json, json};

use super::columns::{COLUMNS, Column, ColumnSource, ColumnType, SCHEMA_VERSION, fingerprint};
use super::values::{AMOUNT, RATE, Scale};

/// A form in which the schema is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// A table for people
    Text,
    /// The columns as JSON
    Json,
    /// Arrow's notation, as pyarrow prints it
    Arrow,
    /// A DuckDB view
    Duckdb,
    /// Athena DDL with partition projection
    Athena,
    /// Spark (Hive) DDL
    Spark,
}

/// The schema in one dialect. `dest` is the lake's root as the engine will see it.
#[must_use]
pub fn schema(dialect: Dialect, dest: &str) -> String {
    let dest = dest.trim_end_matches('/');
    match dialect {
        Dialect::Text => text(),
        Dialect::Json => format!("{:#}\n", as_json()),
        Dialect::Arrow => {
            lines(|column| format!("{}: {}{}", column.name, arrow_type(column), if column.nullable { "" } else { " not null" }))
        }
        Dialect::Duckdb => duckdb(dest),
        Dialect::Athena => athena(dest),
        Dialect::Spark => spark(dest),
    }
}

fn lines(line: impl Fn(&Column) -> String) -> String {
    COLUMNS.iter().map(|column| line(column) + "\n").collect()
}

/// The manual's name of the field that a column comes from.
fn field_name(column: &Column) -> Option<&'static str> {
    match column.source {
        ColumnSource::Field(field) => Some(field.name()),
        ColumnSource::MerchantId | ColumnSource::Extra | ColumnSource::Position | ColumnSource::ExtractedAt | ColumnSource::RunId => None,
    }
}

fn text() -> String {
    let head = format!("{:18} {:19} {:8} {:16} meaning\n", "column", "type", "null", "API field");
    let partition =
        format!("{:18} {:19} {:8} {:16} the requested pay date; the partition key, in the path\n", "pay_date", "date", "not null", "");
    head + &lines(|column| {
        let null = if column.nullable { "" } else { "not null" };
        format!("{:18} {:19} {null:8} {:16} {}", column.name, column.type_name(), field_name(column).unwrap_or_default(), column.about)
    }) + &partition
}

fn as_json() -> Json {
    let columns: Vec<Json> = COLUMNS
        .iter()
        .map(|column| {
            let source = field_name(column);
            json!({ "name": column.name, "type": column.type_name(), "nullable": column.nullable, "field": source, "about": column.about })
        })
        .collect();
    json!({ "version": SCHEMA_VERSION, "fingerprint": fingerprint(), "partition_key": { "name": "pay_date", "type": "date" }, "columns": columns })
}

/// A type as pyarrow prints it.
fn arrow_type(column: &Column) -> String {
    let decimal = |scale: Scale| format!("decimal128({}, {})", scale.precision(), scale.decimals);
    match column.column_type {
        ColumnType::Text => "string".into(),
        ColumnType::Amount => decimal(AMOUNT),
        ColumnType::Rate => decimal(RATE),
        ColumnType::Date => "date32[day]".into(),
        ColumnType::Int32 => "int32".into(),
        ColumnType::Timestamp => "timestamp[ms, tz=UTC]".into(),
    }
}

/// The names by which the SQL dialects differ.
struct SqlTypes {
    text: &'static str,
    int32: &'static str,
    timestamp: &'static str,
}

const DUCKDB: SqlTypes = SqlTypes { text: "VARCHAR", int32: "INTEGER", timestamp: "TIMESTAMPTZ" };
/// Athena's DDL and Spark share Hive's names.
const HIVE: SqlTypes = SqlTypes { text: "STRING", int32: "INT", timestamp: "TIMESTAMP" };

impl SqlTypes {
    fn name(&self, column_type: ColumnType) -> String {
        let decimal = |scale: Scale| format!("DECIMAL({},{})", scale.precision(), scale.decimals);
        match column_type {
            ColumnType::Text => self.text.into(),
            ColumnType::Amount => decimal(AMOUNT),
            ColumnType::Rate => decimal(RATE),
            ColumnType::Date => "DATE".into(),
            ColumnType::Int32 => self.int32.into(),
            ColumnType::Timestamp => self.timestamp.into(),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A literal as Athena's DDL and Spark read it: they refuse a doubled quote, or lose it.
fn hive_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

fn duckdb(dest: &str) -> String {
    let select: Vec<String> =
        COLUMNS.iter().map(|column| format!("    CAST({0} AS {1}) AS {0}", column.name, DUCKDB.name(column.column_type))).collect();
    let files = quoted(&format!("{dest}/settlements/*/*.parquet"));
    format!(
        "CREATE OR REPLACE VIEW settlements AS\nSELECT\n    pay_date,\n{}\nFROM read_parquet(\n    {files},\n    hive_partitioning = true,\n    hive_types = {{'pay_date': DATE}},\n    union_by_name = true\n);\n",
        select.join(",\n")
    )
}

fn hive_columns() -> String {
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|column| {
            let hive = HIVE.name(column.column_type);
            format!("  {} {hive} COMMENT {}", column.name, hive_quoted(column.about))
        })
        .collect();
    columns.join(",\n")
}

fn athena(dest: &str) -> String {
    // NOW is UTC: a range that ends there hides Seoul's today until 09:00, and every future pay date
    format!(
        "CREATE EXTERNAL TABLE settlements (\n{}\n)\nPARTITIONED BY (pay_date STRING)\nSTORED AS PARQUET\nLOCATION {}\nTBLPROPERTIES (\n  'projection.enabled' = 'true',\n  'projection.pay_date.type' = 'date',\n  'projection.pay_date.format' = 'yyyy-MM-dd',\n  'projection.pay_date.range' = '2015-01-01,NOW+60DAYS',\n  'projection.pay_date.interval' = '1',\n  'projection.pay_date.interval.unit' = 'DAYS',\n  'storage.location.template' = {}\n);\n",
        hive_columns(),
        hive_quoted(&format!("{dest}/settlements/")),
        hive_quoted(&format!("{dest}/settlements/pay_date=${{pay_date}}/")),
    )
}

fn spark(dest: &str) -> String {
    format!(
        "CREATE EXTERNAL TABLE settlements (\n{}\n)\nPARTITIONED BY (pay_date DATE COMMENT 'the requested pay date')\nSTORED AS PARQUET\nLOCATION {};\nMSCK REPAIR TABLE settlements;\n",
        hive_columns(),
        hive_quoted(&format!("{dest}/settlements")),
    )
}
