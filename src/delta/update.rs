//! Brings the table up to date with what the lake holds, in one commit for each fifty merchants.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use serde::Serialize;
use uuid::Uuid;

use crate::calendar::Clock;
use crate::lake::layout::DayKey;
use crate::lake::merchant::MerchantName;
use crate::lake::store::Lake;

use super::action::{Action, Commit, CommitInfo, Metadata, PROTOCOL, Tombstone};
use super::clean::Upkeep;
use super::error::DeltaError;
use super::file::{Month, PackedDay, TableFile};
use super::held::HeldMerchant;
use super::log::{Committed, commit};
use super::pack::{Unpacked, pack};
use super::plan::{MonthPlan, Part, existing, plan};
use super::snapshot::{Snapshot, State};

/// Merchants of one commit.
const MERCHANTS: usize = 50;
/// Files that are written in parallel.
const PARALLEL: usize = 2;
/// Attempts of a commit, each of which another run may win.
const ATTEMPTS: u32 = 30;

/// Of which merchants it is known what the lake holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Of all: days of others are not in the lake.
    All,
    /// Of some, those of a run.
    Some,
    /// Of some, which the user named: a new table receives no others.
    Named,
}

/// What a run changed in the Delta table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DeltaChange {
    /// The table's version after the run.
    pub version: u64,
    /// Files that were added.
    pub files_added: u64,
    /// Files that were removed from the table.
    pub files_removed: u64,
    /// Days that were added or replaced, including empty ones.
    pub days: u64,
}

/// What became of an update.
#[derive(Debug, Default)]
pub struct Updated {
    /// What changed; `None` if there is no table, or if nothing is known of it because the update failed.
    pub change: Option<DeltaChange>,
    /// What failed, by API id.
    pub failures: Vec<(String, DeltaError)>,
}

impl Updated {
    fn add(&mut self, change: Option<DeltaChange>) {
        let Some(change) = change else { return };
        let before = self.change.unwrap_or(DeltaChange { version: 0, files_added: 0, files_removed: 0, days: 0 });
        self.change = Some(DeltaChange {
            version: change.version,
            files_added: before.files_added + change.files_added,
            files_removed: before.files_removed + change.files_removed,
            days: before.days + change.days,
        });
    }
}

/// Brings the table up to date with what the lake holds of these merchants. A table that does not exist yet receives all merchants
/// of the lake, unless some were named.
pub async fn update(lake: &Lake, mut held: Vec<HeldMerchant>, known: Known, run_id: &str, clock: &Clock) -> Updated {
    let mut updated = Updated::default();
    let mut snapshot = match begin(lake, &mut held, known, run_id).await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            updated.failures.extend(held.iter().map(|held| (held.merchant.api_id(), error.clone())));
            return updated;
        }
    };
    for (number, held) in held.chunks_mut(MERCHANTS).enumerate() {
        let mut chunk = Chunk { lake, run_id, clock, packed: BTreeMap::new(), looked_up: BTreeSet::new(), failures: Vec::new() };
        let changed = async {
            let snapshot = if number == 0 { snapshot.take() } else { Snapshot::read(lake).await? };
            chunk.update(held, snapshot).await
        };
        let changed = changed.await;
        updated.failures.append(&mut chunk.failures);
        match changed {
            Ok(change) => updated.add(change),
            Err(error) => {
                updated.failures.extend(held.iter().map(|held| (held.merchant.api_id(), error.clone())));
                break;
            }
        }
    }
    updated
}

/// Reads the table, and adds the merchants that must be considered beside those of the run: all if the table does not exist yet, and
/// those that only the table knows if all of the lake's are known.
async fn begin(lake: &Lake, held: &mut Vec<HeldMerchant>, known: Known, run_id: &str) -> Result<Option<Snapshot>, DeltaError> {
    let snapshot = Snapshot::read(lake).await?;
    let of_run: BTreeSet<MerchantName> = held.iter().map(|held| held.merchant.clone()).collect();
    match (&snapshot, known) {
        (None, Known::Some) => {
            let days = lake.days().await?;
            let listed: BTreeSet<MerchantName> = days.iter().map(|day| day.key.merchant.clone()).collect();
            held.extend(HeldMerchant::load(lake, &days, &listed - &of_run, run_id).await?);
        }
        (Some(snapshot), Known::All) => {
            let packed: BTreeSet<MerchantName> = snapshot.files().map(|file| file.merchant.clone()).collect();
            held.extend((&packed - &of_run).into_iter().map(HeldMerchant::without_days));
        }
        (None, Known::All) | (Some(_), Known::Some) | (_, Known::Named) => {}
    }
    Ok(snapshot)
}

