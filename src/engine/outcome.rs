//! What becomes of each day, and who watches.

use chrono::NaiveDate;

use crate::lake::publish::Landed;

use super::failure::Failure;

/// Watches a run.
pub trait Observer: Send + Sync {
    /// The plan is made, and this many days are to be done.
    fn planned(&self, days: u64);
    /// A day is done.
    fn day(&self, outcome: &DayOutcome);
}

/// What became of a day that was to be done.
#[derive(Debug, Clone)]
pub enum DayOutcome {
    /// It is in the lake.
    Landed(Box<Landed>),
    /// It failed.
    Failed(DayFailed),
    /// It was left out because the run stopped.
    NotAttempted(NaiveDate),
}

/// A day that failed.
#[derive(Debug, Clone)]
pub struct DayFailed {
    /// The pay date.
    pub pay_date: NaiveDate,
    /// Why.
    pub failure: Failure,
    /// Attempts made to read it.
    pub attempts: u32,
}
