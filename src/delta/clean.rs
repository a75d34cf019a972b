//! Keeps the log and the files few: a checkpoint every ten commits, and then away with what no reader needs any more.

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use object_store::ObjectMeta;
use object_store::path::Path;
use serde_json::json;

use crate::lake::error::LakeError;
use crate::lake::layout::DELTA;
use crate::lake::store::Lake;

use super::checkpoint;
use super::error::DeltaError;
use super::file::read_name;
use super::objects::{LogObjects, checkpoint_path, last_checkpoint_path};
use super::snapshot::State;

/// Commits from one checkpoint to the next.
const INTERVAL: u64 = 10;
/// How long readers of earlier versions find their files, and how old an object is that no run is about to commit.
const RETENTION: TimeDelta = TimeDelta::days(7);
/// Objects removed in parallel.
const PARALLEL: usize = 8;

/// What there is after a commit.
pub(super) struct Upkeep<'a> {
    pub(super) lake: &'a Lake,
    pub(super) run_id: &'a str,
    pub(super) version: u64,
    pub(super) state: &'a State,
    pub(super) now: DateTime<Utc>,
}

impl Upkeep<'_> {
    /// Writes a checkpoint and cleans up, if it is time. What fails is logged: the commit stands, and a later run makes up for it.
    pub(super) async fn run(&self, last_checkpoint: Option<u64>) {
        if self.version < last_checkpoint.unwrap_or_default() + INTERVAL {
            return;
        }
        if let Err(error) = self.checkpoint().await {
            tracing::warn!("the Delta table's checkpoint could not be written, which costs readers time: {}", crate::errors::chain(&error));
            return;
        }
        match self.useless().await {
            Ok(useless) => self.remove(useless).await,
            Err(error) => tracing::warn!("the Delta table could not be cleaned up: {}", error.to_string_with_causes()),
        }
    }

    fn since(&self) -> DateTime<Utc> {
        self.now - RETENTION
    }

    async fn checkpoint(&self) -> Result<(), DeltaError> {
        let bytes = checkpoint::encode(self.state, self.since().timestamp_millis())?;
        let actions = 2 + self.state.files.len() + self.state.tombstones.len();
        let size = bytes.len();
        // another run may have written it, from the same commits
        self.lake.create(&checkpoint_path(self.version), bytes.into(), self.run_id).await?;
        let last = json!({ "version": self.version, "size": actions, "sizeInBytes": size, "numOfAddFiles": self.state.files.len() });
        self.lake.replace(&last_checkpoint_path(), last.to_string().into(), self.run_id).await?;
        Ok(())
    }

    /// The objects that no reader needs any more: files that left the table long ago or never came into it, and entries of the log
    /// before a checkpoint that is old enough.
    async fn useless(&self) -> Result<Vec<Path>, LakeError> {
        let listed = self.lake.list_below(DELTA).await?;
        let is_old = |object: &ObjectMeta| object.last_modified < self.since();
        let mut useless = Vec::new();
        for object in listed.iter().filter(|object| is_old(object)) {
            let Some(name) = object.location.as_ref().strip_prefix(DELTA).and_then(|below| below.strip_prefix('/')) else { continue };
            if read_name(name).is_none() || self.state.files.contains_key(name) {
                continue;
            }
            let is_out_of_use = match self.state.tombstones.get(name) {
                Some(tombstone) => tombstone.removed_ms < self.since().timestamp_millis(),
                // a run that packs the same days again may have renewed it since it was listed
                None => self.lake.found(&object.location).await?.as_ref().is_some_and(is_old),
            };
            if is_out_of_use {
                useless.push(object.location.clone());
            }
        }
        let log = LogObjects::of(listed);
        let oldest_needed = log.checkpoints.iter().rev().find(|(_, object)| is_old(object)).map(|(version, _)| *version);
        if let Some(needed) = oldest_needed {
            // oldest first, so that what is left is always whole
            let before = log.commits.range(..needed).chain(log.checkpoints.range(..needed));
            let mut before: Vec<(&u64, &ObjectMeta)> = before.collect();
            before.sort_by_key(|(version, _)| **version);
            useless.extend(before.into_iter().map(|(_, object)| object.location.clone()));
        }
        Ok(useless)
    }

    async fn remove(&self, useless: Vec<Path>) {
        let count = useless.len();
        let removed = futures::stream::iter(useless).map(async |at| self.lake.remove(&at).await).buffered(PARALLEL);
        let failed: Vec<LakeError> = removed.filter_map(async |removed| removed.err()).collect().await;
        match failed.first() {
            None if count > 0 => tracing::info!(objects = count, "removed from the Delta table what is out of use for seven days"),
            None => {}
            Some(error) => tracing::warn!(
                objects = failed.len(),
                "what the Delta table no longer uses could not be removed, and takes up space: {}",
                error.to_string_with_causes()
            ),
        }
    }
}