/// The update of some merchants, which one commit makes visible.
struct Chunk<'a> {
    lake: &'a Lake,
    run_id: &'a str,
    clock: &'a Clock,
    /// Files that are written, by name: a commit that loses a race uses them again.
    packed: BTreeMap<String, TableFile>,
    /// Versions of days that the table holds, and that were looked for in the lake.
    looked_up: BTreeSet<(DayKey, DateTime<Utc>)>,
    failures: Vec<(String, DeltaError)>,
}

impl Chunk<'_> {
    /// Plans, packs and commits until a commit succeeds. `snapshot` is the table as it is.
    async fn update(&mut self, held: &mut [HeldMerchant], mut snapshot: Option<Snapshot>) -> Result<Option<DeltaChange>, DeltaError> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                pause(attempt).await;
                snapshot = Snapshot::read(self.lake).await?;
            }
            self.failures = unreadable(held);
            let mut months = self.plan(held, snapshot.as_ref()).await?;
            if !months.is_empty() && !self.lake.has_conditions() {
                return Err(DeltaError::Unconditional);
            }
            if self.pack(held, &mut months).await? == Packed::Outdated {
                continue;
            }
            if months.is_empty() {
                let current = |snapshot: &Snapshot| DeltaChange { version: snapshot.version(), files_added: 0, files_removed: 0, days: 0 };
                return Ok(snapshot.map(|snapshot| current(&snapshot)));
            }
            if let Some(change) = self.commit(months, snapshot.take()).await? {
                return Ok(Some(change));
            }
        }
        Err(DeltaError::Contended(ATTEMPTS))
    }

    /// Plans the months. Days of the table of which the run knows nothing, or only an earlier version, are looked up first: another run
    /// may have published them.
    async fn plan(&mut self, held: &mut [HeldMerchant], snapshot: Option<&Snapshot>) -> Result<Vec<MonthPlan>, DeltaError> {
        let existing = existing(snapshot);
        let mut months = Vec::new();
        for held in held {
            loop {
                let plans = plan(held, &existing)?;
                let mut is_settled = true;
                for PackedDay { pay_date, extracted_at, .. } in plans.iter().flat_map(|month| &month.doubtful) {
                    let key = DayKey { pay_date: *pay_date, merchant: held.merchant.clone() };
                    if self.looked_up.insert((key, *extracted_at)) {
                        held.look_up(self.lake, *pay_date).await?;
                        is_settled = false;
                    }
                }
                if is_settled {
                    months.extend(plans);
                    break;
                }
            }
        }
        Ok(months)
    }

    /// Writes the files that are not written yet. A month of which a file cannot be written is left as it is.
    async fn pack(&mut self, held: &mut [HeldMerchant], months: &mut Vec<MonthPlan>) -> Result<Packed, DeltaError> {
        let now_ms = (self.clock)().timestamp_millis();
        let to_do: Vec<Part> =
            months.iter().flat_map(|month| &month.parts).filter(|part| !self.packed.contains_key(&part.name)).cloned().collect();
        let (lake, run_id) = (self.lake, self.run_id);
        let mut packing = futures::stream::iter(to_do)
            .map(async |part| {
                let packed = pack(lake, &part, run_id, now_ms).await;
                (part, packed)
            })
            .buffer_unordered(PARALLEL);
        let (mut moved, mut failed) = (Vec::new(), BTreeSet::<(MerchantName, Month)>::new());
        while let Some((Part { merchant, month, .. }, packed)) = packing.next().await {
            match packed {
                Ok(file) => drop(self.packed.insert(file.name.clone(), file)),
                Err(Unpacked::Moved(pay_date)) => moved.push(DayKey { pay_date, merchant }),
                Err(Unpacked::Failed(error @ DeltaError::Day { .. })) => {
                    self.failures.push((merchant.api_id(), error));
                    failed.insert((merchant, month));
                }
                Err(Unpacked::Failed(error)) => return Err(error),
            }
        }
        drop(packing);
        months.retain(|month| !failed.contains(&(month.merchant.clone(), month.month)));
        for key in &moved {
            for held in held.iter_mut().filter(|held| held.merchant == key.merchant) {
                held.look_up(lake, key.pay_date).await?;
            }
        }
        Ok(if moved.is_empty() { Packed::All } else { Packed::Outdated })
    }

    /// Commits; `None` if another run was faster.
    async fn commit(&self, months: Vec<MonthPlan>, snapshot: Option<Snapshot>) -> Result<Option<DeltaChange>, DeltaError> {
        let now = (self.clock)();
        let now_ms = now.timestamp_millis();
        let added: Vec<&TableFile> = months.iter().flat_map(|month| &month.parts).filter_map(|part| self.packed.get(&part.name)).collect();
        let removed: Vec<Tombstone> = months
            .iter()
            .flat_map(|month| &month.removed)
            .map(|file| Tombstone { name: file.name.clone(), bytes: Some(file.bytes), removed_ms: now_ms })
            .collect();
        let days = months.iter().map(|month| month.days).sum();
        let (files_added, files_removed) = (added.len() as u64, removed.len() as u64);
        let mut lines = Commit::new(&CommitInfo { timestamp_ms: now_ms, run_id: self.run_id, files_added, files_removed });
        let last_checkpoint = snapshot.as_ref().and_then(|snapshot| snapshot.log.checkpoints.keys().next_back().copied());
        let (version, mut state) = snapshot.map_or((0, State::default()), |snapshot| (snapshot.version() + 1, snapshot.state));
        if state.protocol.is_none() {
            lines.protocol();
            state.apply(Action::Protocol(PROTOCOL));
        }
        let metadata = match state.metadata.take() {
            None => Some(Metadata::new(now_ms)),
            Some(metadata) if metadata.is_current() => {
                state.metadata = Some(metadata);
                None
            }
            Some(metadata) => Some(metadata.renewed()),
        };
        if let Some(metadata) = metadata {
            lines.metadata(&metadata);
            state.apply(Action::Metadata(metadata));
        }
        for tombstone in removed {
            lines.remove(&tombstone);
            state.apply(Action::Remove(tombstone));
        }
        for file in added {
            lines.add(file);
            state.apply(Action::Add(file.clone()));
        }
        if commit(self.lake, version, lines.into_bytes().into(), self.run_id).await? == Committed::Lost {
            return Ok(None);
        }
        tracing::info!(version, days, "the Delta table is up to date");
        Upkeep { lake: self.lake, run_id: self.run_id, version, state: &state, now }.run(last_checkpoint).await;
        Ok(Some(DeltaChange { version, files_added, files_removed, days }))
    }
}

/// What became of the files to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packed {
    All,
    /// Days were replaced meanwhile: it has to be planned again.
    Outdated,
}

/// The months that are left as they are because of days that cannot be read: each once.
fn unreadable(held: &[HeldMerchant]) -> Vec<(String, DeltaError)> {
    let mut failures = Vec::new();
    for HeldMerchant { merchant, unreadable, .. } in held {
        let mut months = BTreeSet::new();
        for (pay_date, reason) in unreadable {
            if months.insert(Month::of(*pay_date)) {
                let object = DayKey { pay_date: *pay_date, merchant: merchant.clone() }.settlement().to_string();
                let reason = format!("it cannot be read: {reason}: fetch the day with backfill");
                failures.push((
                    merchant.api_id(),
                    DeltaError::Day { month: Month::of(*pay_date).to_string(), object, reason, is_guarded: false },
                ));
            }
        }
    }
    failures
}

/// Waits before another attempt, longer each time, and not as long as another run.
async fn pause(attempt: u32) {
    const LONGEST: u64 = 1000;
    let most = (20 << attempt.min(6)).min(LONGEST);
    let (_, random) = Uuid::now_v7().as_u64_pair();
    tokio::time::sleep(Duration::from_millis(random % most)).await;
}
