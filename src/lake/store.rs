//! A lake, opened: which days it holds, what their records state, and how objects get into it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use tokio::sync::{OnceCell, mpsc};

use super::backend::{Backend, DayLock, Fetched, Listed, Listing, StagingFolder};
use super::destination::Destination;
use super::error::LakeError;
use super::file::DayFile;
use super::layout::{DayKey, HISTORY, Misplaced, RAW, SETTLEMENTS};
use super::staged::{Abandoned, Staged, StagingWriter};

/// A lake, opened.
pub struct Lake {
    pub(super) backend: Backend,
    dest: Destination,
    abandoned: Abandoned,
    history: OnceCell<BTreeMap<DayKey, Vec<Path>>>,
}

/// A day that has a file in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredDay {
    pub(crate) key: DayKey,
    pub(crate) etag: Option<String>,
}

impl Lake {
    /// Opens a lake. A folder that does not exist is created, unless `read_only` is set; then `None` is returned.
    ///
    /// # Errors
    /// The folder cannot be created, or the S3 settings cannot be used. S3 is not contacted yet.
    pub async fn open(dest: &Destination, read_only: bool) -> Result<Option<Self>, LakeError> {
        let backend = Backend::open(dest, !read_only).await?;
        Ok(backend.map(|backend| Self { backend, dest: dest.clone(), abandoned: Abandoned::default(), history: OnceCell::new() }))
    }

    /// Its root.
    #[must_use]
    pub fn dest(&self) -> &Destination {
        &self.dest
    }

    /// The days that have a file in the table, in their order. Costs one listing.
    ///
    /// # Errors
    /// The lake cannot be listed.
    pub(crate) async fn days(&self) -> Result<Vec<StoredDay>, LakeError> {
        let Listing { objects, mut foreign } = self.backend.list(SETTLEMENTS).await?;
        let mut days = Vec::new();
        for Listed { location, object } in objects {
            match DayKey::of_settlement(&location) {
                Some(key) => days.push(StoredDay { key, etag: object.etag }),
                None => foreign.add(location.to_string()),
            }
        }
        foreign.warn();
        days.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(days)
    }

    /// The versions in `history/`, listed once for all merchants of a run.
    pub(crate) async fn history_once(&self) -> Result<&BTreeMap<DayKey, Vec<Path>>, LakeError> {
        self.history.get_or_try_init(|| self.history()).await
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

    async fn kept(&self, folder: &'static str, day: impl Fn(&Path) -> Option<DayKey>) -> Result<BTreeMap<DayKey, Vec<Path>>, LakeError> {
        let Listing { objects, mut foreign } = self.backend.list(folder).await?;
        let mut kept: BTreeMap<DayKey, Vec<Path>> = BTreeMap::new();
        for Listed { location, .. } in objects {
            match day(&location) {
                Some(key) => kept.entry(key).or_default().push(location),
                None => foreign.add(location.to_string()),
            }
        }
        foreign.warn();
        // the names of one merchant and day differ only in time and run
        for objects in kept.values_mut() {
            objects.sort();
        }
        Ok(kept)
    }

    /// What a day's file states about itself, read from its end; `None` if there is no file.
    ///
    /// # Errors
    /// The file cannot be read, has no readable record, or is the file of another day.
    pub async fn day(&self, key: &DayKey) -> Result<Option<DayFile>, LakeError> {
        let location = key.settlement();
        let Some(file) = self.file(&location).await? else { return Ok(None) };
        let object = location.to_string();
        match key.misplaced(&file.record) {
            None => Ok(Some(file)),
            Some(Misplaced::Merchant(merchant)) => Err(LakeError::OtherMerchant { object, merchant }),
            Some(Misplaced::PayDate(pay_date)) => Err(LakeError::Record { object, reason: format!("it is the file of {pay_date}") }),
        }
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

    /// Waits until no other run on this machine is publishing into the object's folder, and keeps others from it. `None` if the storage has nothing to
    /// lock.
    ///
    /// # Errors
    /// The folder cannot be created, or another run does not release it.
    pub(crate) async fn lock(&self, location: &Path) -> Result<Option<DayLock>, LakeError> {
        self.backend.lock(location).await
    }

    /// Prepares a run, and removes what dead runs left. The folder, if the storage needs one, must be kept until the run ends.
    ///
    /// # Errors
    /// The folder cannot be created or locked.
    pub(crate) async fn begin(&self, run_id: &str) -> Result<Option<StagingFolder>, LakeError> {
        self.backend.begin(run_id).await
    }

    /// An object without bytes, to be published at `target`.
    pub(super) fn begin_object(&self, target: &Path, run_id: &str) -> Staged {
        let at = self.backend.staged_at(target, run_id);
        Staged::new(self.backend.store().clone(), at, target.clone(), self.abandoned.clone())
    }

    /// Stages an object from bytes that are sent while they are written. Returns when `bytes` has ended.
    ///
    /// # Errors
    /// They cannot be stored. Nothing is then left.
    pub(crate) async fn stage(&self, target: Path, run_id: &str, mut bytes: mpsc::Receiver<Bytes>) -> Result<Staged, LakeError> {
        let mut staged = self.begin_object(&target, run_id);
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
}
