//! Ranges of pay dates, and the date in Seoul, by which a pay date has passed or has not. Pure: the time is passed in.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

/// Returns the current time. Passed in, so that tests decide what time it is.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The date in Seoul: nine hours ahead of UTC, without summer time since 1988.
#[must_use]
pub fn seoul_date(time: DateTime<Utc>) -> NaiveDate {
    const SEOUL: TimeDelta = TimeDelta::hours(9);
    // a file may state a time so late that nine hours more cannot be represented
    time.naive_utc().checked_add_signed(SEOUL).map_or(time.date_naive(), |seoul| seoul.date())
}

/// A range of pay dates, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateRange {
    /// The first.
    pub from: NaiveDate,
    /// The last.
    pub to: NaiveDate,
}

impl DateRange {
    /// Its days, first to last.
    pub fn days(self) -> impl Iterator<Item = NaiveDate> {
        self.from.iter_days().take_while(move |day| *day <= self.to)
    }

    /// The number of its days.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a range has at least one day")]
    pub fn len(self) -> u64 {
        u64::try_from((self.to - self.from).num_days() + 1).unwrap_or_default()
    }

    /// Whether a day lies in it.
    #[must_use]
    pub fn contains(self, day: NaiveDate) -> bool {
        (self.from..=self.to).contains(&day)
    }
}
