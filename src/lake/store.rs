//! Opens a destination, says which days it holds, and publishes days to it, each whole or not at all.
//!
//! Local disk and S3 go the same way, through `object_store`. The one difference is the last step:
//! a PUT or a completed multipart upload of the day's key is atomic on S3; on disk the file is made
//! under `.staging/`, synced, and renamed, because `object_store` would stage it beside the table's
//! files, where engines would read it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig, WriteMultipart};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use reqwest::Url;
use tokio::sync::mpsc;

use crate::settlement::columns::schema;

use super::error::LakeError;
use super::layout::{DayKey, SETTLEMENTS, STAGING};
use super::record::{DayRecord, RECORD_KEY};

/// Bytes up to which a day is one PUT; larger ones go up in parts of this size while they are read.
const PART: usize = 8 << 20;
/// Parts on their way at once.
const PARTS_IN_FLIGHT: usize = 2;
/// The run of a version that does not tell its own.
const UNKNOWN_RUN: &str = "00000000";
/// What is read of a file's end to find its record; most footers are smaller.
const TAIL: u64 = 32 << 10;

/// Where a lake lies, checked for form alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A folder.
    Local(PathBuf),
    /// `s3://bucket/prefix`
    S3(Url),
}

impl Destination {
    /// Reads `--dest`: a folder, `file://`, or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// Any other form.
    pub fn parse(dest: &str) -> Result<Self, LakeError> {
        let refuse = |reason: &str| LakeError::Destination { dest: dest.into(), reason: reason.into() };
        if dest.is_empty() {
            return Err(refuse("it is empty"));
        }
        if !dest.contains("://") {
            return Ok(Self::Local(PathBuf::from(dest)));
        }
        let url = Url::parse(dest).map_err(|_| refuse("it is not a URL"))?;
        match url.scheme() {
            "file" => url.to_file_path().map(Self::Local).map_err(|()| refuse("a file URL needs an absolute path")),
            "s3" if url.host_str().is_none_or(str::is_empty) => Err(refuse("it names no bucket: s3://bucket/prefix")),
            "s3" if url.password().is_some() || !url.username().is_empty() => {
                Err(refuse("credentials do not belong in it: use the AWS_* variables"))
            }
            "s3" => Ok(Self::S3(url)),
            _ => Err(refuse("it must be a folder, file:// or s3://bucket/prefix")),
        }
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::S3(url) => f.write_str(url.as_str()),
        }
    }
}

/// A lake, opened.
pub struct Lake {
    store: Arc<dyn ObjectStore>,
    /// Set on local disk.
    root: Option<PathBuf>,
}

/// A day's file in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDay {
    /// Whose day, and which.
    pub key: DayKey,
    /// The file's size in bytes.
    pub size: u64,
}

impl Lake {
    /// Opens a lake. A folder that is not there is made, unless `read_only`.
    ///
    /// # Errors
    /// Where the folder cannot be made, or the S3 settings are not usable. S3 is not asked yet.
    pub fn open(dest: &Destination, read_only: bool) -> Result<Option<Self>, LakeError> {
        let shown = dest.to_string();
        match dest {
            Destination::Local(path) => {
                let open = LakeError::open(&shown);
                match fs::metadata(path) {
                    Ok(found) if !found.is_dir() => return Err(open(io::ErrorKind::NotADirectory.into())),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound && read_only => return Ok(None),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(path).map_err(&open)?,
                    Err(error) => return Err(open(error)),
                }
                let root = path.canonicalize().map_err(&open)?;
                let store = LocalFileSystem::new_with_prefix(&root)
                    .map_err(|error| LakeError::Open { dest: shown, source: Arc::new(error) })?
                    .with_fsync(true);
                Ok(Some(Self { store: Arc::new(store), root: Some(root) }))
            }
            Destination::S3(url) => {
                let store = open_s3(url).map_err(|error| LakeError::Open { dest: shown, source: Arc::new(error) })?;
                Ok(Some(Self { store, root: None }))
            }
        }
    }

    /// Every day's file in the table, in the order of days.
    ///
    /// # Errors
    /// Where the lake cannot be listed.
    pub async fn days(&self) -> Result<Vec<StoredDay>, LakeError> {
        let prefix = Path::from(SETTLEMENTS);
        let mut days: Vec<StoredDay> = self
            .store
            .list(Some(&prefix))
            .try_filter_map(
                |object| async move { Ok(DayKey::of_settlement(&object.location).map(|key| StoredDay { key, size: object.size })) },
            )
            .try_collect()
            .await
            .map_err(LakeError::object("list", &prefix))?;
        days.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(days)
    }

