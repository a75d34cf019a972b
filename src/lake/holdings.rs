//! What a lake holds, by its listings alone, and whether that is what a command was meant to find.

use std::collections::{BTreeMap, BTreeSet};

use object_store::path::Path;

use super::destination::Destination;
use super::error::LakeError;
use super::layout::{DayKey, FOLDERS, SETTLEMENTS};
use super::ledger::MerchantLedger;
use super::merchant::{AlikeIds, MerchantName, Merchants};
use super::store::{Lake, StoredDay};

/// What a lake holds.
pub(crate) struct Holdings {
    /// The days that have a file in the table, in their order.
    pub(crate) days: Vec<StoredDay>,
    /// The versions that were replaced and kept, oldest first.
    pub(crate) history: BTreeMap<DayKey, Vec<Path>>,
    /// The saved responses, oldest first, if they were listed.
    pub(crate) responses: BTreeMap<DayKey, Vec<Path>>,
    /// The ledgers of the merchants in question, if they were read.
    pub(crate) ledgers: BTreeMap<MerchantName, MerchantLedger>,
}

/// A lake that does not hold what a command is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotHeld {
    /// There is no such folder.
    #[error("there is no folder {0}: check --dest")]
    Folder(String),
    /// It holds no day at all.
    #[error("the lake at {dest} holds no day: nothing is below {dest}/{SETTLEMENTS}/pay_date=…; {hint}")]
    Day {
        /// The lake's root.
        dest: String,
        /// What to do.
        hint: String,
    },
    /// It holds no day of a merchant that was named.
    #[error("the lake at {dest} holds no day of merchant {merchant}: it holds days of {held}")]
    DayOf {
        /// The lake's root.
        dest: String,
        /// The API id.
        merchant: String,
        /// Those that it holds days of.
        held: String,
    },
    /// It holds days of two merchants that are probably one.
    #[error(transparent)]
    Alike(#[from] AlikeIds),
}

impl Lake {
    /// What the lake holds, without its responses. Costs two listings.
    ///
    /// # Errors
    /// The lake cannot be listed.
    pub(crate) async fn holdings(&self) -> Result<Holdings, LakeError> {
        Ok(Holdings { days: self.days().await?, history: self.history().await?, responses: BTreeMap::new(), ledgers: BTreeMap::new() })
    }

    /// What the table of the lake holds. Costs one listing.
    ///
    /// # Errors
    /// The lake cannot be listed.
    pub(crate) async fn holdings_by_listing(&self) -> Result<Holdings, LakeError> {
        Ok(Holdings { days: self.days().await?, history: BTreeMap::new(), responses: BTreeMap::new(), ledgers: BTreeMap::new() })
    }

    /// What the table alone holds, for a command that loads one ledger after another; of a merchant that was named and has no day in
    /// it, also what is in `history/`. Costs one listing.
    ///
    /// # Errors
    /// The lake cannot be listed.
    pub(crate) async fn table(&self, named: &Merchants) -> Result<Holdings, LakeError> {
        let held = Holdings { days: self.days().await?, history: BTreeMap::new(), responses: BTreeMap::new(), ledgers: BTreeMap::new() };
        let in_table = held.merchants();
        let is_known = !in_table.is_empty() && named.named().iter().all(|merchant| in_table.contains(merchant));
        let history = if is_known { BTreeMap::new() } else { self.history_once().await?.clone() };
        Ok(Holdings { history, ..held })
    }

