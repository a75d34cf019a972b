//! A lake in a folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use crate::lake::error::LakeError;
use crate::lake::file::{DayFile, read_end};
use crate::lake::layout::{FOLDERS, STAGING};
use crate::lake::version::StoredObject;
use crate::lake::version::Version;

use super::folder::{create_folder, sync_folder};
use super::listing::{self, Listing};
use super::{DayLock, Fetched, StagingFolder, blocking, disk_error};

pub(in crate::lake) struct Disk {
    /// Syncs what it writes.
    pub(super) store: Arc<dyn ObjectStore>,
    root: PathBuf,
}

impl Disk {
    pub(super) async fn open(path: PathBuf, create: bool) -> Result<Option<Self>, LakeError> {
        let shown = path.display().to_string();
        let opened = blocking(move || {
            let root = existing_root(&path, create)?;
            if create
                && let Some(root) = &root
                && let Err(error) = sync_folder(root)
                && is_unsupported(&error)
            {
                return Err(error);
            }
            Ok(root)
        });
        let root = opened.await.map_err(|error| match error {
            error if is_unsupported(&error) => LakeError::Destination { dest: shown.clone(), reason: error.to_string() },
            error => LakeError::open(&shown)(error),
        })?;
        let Some(root) = root else { return Ok(None) };
        let prefix = root.clone();
        let store =
            blocking(move || LocalFileSystem::new_with_prefix(prefix).map_err(io::Error::other)).await.map_err(LakeError::open(&shown))?;
        Ok(Some(Self { store: Arc::new(store.with_fsync(true)), root }))
    }

    fn path(&self, location: &Path) -> PathBuf {
        self.root.join(location.as_ref())
    }

    pub(super) async fn list(&self, folder: &'static str) -> object_store::Result<Listing> {
        let root = self.root.clone();
        blocking(move || listing::on_disk(&root, folder)).await.map_err(disk_error)
    }

    pub(super) async fn list_below(&self, folder: &str) -> object_store::Result<Vec<ObjectMeta>> {
        let (root, folder) = (self.root.clone(), folder.to_owned());
        blocking(move || listing::below(&root, &folder)).await.map_err(disk_error)
    }

    pub(super) async fn renew(&self, location: &Path) -> object_store::Result<()> {
        let path = self.path(location);
        blocking(move || File::open(path)?.set_modified(SystemTime::now())).await.map_err(disk_error)
    }

    pub(super) async fn read_end(&self, location: &Path) -> Result<Option<DayFile>, LakeError> {
        let path = self.path(location);
        let read = tokio::task::spawn_blocking(move || {
            let Some(file) = open_existing(&path)? else { return Ok(None) };
            let object = StoredObject::of_file(&file.metadata()?);
            Ok(Some(read_end(&file).map(|(record, fit)| (record, fit, object))))
        })
        .await;
        // a decoder that panics on one file makes that file unreadable, not the lake
        let read = read.unwrap_or_else(|panic| Ok(Some(Err(panic.to_string()))));
        match read.map_err(|error| LakeError::object("read", location)(disk_error(error)))? {
            None => Ok(None),
            Some(Ok((record, fit, object))) => Ok(Some(DayFile { record, fit, version: Version::Locked, object })),
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

    /// Tries to move something into each folder of the lake, as a run does.
    pub(in crate::lake) async fn try_moves(&self, run_id: &str) -> Result<(), LakeError> {
        let (root, staging) = (self.root.clone(), self.root.join(STAGING).join(run_id));
        let tried = tokio::task::spawn_blocking(move || {
            for folder in FOLDERS {
                let path = root.join(folder);
                let folders = [Some(path.clone()).filter(|path| path.is_dir()), newest_day(&path)];
                for target in folders.into_iter().flatten() {
                    try_move(&staging, &target).map_err(|error| (target, error))?;
                }
            }
            Ok(())
        });
        let tried = tried.await.map_err(LakeError::panicked(&Path::from(STAGING)))?;
        let located = |target: &FsPath| -> Path {
            let below = target.strip_prefix(&self.root).unwrap_or(target);
            below.iter().filter_map(|part| part.to_str()).collect()
        };
        tried.map_err(|(target, error)| LakeError::object("move a file into", &located(&target))(disk_error(error)))
    }

    pub(super) async fn lock(&self, location: &Path) -> Result<Option<DayLock>, LakeError> {
        let folder = self.path(location).parent().map(FsPath::to_owned).unwrap_or_default();
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

/// Moves an empty folder from `.staging/` into another folder and removes it: what a run does with a file, without a file that
/// an engine could read.
fn try_move(staging: &FsPath, folder: &FsPath) -> io::Result<()> {
    const NAME: &str = ".check";
    let (from, to) = (staging.join(NAME), folder.join(format!("{NAME}-{}", std::process::id())));
    fs::create_dir(&from)?;
    let moved = fs::rename(&from, &to);
    let _ = fs::remove_dir(if moved.is_ok() { &to } else { &from });
    moved
}

/// The newest `pay_date=` folder.
fn newest_day(folder: &FsPath) -> Option<PathBuf> {
    let days =
        fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("pay_date="));
    days.max_by_key(fs::DirEntry::file_name).map(|entry| entry.path())
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

fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

fn open_existing(path: &FsPath) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // to open a pipe would otherwise wait for somebody who writes to it
    match File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
