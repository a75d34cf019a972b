//! Keeps two runs on one machine from publishing the same day at once.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::folder::make_folder;

/// How often another run's lock is tried again, and for how long.
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_mins(1);

/// The right to publish a day, given back when dropped.
pub(crate) struct DayLock(#[expect(dead_code, reason = "held for its lock, which ends with it")] Option<File>);

impl DayLock {
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Locks the day's folder itself: a lock file would lie where engines look, or have to be cleared.
    pub(super) async fn take(folder: &Path) -> io::Result<Self> {
        make_folder(folder)?;
        let lock = File::open(folder)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self(Some(lock))),
                Err(TryLockError::WouldBlock) if Instant::now() < until => tokio::time::sleep(PAUSE).await,
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another run has held it for a minute: look for one that hangs"));
                }
                Err(TryLockError::Error(error)) => {
                    // some network file systems lock no folders
                    tracing::debug!(%error, "the day cannot be locked");
                    return Ok(Self::none());
                }
            }
        }
    }
}
