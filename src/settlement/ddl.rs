//! The table's schema in each engine's words, derived from [`COLUMNS`]. Text only.

use serde_json::{Value as Json, json};

use super::columns::{COLUMNS, Column, Kind, SCHEMA_VERSION, Source, fingerprint};

/// An engine, or a reader, that wants the schema in its own words.
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

/// The schema for one dialect. `dest` is the lake's root as the engine will see it.
#[must_use]
pub fn schema(dialect: Dialect, dest: &str) -> String {
    let dest = dest.trim_end_matches('/');
    match dialect {
        Dialect::Text => text(),
        Dialect::Json => format!("{:#}\n", as_json()),
        Dialect::Arrow => {
            lines(|column| format!("{}: {}{}", column.name, arrow_type(column.kind), if column.nullable { "" } else { " not null" }))
        }
        Dialect::Duckdb => duckdb(dest),
        Dialect::Athena => athena(dest),
        Dialect::Spark => spark(dest),
    }
}

fn lines(line: impl Fn(&Column) -> String) -> String {
    COLUMNS.iter().map(|column| line(column) + "\n").collect()
}

fn source_name(column: &Column) -> &'static str {
    match column.source {
        Source::Field(field) => field.name(),
        Source::Extractor => "",
    }
}

fn text() -> String {
    let head = format!("{:18} {:19} {:8} {:16} meaning\n", "column", "type", "null", "API field");
    let partition =
        format!("{:18} {:19} {:8} {:16} the pay date asked for; the partition key, in the path\n", "pay_date", "date", "not null", "");
    head + &lines(|column| {
        let null = if column.nullable { "" } else { "not null" };
        format!("{:18} {:19} {null:8} {:16} {}", column.name, column.type_name(), source_name(column), column.about)
    }) + &partition
}

fn as_json() -> Json {
    let columns: Vec<Json> = COLUMNS
        .iter()
        .map(|column| {
            let source = Some(source_name(column)).filter(|name| !name.is_empty());
            json!({ "name": column.name, "type": column.type_name(), "nullable": column.nullable, "field": source, "about": column.about })
        })
        .collect();
    json!({ "version": SCHEMA_VERSION, "fingerprint": fingerprint(), "partition_key": { "name": "pay_date", "type": "date" }, "columns": columns })
}

fn arrow_type(kind: Kind) -> String {
    match (kind, kind.decimal()) {
        (_, Some((precision, decimals))) => format!("decimal128({precision}, {decimals})"),
        (Kind::Date, _) => "date32[day]".into(),
        (Kind::Int32, _) => "int32".into(),
        (Kind::Timestamp, _) => "timestamp[ms, tz=UTC]".into(),
        _ => "string".into(),
    }
}

/// DuckDB's and Hive's type names differ in three places.
fn sql_type(kind: Kind, text: &str, int32: &str, timestamp: &str) -> String {
    match (kind, kind.decimal()) {
        (_, Some((precision, decimals))) => format!("DECIMAL({precision},{decimals})"),
        (Kind::Date, _) => "DATE".into(),
        (Kind::Int32, _) => int32.into(),
        (Kind::Timestamp, _) => timestamp.into(),
        _ => text.into(),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A literal in Hive's words, which Athena's DDL and Spark share: a doubled quote is refused there, or lost.
fn hive_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

fn duckdb(dest: &str) -> String {
    let select: Vec<String> = COLUMNS
        .iter()
        .map(|column| format!("    CAST({0} AS {1}) AS {0}", column.name, sql_type(column.kind, "VARCHAR", "INTEGER", "TIMESTAMPTZ")))
        .collect();
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
            let hive = sql_type(column.kind, "STRING", "INT", "TIMESTAMP");
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
        "CREATE EXTERNAL TABLE settlements (\n{}\n)\nPARTITIONED BY (pay_date DATE COMMENT 'the pay date asked for')\nSTORED AS PARQUET\nLOCATION {};\nMSCK REPAIR TABLE settlements;\n",
        hive_columns(),
        hive_quoted(&format!("{dest}/settlements")),
    )
}
