//! What a job is to the engine: a plan for each merchant, and a way to read one day.

use chrono::NaiveDate;
use futures::TryStreamExt as _;

use crate::calendar::DateRange;
use crate::lake::error::LakeError;
use crate::lake::layout::DayKey;
use crate::lake::merchant::MerchantName;
use crate::lake::publish::{OtherSchema, PublishPolicy, StagedDay};
use crate::lake::record::Environment;
use crate::lake::store::{Lake, day_files};
use crate::plan::{Action, PlannedDay};

use super::failure::Failure;
use super::result::{Requests, Stop, StopReason};

/// One kind of run. There are two: fetching from the API, and rebuilding from saved responses.
pub trait Job {
    /// What it does about one merchant's days.
    type Plan: MerchantPlan;

    /// The API ids and the range to report if no plan could be made.
    fn unplanned(&self) -> Unplanned;

    /// Plans each merchant's days, in the order in which they are walked, and checks that the run may write to the lake.
    /// Changes nothing. Without a lake, every day is missing.
    ///
    /// # Errors
    /// The lake cannot be read, or holds what the run must not mix with.
    fn plans(&self, lake: Option<&Lake>) -> impl Future<Output = Result<Vec<Self::Plan>, PlanError>>;

    /// Which days may be published.
    fn policy(&self) -> PublishPolicy;

    /// Reads the days of a plan.
    fn reader<'r>(&'r self, lake: &'r Lake, plan: &'r Self::Plan, run_id: &'r str) -> impl ReadDay + 'r;

    /// Logs what somebody should know about a merchant's walk that has ended.
    fn review(&self, plan: &Self::Plan, walked: &Walked);

    /// The requests that were sent to the API so far.
    fn requests(&self) -> Requests;
}

/// What a run reports if no plan could be made.
pub struct Unplanned {
    /// The API ids.
    pub merchant_ids: Vec<String>,
    /// Their days.
    pub range: Option<DateRange>,
}

/// What a walk found about a merchant.
#[derive(Debug, Clone, Copy)]
pub struct Walked {
    /// Whether days landed, all of them without rows.
    pub found_no_row: bool,
    /// Whether the merchant is known to have a day with rows, in the lake or in this run.
    pub has_rows: bool,
}

/// What is done about one merchant's days.
pub trait MerchantPlan {
    /// Whose days.
    fn merchant(&self) -> &MerchantName;

    /// From the first day to the last; `None` if there is nothing to do about any.
    fn range(&self) -> Option<DateRange>;

    /// The days, first to last.
    fn days(&self) -> impl Iterator<Item = PlannedDay>;

    /// The days that are not skipped.
    fn days_to_do(&self) -> impl Iterator<Item = NaiveDate> {
        self.days().filter(|day| day.action != Action::Skip).map(|day| day.pay_date)
    }

    /// What the plan found out about days with rows.
    fn known_rows(&self) -> &KnownRows;
}

/// Reads one merchant's days. Reading is apart from publishing, so that the API need not wait for the lake's disk.
pub trait ReadDay {
    /// Reads one day, and stages its file where no reader of the table sees it.
    fn read(&self, pay_date: NaiveDate) -> impl Future<Output = DayRead>;
}

/// A day that was read, or could not be.
pub struct DayRead {
    /// Attempts made.
    pub(crate) attempts: u32,
    /// The staged day, or why it cannot be read.
    pub(crate) outcome: Result<StagedDay, Failure>,
}

/// Whether the lake holds a day of a merchant that has rows, as far as a plan knows from the records it read.
#[derive(Debug, Default)]
pub struct KnownRows {
    /// One of the records read is of a day that has rows.
    pub known: bool,
    /// Files of the merchant whose records were not read, in the order of days.
    pub unread: Vec<DayKey>,
}

impl KnownRows {
    /// Finds out; reads further records, newest first, only if those read do not decide.
    pub(super) async fn find_out(&self, lake: &Lake) -> Result<bool, LakeError> {
        const AT_ONCE: usize = 64;
        if self.known {
            return Ok(true);
        }
        let newest_first: Vec<DayKey> = self.unread.iter().rev().cloned().collect();
        for keys in newest_first.chunks(AT_ONCE) {
            let mut files = std::pin::pin!(day_files(lake, keys.to_vec()));
            while let Some((_, file)) = files.try_next().await? {
                if file.is_ok_and(|file| file.record.rows > 0) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The lake holds another environment's days.
    #[error(
        "the lake holds days of the {found} API ({object}), and this run fetches from the {requested} one: choose another --dest or --env"
    )]
    Environment {
        /// The lake's.
        found: Environment,
        /// The run's.
        requested: Environment,
        /// A file that states it.
        object: String,
    },
    /// The daily job has no first day.
    #[error("the lake holds no day of merchant {0} yet: set --since to the first pay date to fetch")]
    Since(String),
    /// A merchant that was named is not in the lake.
    #[error("the lake holds nothing of merchant {0}: check --api-id")]
    Unknown(String),
    /// A planned day's file has another schema.
    #[error(transparent)]
    Schema(#[from] OtherSchema),
}

impl PlanError {
    /// What it means for the run; `dest` is the lake's root.
    #[must_use]
    pub fn stop(&self, dest: &str) -> Stop {
        let (reason, message) = match self {
            Self::Lake(error) => (StopReason::Lake, error.at(dest)),
            Self::Schema(error) => (StopReason::Lake, error.to_string()),
            Self::Environment { .. } | Self::Since(_) | Self::Unknown(_) => (StopReason::Settings, self.to_string()),
        };
        Stop { reason, message }
    }
}
