//! Which days of a range to ask for, and why: a pure function of the range and the lake's records.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::lake::record::{DayRecord, State};

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
    /// A file with its record.
    Record(Box<DayRecord>),
    /// A file that does not say what it is.
    Unreadable(String),
}

/// What is done about a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The API is asked.
    Fetch,
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
    pub reason: String,
}

/// A range of pay dates, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub from: NaiveDate,
    /// The last.
    pub to: NaiveDate,
}

impl Range {
    /// Its days, first to last.
    pub fn days(self) -> impl Iterator<Item = NaiveDate> {
        self.from.iter_days().take_while(move |day| *day <= self.to)
    }

    /// How many days it has.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a range has at least a day")]
    pub fn len(self) -> u64 {
        u64::try_from((self.to - self.from).num_days() + 1).unwrap_or_default()
    }

    /// Whether a day lies in it.
    #[must_use]
    pub fn contains(self, day: NaiveDate) -> bool {
        (self.from..=self.to).contains(&day)
    }
}

/// Plans a range.
#[must_use]
pub fn plan(range: Range, stored: &BTreeMap<NaiveDate, Stored>, refetch: Refetch) -> Vec<PlannedDay> {
    range
        .days()
        .map(|pay_date| {
            let (action, reason) = decide(stored.get(&pay_date), refetch);
            PlannedDay { pay_date, action, reason }
        })
        .collect()
}

fn decide(stored: Option<&Stored>, refetch: Refetch) -> (Action, String) {
    match (stored, refetch) {
        (None, _) => (Action::Fetch, "missing".into()),
        (Some(_), Refetch::Missing) => (Action::Skip, "in the lake".into()),
        (Some(_), Refetch::All) => (Action::Fetch, "every day is asked for".into()),
        (Some(Stored::File), Refetch::Open) => (Action::Fetch, "its record was not read".into()),
        (Some(Stored::Unreadable(why)), Refetch::Open) => (Action::Fetch, format!("its file cannot be read: {why}")),
        (Some(Stored::Record(record)), Refetch::Open) => match record.state {
            State::Closed => (Action::Skip, "closed".into()),
            State::Open => {
                let reasons: Vec<String> = record.open_because.iter().map(ToString::to_string).collect();
                (Action::Fetch, format!("open: {}", reasons.join(", ")))
            }
        },
    }
}
