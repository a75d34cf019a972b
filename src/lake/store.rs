//! A lake, opened: which days it holds, what their records state, and how objects get into it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use tokio::sync::mpsc;

use super::backend::{Backend, DayLock, Fetched, StagingFolder};
use super::destination::Destination;
use super::error::LakeError;
use super::file::DayFile;
use super::layout::{DayKey, HISTORY, RAW, SETTLEMENTS, STAGING};
use super::staged::{Abandoned, Staged, StagingWriter};

/// A lake, opened.
pub struct Lake {
    pub(super) backend: Backend,
    abandoned: Abandoned,
}

impl Lake {
    /// Opens a lake. A folder that does not exist is created, unless `read_only` is set; then `None` is returned.
    ///
    /// # Errors
    /// The folder cannot be created, or the S3 settings cannot be used. S3 is not contacted yet.
    pub async fn open(dest: &Destination, read_only: bool) -> Result<Option<Self>, LakeError> {
        let backend = Backend::open(dest, !read_only).await?;
        Ok(backend.map(|backend| Self { backend, abandoned: Abandoned::default() }))
    }

    /// Opens a lake that must exist.
    ///
    /// # Errors
    /// As for [`Lake::open`], or the folder does not exist.
    pub async fn open_existing(dest: &Destination) -> Result<Self, LakeError> {
        let missing = || LakeError::Destination { dest: dest.to_string(), reason: "there is no such folder".into() };
        Self::open(dest, true).await?.ok_or_else(missing)
    }

    /// The days that have a file in the table, in their order. Costs one listing.
    ///
    /// # Errors
    /// The lake cannot be listed.
    pub async fn days(&self) -> Result<Vec<DayKey>, LakeError> {
        let prefix = Path::from(SETTLEMENTS);
        let objects = self.backend.store().list(Some(&prefix));
        let days = objects.try_filter_map(async |object| Ok(DayKey::of_settlement(&object.location)));
        let mut days: Vec<DayKey> = days.try_collect().await.map_err(LakeError::object("list", &prefix))?;
        days.sort();
        Ok(days)
    }

    /// The versions that were replaced and kept, by day, oldest first. Costs one listing.
    ///
    /// # Errors
    /// The lake cannot be listed.
    pub async fn history(&self) -> Result<BTreeMap<DayKey, Vec<Path>>, LakeError> {
        self.kept(HISTORY, DayKey::of_history).await
    }

    /// The saved responses, by day, oldest first. Costs one listing.
    ///
    /// # Errors
    /// The lake cannot be listed.
    pub async fn responses(&self) -> Result<BTreeMap<DayKey, Vec<Path>>, LakeError> {
        self.kept(RAW, DayKey::of_raw).await
    }

    async fn kept(&self, folder: &str, day: impl Fn(&Path) -> Option<DayKey>) -> Result<BTreeMap<DayKey, Vec<Path>>, LakeError> {
        let prefix = Path::from(folder);
        let mut kept: BTreeMap<DayKey, Vec<Path>> = BTreeMap::new();
        let mut objects = self.backend.store().list(Some(&prefix));
        while let Some(object) = objects.try_next().await.map_err(LakeError::object("list", &prefix))? {
            if let Some(key) = day(&object.location) {
                kept.entry(key).or_default().push(object.location);
            }
        }
        // the names of one merchant and day differ only in time and run
        for objects in kept.values_mut() {
            objects.sort();
        }
        Ok(kept)
    }

    /// What a day's file states about itself, read from its end; `None` if there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or has no readable record.
    pub async fn day(&self, key: &DayKey) -> Result<Option<DayFile>, LakeError> {
        self.file(&key.settlement()).await
    }

    /// The same for a version in `history/`.
    pub(crate) async fn file(&self, location: &Path) -> Result<Option<DayFile>, LakeError> {
        self.backend.read_end(location).await
    }

