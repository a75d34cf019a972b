//! Prints the lake's tables: for people, and as statements by which an engine reads them. Reads no lake; a root is only a name here.
//!
//! Start at `print`. `root` is where the lake is, `columns` what each table holds; then one file for the forms for people,
//! one for each engine or family of engines, and `labels`, the same view in every engine.
//!
//! Names are written as the engine reads them: what `s3://b/a%20b` means to the tool is `a b` to DuckDB and `a%20b` to ClickHouse, and what a name
//! shares with an engine's patterns is escaped. What an engine cannot read at all is refused, not printed to fail later. The DuckDB view has no
//! `union_by_name`, with which DuckDB opens every file before any query. A folder such as `merchant_id=x` above the lake would overrule the
//! column of that name: there, the pay date is taken from the file's own name. Which version belongs to a moment is decided in the ledger:
//! among rows, a version without rows would not be seen.

mod bigquery;
mod clickhouse;
mod columns;
mod duckdb;
mod error;
mod forms;
mod hive;
mod labels;
mod redshift;
mod root;
mod snowflake;
mod sql;
mod trino;

use chrono::NaiveDate;
use clap::ValueEnum;

use crate::lang::Lang;

pub use error::DdlError;
pub use root::Root;

/// A form in which a table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people
    Text,
    /// The columns as JSON
    Json,
    /// Arrow's notation, as pyarrow prints it
    Arrow,
    /// A DuckDB view
    Duckdb,
    /// Athena DDL, with partition projection
    Athena,
    /// Spark (Hive) DDL
    Spark,
    /// Trino DDL
    Trino,
    /// A ClickHouse view
    Clickhouse,
    /// BigQuery DDL, for an external table and a view
    Bigquery,
    /// Snowflake DDL, for a stage and an external table
    Snowflake,
    /// Redshift Spectrum DDL
    Redshift,
}

impl Format {
    /// What people call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Arrow => "arrow",
            Self::Duckdb => "DuckDB",
            Self::Athena => "Athena",
            Self::Spark => "Spark",
            Self::Trino => "Trino",
            Self::Clickhouse => "ClickHouse",
            Self::Bigquery => "BigQuery",
            Self::Snowflake => "Snowflake",
            Self::Redshift => "Redshift",
        }
    }
}

/// A table of the lake, or a view of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Table {
    /// The rows
    Settlements,
    /// A view beside settlements that names payment status, payout status and acquirer (--lang)
    Labels,
    /// The rows of every version of every day: the table's, and those in history/
    Versions,
    /// The ledger indexes: every version of every day, with its state and sums
    Ledger,
    /// The rows, read from the Delta table
    Delta,
}

impl Table {
    /// As it is typed.
    const fn name(self) -> &'static str {
        match self {
            Self::Settlements => "settlements",
            Self::Labels => "labels",
            Self::Versions => "versions",
            Self::Ledger => "ledger",
            Self::Delta => "delta",
        }
    }
}

/// The pay dates to which a table is narrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Days {
    /// The first; `None` for the lake's.
    pub from: Option<NaiveDate>,
    /// The last, included; `None` for the lake's.
    pub to: Option<NaiveDate>,
}

impl Days {
    const fn are_all(self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// A condition on `pay_date`, whose literals begin with `literal`; `None` if there is nothing to narrow.
    fn condition(self, literal: &str) -> Option<String> {
        let date = |date: NaiveDate| format!("{literal}'{date}'");
        match (self.from, self.to) {
            (None, None) => None,
            (Some(from), None) => Some(format!("pay_date >= {}", date(from))),
            (None, Some(to)) => Some(format!("pay_date <= {}", date(to))),
            (Some(from), Some(to)) => Some(format!("pay_date BETWEEN {} AND {}", date(from), date(to))),
        }
    }
}

/// What is to be printed.
#[derive(Debug, Clone)]
pub struct Request {
    /// The form.
    pub format: Format,
    /// The table.
    pub table: Table,
    /// The lake, as the engine will see it.
    pub root: Root,
    /// The pay dates.
    pub days: Days,
    /// The language of comments and labels.
    pub lang: Lang,
}

/// The text to print.
///
/// # Errors
/// The engine cannot read a lake there, or the table, or it cannot be narrowed to some pay dates.
pub fn print(request: &Request) -> Result<String, DdlError> {
    let Request { format, table, .. } = *request;
    if !request.days.are_all() && !is_narrowed(format, table) {
        return Err(DdlError::NotNarrowed { format, table });
    }
    match (format, table) {
        (Format::Text | Format::Json, Table::Labels) => Ok(labels::list(request)),
        (Format::Text, _) => Ok(forms::text(table, request.lang)),
        (Format::Json, _) => Ok(forms::json(table, request.lang)),
        (Format::Arrow, _) => Ok(forms::arrow(table)),
        (_, Table::Labels) => Ok(labels::view(request)),
        (Format::Duckdb, _) => duckdb::print(request),
        (_, Table::Versions) => Err(DdlError::NotPrinted { format, table, instead: "--format duckdb" }),
        (Format::Athena, _) => hive::athena(request),
        (Format::Spark, _) => Ok(hive::spark(request)),
        (Format::Trino, _) => trino::print(request),
        (Format::Clickhouse, _) => clickhouse::print(request),
        (Format::Bigquery, _) => bigquery::print(request),
        (Format::Snowflake, _) => snowflake::print(request),
        (Format::Redshift, _) => redshift::print(request),
    }
}

/// Whether there is something by which the engine reads fewer files if it is to read some pay dates only.
const fn is_narrowed(format: Format, table: Table) -> bool {
    match table {
        Table::Settlements => matches!(format, Format::Duckdb | Format::Clickhouse | Format::Athena | Format::Redshift),
        Table::Versions => matches!(format, Format::Duckdb),
        Table::Labels | Table::Ledger | Table::Delta => false,
    }
}
