//! Objects that are being written: stored where no reader sees them until they are whole, then published in one step or
//! discarded.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload, PutResult, WriteMultipart};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::error::LakeError;
use super::store_error::Request;
use super::version::{Over, StoredObject};

/// Bytes up to which an object is one PUT; larger ones are uploaded in parts of this size while they are written.
const PART: usize = 8 << 20;
/// Parts uploaded in parallel.
const PARALLEL_PARTS: usize = 2;

/// An object's bytes, stored where no reader sees them.
///
/// The last step on S3 is a PUT or a completed multipart upload of its key, either of which is atomic. On disk the file is written
/// under `.staging/`, synced, and renamed, because `object_store` would stage it beside the table's files, where engines would
/// read it.
pub(crate) struct Staged {
    store: Arc<dyn ObjectStore>,
    path: Path,
    target: Path,
    held: Vec<Bytes>,
    held_bytes: usize,
    /// All bytes so far.
    bytes: u64,
    upload: Option<WriteMultipart>,
    abandoned: Abandoned,
}

impl Drop for Staged {
    /// Aborts the upload of a day that a signal cut off: nobody sees its parts, but somebody pays for them.
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            self.abandoned.abort(self.path.clone(), upload);
        }
    }
}

/// Uploads that were dropped before they were complete, and are being aborted.
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
        tracing::warn!(object = %path, %error, "an upload that was discarded could not be aborted");
    }
}

impl Staged {
    /// An object without bytes, to be stored at `path` and published at `target`.
    pub(super) fn new(store: Arc<dyn ObjectStore>, path: Path, target: Path, abandoned: Abandoned) -> Self {
        Self { store, path, target, held: Vec::new(), held_bytes: 0, bytes: 0, upload: None, abandoned }
    }

    /// Adds bytes.
    pub(super) async fn push(&mut self, chunk: Bytes) -> Result<(), LakeError> {
        self.held_bytes += chunk.len();
        self.bytes += chunk.len() as u64;
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
            upload.wait_for_capacity(PARALLEL_PARTS).await.map_err(fail())?;
            for chunk in self.held.drain(..) {
                upload.put(chunk);
            }
        }
        self.held_bytes = 0;
        Ok(())
    }

    /// Makes the object visible, in one step, in place of what was there. If that is no longer `over`, nothing changes and
    /// [`Published::Changed`] is returned; only a single PUT can depend on it.
    ///
    /// # Errors
    /// It cannot be stored; the target is then as it was.
    pub(crate) async fn publish(&mut self, over: &Over) -> Result<Published, LakeError> {
        let mut request = Request::Plain;
        let stored = if let Some(mut upload) = self.upload.take() {
            for chunk in self.held.drain(..) {
                upload.put(chunk);
            }
            upload.finish().await
        } else {
            let mode = if self.path == self.target { over.mode() } else { PutMode::Overwrite };
            if !matches!(mode, PutMode::Overwrite) {
                request = Request::Conditional;
            }
            let payload: PutPayload = self.held.iter().cloned().collect();
            match self.put(payload.clone(), mode).await {
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => return Ok(Published::Changed),
                // AWS_CONDITIONAL_PUT=disabled, for servers that do not support conditions
                Err(Error::NotImplemented { .. }) => self.store.put(&self.path, payload).await,
                stored => stored,
            }
        };
        let stored = stored.map_err(LakeError::store("write", &self.target, request))?;
        if self.path != self.target {
            self.store.rename(&self.path, &self.target).await.map_err(LakeError::object("write", &self.target))?;
        }
        // on disk, a rename changes neither inode nor time
        Ok(Published::Done(StoredObject::new(stored.e_tag, self.bytes)))
    }

    /// Makes the object visible, in one step, only if there is none of that name. Sent as a single PUT, whatever its size: a
    /// completed multipart upload would replace what is there.
    ///
    /// # Errors
    /// It cannot be stored; the target is then as it was.
    pub(super) async fn create(self, bytes: Bytes) -> Result<Created, LakeError> {
        let fail = |request| LakeError::store("write", &self.target, request);
        if self.path == self.target {
            return match self.put(bytes.into(), PutMode::Create).await {
                Ok(_) => Ok(Created::Done),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Created::Exists),
                Err(error) => Err(fail(Request::Conditional)(error)),
            };
        }
        self.store.put(&self.path, bytes.into()).await.map_err(fail(Request::Plain))?;
        self.link().await
    }

    /// Makes the object visible under a name that follows from its content. An object of that name has the same content: on disk
    /// it stays, on S3 it is replaced by its like.
    ///
    /// # Errors
    /// It cannot be stored; the target is then as it was.
    pub(super) async fn publish_by_name(mut self) -> Result<Created, LakeError> {
        if self.path == self.target {
            return self.publish(&Over::Anything).await.map(|_| Created::Done);
        }
        let stored = match self.upload.take() {
            Some(mut upload) => {
                for chunk in self.held.drain(..) {
                    upload.put(chunk);
                }
                upload.finish().await
            }
            None => self.store.put(&self.path, self.held.drain(..).collect()).await,
        };
        stored.map_err(LakeError::object("write", &self.target))?;
        self.link().await
    }

    /// Links a file that is staged on disk into its place, never over another.
    async fn link(&self) -> Result<Created, LakeError> {
        match self.store.rename_if_not_exists(&self.path, &self.target).await {
            Ok(()) => Ok(Created::Done),
            Err(Error::AlreadyExists { .. }) => {
                // swept with the run's folder otherwise
                let _ = self.store.delete(&self.path).await;
                Ok(Created::Exists)
            }
            Err(error) => Err(LakeError::object("write", &self.target)(error)),
        }
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// One PUT, and another if the connection broke before the response. `object_store` does not repeat a conditional PUT, because the
    /// first may have succeeded. Here that does no harm: the condition refuses the second, and the caller finds its own version
    /// stored.
    async fn put(&self, payload: PutPayload, mode: PutMode) -> object_store::Result<PutResult> {
        const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];
        const PATIENCE: Duration = Duration::from_mins(1);
        let began = Instant::now();
        for pause in PAUSES {
            match self.store.put_opts(&self.path, payload.clone(), mode.clone().into()).await {
                Err(error) if is_unanswered(&error) && began.elapsed() < PATIENCE => {
                    tracing::warn!(object = %self.target, %error, "the store did not respond to a PUT: retrying");
                    tokio::time::sleep(pause).await;
                }
                stored => return stored,
            }
        }
        self.store.put_opts(&self.path, payload, mode.into()).await
    }

    /// Discards the bytes.
    pub(crate) async fn discard(mut self) {
        if let Some(upload) = self.upload.take() {
            abort(self.path.clone(), upload).await;
        }
    }
}

/// Whether a request was sent and no response arrived, so that its outcome is unknown.
fn is_unanswered(error: &Error) -> bool {
    let causes = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |cause| cause.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<HttpError>())
        .any(|error| matches!(error.kind(), HttpErrorKind::Timeout | HttpErrorKind::Interrupted))
}

/// What became of an object that was to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Published {
    /// It is visible, and this.
    Done(StoredObject),
    /// What it was to replace has changed; nothing was done.
    Changed,
}

/// What became of an object that was to be new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    /// It is visible.
    Done,
    /// There is one of that name; nothing was done.
    Exists,
}

/// Writes the bytes of a staged object from a blocking thread.
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
