//! What cannot be printed.

use super::{Format, Table};

/// A table that cannot be printed for an engine; the message states what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DdlError {
    /// The engine cannot read a lake there.
    #[error("{engine} cannot read a lake at {root}: {remedy}", engine = .format.name())]
    NotReadable {
        /// The engine.
        format: Format,
        /// The lake's root.
        root: String,
        /// What to do.
        remedy: String,
    },
    /// The table is not printed for the engine.
    #[error("--table {table} is not printed for {engine}: use {instead}", table = .table.name(), engine = .format.name())]
    NotPrinted {
        /// The engine.
        format: Format,
        /// The table.
        table: Table,
        /// What to use.
        instead: &'static str,
    },
    /// The table is not narrowed to pay dates.
    #[error("--from and --to do not narrow --table {table} for {engine}: put pay_date into the queries' WHERE (they narrow --table settlements for DuckDB, ClickHouse, Athena and Redshift, and --table versions for DuckDB)", table = .table.name(), engine = .format.name())]
    NotNarrowed {
        /// The engine.
        format: Format,
        /// The table.
        table: Table,
    },
    /// A root that is no text.
    #[error("the lake's root {root} is not UTF-8: engines read paths as UTF-8, so rename the folder")]
    NotText {
        /// The lake's root.
        root: String,
    },
    /// Partitions of a range without an end.
    #[error("the days to be listed as partitions need both --from and --to")]
    OpenRange,
    /// More partitions than anyone would list.
    #[error("{days} days are too many to be listed as partitions: narrow --from and --to to at most {most}")]
    TooManyDays {
        /// The days.
        days: u64,
        /// The most that are listed.
        most: u64,
    },
}
