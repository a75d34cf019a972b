//! The folder of a run's staged files on local disk.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::blocking;

/// A run's folder under `.staging/`, locked while the run is alive.
pub(crate) struct StagingFolder {
    folder: PathBuf,
    _lock: File,
}

impl StagingFolder {
    const ATTEMPTS: u32 = 100;

    /// Creates a run's folder under `staging`, and removes what dead runs left there. Blocks.
    pub(super) fn create(staging: &Path, run_id: &str) -> io::Result<Self> {
        let folder = staging.join(run_id);
        fs::create_dir_all(staging)?;
        sweep(staging);
        // runs that end or sweep at this moment may remove what was just created
        for _ in 0..Self::ATTEMPTS {
            let lock = match fs::create_dir_all(&folder).and_then(|()| File::open(&folder)) {
                Ok(lock) => lock,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // some network file systems do not lock folders; a sweep there removes nothing either
            if let Err(error) = lock.lock() {
                tracing::debug!(%error, "the staging folder cannot be locked");
            }
            if folder.exists() {
                return Ok(Self { folder, _lock: lock });
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Removes the folder at the end of the run.
    pub(crate) async fn remove(self) {
        let _ = blocking(move || {
            drop(self);
            Ok(())
        })
        .await;
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
        if let Some(staging) = self.folder.parent() {
            // succeeds only if no other run is in progress
            let _ = fs::remove_dir(staging);
        }
    }
}

/// Removes whatever is not locked: the files of dead runs.
fn sweep(staging: &Path) {
    for entry in fs::read_dir(staging).into_iter().flatten().flatten() {
        let path = entry.path();
        let removed = match File::open(&path) {
            Ok(lock) if path.is_dir() => lock.try_lock().is_ok() && fs::remove_dir_all(&path).is_ok(),
            _ => fs::remove_file(&path).is_ok(),
        };
        if removed {
            tracing::info!(path = %path.display(), "removed what an interrupted run left");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_sweeps_what_dead_runs_left_and_nothing_of_those_alive() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let staging = root.path().join(".staging");
        let alive = StagingFolder::create(&staging, "alive")?;
        fs::create_dir(staging.join("dead"))?;
        fs::write(staging.join("dead/part"), "x")?;
        fs::write(staging.join("stray"), "x")?;
        let other = StagingFolder::create(&staging, "other")?;
        let mut names: Vec<_> = fs::read_dir(&staging)?.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        assert_eq!(names, ["alive", "other"]);
        drop(other);
        assert!(staging.join("alive").exists());
        drop(alive);
        assert!(!staging.exists());
        Ok(())
    }
}