    /// The record of a day's file; `None` where there is no file.
    ///
    /// # Errors
    /// Where the file cannot be read, or says nothing of its day.
    pub async fn record(&self, key: &DayKey) -> Result<Option<DayRecord>, LakeError> {
        let location = key.settlement();
        let unreadable = |reason: String| LakeError::Record { object: location.to_string(), reason };
        let mut wanted = TAIL;
        loop {
            let options = GetOptions { range: Some(GetRange::Suffix(wanted)), ..GetOptions::default() };
            let (size, tail) = match self.store.get_opts(&location, options).await {
                Ok(found) => (found.meta.size, found.bytes().await.map_err(LakeError::object("read", &location))?),
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(LakeError::object("read", &location)(error)),
            };
            let footer = match footer_length(&tail) {
                Some(length) if length + 8 <= size => length + 8,
                _ => return Err(unreadable("it is not a Parquet file".into())),
            };
            if footer > tail.len() as u64 {
                wanted = footer;
                continue;
            }
            let start = tail.len() - usize::try_from(footer).unwrap_or(tail.len());
            return read_record(&tail[start..tail.len() - 8]).map(Some).map_err(unreadable);
        }
    }

    /// Hands the rows of an object with the table's schema to `each`, batch by batch.
    ///
    /// # Errors
    /// Where the object cannot be read, or is not such a file.
    pub(crate) async fn read_rows<T: Send + 'static>(
        &self,
        location: &Path,
        mut into: T,
        each: impl Fn(&mut T, &RecordBatch) + Send + 'static,
    ) -> Result<T, LakeError> {
        let found = self.store.get(location).await.map_err(LakeError::object("read", location))?;
        let bytes = found.bytes().await.map_err(LakeError::object("read", location))?;
        let read = tokio::task::spawn_blocking(move || {
            let options = ArrowReaderOptions::new().with_schema(schema());
            let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)?.build()?;
            for batch in reader {
                each(&mut into, &batch?);
            }
            Ok::<T, ParquetError>(into)
        });
        let unreadable = |reason: String| LakeError::Record { object: location.to_string(), reason };
        read.await.map_err(|error| unreadable(error.to_string()))?.map_err(|error| unreadable(error.to_string()))
    }

    /// Copies the version of a day that is about to be replaced to `history/`, under its own time and
    /// run; one that does not tell them, under the time it was stored. Returns where it went.
    ///
    /// # Errors
    /// Where it cannot be copied.
    pub(crate) async fn keep_version(&self, key: &DayKey, record: Option<&DayRecord>) -> Result<Path, LakeError> {
        let location = key.settlement();
        let kept = if let Some(record) = record {
            key.history(record.extracted_at, &record.run_id)
        } else {
            let meta = self.store.head(&location).await.map_err(LakeError::object("read", &location))?;
            key.history(meta.last_modified, UNKNOWN_RUN)
        };
        self.store.copy(&location, &kept).await.map_err(LakeError::object("write", &kept))?;
        Ok(kept)
    }

    /// Takes a day's bytes as the writer makes them, so that they can be published when they are
    /// whole. Returns when `bytes` has ended.
    ///
    /// # Errors
    /// Where they cannot be stored.
    pub(crate) async fn stage(&self, key: &DayKey, run_id: &str, mut bytes: mpsc::Receiver<Bytes>) -> Result<Staged, LakeError> {
        let target = key.settlement();
        let path = if self.root.is_some() { key.staging(run_id) } else { target.clone() };
        let mut staged = Staged { store: Arc::clone(&self.store), path, target, held: Vec::new(), held_bytes: 0, upload: None };
        while let Some(chunk) = bytes.recv().await {
            if let Err(error) = staged.push(chunk).await {
                staged.discard().await;
                return Err(error);
            }
        }
        Ok(staged)
    }

    /// Writes a small object beside the table, whole.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub async fn put(&self, location: &Path, content: Vec<u8>) -> Result<(), LakeError> {
        self.store.put(location, content.into()).await.map(drop).map_err(LakeError::object("write", location))
    }

    /// Writes, reads and removes a small object beside the table, to show that a run could.
    ///
    /// # Errors
    /// The first of the three that fails, by name.
    pub async fn probe(&self, run_id: &str) -> Result<(), LakeError> {
        let location = Path::from(format!("{STAGING}/check-{run_id}"));
        self.put(&location, run_id.into()).await?;
        let read = self.store.get(&location).await.map_err(LakeError::object("read", &location))?;
        let content = read.bytes().await.map_err(LakeError::object("read", &location))?;
        if content != run_id.as_bytes() {
            let reason = "what was written does not read back".to_owned();
            return Err(LakeError::Record { object: location.to_string(), reason });
        }
        self.store.delete(&location).await.map_err(LakeError::object("remove", &location))
    }

    /// Makes room for a run's files on their way and clears what dead runs left. On S3 there is
    /// nothing to do: an upload that was not completed is not an object.
    ///
    /// # Errors
    /// Where the folder cannot be made or locked.
    pub fn begin(&self, run_id: &str) -> Result<StagingFolder, LakeError> {
        let Some(root) = &self.root else { return Ok(StagingFolder { held: None }) };
        let staging = root.join(STAGING);
        let folder = staging.join(run_id);
        let fail = LakeError::open(&staging.display().to_string());
        fs::create_dir_all(&staging).map_err(&fail)?;
        sweep(&staging);
        loop {
            fs::create_dir_all(&folder).map_err(&fail)?;
            let lock = File::open(&folder).map_err(&fail)?;
            lock.lock().map_err(&fail)?;
            // a sweep may have taken the folder between its making and its locking
            if folder.exists() {
                return Ok(StagingFolder { held: Some((folder, lock)) });
            }
        }
    }
}

