//! Keeps two runs on one machine from publishing the same day at once.

use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::blocking;
use super::folder::create_folder;

/// How often another run's lock is checked again, and for how long.
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_mins(1);

/// The right to publish a day, released when dropped.
pub(crate) struct DayLock(#[expect(dead_code, reason = "held for its lock, which ends with it")] File);

/// What an attempt to lock led to.
enum Attempt {
    Locked(File),
    HeldByAnother(File),
    /// The file system does not lock folders.
    Unsupported,
}

impl DayLock {
    /// Locks the day's folder itself: a lock file would lie where engines read, or have to be cleared. `None` if the file system
    /// does not lock folders, as some network file systems do not.
    ///
    /// # Errors
    /// The folder cannot be created, or another run does not release it.
    pub(super) async fn acquire(folder: PathBuf) -> io::Result<Option<Self>> {
        let mut file = blocking(move || {
            create_folder(&folder)?;
            File::open(&folder)
        })
        .await?;
        let until = Instant::now() + PATIENCE;
        loop {
            file = match blocking(move || Ok(attempt(file))).await? {
                Attempt::Locked(file) => return Ok(Some(Self(file))),
                Attempt::Unsupported => return Ok(None),
                Attempt::HeldByAnother(file) => file,
            };
            if Instant::now() >= until {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another run has held it for a minute: check whether that run hangs"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn attempt(file: File) -> Attempt {
    match file.try_lock() {
        Ok(()) => Attempt::Locked(file),
        Err(TryLockError::WouldBlock) => Attempt::HeldByAnother(file),
        Err(TryLockError::Error(error)) => {
            tracing::debug!(%error, "the day's folder cannot be locked");
            Attempt::Unsupported
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_day_has_one_lock_at_a_time() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let folder = root.path().join("settlements/pay_date=2024-01-05");
        let first = DayLock::acquire(folder.clone()).await?;
        assert!(first.is_some());
        let second = DayLock::acquire(folder);
        tokio::pin!(second);
        assert!(tokio::time::timeout(Duration::from_millis(100), &mut second).await.is_err());
        drop(first);
        assert!(second.await?.is_some());
        Ok(())
    }
}
