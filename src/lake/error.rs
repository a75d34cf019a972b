//! What can go wrong at the lake.

use std::sync::Arc;

use crate::errors::chain;

/// A failure at the destination; names the object it is about.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LakeError {
    /// The destination is not one that can be used.
    #[error("cannot use {dest} as a lake: {reason}")]
    Destination {
        /// As given.
        dest: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// The destination could not be opened.
    #[error("cannot open the lake at {dest}")]
    Open {
        /// As given.
        dest: String,
        /// What the file system or the client said.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// An object could not be read, written, listed or removed.
    #[error("cannot {action} {object}")]
    Object {
        /// `read`, `write`, `list`, `remove`.
        action: &'static str,
        /// Its path inside the lake.
        object: String,
        /// What the store said.
        #[source]
        source: Arc<object_store::Error>,
    },
    /// A day could not be kept from other runs while it is published.
    #[error("cannot lock the folder of {object}")]
    Lock {
        /// The day's path inside the lake.
        object: String,
        /// What the file system said.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The day's Parquet file could not be made.
    #[error("cannot encode the day's Parquet file")]
    Encode(#[source] Arc<parquet::errors::ParquetError>),
    /// A file of the table does not say what it is.
    #[error("{object} has no readable day record: {reason}")]
    Record {
        /// Its path inside the lake.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl LakeError {
    /// Wraps a store's error with what was being done.
    pub(crate) fn object(action: &'static str, object: &object_store::path::Path) -> impl FnOnce(object_store::Error) -> Self + use<> {
        let object = object.to_string();
        move |source| Self::Object { action, object, source: Arc::new(source) }
    }

    /// A failure to open `dest`.
    pub(crate) fn open(dest: &str) -> impl Fn(std::io::Error) -> Self + use<> {
        let dest = dest.to_owned();
        move |source| Self::Open { dest: dest.clone(), source: Arc::new(source) }
    }
}

impl LakeError {
    /// The failure and its causes in one line, with the lake's root and, where S3 is asked, what to look at.
    #[must_use]
    pub fn at(&self, dest: &str) -> String {
        let line = chain(self);
        match self {
            Self::Destination { .. } | Self::Open { .. } => line,
            _ if dest.starts_with("s3://") => {
                format!("the lake at {dest} cannot be used: check that the bucket is there and the AWS_* variables are right: {line}")
            }
            _ => format!("the lake at {dest} cannot be used: {line}"),
        }
    }
}

impl From<parquet::errors::ParquetError> for LakeError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Encode(Arc::new(error))
    }
}
