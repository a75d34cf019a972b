//! What a lake holds of a range, day by day, read from its day records. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use chrono::{DateTime, NaiveDate, Utc};
use futures::TryStreamExt as _;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::calendar::DateRange;
use crate::lake::error::LakeError;
use crate::lake::layout::{DayKey, is_damaged};
use crate::lake::record::{DayRecord, State};
use crate::lake::store::{Lake, day_files};
use crate::plan::SettleWindow;
use crate::scope::{Scope, ScopedMerchant};

/// The state of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DayState {
    /// Nothing more is expected of it.
    Closed,
    /// The same, and it has no rows.
    ClosedEmpty,
    /// It will be fetched again.
    Open,
    /// It has no file.
    Missing,
}

/// A day of a merchant.
#[derive(Debug, Clone, Serialize)]
pub struct StatusDay {
    /// The API id.
    pub merchant_id: String,
    /// The pay date.
    pub pay_date: NaiveDate,
    /// Its state.
    pub state: DayState,
    /// Whether an earlier version of it is kept in `history/`.
    pub restated: bool,
    /// Whether it has been open for longer than the settle window; the daily job no longer fetches it.
    pub overdue: bool,
    /// Rows in its file.
    pub rows: Option<u64>,
    /// Rows still to be paid out.
    pub pending_rows: Option<u64>,
    /// Exact sums by amount column.
    pub totals: Option<Map<String, Json>>,
    /// When its response arrived.
    pub extracted_at: Option<DateTime<Utc>>,
    /// Why its file cannot be read; the next run fetches such a day again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// Days by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Closed, with rows.
    pub closed: u64,
    /// Closed, without rows.
    pub closed_empty: u64,
    /// Open.
    pub open: u64,
    /// Without a file.
    pub missing: u64,
    /// Days of which an earlier version is kept.
    pub restated: u64,
    /// Open for longer than the settle window.
    pub overdue: u64,
}

/// A lake's days.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Each merchant's, by merchant.
    pub merchants: Vec<MerchantStatus>,
    /// All days by state.
    pub counts: Counts,
    /// Merchants that were named and of which the lake holds no day in the range.
    pub absent: Vec<String>,
}

/// A merchant's days.
#[derive(Debug, Clone)]
pub struct MerchantStatus {
    /// The API id.
    pub merchant_id: String,
    range: DateRange,
    /// Those of which the lake holds anything: few, in a range of centuries.
    known: BTreeMap<NaiveDate, StatusDay>,
}

impl MerchantStatus {
    /// The days, first to last.
    pub fn days(&self) -> impl Iterator<Item = StatusDay> + '_ {
        self.range.days().map(|pay_date| match self.known.get(&pay_date) {
            Some(day) => day.clone(),
            None => StatusDay::missing(&self.merchant_id, pay_date),
        })
    }
}

/// Reads the state of the days in scope. Costs two listings, and the records of those days.
///
/// # Errors
/// The lake cannot be read.
pub async fn status(lake: &Lake, scope: &Scope, window: &SettleWindow) -> Result<Status, LakeError> {
    let stored: BTreeSet<DayKey> = lake.days().await?.into_iter().collect();
    let history = lake.history().await?;
    let mut status = Status::default();
    // a day of which only an earlier version is left is missing
    let held: Vec<DayKey> = stored.iter().chain(history.keys()).cloned().collect();
    for ScopedMerchant { merchant, range, dates } in scope.merchants(held) {
        let merchant_id = merchant.api_id();
        let Some(range) = range else {
            status.absent.push(merchant_id);
            continue;
        };
        let keys: Vec<DayKey> = dates.into_iter().map(|pay_date| DayKey { pay_date, merchant: merchant.clone() }).collect();
        let mut known: BTreeMap<NaiveDate, StatusDay> =
            keys.iter().map(|key| (key.pay_date, StatusDay::missing(&merchant_id, key.pay_date))).collect();
        let in_table: Vec<DayKey> = keys.iter().filter(|key| stored.contains(key)).cloned().collect();
        let mut files = pin!(day_files(lake, in_table));
        while let Some((DayKey { pay_date, .. }, file)) = files.try_next().await? {
            known.entry(pay_date).and_modify(|day| day.describe(file.map(|file| file.record)));
        }
        for key in keys {
            known.entry(key.pay_date).and_modify(|day| {
                day.restated = history.get(&key).is_some_and(|kept| !kept.iter().all(is_damaged));
                day.overdue = day.state == DayState::Open && day.unreadable.is_none() && window.is_over(day.pay_date);
            });
        }
        let merchant = MerchantStatus { merchant_id, range, known };
        merchant.days().for_each(|day| status.counts.add(&day));
        status.merchants.push(merchant);
    }
    Ok(status)
}

impl StatusDay {
    fn missing(merchant_id: &str, pay_date: NaiveDate) -> Self {
        Self {
            merchant_id: merchant_id.to_owned(),
            pay_date,
            state: DayState::Missing,
            restated: false,
            overdue: false,
            rows: None,
            pending_rows: None,
            totals: None,
            extracted_at: None,
            unreadable: None,
        }
    }

    fn describe(&mut self, found: Result<DayRecord, String>) {
        match found {
            Err(reason) => {
                self.state = DayState::Open;
                self.unreadable = Some(reason);
            }
            Ok(record) => {
                self.state = match (record.state, record.rows) {
                    (State::Open, _) => DayState::Open,
                    (State::Closed, 0) => DayState::ClosedEmpty,
                    (State::Closed, _) => DayState::Closed,
                };
                self.rows = Some(record.rows);
                self.pending_rows = Some(record.pending_rows);
                self.totals = Some(record.sums);
                self.extracted_at = Some(record.extracted_at);
            }
        }
    }
}

impl Counts {
    fn add(&mut self, day: &StatusDay) {
        *match day.state {
            DayState::Closed => &mut self.closed,
            DayState::ClosedEmpty => &mut self.closed_empty,
            DayState::Open => &mut self.open,
            DayState::Missing => &mut self.missing,
        } += 1;
        self.restated += u64::from(day.restated);
        self.overdue += u64::from(day.overdue);
    }
}