    /// The same with the ledgers of these merchants. If their indexes are current, these also show what is in `history/`, and it costs
    /// one listing and an object for each merchant.
    ///
    /// # Errors
    /// The lake cannot be listed.
    pub(crate) async fn holdings_by_index(&self, named: &Merchants) -> Result<Holdings, LakeError> {
        let days = self.days().await?;
        let listed: BTreeSet<MerchantName> = days.iter().map(|day| day.key.merchant.clone()).collect();
        let wanted = listed.iter().filter(|merchant| named.include(merchant));
        let ledgers = MerchantLedger::load_all(self, wanted, &days).await;
        let ledgers: BTreeMap<_, _> = ledgers.into_iter().map(|ledger| (ledger.merchant().clone(), ledger)).collect();
        let is_known = !days.is_empty() && named.named().iter().all(|merchant| ledgers.contains_key(merchant));
        let mut history = if is_known { BTreeMap::new() } else { self.history_once().await?.clone() };
        for ledger in ledgers.values() {
            history.extend(ledger.versions(self).await?);
        }
        Ok(Holdings { days, history, responses: BTreeMap::new(), ledgers })
    }

    /// The same with its responses. Costs three listings.
    ///
    /// # Errors
    /// The lake cannot be listed.
    pub(crate) async fn holdings_with_responses(&self) -> Result<Holdings, LakeError> {
        Ok(Holdings { responses: self.responses().await?, ..self.holdings().await? })
    }
}

impl Holdings {
    /// The days of which the lake holds anything.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &DayKey> {
        self.days.iter().map(|day| &day.key).chain(self.history.keys()).chain(self.responses.keys())
    }

    /// Whether the lake may have a Delta table. Indexes that are current and know of none save the request for it.
    pub(crate) fn may_have_delta(&self) -> bool {
        self.ledgers.is_empty() || self.ledgers.values().any(|ledger| ledger.has_delta() || !ledger.is_current())
    }

    /// Whether a day has a file in the table.
    pub(crate) fn has_day(&self, key: &DayKey) -> bool {
        self.days.binary_search_by(|day| day.key.cmp(key)).is_ok()
    }

    /// The ETag that the listing has for an object of the table.
    pub(crate) fn etag(&self, at: &Path) -> Option<String> {
        let key = DayKey::of_settlement(at)?;
        let found = self.days.binary_search_by(|day| day.key.cmp(&key)).ok()?;
        self.days[found].etag.clone()
    }

    /// The merchants of which the lake holds anything.
    pub(crate) fn merchants(&self) -> BTreeSet<MerchantName> {
        self.keys().map(|key| &key.merchant).collect::<BTreeSet<_>>().into_iter().cloned().collect()
    }

    /// Checks that the lake holds something, also of each merchant that was named: a command that finds nothing has checked
    /// nothing.
    ///
    /// # Errors
    /// What was looked for, and what the lake holds.
    pub(crate) fn check(&self, dest: &Destination, named: &Merchants) -> Result<(), NotHeld> {
        const LISTED: usize = 20;
        let held = self.merchants();
        AlikeIds::check(&held)?;
        if held.is_empty() {
            return Err(NotHeld::Day { dest: dest.to_string(), hint: hint(dest) });
        }
        let Some(absent) = named.named().iter().find(|named| !held.contains(named)) else { return Ok(()) };
        let mut listed: Vec<String> = held.iter().take(LISTED).map(MerchantName::api_id).collect();
        if held.len() > LISTED {
            listed.push(format!("{} more", held.len() - LISTED));
        }
        Err(NotHeld::DayOf { dest: dest.to_string(), merchant: absent.api_id(), held: listed.join(", ") })
    }
}

/// What to do if a lake is empty: often `--dest` is a folder inside it.
fn hint(dest: &Destination) -> String {
    let shown = dest.to_string();
    let trimmed = shown.trim_end_matches('/');
    let trimmed = trimmed.rsplit_once('/').filter(|(_, last)| last.starts_with("pay_date=")).map_or(trimmed, |(folder, _)| folder);
    let (parent, last) = trimmed.rsplit_once('/').unwrap_or((".", trimmed));
    let is_inside = FOLDERS.contains(&last);
    if is_inside { format!("the lake's root is the folder that contains {last}/: use --dest {parent}") } else { "check --dest".into() }
}