    /// Opens an object as a file; `None` if there is no such object.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) async fn fetch(&self, location: &Path) -> Result<Option<Fetched>, LakeError> {
        self.backend.fetch(location).await
    }

    /// Waits until no other run on this machine is publishing the day, and keeps others from it. `None` if the storage has nothing to
    /// lock.
    ///
    /// # Errors
    /// The day's folder cannot be created, or another run does not release it.
    pub(crate) async fn lock(&self, key: &DayKey) -> Result<Option<DayLock>, LakeError> {
        self.backend.lock(key).await
    }

    /// Prepares a run, and removes what dead runs left. The folder, if the storage needs one, must be kept until the run ends.
    ///
    /// # Errors
    /// The folder cannot be created or locked.
    pub(crate) async fn begin(&self, run_id: &str) -> Result<Option<StagingFolder>, LakeError> {
        self.backend.begin(run_id).await
    }

    /// Stages an object from bytes that are sent while they are written. Returns when `bytes` has ended.
    ///
    /// # Errors
    /// They cannot be stored. Nothing is then left.
    pub(crate) async fn stage(&self, target: Path, run_id: &str, mut bytes: mpsc::Receiver<Bytes>) -> Result<Staged, LakeError> {
        let at = self.backend.staged_at(&target, run_id);
        let mut staged = Staged::new(self.backend.store().clone(), at, target, self.abandoned.clone());
        while let Some(chunk) = bytes.recv().await {
            if let Err(error) = staged.push(chunk).await {
                staged.discard().await;
                return Err(error);
            }
        }
        Ok(staged)
    }

    /// Stages an object while `write` writes it on a blocking thread.
    ///
    /// # Errors
    /// The store's failure, else the writer's. Nothing is then left.
    pub(crate) async fn write_staged<T: Send + 'static, E: From<LakeError> + Send + 'static>(
        &self,
        target: Path,
        run_id: &str,
        write: impl FnOnce(StagingWriter) -> Result<T, E> + Send + 'static,
    ) -> Result<(Staged, T), E> {
        let panicked = LakeError::panicked(&target);
        let (chunks, bytes) = mpsc::channel(2);
        let writer = tokio::task::spawn_blocking(move || write(StagingWriter::new(chunks)));
        let (staged, written) = tokio::join!(self.stage(target, run_id, bytes), writer);
        // if the store failed, the writer only knows that nobody took its bytes
        let staged = staged?;
        match written.map_err(panicked) {
            Ok(Ok(written)) => Ok((staged, written)),
            Ok(Err(error)) => {
                staged.discard().await;
                Err(error)
            }
            Err(error) => {
                staged.discard().await;
                Err(error.into())
            }
        }
    }

    /// Waits briefly for the store to abort uploads that were cut off.
    pub(crate) async fn settle(&self) {
        const PATIENCE: Duration = Duration::from_millis(500);
        if tokio::time::timeout(PATIENCE, self.abandoned.settled()).await.is_err() {
            tracing::warn!("uploads that were cut off may not be aborted: a lifecycle rule of the bucket removes them");
        }
    }

    /// Writes a small object beside the table.
    ///
    /// # Errors
    /// It cannot be stored.
    pub(crate) async fn put(&self, location: &Path, content: Vec<u8>) -> Result<(), LakeError> {
        self.backend.store().put(location, content.into()).await.map(drop).map_err(LakeError::object("write", location))
    }

    /// Writes, reads and removes a small object beside the table, to show that a run could.
    ///
    /// # Errors
    /// The first of the three that fails.
    pub(crate) async fn probe(&self, run_id: &str) -> Result<(), LakeError> {
        let staging = self.begin(run_id).await?;
        let location = Path::from(format!("{STAGING}/{run_id}/check"));
        let store = self.backend.store();
        self.put(&location, run_id.into()).await?;
        let read = store.get(&location).await.map_err(LakeError::object("read", &location))?;
        let content = read.bytes().await.map_err(LakeError::object("read", &location))?;
        if content != run_id.as_bytes() {
            let reason = "what was written differs from what is read back".to_owned();
            return Err(LakeError::Record { object: location.to_string(), reason });
        }
        store.delete(&location).await.map_err(LakeError::object("remove", &location))?;
        if let Some(staging) = staging {
            staging.remove().await;
        }
        Ok(())
    }
}

/// What the files of these days state about themselves, 32 in parallel, in their order: the reason if one cannot be read, and
/// nothing for a day without a file. An error if the lake cannot be read.
pub(crate) fn day_files(
    lake: &Lake,
    keys: impl IntoIterator<Item = DayKey>,
) -> impl Stream<Item = Result<(DayKey, Result<DayFile, String>), LakeError>> {
    const PARALLEL: usize = 32;
    futures::stream::iter(keys)
        .map(async |key| match lake.day(&key).await {
            Ok(file) => Ok(file.map(|file| (key, Ok(file)))),
            Err(LakeError::Record { reason, .. }) => Ok(Some((key, Err(reason)))),
            Err(error) => Err(error),
        })
        .buffered(PARALLEL)
        .try_filter_map(async |found| Ok(found))
}
