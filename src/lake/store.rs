//! A lake, opened: which days it holds, what their records and rows are, and new days on their way in.
//!
//! Local disk and S3 go the same way, through `object_store`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::settlement::columns::{SchemaFit, hex};

use super::audit::{Audit, audit};
use super::destination::{Destination, open_s3};
use super::error::LakeError;
use super::file::{footer_length, read_end, read_footer};
use super::layout::{DayKey, HISTORY, RAW, SETTLEMENTS, STAGING, UNKNOWN_RUN, staging};
use super::lock::DayLock;
use super::raw::Evidence;
use super::record::DayRecord;
use super::staging::{Over, Staged, StagingFolder, Version};

/// What is read of a file's end to find its record; most footers are smaller.
const TAIL: u64 = 32 << 10;

type Chunks = BoxStream<'static, object_store::Result<Bytes>>;

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

/// What a day's file says of itself.
#[derive(Debug, Clone)]
pub struct DayFile {
    /// Its record.
    pub record: DayRecord,
    /// How its columns stand to this version's.
    pub fit: SchemaFit,
    /// Which version of the object said so.
    pub(crate) version: Version,
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

    /// The versions that were replaced and kept, by day.
    ///
    /// # Errors
    /// Where the lake cannot be listed.
    pub async fn history(&self) -> Result<BTreeMap<DayKey, Vec<Path>>, LakeError> {
        let prefix = Path::from(HISTORY);
        let mut kept: BTreeMap<DayKey, Vec<Path>> = BTreeMap::new();
        let mut objects = self.store.list(Some(&prefix));
        while let Some(object) = objects.try_next().await.map_err(LakeError::object("list", &prefix))? {
            if let Some(key) = DayKey::of_history(&object.location) {
                kept.entry(key).or_default().push(object.location);
            }
        }
        for versions in kept.values_mut() {
            versions.sort();
        }
        Ok(kept)
    }

    /// The newest answer of each day that was kept as received.
    ///
    /// # Errors
    /// Where the lake cannot be listed.
    pub async fn newest_answers(&self) -> Result<BTreeMap<DayKey, Path>, LakeError> {
        let prefix = Path::from(RAW);
        let mut newest: BTreeMap<DayKey, Path> = BTreeMap::new();
        let mut objects = self.store.list(Some(&prefix));
        while let Some(object) = objects.try_next().await.map_err(LakeError::object("list", &prefix))? {
            let Some(key) = DayKey::of_raw(&object.location) else { continue };
            let kept = newest.entry(key).or_insert_with(|| object.location.clone());
            // of one merchant and day, names differ in nothing but time and run
            if object.location > *kept {
                *kept = object.location;
            }
        }
        Ok(newest)
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

    /// What a day's file says of itself, read from its end; `None` where there is no file.
    ///
    /// # Errors
    /// Where the file cannot be read, or says nothing of its day.
    pub async fn day(&self, key: &DayKey) -> Result<Option<DayFile>, LakeError> {
        let location = key.settlement();
        let unreadable = |reason: String| LakeError::Record { object: location.to_string(), reason };
        let mut wanted = TAIL;
        loop {
            let options = GetOptions { range: Some(GetRange::Suffix(wanted)), ..GetOptions::default() };
            let (meta, tail) = match self.store.get_opts(&location, options).await {
                Ok(found) => (found.meta.clone(), found.bytes().await.map_err(LakeError::object("read", &location))?),
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(LakeError::object("read", &location)(error)),
            };
            let footer = match footer_length(&tail) {
                Some(length) if length + 8 <= meta.size => length + 8,
                _ => return Err(unreadable("it is not a Parquet file".into())),
            };
            if footer > tail.len() as u64 {
                wanted = footer;
                continue;
            }
            let start = tail.len() - usize::try_from(footer).unwrap_or(tail.len());
            let (record, fit) = read_footer(&tail[start..tail.len() - 8]).map_err(unreadable)?;
            return Ok(Some(DayFile { record, fit, version: Version::of(meta) }));
        }
    }

    /// Fetches an object into a temporary file: Parquet is read from its end, and a day may be large.
    /// None where there is no such object.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) async fn fetch(&self, location: &Path) -> Result<Option<File>, LakeError> {
        let Some((_, mut chunks)) = self.open_object(location).await? else { return Ok(None) };
        let mut file = spool()?;
        while let Some(chunk) = chunks.try_next().await.map_err(LakeError::object("read", location))? {
            file.write_all(&chunk).map_err(spool_error)?;
        }
        Ok(Some(file))
    }