/// A run's folder under `.staging/`, locked while the run lives; removed with this.
pub struct StagingFolder {
    held: Option<(PathBuf, File)>,
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

/// A day's bytes, stored where no reader sees them.
pub(crate) struct Staged {
    store: Arc<dyn ObjectStore>,
    path: Path,
    target: Path,
    held: Vec<Bytes>,
    held_bytes: usize,
    upload: Option<WriteMultipart>,
}

impl Staged {
    async fn push(&mut self, chunk: Bytes) -> Result<(), LakeError> {
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

    /// Makes the day visible, in one step, in place of what was there.
    ///
    /// # Errors
    /// Where it cannot be stored; the day is then as it was.
    pub(crate) async fn publish(mut self) -> Result<(), LakeError> {
        let stored = match self.upload.take() {
            None => self.store.put(&self.path, self.held.drain(..).collect::<PutPayload>()).await.map(drop),
            Some(mut upload) => {
                for chunk in self.held.drain(..) {
                    upload.put(chunk);
                }
                upload.finish().await.map(drop)
            }
        };
        stored.map_err(LakeError::object("write", &self.target))?;
        if self.path != self.target {
            self.store.rename(&self.path, &self.target).await.map_err(LakeError::object("write", &self.target))?;
        }
        Ok(())
    }

    /// Gives the bytes up.
    pub(crate) async fn discard(self) {
        if let Some(upload) = self.upload
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(object = %self.path, %error, "an upload that was given up could not be aborted");
        }
    }
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

/// S3 as AWS users have it: `AWS_*` variables, web identity, container and instance roles.
fn open_s3(url: &Url) -> object_store::Result<Arc<dyn ObjectStore>> {
    let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"].iter().find_map(|name| std::env::var(name).ok());
    let retry = RetryConfig { max_retries: 5, retry_timeout: std::time::Duration::from_mins(1), ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(url.host_str().unwrap_or_default()).with_retry(retry);
    if let Some(endpoint) = endpoint {
        // another server than Amazon's, which may well speak plain HTTP
        builder = builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
    }
    let store = builder.build()?;
    let prefix = Path::from_url_path(url.path())?;
    Ok(if prefix.as_ref().is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) })
}

fn footer_length(tail: &[u8]) -> Option<u64> {
    let end = tail.last_chunk::<8>()?;
    let (length, magic) = end.split_at(4);
    (magic == b"PAR1").then(|| u64::from(u32::from_le_bytes(length.try_into().unwrap_or_default())))
}

fn read_record(footer: &[u8]) -> Result<DayRecord, String> {
    let metadata = ParquetMetaDataReader::decode_metadata(footer).map_err(|error| error.to_string())?;
    let pairs = metadata.file_metadata().key_value_metadata();
    let record = pairs.into_iter().flatten().find(|pair| pair.key == RECORD_KEY).and_then(|pair| pair.value.as_deref());
    let record = record.ok_or_else(|| format!("its metadata has no {RECORD_KEY}"))?;
    serde_json::from_str(record).map_err(|error| error.to_string())
}

/// Reads the records of many days, several at a time.
pub(crate) async fn records(lake: &Lake, keys: Vec<DayKey>) -> Vec<(DayKey, Result<Option<DayRecord>, LakeError>)> {
    const AT_ONCE: usize = 32;
    futures::stream::iter(keys)
        .map(|key| async move {
            let record = lake.record(&key).await;
            (key, record)
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}
