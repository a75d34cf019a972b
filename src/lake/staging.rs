//! Files on their way: stored where no reader sees them until they are whole, then published in one
//! step or given up; and the folder that holds them on local disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload, UpdateVersion, WriteMultipart};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::error::LakeError;

/// Bytes up to which a day is one PUT; larger ones go up in parts of this size while they are read.
const PART: usize = 8 << 20;
/// Parts on their way at once.
const PARTS_IN_FLIGHT: usize = 2;

/// A run's folder under `.staging/`, locked while the run lives; removed with this.
pub struct StagingFolder {
    held: Option<(PathBuf, File)>,
}

impl StagingFolder {
    const TRIES: u32 = 100;

    /// Where there is no such folder: on S3 an upload that was not completed is not an object.
    pub(super) fn none() -> Self {
        Self { held: None }
    }

    /// Makes a run's folder under `staging`, and clears what dead runs left there.
    pub(super) fn make(staging: &FsPath, run_id: &str) -> Result<Self, LakeError> {
        let folder = staging.join(run_id);
        let fail = LakeError::open(&staging.display().to_string());
        fs::create_dir_all(staging).map_err(&fail)?;
        sweep(staging);
        // runs that end or sweep at this moment may take away what was just made
        for _ in 0..Self::TRIES {
            let lock = match fs::create_dir_all(&folder).and_then(|()| File::open(&folder)) {
                Ok(lock) => lock,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(fail(error)),
            };
            // some network file systems lock no folders; a sweep there removes nothing either
            if let Err(error) = lock.lock() {
                tracing::debug!(%error, "the staging folder cannot be locked");
            }
            if folder.exists() {
                return Ok(Self { held: Some((folder, lock)) });
            }
        }
        Err(fail(io::ErrorKind::NotFound.into()))
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        if let Some((folder, _lock)) = self.held.take() {
            let _ = fs::remove_dir_all(&folder);
            if let Some(staging) = folder.parent() {
                // goes only where no other run is under way
                let _ = fs::remove_dir(staging);
            }
        }
    }
}

/// Removes what runs that are no more left under `.staging/`: whatever nobody holds a lock on.
fn sweep(staging: &FsPath) {
    for entry in fs::read_dir(staging).into_iter().flatten().flatten() {
        let path = entry.path();
        let removed = match File::open(&path) {
            Ok(lock) if path.is_dir() => lock.try_lock().is_ok() && fs::remove_dir_all(&path).is_ok(),
            _ => fs::remove_file(&path).is_ok(),
        };
        if removed {
            tracing::info!(path = %path.display(), "removed what an interrupted run left");
        }
    }
}

/// An object's bytes, stored where no reader sees them.
///
/// The last step is a PUT or a completed multipart upload of its key on S3, where either is
/// atomic. On disk the file is made under `.staging/`, synced, and renamed, because `object_store`
/// would stage it beside the table's files, where engines would read it.
pub(crate) struct Staged {
    store: Arc<dyn ObjectStore>,
    path: Path,
    target: Path,
    held: Vec<Bytes>,
    held_bytes: usize,
    upload: Option<WriteMultipart>,
    abandoned: Abandoned,
}

impl Drop for Staged {
    /// A day that a signal cut off takes its parts along: nobody sees them, but somebody pays for them.
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            self.abandoned.abort(self.path.clone(), upload);
        }
    }
}

/// Uploads that were dropped in their middle, and are being aborted.
#[derive(Clone, Default)]
pub(super) struct Abandoned(Arc<Mutex<JoinSet<()>>>);

impl Abandoned {
    fn abort(&self, path: Path, upload: WriteMultipart) {
        if let Ok(runtime) = Handle::try_current() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn_on(abort(path, upload), &runtime);
        }
    }

    /// Returns when all of them are aborted.
    pub(super) async fn settled(&self) {
        let aborting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        aborting.join_all().await;
    }
}

async fn abort(path: Path, upload: WriteMultipart) {
    if let Err(error) = upload.abort().await {
        tracing::warn!(object = %path, %error, "an upload that was given up could not be aborted");
    }
}

impl Staged {
    /// Nothing yet, to be stored at `path` and published at `target`.
    pub(super) fn new(store: Arc<dyn ObjectStore>, path: Path, target: Path, abandoned: Abandoned) -> Self {
        Self { store, path, target, held: Vec::new(), held_bytes: 0, upload: None, abandoned }
    }