    async fn open_object(&self, location: &Path) -> Result<Option<(ObjectMeta, Chunks)>, LakeError> {
        match self.store.get(location).await {
            Ok(found) => Ok(Some((found.meta.clone(), found.into_stream()))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(LakeError::object("read", location)(error)),
        }
    }

    /// What is wrong with a day's file, or with an earlier version of it, held against its own record.
    ///
    /// # Errors
    /// Where the file cannot be fetched.
    pub(crate) async fn audit(&self, key: &DayKey, location: &Path) -> Result<Vec<String>, LakeError> {
        let Some(file) = self.fetch(location).await? else { return Ok(vec!["it is missing".into()]) };
        let (of, at) = (key.clone(), location.clone());
        let audited = tokio::task::spawn_blocking(move || audit(&of, &at, file)).await;
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

    /// The SHA-256 of an object; none where there is no such object.
    async fn sha256(&self, location: &Path) -> Result<Option<String>, LakeError> {
        let Some((_, mut chunks)) = self.open_object(location).await? else { return Ok(None) };
        let mut hash = Sha256::new();
        while let Some(chunk) = chunks.try_next().await.map_err(LakeError::object("read", location))? {
            hash.update(&chunk);
        }
        Ok(Some(hex(&hash.finalize())))
    }

    /// Copies the version of a day that is about to be replaced to `history/`, under its own time and
    /// run; one that does not tell them, under the time it was stored. Copies what it reads, so that
    /// no other run's version gets under that name.
    ///
    /// # Errors
    /// Where it cannot be copied.
    pub(crate) async fn keep_version(&self, key: &DayKey, stored: Option<&DayFile>, run_id: &str) -> Result<Kept, LakeError> {
        let location = key.settlement();
        let Some((meta, mut chunks)) = self.open_object(&location).await? else { return Ok(Kept::Changed) };
        let at = match stored {
            Some(DayFile { record, .. }) => key.history(record.extracted_at, &record.run_id),
            None => key.history(meta.last_modified, UNKNOWN_RUN),
        };
        let mut file = spool()?;
        let mut staged = self.begin_object(at.clone(), run_id);
        let copied = async {
            while let Some(chunk) = chunks.try_next().await.map_err(LakeError::object("read", &location))? {
                file.write_all(&chunk).map_err(spool_error)?;
                staged.push(chunk).await?;
            }
            Ok(())
        };
        let copied = copied.await;
        let same = stored.is_none_or(|stored| read_end(&mut file).is_ok_and(|(record, _)| record.seal == stored.record.seal));
        if copied.is_err() || !same {
            staged.discard().await;
            return copied.map(|()| Kept::Changed);
        }
        staged.publish(&Over::Whatever).await?;
        Ok(Kept::At { at, file, version: Version::of(meta) })
    }

    /// Waits until no other run on this machine is publishing the day, and keeps others from it. On S3
    /// there is nothing to hold; a condition on the write does its part there.
    ///
    /// # Errors
    /// Where the day's folder cannot be made, or another run does not let go of it.
    pub(crate) async fn lock(&self, key: &DayKey) -> Result<DayLock, LakeError> {
        let Some(root) = &self.root else { return Ok(DayLock::none()) };
        let location = key.settlement();
        let folder = root.join(location.as_ref()).parent().map(FsPath::to_owned).unwrap_or_default();
        DayLock::take(&folder).await.map_err(|source| LakeError::Lock { object: location.to_string(), source: Arc::new(source) })
    }

    /// Takes an object's bytes as they are made, so that it can be published when it is whole. Returns when `bytes` has ended.
    ///
    /// # Errors
    /// Where they cannot be stored.
    pub(crate) async fn stage(&self, target: Path, run_id: &str, mut bytes: mpsc::Receiver<Bytes>) -> Result<Staged, LakeError> {
        let mut staged = self.begin_object(target, run_id);
        while let Some(chunk) = bytes.recv().await {
            if let Err(error) = staged.push(chunk).await {
                staged.discard().await;
                return Err(error);
            }
        }
        Ok(staged)
    }

    fn begin_object(&self, target: Path, run_id: &str) -> Staged {
        let path = if self.root.is_some() { staging(&target, run_id) } else { target.clone() };
        Staged::new(Arc::clone(&self.store), path, target)
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

/// What became of a version that was to be kept.
pub(crate) enum Kept {
    /// It is kept there; `file` is a copy of it.
    At { at: Path, file: File, version: Version },
    /// It is no longer the one that was meant.
    Changed,
}

fn spool() -> Result<File, LakeError> {
    tempfile::tempfile().map_err(spool_error)
}

fn spool_error(error: io::Error) -> LakeError {
    LakeError::Open { dest: "the folder for temporary files".into(), source: Arc::new(error) }
}

/// Reads what the files of many days say of themselves, several at a time.
pub(crate) async fn day_files(lake: &Lake, keys: Vec<DayKey>) -> Vec<(DayKey, Result<Option<DayFile>, LakeError>)> {
    const AT_ONCE: usize = 32;
    futures::stream::iter(keys)
        .map(|key| async move {
            let file = lake.day(&key).await;
            (key, file)
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}
