//! What a job is to the engine: a plan for each merchant, and a way to read one day.

use chrono::NaiveDate;

use crate::calendar::DateRange;
use crate::lake::error::LakeError;
use crate::lake::holdings::NotHeld;
use crate::lake::ledger::MerchantLedger;
use crate::lake::merchant::MerchantName;
use crate::lake::publish::{OtherSchema, PublishPolicy, StagedDay};
use crate::lake::record::Environment;
use crate::lake::store::Lake;
use crate::plan::{Action, PlannedDay};

use super::failure::{Failure, FailureKind};
use super::result::{ReportedFailure, Requests, Stop, StopReason};

/// One kind of run. There are two: fetching from the API, and rebuilding from saved responses.
pub trait Job {
    /// What it does about one merchant's days.
    type Plan: MerchantPlan;

    /// The API ids and the range to report if no plan could be made.
    fn unplanned(&self) -> Unplanned;

    /// Plans each merchant's days, in the order in which they are walked, and checks that the run may write to the lake.
    /// Changes nothing. Without a lake, every day is missing. A merchant that cannot be planned leaves the others alone.
    ///
    /// # Errors
    /// The lake cannot be read, or holds what the run must not mix with.
    fn plans(&self, lake: Option<&Lake>) -> impl Future<Output = Result<Vec<Result<Self::Plan, RefusedMerchant>>, PlanError>>;

    /// Which days may be published.
    fn policy(&self) -> PublishPolicy;

    /// Reads the days of a plan.
    fn reader<'r>(&'r self, lake: &'r Lake, plan: &'r Self::Plan, run_id: &'r str) -> impl ReadDay + 'r;

    /// Logs what somebody should know about a merchant's walk that has ended.
    fn review(&self, plan: &Self::Plan, walked: &Walked);

    /// The requests that were sent to the API so far.
    fn requests(&self) -> Requests;
}

/// A merchant about whose days nothing is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedMerchant {
    /// The API id.
    pub merchant_id: String,
    /// Why.
    pub reason: NoFirstDay,
}

impl RefusedMerchant {
    /// The failure as it is reported: of the merchant, and of no day.
    #[must_use]
    pub fn failure(&self) -> ReportedFailure {
        let message = Failure::new(FailureKind::Guard, self.reason.clone()).message();
        ReportedFailure { merchant_id: self.merchant_id.clone(), pay_date: None, kind: FailureKind::Guard, message, attempts: 0 }
    }
}

/// A merchant for which the daily job has no first day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the lake holds no day of merchant {0} yet: set --since, or since in the merchant's table of the settings file, to the first pay date to fetch"
)]
pub struct NoFirstDay(pub String);

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
    fn merchant(&self) -> &MerchantName {
        self.ledger().merchant()
    }

    /// From the first day to the last; `None` if there is nothing to do about any.
    fn range(&self) -> Option<DateRange>;

    /// The days, first to last.
    fn days(&self) -> impl Iterator<Item = PlannedDay>;

    /// The days that are not skipped.
    fn days_to_do(&self) -> impl Iterator<Item = NaiveDate> {
        self.days().filter(|day| day.action != Action::Skip).map(|day| day.pay_date)
    }

    /// What the records of its days state, as far as the plan needed them.
    fn ledger(&self) -> &MerchantLedger;
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
    /// The daily job has a first day for none of its merchants.
    #[error(transparent)]
    NoFirstDay(#[from] NoFirstDay),
    /// The lake does not hold what the run is about.
    #[error(transparent)]
    NotHeld(#[from] NotHeld),
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
            Self::Environment { .. } | Self::NoFirstDay(_) | Self::NotHeld(_) => (StopReason::Settings, self.to_string()),
        };
        Stop { reason, message }
    }
}
