//! The table at one version: its live files, and what is still to be removed.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::lake::merchant::MerchantName;

use super::action::{Action, Metadata, Tombstone};
use super::error::DeltaError;
use super::file::{PackedDay, TableFile};
use super::objects::LogObjects;

/// What the actions of a log add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) protocol: Option<(i32, i32)>,
    pub(super) metadata: Option<Metadata>,
    /// The live files, by name.
    pub(super) files: BTreeMap<String, TableFile>,
    /// Files that were removed, by name.
    pub(super) tombstones: BTreeMap<String, Tombstone>,
}

impl State {
    pub(super) fn apply(&mut self, action: Action) {
        match action {
            Action::Protocol(protocol) => self.protocol = Some(protocol),
            Action::Metadata(metadata) => self.metadata = Some(metadata),
            Action::Add(file) => {
                self.tombstones.remove(&file.name);
                self.files.insert(file.name.clone(), file);
            }
            Action::Remove(tombstone) => {
                self.files.remove(&tombstone.name);
                self.tombstones.insert(tombstone.name.clone(), tombstone);
            }
            Action::CommitInfo => {}
        }
    }
}

/// The Delta table at one version, replayed from its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    version: u64,
    pub(super) state: State,
    pub(super) log: LogObjects,
}

impl Snapshot {
    pub(super) fn new(version: u64, state: State, log: LogObjects) -> Option<Self> {
        (state.protocol.is_some() && state.metadata.is_some()).then_some(Self { version, state, log })
    }

    /// The table's version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The live files, by month and merchant.
    pub fn files(&self) -> impl Iterator<Item = &TableFile> {
        self.state.files.values()
    }

    /// The live files of a merchant, by month.
    pub fn files_of<'s>(&'s self, merchant: &'s MerchantName) -> impl Iterator<Item = &'s TableFile> {
        self.files().filter(move |file| file.merchant == *merchant)
    }

    /// The days of a merchant that the table holds.
    ///
    /// # Errors
    /// A day list is not one that this tool writes.
    pub fn days_of(&self, merchant: &MerchantName) -> Result<BTreeMap<NaiveDate, PackedDay>, DeltaError> {
        let mut days = BTreeMap::new();
        for file in self.files_of(merchant) {
            let listed = file.days().map_err(|what| DeltaError::foreign(&file.location(), what))?;
            days.extend(listed.into_iter().map(|day| (day.pay_date, day)));
        }
        Ok(days)
    }
}