    /// Takes more bytes.
    pub(super) async fn push(&mut self, chunk: Bytes) -> Result<(), LakeError> {
        self.held_bytes += chunk.len();
        self.held.push(chunk);
        if self.held_bytes < PART {
            return Ok(());
        }
        let fail = || LakeError::object("write", &self.path);
        if self.upload.is_none() {
            let upload = self.store.put_multipart(&self.path).await.map_err(fail())?;
            self.upload = Some(WriteMultipart::new_with_chunk_size(upload, PART));
        }
        if let Some(upload) = &mut self.upload {
            upload.wait_for_capacity(PARTS_IN_FLIGHT).await.map_err(fail())?;
            for chunk in self.held.drain(..) {
                upload.put(chunk);
            }
        }
        self.held_bytes = 0;
        Ok(())
    }

    /// Makes the object visible, in one step, in place of what was there; where that is no longer
    /// `over`, leaves it and says so. Only a single PUT can be made to depend on it.
    ///
    /// # Errors
    /// Where it cannot be stored; the day is then as it was.
    pub(crate) async fn publish(&mut self, over: &Over) -> Result<Published, LakeError> {
        let stored = if let Some(mut upload) = self.upload.take() {
            for chunk in self.held.drain(..) {
                upload.put(chunk);
            }
            upload.finish().await.map(drop)
        } else {
            let mode = if self.path == self.target { over.mode() } else { PutMode::Overwrite };
            let payload: PutPayload = self.held.iter().cloned().collect();
            match self.put(payload.clone(), mode).await {
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => return Ok(Published::Changed),
                // AWS_CONDITIONAL_PUT=disabled, for servers that know no conditions
                Err(Error::NotImplemented { .. }) => self.store.put(&self.path, payload).await.map(drop),
                stored => stored.map(drop),
            }
        };
        stored.map_err(LakeError::object("write", &self.target))?;
        if self.path != self.target {
            self.store.rename(&self.path, &self.target).await.map_err(LakeError::object("write", &self.target))?;
        }
        Ok(Published::Done)
    }

    /// One PUT, and where the way to the store broke before its answer came, another. `object_store` leaves a conditional
    /// one alone then, since the first may have been done. Here that does no harm: the condition refuses the second, and
    /// who asked finds its own version stored.
    async fn put(&self, payload: PutPayload, mode: PutMode) -> object_store::Result<()> {
        const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];
        const PATIENCE: Duration = Duration::from_mins(1);
        let began = Instant::now();
        for pause in PAUSES {
            match self.store.put_opts(&self.path, payload.clone(), mode.clone().into()).await {
                Err(error) if is_unanswered(&error) && began.elapsed() < PATIENCE => {
                    tracing::warn!(object = %self.target, %error, "storing it was not answered, and is tried again");
                    tokio::time::sleep(pause).await;
                }
                stored => return stored.map(drop),
            }
        }
        self.store.put_opts(&self.path, payload, mode.into()).await.map(drop)
    }

    /// Gives the bytes up.
    pub(crate) async fn discard(mut self) {
        if let Some(upload) = self.upload.take() {
            abort(self.path.clone(), upload).await;
        }
    }
}

/// Whether a request went out and no answer came back, so that nobody knows whether it was done.
fn is_unanswered(error: &Error) -> bool {
    let causes = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |cause| cause.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<HttpError>())
        .any(|error| matches!(error.kind(), HttpErrorKind::Timeout | HttpErrorKind::Interrupted))
}

/// A version of an object, as its store names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version(Option<String>);

impl Version {
    pub(super) fn of(meta: ObjectMeta) -> Self {
        Self(meta.e_tag)
    }

    /// Of a file on local disk, where a lock does what a condition does on S3.
    pub(super) fn unnamed() -> Self {
        Self(None)
    }
}

/// What an object may take the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Over {
    /// Whatever is there.
    Whatever,
    /// Nothing.
    Nothing,
    /// This version.
    Version(Version),
}

impl Over {
    fn mode(&self) -> PutMode {
        match self {
            Self::Whatever | Self::Version(Version(None)) => PutMode::Overwrite,
            Self::Nothing => PutMode::Create,
            // Ceph compares the header with the bare tag, and Amazon takes either
            Self::Version(Version(Some(tag))) => {
                PutMode::Update(UpdateVersion { e_tag: Some(tag.trim_matches('"').into()), version: None })
            }
        }
    }
}

/// What became of an object that was to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// It is there.
    Done,
    /// What it was to take the place of has changed; nothing was done.
    Changed,
}

/// The writer's end of [`Lake::stage`].
pub(crate) struct StagingWriter {
    chunks: mpsc::Sender<Bytes>,
    buffer: BytesMut,
}

impl StagingWriter {
    const CHUNK: usize = 1 << 20;

    pub(crate) fn new(chunks: mpsc::Sender<Bytes>) -> Self {
        Self { chunks, buffer: BytesMut::new() }
    }

    fn send(&mut self) -> io::Result<()> {
        let chunk = self.buffer.split().freeze();
        self.chunks.blocking_send(chunk).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for StagingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= Self::CHUNK {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.send() }
    }
}
