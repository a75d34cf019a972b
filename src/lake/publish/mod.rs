//! Puts staged days of one merchant into the table, for one run.
//!
//! A day goes in two steps, which a run bounds separately: `Publisher::prepare` stores what belongs to the day and is
//! not the table, and `Publisher::commit` changes the table. `admission` decides whether a day may replace what the
//! lake holds, `compare` finds out how the two differ, and `empty` holds all that is known of days without rows. Knows
//! nothing of the API.

mod admission;
mod compare;
mod empty;

use std::time::Duration;

use chrono::NaiveDate;
use object_store::path::Path;

use crate::calendar::Clock;
use crate::settlement::columns::SchemaFit;
use crate::settlement::sums::Sums;

use super::error::LakeError;
use super::layout::DayKey;
use super::ledger::MerchantLedger;
use super::record::DayRecord;
use super::staged::{Published, Staged};
use super::store::Lake;
use super::store_error::NO_CONDITIONS;
use super::version::Over;

pub(crate) use admission::{OtherSchema, is_protected};
pub use compare::{ContentChange, Restated, Updated};
pub(crate) use empty::Unproven;

use admission::{Admission, Previous};
use compare::sums_of;
use empty::KnownRows;

/// How often a day is published again if other runs replace it at the same time, with growing pauses.
const ROUNDS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// What to do with a row that cannot be read or belongs to another day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BadRows {
    /// The day fails.
    #[default]
    Fail,
    /// The day is published without the row, and stays open.
    Reject,
}

/// Where a run's days come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The API, called just now.
    Api,
    /// Responses and files that the lake kept. A file of another schema may then be replaced.
    Saved,
}

/// Which days may be published.
#[derive(Debug, Clone, Copy)]
pub struct PublishPolicy {
    /// Where they come from.
    pub origin: Origin,
    /// What to do with bad rows.
    pub bad_rows: BadRows,
    /// Whether a response without rows may replace a day that had rows.
    pub allow_empty_replacement: bool,
}

/// A day whose file is encoded and stored, and that no reader of the table sees yet.
pub(crate) struct StagedDay {
    /// The file.
    pub(crate) file: Staged,
    /// Its record.
    pub(crate) record: DayRecord,
    /// The file's size.
    pub(crate) bytes: u64,
    /// Whether the response was empty by its code, and not by `0000` with nothing in `DATA`.
    pub(crate) empty_by_code: bool,
    /// The rows that could not be read.
    pub(crate) rejected: Option<RejectedRows>,
    /// The response as received, with `--keep-raw`.
    pub(crate) response: Option<Staged>,
}

/// Rows of a day that could not be read.
#[derive(Debug)]
pub(crate) struct RejectedRows {
    /// How many.
    pub(crate) count: u64,
    /// What is wrong with the first.
    pub(crate) first: String,
    /// JSON lines for `rejects/`.
    pub(crate) lines: Vec<u8>,
}

/// A day that may be committed.
pub(crate) struct PreparedDay {
    day: StagedDay,
    /// Set if the day is published as open only because the merchant is not known to have a day with rows.
    unproven: Option<Unproven>,
}

/// A day that is in the lake.
#[derive(Debug, Clone)]
pub struct Landed {
    /// The pay date.
    pub pay_date: NaiveDate,
    /// Whether it was written; otherwise it was found as stored.
    pub written: bool,
    /// Rows of the day.
    pub rows: u64,
    /// Rows that could not be read.
    pub rejected_rows: u64,
    /// Exact sums.
    pub sums: Sums,
    /// Bytes written.
    pub bytes: u64,
    /// How the stored content changed.
    pub change: Option<ContentChange>,
}

impl Landed {
    /// The same day after it was published once more. One file took the other's place.
    pub(crate) fn replaced_by(self, later: Self) -> Self {
        if later.written { Self { change: later.change.or(self.change), ..later } } else { self }
    }
}

/// Why a day is not in the lake, or not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Rows could not be read, and `--bad-rows` is `fail`.
    #[error("{rows}; nothing of the day was published: {see}, and use --bad-rows reject to publish the rest")]
    BadRows {
        /// The first, and how many more there are.
        rows: String,
        /// Where they are kept.
        see: String,
    },
    /// A response without rows would replace a day that has some.
    #[error(
        "the response has no rows, and the lake holds {stored_rows}: the stored day was kept; if the day is empty now, run again with --allow-empty-replacement"
    )]
    EmptyReplacement {
        /// Rows of the stored day.
        stored_rows: u64,
    },
    /// The stored file has a schema that cannot be in one table with this version's.
    #[error(transparent)]
    OtherSchema(#[from] OtherSchema),
    /// Other runs kept changing the day.
    #[error(
        "the day changed {ROUNDS} times while this run was publishing it: if other runs are at work, run again when they are done; {NO_CONDITIONS}"
    )]
    Contended,
    /// The day is in the lake; its change is unknown.
    #[error("the day was published, but how it differs from {previous} could not be determined")]
    Uncompared {
        /// Where the replaced version is kept.
        previous: Path,
        /// Why not.
        source: LakeError,
    },
}

