//! What can go wrong at the lake.

use std::sync::Arc;

use crate::errors::chain;

use super::store_error::{Request, StoreError};

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
        /// `read`, `write`, `replace`, `list`, `remove`.
        action: &'static str,
        /// Its path inside the lake.
        object: String,
        /// What the store reported.
        #[source]
        source: Arc<StoreError>,
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
    /// A file of the table is another merchant's.
    #[error("{object} is the file of merchant {merchant}, and stays: find out how it got that name, and remove it")]
    OtherMerchant {
        /// Its path inside the lake.
        object: String,
        /// The API id that its record states.
        merchant: String,
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
        Self::store(action, object, Request::Plain)
    }

    /// The same for a request that may have been conditional.
    pub(super) fn store(
        action: &'static str,
        object: &object_store::path::Path,
        request: Request,
    ) -> impl FnOnce(object_store::Error) -> Self + use<> {
        let object = object.to_string();
        move |error| Self::Object { action, object, source: Arc::new(StoreError::new(&error, request)) }
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

    /// Why one object cannot be read, if the rest of the lake may well be readable: another user's file, an archived object,
    /// a damaged one.
    #[must_use]
    pub(crate) fn of_one_object(&self) -> Option<String> {
        match self {
            Self::Record { reason, .. } => Some(reason.clone()),
            Self::OtherMerchant { merchant, .. } => Some(format!("it is the file of merchant {merchant}")),
            Self::Object { action: "read", source, .. } if source.is_of_one_object() => Some(source.to_string()),
            Self::Destination { .. }
            | Self::Open { .. }
            | Self::Object { .. }
            | Self::Lock { .. }
            | Self::Encode(_)
            | Self::Panicked { .. } => None,
        }
    }

    /// Whether there is a file where the lake's folder should be. To a command that reads the lake that is a slip; a run that
    /// would make the folder cannot reach its lake.
    #[must_use]
    pub(crate) fn is_no_folder(&self) -> bool {
        let Self::Open { source, .. } = self else { return false };
        source.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::NotADirectory)
    }

    /// Whether the settings are wrong, and not the lake.
    #[must_use]
    pub(crate) fn is_a_setting(&self) -> bool {
        matches!(self, Self::Destination { .. })
    }

    /// The failure and its causes in one line.
    #[must_use]
    pub(crate) fn to_string_with_causes(&self) -> String {
        chain(self)
    }

    /// The failure and its causes in one line, with the lake's root and, on S3, what to check.
    #[must_use]
    pub fn at(&self, dest: &str) -> String {
        let line = chain(self);
        match self {
            Self::Destination { .. } | Self::Open { .. } => line,
            Self::Object { source, .. } if source.has_hint() => format!("the lake at {dest} cannot be used: {line}"),
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
