//! Files on this machine that a command writes for others.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes a file so that a reader sees the old content or the new. What cannot be replaced by another file (a device, a pipe, a
/// file that is mounted by itself) is written in place; of a link, the file that it names is replaced.
///
/// # Errors
/// What the file system reports.
pub(crate) fn replace(path: &Path, write: impl Fn(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let is_other = fs::metadata(path).is_ok_and(|found| !found.is_file());
    if is_other {
        return in_place(path, write);
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match beside(&target, &write) {
        Err(error) if is_about_the_place(&error) && target.exists() => in_place(&target, write),
        written => written,
    }
}

/// Finds out whether [`replace`] could write a file, without changing anything.
///
/// # Errors
/// What the file system reports.
pub(crate) fn try_replace(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        // to open a pipe would wait for its reader
        Ok(found) if !found.is_file() => Ok(()),
        Ok(_) => {
            let target = fs::canonicalize(path)?;
            OpenOptions::new().write(true).open(&target).map(drop).or_else(|_| tempfile::tempfile_in(folder(&target)).map(drop))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => tempfile::tempfile_in(folder(path)).map(drop),
        Err(error) => Err(error),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path, write: impl Fn(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    // as for a file that is simply created: the umask decides who may read it
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let file = tempfile::Builder::new().permissions(mode).tempfile_in(folder(path))?;
    let mut buffered = BufWriter::new(file);
    write(&mut buffered)?;
    buffered.into_inner()?.persist(path).map(drop).map_err(|error| error.error)
}

fn in_place(path: &Path, write: impl Fn(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut buffered = BufWriter::new(OpenOptions::new().write(true).truncate(true).open(path)?);
    write(&mut buffered)?;
    buffered.flush()
}

/// Whether a file can perhaps be written where none can be put in its place.
fn is_about_the_place(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    [CrossesDevices, PermissionDenied, ReadOnlyFilesystem, ResourceBusy].contains(&error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str) -> impl Fn(&mut dyn Write) -> io::Result<()> {
        move |file| file.write_all(text.as_bytes())
    }

    #[test]
    fn links_and_devices_stay_what_they_are() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::os::unix::fs::symlink(&file, &link)?;
        replace(&link, write("old"))?;
        // a link to nothing is replaced: there is no file to keep
        fs::write(&file, "older")?;
        fs::remove_file(&link)?;
        std::os::unix::fs::symlink(&file, &link)?;
        replace(&link, write("new"))?;
        assert_eq!((fs::read_to_string(&file)?.as_str(), fs::symlink_metadata(&link)?.is_symlink()), ("new", true));
        replace(Path::new("/dev/null"), write("x"))?;
        assert!(!fs::metadata("/dev/null")?.is_file());
        assert_eq!(fs::read_dir(folder.path())?.count(), 2);
        Ok(())
    }

    #[test]
    fn what_cannot_be_written_is_found_out_before() {
        for path in ["/", "/no/such/folder/file", "/proc/new"] {
            assert!(try_replace(Path::new(path)).is_err(), "{path}");
        }
        assert!(try_replace(Path::new("/dev/null")).is_ok());
    }
}
