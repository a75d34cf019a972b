//! Which days of a range to ask for, and why: a pure function of the range and the lake's records.
//! Worked out day by day, so that a range of centuries takes no more memory than the days the lake holds.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use crate::calendar::{DateRange, seoul_date};
use crate::lake::record::{DayRecord, OpenReason, State, is_ahead};

/// Which days a run asks for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refetch {
    /// Days that are missing or not closed.
    #[default]
    Open,
    /// Only days with no file.
    Missing,
    /// Every day.
    All,
}

/// What the lake holds for a day.
#[derive(Debug, Clone)]
pub enum Stored {
    /// A file, its record not read because the plan does not need it.
    File,
    /// A file, and what its record says.
    Record(Standing),
    /// A file that does not say what it is.
    Unreadable(String),
}

/// What a plan goes by of a day's record.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Closed or open.
    pub state: State,
    /// Why it is open.
    pub open_because: Vec<OpenReason>,
    /// When the answer's headers arrived.
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
    /// The API is asked.
    Fetch,
    /// It is made again from what was kept.
    Rebuild,
    /// The lake's file stays.
    Skip,
}

/// A day of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedDay {
    /// The pay date.
    pub pay_date: NaiveDate,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: Cow<'static, str>,
}

/// What decides about a day that the lake holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A range that somebody named.
    Backfill(Refetch),
    /// The daily job.
    Sync(Daily),
}

/// What the daily job goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Daily {
    /// The date in Seoul.
    pub today: NaiveDate,
    /// Closed days up to this old are asked for again, for restatements, unless they were written today.
    pub lookback_days: u32,
    /// Days that are still open when it is over are no longer asked for.
    pub settle_window: SettleWindow,
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
    /// Whether a pay date lies further back.
    #[must_use]
    pub fn is_over(self, pay_date: NaiveDate) -> bool {
        is_older(pay_date, self.today, self.days)
    }
}

fn is_older(pay_date: NaiveDate, today: NaiveDate, days: u32) -> bool {
    (today - pay_date).num_days() > i64::from(days)
}

impl Mode {
    /// Whether the plan needs what the files say, or only which there are.
    #[must_use]
    pub fn reads_records(self) -> bool {
        self != Self::Backfill(Refetch::Missing)
    }
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

    /// From the first day to the last; none where there is nothing to do about any.
    #[must_use]
    pub fn range(&self) -> Option<DateRange> {
        self.range
    }

    /// Its days, first to last.
    pub fn days(&self) -> impl Iterator<Item = PlannedDay> + '_ {
        self.range.into_iter().flat_map(DateRange::days).map(|pay_date| {
            let stored = self.stored.get(&pay_date);
            let (action, reason) = match self.mode {
                Mode::Backfill(refetch) => backfill(stored, refetch, self.now),
                Mode::Sync(daily) => sync(stored, pay_date, daily, self.now),
            };
            PlannedDay { pay_date, action, reason }
        })
    }

    /// Those of its days that are not skipped.
    pub fn days_to_do(&self) -> impl Iterator<Item = NaiveDate> + '_ {
        self.days().filter(|day| day.action != Action::Skip).map(|day| day.pay_date)
    }
}

type Decision = (Action, Cow<'static, str>);

fn backfill(stored: Option<&Stored>, refetch: Refetch, now: DateTime<Utc>) -> Decision {
    match (stored, refetch) {
        (None, _) => (Action::Fetch, "missing".into()),
        (Some(_), Refetch::Missing) => (Action::Skip, "in the lake".into()),
        (Some(_), Refetch::All) => (Action::Fetch, "every day is asked for".into()),
        (Some(stored), Refetch::Open) => unless_closed(stored, now).unwrap_or((Action::Skip, "closed".into())),
    }
}

fn sync(stored: Option<&Stored>, pay_date: NaiveDate, daily: Daily, now: DateTime<Utc>) -> Decision {
    let Some(stored) = stored else { return (Action::Fetch, "missing".into()) };
    let Some(wanted) = unless_closed(stored, now) else {
        let asked_today = matches!(stored, Stored::Record(record) if seoul_date(record.extracted_at) >= daily.today);
        return if !is_older(pay_date, daily.today, daily.lookback_days) && !asked_today {
            (Action::Fetch, "closed, and looked at again for a restatement".into())
        } else {
            (Action::Skip, "closed".into())
        };
    };
    let settles = matches!(stored, Stored::Record(record) if !is_ahead(record.extracted_at, now));
    if settles && daily.settle_window.is_over(pay_date) {
        let window = daily.settle_window.days;
        return (Action::Skip, format!("overdue: {}, more than {window} days after its pay date; backfill asks for it", wanted.1).into());
    }
    wanted
}

/// Why a day is asked for again; nothing where it is closed.
fn unless_closed(stored: &Stored, now: DateTime<Utc>) -> Option<Decision> {
    let reason = match stored {
        Stored::File => "its record was not read".into(),
        Stored::Unreadable(why) => format!("its file cannot be read: {why}").into(),
        // it may have been closed too early
        Stored::Record(record) if is_ahead(record.extracted_at, now) => "its answer is dated ahead of this machine's clock".into(),
        Stored::Record(record) if record.state == State::Closed => return None,
        Stored::Record(record) => {
            let reasons: Vec<String> = record.open_because.iter().map(ToString::to_string).collect();
            format!("open: {}", reasons.join(", ")).into()
        }
    };
    Some((Action::Fetch, reason))
}
