//! A lake, opened: which days it holds, what their records and rows are, and new days on their way in.
//!
//! Local disk and S3 go the same way, through `object_store`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::settlement::columns::{hex, schema};

use super::audit::{Audit, audit};
use super::destination::{Destination, open_s3};
use super::error::LakeError;
use super::layout::{DayKey, HISTORY, SETTLEMENTS, STAGING, staging};
use super::raw::Evidence;
use super::record::{DayRecord, RECORD_KEY};
use super::staging::{Staged, StagingFolder};

/// The run of a version that does not tell its own.
const UNKNOWN_RUN: &str = "00000000";
/// What is read of a file's end to find its record; most footers are smaller.
const TAIL: u64 = 32 << 10;

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

    /// Opens a lake that must be there.
    ///
    /// # Errors
    /// As [`Lake::open`], and where there is no such folder.
    pub fn open_existing(dest: &Destination) -> Result<Self, LakeError> {
        let missing = || LakeError::Destination { dest: dest.to_string(), reason: "there is no such folder".into() };
        Self::open(dest, true)?.ok_or_else(missing)
    }

    /// Days of which a version that a restatement replaced is kept.
    ///
    /// # Errors
    /// Where the lake cannot be listed.
    pub async fn restated_days(&self) -> Result<BTreeSet<DayKey>, LakeError> {
        let prefix = Path::from(HISTORY);
        let kept = self.store.list(Some(&prefix)).try_filter_map(async |object| Ok(DayKey::of_history(&object.location)));
        kept.try_collect().await.map_err(LakeError::object("list", &prefix))
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
        let Some(file) = self.spool(location).await? else {
            return Err(LakeError::Record { object: location.to_string(), reason: "it is missing".into() });
        };
        let read = tokio::task::spawn_blocking(move || {
            let options = ArrowReaderOptions::new().with_schema(schema());
            let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?.build()?;
            for batch in reader {
                each(&mut into, &batch?);
            }
            Ok::<T, ParquetError>(into)
        });
        let unreadable = |reason: String| LakeError::Record { object: location.to_string(), reason };
        read.await.map_err(|error| unreadable(error.to_string()))?.map_err(|error| unreadable(error.to_string()))
    }

    /// What is wrong with a day's file, held against its own record.
    ///
    /// # Errors
    /// Where the file cannot be fetched.
    pub(crate) async fn audit(&self, key: &DayKey) -> Result<Vec<String>, LakeError> {
        let Some(file) = self.spool(&key.settlement()).await? else { return Ok(vec!["it is missing".into()]) };
        let of = key.clone();
        let audited = tokio::task::spawn_blocking(move || audit(&of, file)).await;
        let Audit { mut found, raw } = audited.unwrap_or_else(|error| Audit::unusable(format!("it cannot be read: {error}")));
        if let Some(Evidence { name, sha256 }) = raw {
            match self.sha256(&Path::parse(&name).unwrap_or_default()).await? {
                Some(hash) if hash == sha256 => {}
                Some(_) => found.push(format!("the raw answer it was made from, {name}, is not as it was kept")),
                None => found.push(format!("the raw answer it was made from, {name}, is missing")),
            }
        }
        Ok(found)
    }

    /// Fetches an object into a temporary file: Parquet is read from its end, and a day may be large.
    async fn spool(&self, location: &Path) -> Result<Option<File>, LakeError> {
        let spool = |error: io::Error| LakeError::Open { dest: "the folder for temporary files".into(), source: Arc::new(error) };
        let mut chunks = match self.store.get(location).await {
            Ok(found) => found.into_stream(),
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(LakeError::object("read", location)(error)),
        };
        let mut file = tempfile::tempfile().map_err(spool)?;
        while let Some(chunk) = chunks.try_next().await.map_err(LakeError::object("read", location))? {
            io::Write::write_all(&mut file, &chunk).map_err(spool)?;
        }
        Ok(Some(file))
    }

    /// The SHA-256 of an object; none where there is no such object.
    async fn sha256(&self, location: &Path) -> Result<Option<String>, LakeError> {
        let mut chunks = match self.store.get(location).await {
            Ok(found) => found.into_stream(),
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(LakeError::object("read", location)(error)),
        };
        let mut hash = Sha256::new();
        while let Some(chunk) = chunks.try_next().await.map_err(LakeError::object("read", location))? {
            hash.update(&chunk);
        }
        Ok(Some(hex(&hash.finalize())))
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

    /// Takes an object's bytes as they are made, so that it can be published when it is whole. Returns when `bytes` has ended.
    ///
    /// # Errors
    /// Where they cannot be stored.
    pub(crate) async fn stage(&self, target: Path, run_id: &str, mut bytes: mpsc::Receiver<Bytes>) -> Result<Staged, LakeError> {
        let path = if self.root.is_some() { staging(&target, run_id) } else { target.clone() };
        let mut staged = Staged::new(Arc::clone(&self.store), path, target);
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
        let _folder = self.begin(run_id)?;
        let location = Path::from(format!("{STAGING}/{run_id}/check"));
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
        let Some(root) = &self.root else { return Ok(StagingFolder::none()) };
        StagingFolder::make(&root.join(STAGING), run_id)
    }
}

/// The length of a Parquet file's footer, from its last eight bytes.
pub(super) fn footer_length(tail: &[u8]) -> Option<u64> {
    let end = tail.last_chunk::<8>()?;
    let (length, magic) = end.split_at(4);
    (magic == b"PAR1").then(|| u64::from(u32::from_le_bytes(length.try_into().unwrap_or_default())))
}

/// The day record in a Parquet footer.
pub(super) fn read_record(footer: &[u8]) -> Result<DayRecord, String> {
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