/// Publishes days of one merchant.
pub(crate) struct Publisher<'a> {
    lake: &'a Lake,
    ledger: &'a MerchantLedger,
    run_id: String,
    policy: PublishPolicy,
    clock: Clock,
    known_rows: KnownRows,
}

impl<'a> Publisher<'a> {
    /// A publisher for one run; `has_rows` if the lake is known to hold a day of the merchant that has rows.
    pub(crate) fn new(
        lake: &'a Lake,
        ledger: &'a MerchantLedger,
        run_id: String,
        policy: PublishPolicy,
        clock: Clock,
        has_rows: bool,
    ) -> Self {
        Self { lake, ledger, run_id, policy, clock, known_rows: KnownRows::new(has_rows) }
    }

    /// Whether the merchant is known to have a day with rows, in the lake or in this run.
    pub(crate) fn has_rows(&self) -> bool {
        self.known_rows.get()
    }

    fn key(&self, pay_date: NaiveDate) -> DayKey {
        DayKey { pay_date, merchant: self.ledger.merchant().clone() }
    }

    /// Stores the response and the rejected rows of a day, and decides how a day without rows is published. The table
    /// does not change.
    ///
    /// # Errors
    /// Why the day may not be published. Nothing of it is then left, except the evidence.
    pub(crate) async fn prepare(&self, day: StagedDay) -> Result<PreparedDay, PublishError> {
        let day = self.keep_response(day).await?;
        let day = self.keep_rejected(day).await?;
        if day.record.rows > 0 {
            self.known_rows.set();
        }
        if !day.empty_by_code || self.has_rows() {
            return Ok(PreparedDay { day, unproven: None });
        }
        day.file.discard().await;
        let unproven = Unproven::of(&day.record);
        let day = self.stage_empty(empty::provisional(day.record)).await?;
        Ok(PreparedDay { day, unproven: Some(unproven) })
    }

    /// Puts a prepared day in place of what the lake holds, if that differs. A day that is published as open only because
    /// the merchant is not known to have rows also returns what [`Publisher::prepare_closed`] needs.
    ///
    /// # Errors
    /// Why the day is not in the lake; the stored day is then as it was.
    pub(crate) async fn commit(&self, prepared: PreparedDay) -> Result<(Landed, Option<Unproven>), PublishError> {
        let PreparedDay { day: StagedDay { mut file, record, bytes, .. }, unproven } = prepared;
        let figures_of = |record: &DayRecord| Landed {
            pay_date: record.pay_date,
            written: false,
            rows: record.rows,
            rejected_rows: record.rejected_rows,
            sums: sums_of(record),
            bytes: 0,
            change: None,
        };
        let landed = match self.replace(&record, &mut file).await {
            Ok(Replaced::Written(change)) => Landed { written: true, bytes, change, ..figures_of(&record) },
            Ok(Replaced::AsStored(stored)) => {
                file.discard().await;
                // the figures of what is in the lake, whichever response it came from
                figures_of(&stored)
            }
            Err(error) => {
                file.discard().await;
                return Err(error);
            }
        };
        if unproven.is_some() && (landed.rows > 0 || landed.rejected_rows > 0) {
            // another run's later response stayed, and that day has rows
            self.known_rows.set();
            return Ok((landed, None));
        }
        Ok((landed, unproven))
    }

    /// Prepares a day without rows that is in the lake as open to be published as closed, now that the merchant is known
    /// to have a day with rows; `None` if the lake holds another day by now.
    ///
    /// # Errors
    /// The lake's. The day is then in the lake as open.
    pub(crate) async fn prepare_closed(&self, unproven: Unproven) -> Result<Option<PreparedDay>, PublishError> {
        let stored = self.lake.day(&self.key(unproven.pay_date())).await?.map(|stored| stored.record);
        let Some(record) = stored.and_then(|stored| unproven.closed(stored, &self.run_id)) else { return Ok(None) };
        Ok(Some(PreparedDay { day: self.stage_empty(record).await?, unproven: None }))
    }

    /// Publishes the response that a day's record refers to: before the day, so that nothing in the lake refers to an
    /// object that is not there.
    async fn keep_response(&self, mut day: StagedDay) -> Result<StagedDay, PublishError> {
        let Some(mut response) = day.response.take() else { return Ok(day) };
        if day.record.raw.is_none() {
            tracing::warn!(pay_date = %day.record.pay_date, "the response repeats the key or a token, and was not kept");
            response.discard().await;
        } else if let Err(error) = response.publish(&Over::Anything).await {
            day.file.discard().await;
            return Err(error.into());
        }
        Ok(day)
    }

