//! What can go wrong at the lake.

use std::sync::Arc;

use crate::errors::chain;

/// A failure at the destination; names the object it is about.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LakeError {
    /// The destination cannot be used.
    #[error("cannot use {dest} as a lake: {reason}")]
    Destination {
        /// As the user wrote it.
        dest: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// The destination could not be opened.
    #[error("cannot open the lake at {dest}")]
    Open {
        /// As the user wrote it.
        dest: String,
        /// What the file system or the client reported.
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
        /// What the store reported.
        #[source]
        source: Arc<object_store::Error>,
    },
    /// A day could not be locked against other runs.
    #[error("cannot lock the folder of {object}")]
    Lock {
        /// The day's path inside the lake.
        object: String,
        /// What the file system reported.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The day's Parquet file could not be encoded.
    #[error("cannot encode the day's Parquet file")]
    Encode(#[source] Arc<parquet::errors::ParquetError>),
    /// A file of the table has no readable record.
    #[error("{object} has no readable day record: {reason}")]
    Record {
        /// Its path inside the lake.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A thread of this process panicked.
    #[error("the work on {object} panicked")]
    Panicked {
        /// The object's path inside the lake.
        object: String,
        /// The panic.
        #[source]
        source: Arc<tokio::task::JoinError>,
    },
}

impl LakeError {
    /// Adds to a store's error what was being done.
    pub(crate) fn object(action: &'static str, object: &object_store::path::Path) -> impl FnOnce(object_store::Error) -> Self + use<> {
        let object = object.to_string();
        move |source| Self::Object { action, object, source: Arc::new(source) }
    }

    /// A panic during the work on an object.
    pub(crate) fn panicked(object: &object_store::path::Path) -> impl FnOnce(tokio::task::JoinError) -> Self + use<> {
        let object = object.to_string();
        move |source| Self::Panicked { object, source: Arc::new(source) }
    }

    /// A failure to open `dest`.
    pub(crate) fn open(dest: &str) -> impl Fn(std::io::Error) -> Self + use<> {
        let dest = dest.to_owned();
        move |source| Self::Open { dest: dest.clone(), source: Arc::new(source) }
    }

    /// The failure and its causes in one line, with the lake's root and, on S3, what to check.
    #[must_use]
    pub fn at(&self, dest: &str) -> String {
        let line = chain(self);
        match self {
            Self::Destination { .. } | Self::Open { .. } => line,
            _ if dest.starts_with("s3://") => {
                format!("the lake at {dest} cannot be used: check that the bucket exists and that the AWS_* variables are right: {line}")
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
