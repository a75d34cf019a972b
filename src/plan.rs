//! Which days of a range to fetch, and why: a pure function of the range, the lake's records and the time. Worked out day
//! by day, so that a range of centuries takes no more memory than the days that the lake holds.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use crate::calendar::{DateRange, seoul_date};
use crate::lake::record::{DayRecord, OpenReason, State, is_ahead};

/// Which days of a range a backfill fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refetch {
    /// Days that are missing or not closed.
    #[default]
    Open,
    /// Only days that have no file.
    Missing,
    /// Every day.
    All,
}

/// What the lake holds for a day.
#[derive(Debug, Clone)]
pub enum Stored {
    /// A file whose record was not read because the plan does not need it.
    File,
    /// A file, and what its record states.
    Record(Standing),
    /// A file that has no readable record.
    Unreadable(String),
}

/// What a plan needs of a day's record.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Closed or open.
    pub state: State,
    /// Why it is open.
    pub open_because: Vec<OpenReason>,
    /// When the response headers arrived.
    pub extracted_at: DateTime<Utc>,
}

impl From<DayRecord> for Standing {
    fn from(record: DayRecord) -> Self {
        Self { state: record.state, open_because: record.open_because, extracted_at: record.extracted_at }
    }
}

/// What is done about a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is fetched from the API.
    Fetch,
    /// It is rebuilt from what was kept.
    Rebuild,
    /// The lake's file stays as it is.
    Skip,
}

/// A day of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedDay {
    /// The pay date.
    pub pay_date: NaiveDate,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: Cow<'static, str>,
}

/// How it is decided which days are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For a range that somebody named.
    Backfill(Refetch),
    /// For the daily job.
    Sync(Daily),
}

impl Mode {
    /// Whether the plan needs what the files state, or only which files there are.
    #[must_use]
    pub fn reads_records(self) -> bool {
        self != Self::Backfill(Refetch::Missing)
    }
}

/// What decides for the daily job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Daily {
    /// The date in Seoul.
    pub today: NaiveDate,
    /// Closed days up to this many days old are fetched again for restatements, unless they were written today.
    pub lookback_days: u32,
    /// Closed days up to this many days old are fetched again in turn, each once every 30 days.
    pub recheck_days: u32,
    /// Days that are still open when it is over are no longer fetched.
    pub settle_window: SettleWindow,
}

/// Days between two rechecks of a closed day.
const RECHECK_EVERY: i64 = 30;

impl Daily {
    /// Whether it is a closed day's turn to be fetched again. Follows from the two dates alone, so that nothing need be
    /// remembered.
    fn rechecks(self, pay_date: NaiveDate) -> bool {
        !is_older(pay_date, self.today, self.recheck_days)
            && self.recheck_days > 0
            && (self.today - pay_date).num_days() % RECHECK_EVERY == 0
    }
}

/// How long after its pay date a day may stay open before it is overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettleWindow {
    /// The date in Seoul.
    pub today: NaiveDate,
    /// Days after the pay date.
    pub days: u32,
}

impl SettleWindow {
    /// Whether it is over for a pay date.
    #[must_use]
    pub fn is_over(self, pay_date: NaiveDate) -> bool {
        is_older(pay_date, self.today, self.days)
    }
}

fn is_older(pay_date: NaiveDate, today: NaiveDate, days: u32) -> bool {
    (today - pay_date).num_days() > i64::from(days)
}

/// What is done about each day of a range.
#[derive(Debug)]
pub struct Plan {
    range: Option<DateRange>,
    stored: BTreeMap<NaiveDate, Stored>,
    mode: Mode,
    now: DateTime<Utc>,
}

impl Plan {
    /// Plans a range. The daily job begins with the first day that there is something to do about.
    #[must_use]
    pub fn new(range: DateRange, stored: BTreeMap<NaiveDate, Stored>, mode: Mode, now: DateTime<Utc>) -> Self {
        let mut plan = Self { range: Some(range), stored, mode, now };
        if let Mode::Sync(daily) = mode {
            let settled = |day: &PlannedDay| day.action == Action::Skip && is_older(day.pay_date, daily.today, daily.lookback_days);
            let first = plan.days().find(|day| !settled(day)).map(|day| day.pay_date);
            plan.range = first.map(|from| DateRange { from, ..range });
        }
        plan
    }

