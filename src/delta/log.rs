//! The table's log: its objects, and what they add up to. Changes nothing but what [`commit`] adds, which is synced before
//! it is linked into place: an entry that a power failure cut off would make the table unreadable.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;

use crate::lake::staged::Created;
use crate::lake::store::Lake;

use super::action::Action;
use super::checkpoint;
use super::error::DeltaError;
use super::objects::{LogObjects, checkpoint_path, commit_path, log_folder};
use super::snapshot::{Snapshot, State};

/// Commits read in parallel.
const PARALLEL: usize = 16;

impl Snapshot {
    /// Replays the log of the lake's Delta table; `None` if there is no table. Costs one listing, and a request for each commit
    /// since the last checkpoint.
    ///
    /// # Errors
    /// The log cannot be read, or holds what this tool does not write.
    pub async fn read(lake: &Lake) -> Result<Option<Self>, DeltaError> {
        const ROUNDS: u32 = 3;
        for _ in 1..ROUNDS {
            if let Replayed::Whole(snapshot) = replay_listed(lake).await? {
                return Ok(snapshot.map(|snapshot| *snapshot));
            }
        }
        match replay_listed(lake).await? {
            Replayed::Whole(snapshot) => Ok(snapshot.map(|snapshot| *snapshot)),
            Replayed::Vanished(object) => Err(DeltaError::foreign(&object, "is listed, and cannot be found")),
        }
    }
}

enum Replayed {
    Whole(Option<Box<Snapshot>>),
    /// The clean-up of another run was faster.
    Vanished(Path),
}

async fn replay_listed(lake: &Lake) -> Result<Replayed, DeltaError> {
    let log = LogObjects::of(lake.list_below(&log_folder()).await?);
    let Some((version, checkpoint)) = log.newest()? else { return Ok(Replayed::Whole(None)) };
    let mut state = match checkpoint {
        None => State::default(),
        Some(version) => {
            let at = checkpoint_path(version);
            let Some(bytes) = lake.read(&at).await? else { return Ok(Replayed::Vanished(at)) };
            checkpoint::decode(bytes).map_err(|what| DeltaError::foreign(&at, what))?
        }
    };
    let first = checkpoint.map_or(0, |checkpoint| checkpoint + 1);
    let mut commits = futures::stream::iter(first..=version)
        .map(async |version| {
            let at = commit_path(version);
            lake.read(&at).await.map(|bytes| (at, bytes))
        })
        .buffered(PARALLEL);
    while let Some((at, bytes)) = commits.try_next().await? {
        let Some(bytes) = bytes else { return Ok(Replayed::Vanished(at)) };
        for action in read_commit(&bytes).map_err(|what| DeltaError::foreign(&at, what))? {
            state.apply(action);
        }
    }
    drop(commits);
    let last = || checkpoint.map_or_else(|| commit_path(version), checkpoint_path);
    let snapshot = Snapshot::new(version, state, log).ok_or_else(|| DeltaError::foreign(&last(), "states no protocol or no metadata"))?;
    Ok(Replayed::Whole(Some(Box::new(snapshot))))
}

fn read_commit(bytes: &Bytes) -> Result<Vec<Action>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("is not text: {error}"))?;
    let actions: Vec<Action> = text.lines().filter(|line| !line.trim().is_empty()).map(Action::read).collect::<Result<_, _>>()?;
    if actions.is_empty() { Err("is empty".into()) } else { Ok(actions) }
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Committed {
    Done,
    /// Another run made this version first.
    Lost,
}

/// Makes a version of the table, if no other run has made it. A PUT whose response was lost looks like a lost race: the commit
/// that is found is then this one.
pub(super) async fn commit(lake: &Lake, version: u64, bytes: Bytes, run_id: &str) -> Result<Committed, DeltaError> {
    let at = commit_path(version);
    if lake.create(&at, bytes.clone(), run_id).await? == Created::Done {
        return Ok(Committed::Done);
    }
    let is_own = lake.read(&at).await?.is_some_and(|found| found == bytes);
    Ok(if is_own { Committed::Done } else { Committed::Lost })
}
