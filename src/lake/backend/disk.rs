//! A lake in a folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;

use crate::lake::error::LakeError;
use crate::lake::file::{DayFile, read_end};
use crate::lake::layout::{DayKey, STAGING};
use crate::lake::version::Version;

use super::folder::create_folder;
use super::{DayLock, Fetched, StagingFolder, blocking, disk_error};

pub(in crate::lake) struct Disk {
    /// Syncs what it writes.
    pub(super) store: Arc<dyn ObjectStore>,
    root: PathBuf,
}

impl Disk {
    pub(super) async fn open(path: PathBuf, create: bool) -> Result<Option<Self>, LakeError> {
        let shown = path.display().to_string();
        let root = blocking(move || existing_root(&path, create)).await.map_err(LakeError::open(&shown))?;
        let Some(root) = root else { return Ok(None) };
        let prefix = root.clone();
        let store =
            blocking(move || LocalFileSystem::new_with_prefix(prefix).map_err(io::Error::other)).await.map_err(LakeError::open(&shown))?;
        Ok(Some(Self { store: Arc::new(store.with_fsync(true)), root }))
    }

    fn path(&self, location: &Path) -> PathBuf {
        self.root.join(location.as_ref())
    }

    pub(super) async fn read_end(&self, location: &Path) -> Result<Option<DayFile>, LakeError> {
        let path = self.path(location);
        let read = tokio::task::spawn_blocking(move || Ok(open_existing(&path)?.map(|file| read_end(&file)))).await;
        // a decoder that panics on one file makes that file unreadable, not the lake
        let read = read.unwrap_or_else(|panic| Ok(Some(Err(panic.to_string()))));
        match read.map_err(|error| LakeError::object("read", location)(disk_error(error)))? {
            None => Ok(None),
            Some(Ok((record, fit))) => Ok(Some(DayFile { record, fit, version: Version::Locked })),
            Some(Err(reason)) => Err(LakeError::Record { object: location.to_string(), reason }),
        }
    }

    pub(super) async fn fetch(&self, location: &Path) -> Result<Option<Fetched>, LakeError> {
        let path = self.path(location);
        let opened = blocking(move || {
            let Some(file) = open_existing(&path)? else { return Ok(None) };
            let modified = file.metadata()?.modified()?.into();
            Ok(Some(Fetched { file, modified, version: Version::Locked }))
        });
        opened.await.map_err(|error| LakeError::object("read", location)(disk_error(error)))
    }

    pub(super) async fn lock(&self, key: &DayKey) -> Result<Option<DayLock>, LakeError> {
        let location = key.settlement();
        let folder = self.path(&location).parent().map(FsPath::to_owned).unwrap_or_default();
        let locked = DayLock::acquire(folder).await;
        locked.map_err(|source| LakeError::Lock { object: location.to_string(), source: Arc::new(source) })
    }

    pub(super) async fn begin(&self, run_id: &str) -> Result<StagingFolder, LakeError> {
        let staging = self.root.join(STAGING);
        let fail = LakeError::open(&staging.display().to_string());
        let run_id = run_id.to_owned();
        blocking(move || StagingFolder::create(&staging, &run_id)).await.map_err(fail)
    }
}

/// The folder's absolute path; `None` if it does not exist and is not to be created.
fn existing_root(path: &FsPath, create: bool) -> io::Result<Option<PathBuf>> {
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => return Err(io::ErrorKind::NotADirectory.into()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && create => create_folder(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    path.canonicalize().map(Some)
}

fn open_existing(path: &FsPath) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