    /// From the first day to the last; `None` if there is nothing to do about any.
    #[must_use]
    pub fn range(&self) -> Option<DateRange> {
        self.range
    }

    /// Its days, first to last.
    pub fn days(&self) -> impl Iterator<Item = PlannedDay> + '_ {
        self.range.into_iter().flat_map(DateRange::days).map(|pay_date| {
            let stored = self.stored.get(&pay_date);
            let Decision { action, reason } = match self.mode {
                Mode::Backfill(refetch) => backfill(stored, refetch, self.now),
                Mode::Sync(daily) => sync(stored, pay_date, daily, self.now),
            };
            PlannedDay { pay_date, action, reason }
        })
    }
}

/// What is done about a day, and why.
struct Decision {
    action: Action,
    reason: Cow<'static, str>,
}

fn fetch(reason: impl Into<Cow<'static, str>>) -> Decision {
    Decision { action: Action::Fetch, reason: reason.into() }
}

fn skip(reason: impl Into<Cow<'static, str>>) -> Decision {
    Decision { action: Action::Skip, reason: reason.into() }
}

fn backfill(stored: Option<&Stored>, refetch: Refetch, now: DateTime<Utc>) -> Decision {
    match (stored, refetch) {
        (None, _) => fetch("missing"),
        (Some(_), Refetch::Missing) => skip("in the lake"),
        (Some(_), Refetch::All) => fetch("every day is fetched"),
        (Some(stored), Refetch::Open) => not_closed(stored, now).map_or_else(|| skip("closed"), fetch),
    }
}

fn sync(stored: Option<&Stored>, pay_date: NaiveDate, daily: Daily, now: DateTime<Utc>) -> Decision {
    let Some(stored) = stored else { return fetch("missing") };
    let Some(reason) = not_closed(stored, now) else {
        let written_today = matches!(stored, Stored::Record(record) if seoul_date(record.extracted_at) >= daily.today);
        return if written_today {
            skip("closed")
        } else if !is_older(pay_date, daily.today, daily.lookback_days) {
            fetch("closed, and checked for a restatement")
        } else if daily.rechecks(pay_date) {
            fetch("closed, and rechecked in turn")
        } else {
            skip("closed")
        };
    };
    let settles = matches!(stored, Stored::Record(record) if !is_ahead(record.extracted_at, now));
    if settles && daily.settle_window.is_over(pay_date) {
        let window = daily.settle_window.days;
        return skip(format!("overdue: {reason}, more than {window} days after its pay date; use backfill to fetch it"));
    }
    fetch(reason)
}

