//! Why a reconciliation has no result.

use crate::exit::ExitCode;
use crate::lake::error::LakeError;

use super::cases::Unbalanced;
use super::files::BooksError;
use super::merchants::UnknownMerchant;
use super::rates::RatesError;

/// Why a reconciliation has no result.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The lake cannot be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The files cannot be read.
    #[error(transparent)]
    Books(#[from] BooksError),
    /// A line names a merchant that nobody knows.
    #[error(transparent)]
    Merchant(#[from] UnknownMerchant),
    /// The table of rates cannot be read.
    #[error("cannot read --rates {file}")]
    RatesFile {
        /// The file.
        file: String,
        /// What the file system reports.
        source: std::io::Error,
    },
    /// The table of rates cannot be used.
    #[error("--rates {file}")]
    Rates {
        /// The file.
        file: String,
        /// What is wrong.
        source: RatesError,
    },
    /// The sums are not those of what was read.
    #[error(transparent)]
    Unbalanced(#[from] Unbalanced),
    /// A thread of this process panicked.
    #[error("comparing the lines with the lake panicked: {0}")]
    Panicked(String),
}

impl ReconcileError {
    /// How the process ends.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Lake(_) => ExitCode::Lake,
            Self::Books(error) => error.exit_code(),
            Self::Merchant(_) | Self::RatesFile { .. } | Self::Rates { .. } => ExitCode::Usage,
            Self::Unbalanced(_) | Self::Panicked(_) => ExitCode::Internal,
        }
    }
}
