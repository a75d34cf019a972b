//! Files on this machine that are replaced whole.

use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes a file so that a reader sees the old content or the new.
///
/// # Errors
/// What the file system reports.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // as for a file that is simply created: the umask decides who may read it
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let file = tempfile::Builder::new().permissions(mode).tempfile_in(folder)?;
    let mut buffered = BufWriter::new(file);
    write(&mut buffered)?;
    buffered.into_inner()?.persist(path).map(drop).map_err(|error| error.error)
}
