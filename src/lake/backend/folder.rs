//! Folders on local disk that outlive a power cut.

use std::fs::{self, File};
use std::io;
use std::path::Path;

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
        Ok(()) => File::open(parent)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}
