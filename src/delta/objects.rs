//! The objects of the table's log: their names, and which of them a replay needs. Does no I/O.

use std::collections::BTreeMap;

use object_store::ObjectMeta;
use object_store::path::Path;

use crate::lake::layout::{DELTA, delta_path};

use super::error::DeltaError;

const LOG: &str = "_delta_log";

/// The folder of the log.
pub(super) fn log_folder() -> String {
    format!("{DELTA}/{LOG}")
}

/// The commit that makes this version.
pub(super) fn commit_path(version: u64) -> Path {
    delta_path(&format!("{LOG}/{version:020}.json"))
}

/// The checkpoint of this version.
pub(super) fn checkpoint_path(version: u64) -> Path {
    delta_path(&format!("{LOG}/{version:020}.checkpoint.parquet"))
}

/// The object that names the newest checkpoint, for readers that do not list the log.
pub(super) fn last_checkpoint_path() -> Path {
    delta_path(&format!("{LOG}/_last_checkpoint"))
}

/// The objects of a log, by version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LogObjects {
    pub(super) commits: BTreeMap<u64, ObjectMeta>,
    pub(super) checkpoints: BTreeMap<u64, ObjectMeta>,
}

impl LogObjects {
    /// Those of a listing; whatever else it shows is passed over.
    pub(super) fn of(listed: impl IntoIterator<Item = ObjectMeta>) -> Self {
        let mut log = Self::default();
        for object in listed {
            let Some(name) = object.location.filename() else { continue };
            let Some((digits, kind)) = name.split_once('.') else { continue };
            let Some(version) = digits.parse::<u64>().ok().filter(|_| digits.len() == 20) else { continue };
            match kind {
                "json" => drop(log.commits.insert(version, object)),
                "checkpoint.parquet" => drop(log.checkpoints.insert(version, object)),
                // checksums, and checkpoints of other forms, which a log of this tool can be read without
                _ => {}
            }
        }
        log
    }

    /// The table's version, the checkpoint from which to replay the log, and the first commit after it.
    pub(super) fn newest(&self) -> Result<Option<(u64, Option<u64>)>, DeltaError> {
        let checkpoint = self.checkpoints.keys().next_back().copied();
        let Some(version) = self.commits.keys().next_back().copied().max(checkpoint) else { return Ok(None) };
        let first = checkpoint.map_or(0, |checkpoint| checkpoint + 1);
        match (first..=version).find(|version| !self.commits.contains_key(version)) {
            None => Ok(Some((version, checkpoint))),
            Some(gap) => Err(DeltaError::foreign(&commit_path(gap), "is missing")),
        }
    }
}
