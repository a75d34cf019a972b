//! A lake, opened: which days it holds, what their records and rows are, and new days on their way in.
//!
//! Local disk and S3 go the same way, through `object_store`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _};
use tokio::sync::mpsc;

use crate::settlement::columns::SchemaFit;

use super::audit::{Audit, audit, sealed};
use super::destination::{Destination, open_s3};
use super::error::LakeError;
use super::file::{TAIL, footer_length, read_end, read_footer};
use super::folder::make_folder;
use super::layout::{DayKey, HISTORY, RAW, SETTLEMENTS, STAGING, UNKNOWN_RUN, staging};
use super::lock::DayLock;
use super::record::{DayRecord, Evidence};
use super::seal;
use super::staging::{Abandoned, Over, Staged, StagingFolder, StagingWriter, Version};

/// A lake, opened.
pub struct Lake {
    store: Arc<dyn ObjectStore>,
    /// Set on local disk.
    root: Option<PathBuf>,
    abandoned: Abandoned,
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
                    Err(error) if error.kind() == io::ErrorKind::NotFound => make_folder(path).map_err(&open)?,
                    Err(error) => return Err(open(error)),
                }
                let root = path.canonicalize().map_err(&open)?;
                let store = LocalFileSystem::new_with_prefix(&root)
                    .map_err(|error| LakeError::Open { dest: shown, source: Arc::new(error) })?
                    .with_fsync(true);
                Ok(Some(Self { store: Arc::new(store), root: Some(root), abandoned: Abandoned::default() }))
            }
            Destination::S3(url) => Ok(Some(Self { store: open_s3(url)?, root: None, abandoned: Abandoned::default() })),
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

    /// The versions that were replaced and kept, by day, oldest first.
    ///
    /// # Errors
    /// Where the lake cannot be listed.
    pub async fn history(&self) -> Result<BTreeMap<DayKey, Vec<Path>>, LakeError> {
        self.kept(HISTORY, DayKey::of_history).await
    }

    /// The answers that were kept as received, by day, oldest first.
    ///
    /// # Errors
    /// Where the lake cannot be listed.
    pub async fn answers(&self) -> Result<BTreeMap<DayKey, Vec<Path>>, LakeError> {
        self.kept(RAW, DayKey::of_raw).await
    }

    async fn kept(&self, folder: &str, day: impl Fn(&Path) -> Option<DayKey>) -> Result<BTreeMap<DayKey, Vec<Path>>, LakeError> {
        let prefix = Path::from(folder);
        let mut kept: BTreeMap<DayKey, Vec<Path>> = BTreeMap::new();
        let mut objects = self.store.list(Some(&prefix));
        while let Some(object) = objects.try_next().await.map_err(LakeError::object("list", &prefix))? {
            if let Some(key) = day(&object.location) {
                kept.entry(key).or_default().push(object.location);
            }
        }
        // of one merchant and day, names differ in nothing but time and run
        for objects in kept.values_mut() {
            objects.sort();
        }
        Ok(kept)
    }

    /// The days that have a file in the table, in their order.
    ///
    /// # Errors
    /// Where the lake cannot be listed.
    pub async fn days(&self) -> Result<Vec<DayKey>, LakeError> {
        let prefix = Path::from(SETTLEMENTS);
        let days = self.store.list(Some(&prefix)).try_filter_map(async |object| Ok(DayKey::of_settlement(&object.location)));
        let mut days: Vec<DayKey> = days.try_collect().await.map_err(LakeError::object("list", &prefix))?;
        days.sort();
        Ok(days)
    }

    /// What a day's file says of itself, read from its end; `None` where there is no file.
    ///
    /// # Errors
    /// Where the file cannot be read, or says nothing of its day.
    pub async fn day(&self, key: &DayKey) -> Result<Option<DayFile>, LakeError> {
        self.file(&key.settlement()).await
    }

    /// The same of a version kept in `history/`.
    pub(crate) async fn file(&self, location: &Path) -> Result<Option<DayFile>, LakeError> {
        let unreadable = |reason: String| LakeError::Record { object: location.to_string(), reason };
        if self.root.is_some() {
            let Some(Fetched { file, version, .. }) = self.fetch(location).await? else { return Ok(None) };
            // decoding takes longer than reading, and many are decoded at once
            let read = tokio::task::spawn_blocking(move || read_end(&file)).await;
            let (record, fit) = read.unwrap_or_else(|error| Err(error.to_string())).map_err(unreadable)?;
            return Ok(Some(DayFile { record, fit, version }));
        }
        let mut wanted = TAIL;
        loop {
            let options = GetOptions { range: Some(GetRange::Suffix(wanted)), ..GetOptions::default() };
            let (meta, tail) = match self.store.get_opts(location, options).await {
                Ok(found) => (found.meta.clone(), found.bytes().await.map_err(LakeError::object("read", location))?),
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(LakeError::object("read", location)(error)),
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

    /// Opens an object as a file: Parquet is read from its end, and a day may be large. From S3 it is
    /// fetched into a temporary one. None where there is no such object.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) async fn fetch(&self, location: &Path) -> Result<Option<Fetched>, LakeError> {
        if let Some(root) = &self.root {
            let opened = File::open(root.join(location.as_ref())).and_then(|file| Ok((file.metadata()?.modified()?, file)));
            return match opened {
                Ok((modified, file)) => Ok(Some(Fetched { file, modified: modified.into(), version: Version::unnamed() })),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(LakeError::object("read", location)(on_disk(error))),
            };
        }
        let spool = |error: io::Error| {
            let told = format!("it is read into a temporary file in {}: {error}", std::env::temp_dir().display());
            LakeError::object("read", location)(on_disk(io::Error::new(error.kind(), told)))
        };
        let (meta, mut chunks) = match self.store.get(location).await {
            Ok(found) => (found.meta.clone(), found.into_stream()),
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(LakeError::object("read", location)(error)),
        };
        let mut file = tempfile::tempfile().map_err(spool)?;
        while let Some(chunk) = chunks.try_next().await.map_err(LakeError::object("read", location))? {
            file.write_all(&chunk).map_err(spool)?;
        }
        Ok(Some(Fetched { file, modified: meta.last_modified, version: Version::of(meta) }))
    }

    /// What is wrong with a day's file, or with an earlier version of it, held against its own record.
    ///
    /// # Errors
    /// Where the file cannot be fetched.
    pub(crate) async fn audit(&self, key: &DayKey, location: &Path) -> Result<Audit, LakeError> {
        let Some(Fetched { file, .. }) = self.fetch(location).await? else { return Ok(Audit::unusable("it is missing".into())) };
        let (of, at) = (key.clone(), location.clone());
        let audited = tokio::task::spawn_blocking(move || audit(&of, &at, file)).await;
        let mut audit = audited.unwrap_or_else(|error| Audit::unusable(format!("it cannot be read: {error}")));
        if let Some(Evidence { name, sha256 }) = audit.record.as_ref().and_then(|record| record.raw.as_ref()) {
            match self.sha256(&Path::parse(name).unwrap_or_default()).await? {
                Some(hash) if hash == *sha256 => {}
                Some(_) => audit.found.push(format!("the raw answer it was made from, {name}, is not as it was kept")),
                None => audit.found.push(format!("the raw answer it was made from, {name}, is missing")),
            }
        }
        Ok(audit)
    }

    /// The SHA-256 of an object; none where there is no such object.
    async fn sha256(&self, location: &Path) -> Result<Option<String>, LakeError> {
        let Some(Fetched { mut file, .. }) = self.fetch(location).await? else { return Ok(None) };
        let hashed = tokio::task::spawn_blocking(move || seal::sha256(&mut file));
        let failed = |error| LakeError::object("read", location)(on_disk(error));
        hashed.await.unwrap_or_else(|error| Err(io::Error::other(error))).map(Some).map_err(failed)
    }

    /// Copies the version of a day that is about to be replaced to `history/`, under its own time and
    /// run; a damaged one, which does not tell them, under the time it was stored. Copies what it
    /// reads, so that no other run's version gets under that name, and nothing over what is kept.
    ///
    /// # Errors
    /// Where it cannot be copied.
    pub(crate) async fn keep_version(&self, key: &DayKey, stored: Option<&DayFile>, run_id: &str) -> Result<Kept, LakeError> {
        let Some(Fetched { file, modified, version }) = self.fetch(&key.settlement()).await? else { return Ok(Kept::Changed) };
        let (file, read) = check(file).await?;
        let at = match (&read, stored) {
            (Read::Whole(record), Some(stored)) if record.seal == stored.record.seal => key.history(record.extracted_at, &record.run_id),
            (Read::Damaged(Some(seal), _), Some(stored)) if *seal != stored.record.seal => return Ok(Kept::Changed),
            (Read::Whole(_), _) => return Ok(Kept::Changed),
            (Read::Damaged(..), _) => key.history(modified, UNKNOWN_RUN),
        };
        let exists = self.store.head(&at).await;
        if let Err(object_store::Error::NotFound { .. }) = exists {
            let mut staged = self.begin_object(at.clone(), run_id);
            if let Err(error) = copy(&file, &key.settlement(), &mut staged).await {
                staged.discard().await;
                return Err(error);
            }
            // where another run has kept it meanwhile, it is kept
            staged.publish(&Over::Nothing).await?;
        } else {
            exists.map_err(LakeError::object("read", &at))?;
        }
        Ok(Kept::At { at, version, damaged: read.damage(), file })
    }

    /// Whether a stored day's file is as it was written.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) async fn is_whole(&self, key: &DayKey, stored: &DayFile) -> Result<bool, LakeError> {
        let Some(Fetched { file, .. }) = self.fetch(&key.settlement()).await? else { return Ok(false) };
        Ok(matches!(check(file).await?.1, Read::Whole(record) if record.seal == stored.record.seal))
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
        let (chunks, bytes) = mpsc::channel(2);
        let writer = tokio::task::spawn_blocking(move || write(StagingWriter::new(chunks)));
        let (staged, written) = tokio::join!(self.stage(target, run_id, bytes), writer);
        let panicked = |error: tokio::task::JoinError| LakeError::Open { dest: "a thread".into(), source: Arc::new(error) };
        match (staged, written.map_err(panicked)) {
            (Ok(staged), Ok(Ok(written))) => Ok((staged, written)),
            // if the store failed, the writer only knows that nobody took its bytes
            (Err(error), _) => Err(error.into()),
            (Ok(staged), Ok(Err(error))) => {
                staged.discard().await;
                Err(error)
            }
            (Ok(staged), Err(error)) => {
                staged.discard().await;
                Err(error.into())
            }
        }
    }

    fn begin_object(&self, target: Path, run_id: &str) -> Staged {
        let path = if self.root.is_some() { staging(&target, run_id) } else { target.clone() };
        Staged::new(Arc::clone(&self.store), path, target, self.abandoned.clone())
    }

    /// Waits a little for the store to forget uploads that were cut off.
    pub(crate) async fn settle(&self) {
        const PATIENCE: Duration = Duration::from_millis(500);
        if tokio::time::timeout(PATIENCE, self.abandoned.settled()).await.is_err() {
            tracing::warn!("uploads that were cut off may not be aborted: a lifecycle rule of the bucket clears them");
        }
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

/// An object, opened.
pub(crate) struct Fetched {
    pub(crate) file: File,
    modified: DateTime<Utc>,
    version: Version,
}

/// What became of a version that was to be kept.
pub(crate) enum Kept {
    /// It is kept there; `file` is the version itself, and `damaged` what is wrong with it.
    At { at: Path, file: File, version: Version, damaged: Option<String> },
    /// It is no longer the one that was meant.
    Changed,
}

/// A file of the table, read through.
enum Read {
    /// As it was written.
    Whole(Box<DayRecord>),
    /// Not so: the seal that it states, where it states one, and what is wrong.
    Damaged(Option<String>, String),
}

impl Read {
    fn damage(self) -> Option<String> {
        match self {
            Self::Whole(_) => None,
            Self::Damaged(_, why) => Some(why),
        }
    }
}

async fn check(mut file: File) -> Result<(File, Read), LakeError> {
    let checked = tokio::task::spawn_blocking(move || {
        let read = match sealed(&mut file) {
            Ok(record) => Read::Whole(Box::new(record)),
            Err(why) => Read::Damaged(read_end(&file).ok().map(|(record, _)| record.seal), why),
        };
        (file, read)
    });
    checked.await.map_err(|error| LakeError::Open { dest: "a day's file".into(), source: Arc::new(error) })
}

/// An error of the file system as the store's own.
fn on_disk(error: io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(error) }
}

/// Hands the bytes of an object's file on.
async fn copy(mut file: &File, location: &Path, staged: &mut Staged) -> Result<(), LakeError> {
    const BLOCK: u64 = 1 << 20;
    let failed = |error| LakeError::object("read", location)(on_disk(error));
    file.rewind().map_err(failed)?;
    loop {
        let mut block = Vec::new();
        if file.take(BLOCK).read_to_end(&mut block).map_err(failed)? == 0 {
            return Ok(());
        }
        staged.push(block.into()).await?;
    }
}

/// Reads what the files of many days say of themselves, several at a time, in their order: a reason where
/// one cannot be read, and nothing where there is none. An error where the lake cannot be read.
pub(crate) fn day_files(
    lake: &Lake,
    keys: impl IntoIterator<Item = DayKey>,
) -> impl Stream<Item = Result<(DayKey, Result<DayFile, String>), LakeError>> {
    const AT_ONCE: usize = 32;
    futures::stream::iter(keys)
        .map(async |key| match lake.day(&key).await {
            Ok(file) => Ok(file.map(|file| (key, Ok(file)))),
            Err(LakeError::Record { reason, .. }) => Ok(Some((key, Err(reason)))),
            Err(error) => Err(error),
        })
        .buffered(AT_ONCE)
        .try_filter_map(async |found| Ok(found))
}
