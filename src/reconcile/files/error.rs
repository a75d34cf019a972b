//! Why files cannot be read. Every message names the file; those about a line also name it, the column and the value.

use std::io;

use crate::exit::ExitCode;

/// Why a line of headers cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Two columns have the same header, and it is one that is needed.
    #[error("columns {first} and {second} both have the header {header:?}: rename or remove one")]
    Twice {
        /// The header.
        header: String,
        /// The columns, from 1.
        first: usize,
        /// The other.
        second: usize,
    },
    /// Two headers of one class of amounts.
    #[error("{first:?} and {second:?} could both be the amount: choose one with --column {flag}=HEADER")]
    Amounts {
        /// A header.
        first: String,
        /// The other.
        second: String,
        /// The field, as the flag has it.
        flag: &'static str,
    },
    /// Two headers that the flags name for one field.
    #[error("it has both {first:?} and {second:?}, and --column {field}= names both: name one")]
    Chosen {
        /// The field.
        field: &'static str,
        /// A header.
        first: String,
        /// The other.
        second: String,
    },
}

/// Why files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// No such file, or a pattern that matches none.
    #[error("{file}: {reason}")]
    NotFound {
        /// As typed.
        file: String,
        /// What was looked for.
        reason: String,
    },
    /// A file was named twice, and each of its lines would count twice.
    #[error("{file} is named twice: its lines would count twice")]
    Twice {
        /// The file.
        file: String,
    },
    /// The file system refuses to read a file.
    #[error("cannot read {file}")]
    Io {
        /// The file.
        file: String,
        /// What it reports.
        source: io::Error,
    },
    /// An object cannot be read.
    #[error("cannot read {file}: {reason}")]
    Store {
        /// The object, or the pattern.
        file: String,
        /// What the store reports.
        reason: String,
    },
    /// A workbook is protected by a password.
    #[error("{file} is protected by a password: save it without password")]
    Password {
        /// The file.
        file: String,
    },
    /// A file is not what its first bytes promise.
    #[error("{file}: {reason}")]
    Content {
        /// The file.
        file: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// No line is recognised as the header.
    #[error("{file}: no column for {missing} in its first 20 lines (found: {found}): name the column with --column FIELD=HEADER")]
    NoHeader {
        /// The file.
        file: String,
        /// The needed fields that are missing.
        missing: String,
        /// The headers of the line that has most of them.
        found: String,
    },
    /// The header leaves open which column to use.
    #[error("{file}, line {line}")]
    Header {
        /// The file.
        file: String,
        /// The line of the header.
        line: u64,
        /// What is open.
        source: HeaderError,
    },
    /// A flag names a header that is not in a file.
    #[error("{file}: no column {header:?}, which {flag} names (found: {found})")]
    NoColumn {
        /// The file; or all of them.
        file: String,
        /// The header as typed.
        header: String,
        /// The flag.
        flag: &'static str,
        /// The headers that were found.
        found: String,
    },
    /// A line cannot be read.
    #[error("{file}, line {line}, column {column}: {value:?} {reason}")]
    Line {
        /// The file.
        file: String,
        /// The line of a text, or the row of a sheet or table.
        line: u64,
        /// The header.
        column: String,
        /// The value as written.
        value: String,
        /// What is wrong, and what to do; continues the value.
        reason: String,
    },
    /// A line cannot be read for a reason that no single cell has.
    #[error("{file}, line {line}: {reason}")]
    WholeLine {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// What the lines mean is open.
    #[error(
        "{reason}: state it with --orders-are events (each line happened on its date) or --orders-are totals (each line is an order's current state)"
    )]
    Meaning {
        /// Why.
        reason: String,
    },
    /// A defect of this tool.
    #[error("reading the files panicked: {0}")]
    Panicked(String),
}

impl BooksError {
    /// What the command ends with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Store { .. } => ExitCode::Lake,
            Self::Panicked(_) => ExitCode::Internal,
            _ => ExitCode::Usage,
        }
    }
}
