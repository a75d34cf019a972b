//! Settings that cannot be used.

use crate::lake::error::LakeError;
use crate::lake::merchant::{AlikeIds, NameError};
use crate::simulator::OptionsError;

/// Settings that cannot be used; the message states what to change.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A setting that is needed and absent, or cannot be used.
    #[error("{0}")]
    Setting(String),
    /// A file that cannot be read.
    #[error("cannot read {what} {path}")]
    File {
        /// What the file is for.
        what: &'static str,
        /// Where it should be.
        path: String,
        /// What the file system reported.
        #[source]
        source: std::io::Error,
    },
    /// The settings file is not the expected TOML.
    #[error("line {line} of the settings file {path}: {reason}")]
    Toml {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The API id cannot be used in file names.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Two API ids are probably one.
    #[error(transparent)]
    Alike(#[from] AlikeIds),
    /// The destination has no known form.
    #[error(transparent)]
    Destination(#[from] LakeError),
    /// The simulator's settings.
    #[error(transparent)]
    Simulator(#[from] OptionsError),
}

/// An error about one setting.
pub(crate) fn setting<T>(message: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError::Setting(message.into()))
}
