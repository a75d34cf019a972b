//! Folders of a lake on local disk that outlive a power cut.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes a folder, and those above it that are missing, and syncs each that an entry was made in: the fsync of a
/// file's own folder does not keep that folder's name.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    let within = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && within != folder => {
            make_folder(within).and_then(|()| fs::create_dir(folder))
        }
        made => made,
    };
    match made {
        Ok(()) => File::open(within)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}
