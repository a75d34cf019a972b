//! The two kinds of storage that a lake can have. What they have in common goes through `object_store`; where they differ,
//! each method states what it does for either.

mod bucket;
mod disk;
mod folder;
mod lock;
mod profile;
mod staging_folder;

use std::fs::File;
use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use object_store::ObjectStore;
use object_store::path::Path;

use super::destination::Destination;
use super::error::LakeError;
use super::file::DayFile;
use super::layout::{DayKey, staging_path};
use super::version::Version;

pub(crate) use lock::DayLock;
pub(crate) use staging_folder::StagingFolder;

use bucket::Bucket;
use disk::Disk;

/// Where a lake's objects are stored.
pub(super) enum Backend {
    /// A folder.
    Disk(Disk),
    /// A bucket of an S3 server, with a prefix.
    Bucket(Bucket),
}

/// An object, opened as a file. Parquet is read from its end, and a day may be large.
pub(crate) struct Fetched {
    pub(crate) file: File,
    /// When it was stored.
    pub(crate) modified: DateTime<Utc>,
    pub(crate) version: Version,
}

impl Backend {
    /// Opens a destination. A folder that does not exist is created if `create` is set; otherwise `None` is returned. S3 is not
    /// contacted yet.
    ///
    /// # Errors
    /// The folder cannot be created, or the S3 settings cannot be used.
    pub(super) async fn open(dest: &Destination, create: bool) -> Result<Option<Self>, LakeError> {
        match dest {
            Destination::Local(path) => Ok(Disk::open(path.clone(), create).await?.map(Self::Disk)),
            Destination::S3(url) => Ok(Some(Self::Bucket(Bucket::open(url)?))),
        }
    }

    /// The store, for what both kinds do alike.
    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        match self {
            Self::Disk(disk) => &disk.store,
            Self::Bucket(bucket) => &bucket.store,
        }
    }

    /// The day record at an object's end; `None` if there is no such object. On disk the file is opened and decoded on one
    /// blocking thread; from S3 only its end is fetched.
    pub(super) async fn read_end(&self, location: &Path) -> Result<Option<DayFile>, LakeError> {
        match self {
            Self::Disk(disk) => disk.read_end(location).await,
            Self::Bucket(bucket) => bucket.read_end(location).await,
        }
    }

    /// Opens an object; `None` if there is no such object. From S3 it is fetched into a temporary file.
    pub(super) async fn fetch(&self, location: &Path) -> Result<Option<Fetched>, LakeError> {
        match self {
            Self::Disk(disk) => disk.fetch(location).await,
            Self::Bucket(bucket) => bucket.fetch(location).await,
        }
    }

    /// Where the bytes of an object go until it is published. On disk that is a file under `.staging/`; on S3 its own key, because
    /// an upload is no object until it is completed.
    pub(super) fn staged_at(&self, target: &Path, run_id: &str) -> Path {
        match self {
            Self::Disk(_) => staging_path(target, run_id),
            Self::Bucket(_) => target.clone(),
        }
    }

    /// Keeps other runs on this machine from publishing a day. On S3 there is nothing to lock: the condition of the PUT does the
    /// same. `None` also on a file system that does not lock folders.
    pub(super) async fn lock(&self, key: &DayKey) -> Result<Option<DayLock>, LakeError> {
        match self {
            Self::Disk(disk) => disk.lock(key).await,
            Self::Bucket(_) => Ok(None),
        }
    }

    /// Prepares a run. On disk that is a folder for its staged files, after removing what dead runs left; on S3 nothing.
    pub(super) async fn begin(&self, run_id: &str) -> Result<Option<StagingFolder>, LakeError> {
        match self {
            Self::Disk(disk) => disk.begin(run_id).await.map(Some),
            Self::Bucket(_) => Ok(None),
        }
    }
}

/// Runs file work on a thread that may block, so that a slow disk does not stall other days.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

/// An error of the file system in the form of the store's errors.
pub(super) fn disk_error(error: io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(error) }
}
