//! The two kinds of storage that a lake can have. What they have in common goes through `object_store`; where they differ,
//! each method states what it does for either.

mod aws;
mod bucket;
mod disk;
mod folder;
mod listing;
mod lock;
mod staging_folder;

use std::fs::File;
use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::destination::Destination;
use super::error::LakeError;
use super::file::DayFile;
use super::layout::staging_path;
use super::version::Version;

pub(super) use listing::{Listed, Listing};
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
            Destination::S3(url) => {
                let url = url.clone();
                // reads the AWS tools' files, and the machine's certificates
                let opened = tokio::task::spawn_blocking(move || Bucket::open(&url)).await;
                Ok(Some(Self::Bucket(opened.map_err(LakeError::panicked(&Path::default()))??)))
            }
        }
    }

    /// The store, for what both kinds do alike.
    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        match self {
            Self::Disk(disk) => &disk.store,
            Self::Bucket(bucket) => &bucket.store,
        }
    }

    /// The objects below `{folder}/pay_date=…/`.
    pub(super) async fn list(&self, folder: &'static str) -> Result<Listing, LakeError> {
        let listing = match self {
            Self::Disk(disk) => disk.list(folder).await,
            Self::Bucket(bucket) => bucket.list(folder).await,
        };
        listing.map_err(LakeError::object("list", &Path::from(folder)))
    }

    /// Every object below a folder, in no order.
    pub(super) async fn list_below(&self, folder: &str) -> Result<Vec<ObjectMeta>, LakeError> {
        let listed = match self {
            Self::Disk(disk) => disk.list_below(folder).await,
            Self::Bucket(bucket) => bucket.store.list(Some(&Path::from(folder))).try_collect().await,
        };
        listed.map_err(LakeError::object("list", &Path::from(folder)))
    }

    /// Makes an object that stays count as new. On S3 it was written again.
    pub(super) async fn renew(&self, location: &Path) -> Result<(), LakeError> {
        match self {
            Self::Disk(disk) => disk.renew(location).await.map_err(LakeError::object("write", location)),
            Self::Bucket(_) => Ok(()),
        }
    }

    /// Whether an object can be written on the condition that there is none of its name.
    pub(super) fn has_conditions(&self) -> bool {
        match self {
            Self::Disk(_) => true,
            Self::Bucket(bucket) => bucket.has_conditions,
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

    /// Keeps other runs on this machine from publishing into an object's folder. On S3 there is nothing to lock: the condition of the PUT does the
    /// same. `None` also on a file system that does not lock folders.
    pub(super) async fn lock(&self, location: &Path) -> Result<Option<DayLock>, LakeError> {
        match self {
            Self::Disk(disk) => disk.lock(location).await,
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

/// The bucket of an `s3://` URL, with the settings that a lake there would have, for objects that are not of a lake.
///
/// # Errors
/// The setting that cannot be used, and what to do.
pub(crate) fn bucket(url: &reqwest::Url) -> Result<object_store::aws::AmazonS3, String> {
    aws::bucket(url)
}

/// Runs file work on a thread that may block, so that a slow disk does not stall other days.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

/// An error of the file system in the form of the store's errors.
pub(super) fn disk_error(error: io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(error) }
}
