//! What can go wrong at the Delta table.

use std::sync::Arc;

use parquet::errors::ParquetError;

use crate::lake::error::LakeError;

/// A failure at the Delta table. The days themselves are published all the same.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeltaError {
    /// The lake failed.
    #[error("the Delta table is not up to date")]
    Lake(#[from] LakeError),
    /// The log holds what this tool does not write, and is left alone.
    #[error(
        "the Delta table is left as it is, because {object} {what}: move delta/ elsewhere, and it is written anew, or write to it with the other program"
    )]
    Foreign {
        /// The object of the log.
        object: String,
        /// What it holds.
        what: String,
    },
    /// Two writers could not be kept apart.
    #[error(
        "the Delta table is not written, because AWS_CONDITIONAL_PUT=disabled leaves two writers free to overwrite each other's commits: use a server with conditional writes, or run without --delta"
    )]
    Unconditional,
    /// The server accepts what must be refused.
    #[error(
        "the server ignores the condition of a write, so that two writers of the Delta table could overwrite each other's commits: use a server with conditional writes, or run without --delta"
    )]
    Ignored,
    /// Other writers were always faster.
    #[error("the Delta table is not up to date: other runs committed first, {0} times in a row; run again")]
    Contended(u32),
    /// Days of a month cannot be packed.
    #[error("the Delta table keeps what it had of {month}: {object}: {reason}")]
    Day {
        /// The month.
        month: String,
        /// The day's file.
        object: String,
        /// Why it cannot be packed, and what to do.
        reason: String,
        /// Whether the file is whole and only not this version's.
        is_guarded: bool,
    },
    /// A file of the table, or of its log, could not be encoded.
    #[error("cannot encode a file of the Delta table")]
    Encode(#[source] Arc<ParquetError>),
}

impl DeltaError {
    /// An object of the log that this tool has not written.
    pub(super) fn foreign(object: &impl ToString, what: impl Into<String>) -> Self {
        Self::Foreign { object: object.to_string(), what: what.into() }
    }
}

impl From<ParquetError> for DeltaError {
    fn from(error: ParquetError) -> Self {
        Self::Encode(Arc::new(error))
    }
}