/// Why a stored day is not taken for closed; `None` if it is.
fn not_closed(stored: &Stored, now: DateTime<Utc>) -> Option<Cow<'static, str>> {
    match stored {
        Stored::File => Some("its record was not read".into()),
        Stored::Unreadable(reason) => Some(format!("its file cannot be read: {reason}").into()),
        // it may have been closed too early
        Stored::Record(record) if is_ahead(record.extracted_at, now) => Some("its response is dated ahead of the local clock".into()),
        Stored::Record(record) if record.state == State::Closed => None,
        Stored::Record(record) => {
            let reasons: Vec<String> = record.open_because.iter().map(ToString::to_string).collect();
            Some(format!("open: {}", reasons.join(", ")).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Days, TimeDelta};

    use super::*;

    /// Noon in Seoul on 2024-03-31.
    fn now() -> DateTime<Utc> {
        day(31).and_time(chrono::NaiveTime::MIN).and_utc() + TimeDelta::hours(3)
    }

    fn day(of_march: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2024, 3, of_march).unwrap_or_default()
    }

    /// A record that was written this many days ago.
    fn record(open_because: &[OpenReason], days_ago: i64) -> Stored {
        let state = State::of(open_because);
        Stored::Record(Standing { state, open_because: open_because.to_vec(), extracted_at: now() - TimeDelta::days(days_ago) })
    }

    fn planned(from: u32, stored: Vec<(u32, Stored)>, mode: Mode) -> Vec<(NaiveDate, Action, String)> {
        let stored = stored.into_iter().map(|(of_march, stored)| (day(of_march), stored)).collect();
        let plan = Plan::new(DateRange { from: day(from), to: day(31) }, stored, mode, now());
        plan.days().map(|day| (day.pay_date, day.action, day.reason.into_owned())).collect()
    }

    fn fetched(from: u32, stored: Vec<(u32, Stored)>, mode: Mode) -> Vec<u32> {
        use chrono::Datelike as _;
        let days = planned(from, stored, mode).into_iter();
        days.filter(|(_, action, _)| *action == Action::Fetch).map(|(pay_date, ..)| pay_date.day()).collect()
    }

    fn daily() -> Mode {
        Mode::Sync(Daily { today: day(31), lookback_days: 7, recheck_days: 0, settle_window: SettleWindow { today: day(31), days: 20 } })
    }

    #[test]
    fn a_backfill_fetches_missing_days_and_those_that_its_flags_include() {
        let stored = || {
            let open = record(&[OpenReason::PendingRows], 1);
            vec![(28, record(&[], 1)), (29, open), (30, Stored::Unreadable("it is not a Parquet file".into()))]
        };
        assert_eq!(fetched(28, stored(), Mode::Backfill(Refetch::Open)), [29, 30, 31]);
        assert_eq!(fetched(28, stored(), Mode::Backfill(Refetch::Missing)), [31]);
        assert_eq!(fetched(28, stored(), Mode::Backfill(Refetch::All)), [28, 29, 30, 31]);
    }

    #[test]
    fn the_daily_job_looks_back_at_closed_days_that_were_not_written_today() {
        let closed = |of_march, days_ago| (of_march, record(&[], days_ago));
        assert_eq!(fetched(22, vec![closed(22, 1), closed(23, 1), closed(24, 1), closed(25, 0)], daily()), [24, 26, 27, 28, 29, 30, 31]);
    }

    #[test]
    fn the_daily_job_gives_up_on_days_open_past_the_settle_window_and_names_the_way_out() {
        let pending = |of_march| (of_march, record(&[OpenReason::PendingRows], 1));
        let settle_window = SettleWindow { today: day(31), days: 20 };
        let mode = Mode::Sync(Daily { today: day(31), lookback_days: 30, recheck_days: 0, settle_window });
        let days = planned(10, vec![pending(10), pending(11)], mode);
        assert_eq!(days[0].1, Action::Skip);
        assert_eq!(days[0].2, "overdue: open: rows are pending, more than 20 days after its pay date; use backfill to fetch it");
        assert_eq!(days[1].1, Action::Fetch);
    }

    #[test]
    fn the_daily_job_begins_with_the_first_day_that_there_is_something_to_do_about() {
        let closed = |of_march| (of_march, record(&[], 1));
        let days = planned(1, (1..=31).map(closed).collect(), daily());
        assert_eq!(days.first().map(|day| day.0), Some(day(24)));
        let old_gap = planned(1, (2..=31).map(closed).collect(), daily());
        assert_eq!(old_gap.first().map(|day| day.0), Some(day(1)));
    }

    #[test]
    fn the_daily_job_rechecks_each_closed_day_once_in_thirty_days() {
        let today = day(31);
        let settle_window = SettleWindow { today, days: 60 };
        let rechecked = |recheck_days, written_days_ago| {
            let first = today - Days::new(400);
            let stored = first.iter_days().take(401).map(|day| (day, record(&[], written_days_ago))).collect();
            let mode = Mode::Sync(Daily { today, lookback_days: 7, recheck_days, settle_window });
            let plan = Plan::new(DateRange { from: first, to: today }, stored, mode, now());
            let fetched = plan.days().filter(|day| day.action == Action::Fetch).map(|day| (today - day.pay_date).num_days());
            fetched.filter(|age| *age > 7).collect::<Vec<_>>()
        };
        assert_eq!(rechecked(365, 9), [360, 330, 300, 270, 240, 210, 180, 150, 120, 90, 60, 30]);
        assert_eq!(rechecked(60, 9), [60, 30]);
        assert_eq!(rechecked(0, 9), [0i64; 0]);
        assert_eq!(rechecked(365, 0), [0i64; 0]);
    }

    #[test]
    fn a_day_dated_ahead_of_the_clock_is_fetched_whatever_its_state_and_age() {
        let ahead =
            || Stored::Record(Standing { state: State::Closed, open_because: Vec::new(), extracted_at: now() + TimeDelta::days(9) });
        for mode in [Mode::Backfill(Refetch::Open), daily()] {
            assert!(fetched(1, vec![(1, ahead())], mode).contains(&1));
        }
        assert!(is_older(day(1), day(1) + Days::new(8), 7));
    }
}
