//! Folders on local disk that outlive a power cut.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// What file systems of shared folders report for the fsync of a folder.
const EINVAL: i32 = 22;
const ENOTSUP: i32 = 95;

/// Syncs the names in a folder.
///
/// # Errors
/// Of kind [`Unsupported`](io::ErrorKind::Unsupported) if the file system cannot.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all().map_err(|error| match error.raw_os_error() {
        Some(EINVAL | ENOTSUP) => io::Error::new(
            io::ErrorKind::Unsupported,
            "its file system cannot sync folders, so that a power cut could lose days: choose a folder on a local disk, or s3://",
        ),
        _ => error,
    })
}

/// Creates a folder, and the missing ones above it, and syncs each folder that received an entry: the fsync of a file's own
/// folder does not keep that folder's name.
pub(super) fn create_folder(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let created = match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && parent != folder => {
            create_folder(parent).and_then(|()| fs::create_dir(folder))
        }
        created => created,
    };
    match created {
        Ok(()) => sync_folder(parent),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}