    /// Keeps the rows that could not be read, and refuses the day if the policy demands it.
    async fn keep_rejected(&self, day: StagedDay) -> Result<StagedDay, PublishError> {
        let Some(RejectedRows { count, first, lines }) = &day.rejected else { return Ok(day) };
        let key = self.key(day.record.pay_date);
        let location = key.rejects(&self.run_id);
        let kept = self.lake.put(&location, lines.clone()).await;
        let rows = match count {
            1 => first.clone(),
            count => format!("{first} (and {} more bad rows)", count - 1),
        };
        let error = match (self.policy.bad_rows, kept) {
            (BadRows::Reject, Ok(())) => {
                tracing::warn!(pay_date = %key.pay_date, rows = count, kept = %location, "rows were rejected: {rows}");
                return Ok(day);
            }
            // rows that are in neither place would be lost
            (BadRows::Reject, Err(error)) => error.into(),
            (BadRows::Fail, Ok(())) => PublishError::BadRows { rows, see: format!("see {location}") },
            (BadRows::Fail, Err(error)) => {
                PublishError::BadRows { rows, see: format!("the bad rows could not be kept ({})", crate::errors::chain(&error)) }
            }
        };
        day.file.discard().await;
        Err(error)
    }

    /// Stages the file of a day without rows.
    async fn stage_empty(&self, record: DayRecord) -> Result<StagedDay, LakeError> {
        let target = self.key(record.pay_date).settlement();
        let written = self.lake.write_staged(target, &self.run_id, move |out| super::writer::DayWriter::new(out)?.finish(record));
        let (file, (record, bytes)) = written.await?;
        Ok(StagedDay { file, record, bytes, empty_by_code: false, rejected: None, response: None })
    }

    /// Publishes a staged file over what the lake holds, and compares it with the version that it replaced.
    async fn replace(&self, record: &DayRecord, file: &mut Staged) -> Result<Replaced, PublishError> {
        let key = self.key(record.pay_date);
        let lock = self.lake.lock(&key.settlement()).await?;
        let previous = match self.put(&key, record, file).await? {
            Put::Done(Some(previous)) => previous,
            Put::Done(None) => return Ok(Replaced::Written(None)),
            Put::AsStored(stored) => return Ok(Replaced::AsStored(stored)),
        };
        if previous.stored.fit == SchemaFit::Other {
            tracing::info!(pay_date = %key.pay_date, previous = %previous.at, "rewritten with this version's schema");
            return Ok(Replaced::Written(None));
        }
        let at = previous.at.clone();
        let uncompared = |source| PublishError::Uncompared { previous: at.clone(), source };
        let now = compare::published_file(self.lake, &key, record).await.map_err(uncompared)?;
        // both files are open by now, and a comparison may take its time
        drop(lock);
        Ok(Replaced::Written(compare::compare(&key, *previous, record, now).await.map_err(uncompared)?))
    }

    /// Publishes a staged file, again each time that another run changes the day meanwhile.
    async fn put(&self, key: &DayKey, record: &DayRecord, file: &mut Staged) -> Result<Put, PublishError> {
        let mut replaced = None;
        let mut refusals = Refusals::default();
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(PAUSE * round).await;
            }
            let over = match self.admit(key, record).await? {
                Admission::Publish { over, previous } => {
                    replaced = previous;
                    over
                }
                Admission::AsStored(stored) => return Ok(Put::AsStored(stored)),
                Admission::IsStored => return Ok(Put::Done(replaced)),
                Admission::Changed => continue,
            };
            match file.publish(refusals.condition(&over)).await? {
                Published::Done(object) => {
                    self.ledger.published(record, &object);
                    return Ok(Put::Done(replaced));
                }
                Published::Changed => refusals.add(over),
            }
        }
        Err(PublishError::Contended)
    }
}

/// What became of a staged file.
enum Put {
    /// It is in the table, in place of this version.
    Done(Option<Box<Previous>>),
    /// What is stored is as good.
    AsStored(Box<DayRecord>),
}

/// What became of a prepared day.
enum Replaced {
    /// It was written; how its content changed.
    Written(Option<ContentChange>),
    /// What is stored is as good.
    AsStored(Box<DayRecord>),
}

/// How often the store refused one and the same version in a row.
#[derive(Default)]
struct Refusals {
    over: Option<Over>,
    times: u32,
}

impl Refusals {
    /// A server that refuses the very version it names this often does not support the condition.
    const FUTILE: u32 = 4;

    /// The condition under which to publish over `over`.
    fn condition<'o>(&self, over: &'o Over) -> &'o Over {
        let futile = self.times >= Self::FUTILE && self.over.as_ref() == Some(over);
        if futile && matches!(over, Over::Version(_)) { &Over::Anything } else { over }
    }

    fn add(&mut self, over: Over) {
        let again = self.over.as_ref() == Some(&over);
        self.times = if again { self.times + 1 } else { 1 };
        self.over = Some(over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::version::Version;

    #[test]
    fn a_store_that_keeps_refusing_the_version_it_names_is_written_without_the_condition() {
        let over = || Over::Version(Version::Tagged("a".into()));
        let mut refusals = Refusals::default();
        for _ in 0..Refusals::FUTILE {
            assert_eq!(*refusals.condition(&over()), over());
            refusals.add(over());
        }
        assert_eq!(*refusals.condition(&over()), Over::Anything);
        // nothing is never taken for a version: another run has created the day
        assert_eq!(*refusals.condition(&Over::Nothing), Over::Nothing);
        refusals.add(Over::Nothing);
        assert_eq!(*refusals.condition(&over()), over());
    }
}
