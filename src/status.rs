//! What a lake holds of a range, day by day, read from its day records. Changes nothing.

use std::collections::BTreeMap;
use std::pin::pin;

use chrono::{DateTime, NaiveDate, Utc};
use futures::TryStreamExt as _;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::calendar::DateRange;
use crate::delta::error::DeltaError;
use crate::delta::snapshot::Snapshot;
use crate::errors::chain;
use crate::lake::error::LakeError;
use crate::lake::holdings::Holdings;
use crate::lake::layout::DayKey;
use crate::lake::ledger::MerchantLedger;
use crate::lake::merchant::MerchantName;
use crate::lake::record::{DayRecord, State};
use crate::lake::store::Lake;
use crate::plan::SettleWindow;
use crate::revisions::{Revision, replaced, restatements};
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

impl DayState {
    /// The state of a day that has a file.
    pub(crate) fn of(record: &DayRecord) -> Self {
        match (record.state, record.rows) {
            (State::Open, _) => Self::Open,
            (State::Closed, 0) => Self::ClosedEmpty,
            (State::Closed, _) => Self::Closed,
        }
    }
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
    /// Whether a closed version of it was replaced by one with other content.
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
    /// The run that wrote it.
    pub run_id: Option<String>,
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
    /// Days of which a closed version was replaced by one with other content.
    pub restated: u64,
    /// Open for longer than the settle window.
    pub overdue: u64,
}

/// The Delta table, by its log alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeltaStatus {
    /// Its version; `None` if its log cannot be used.
    pub version: Option<u64>,
    /// Days in scope that the table does not have as the lake holds them.
    pub lag: Option<u64>,
    /// Why its log cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
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
    /// The Delta table; `None` if there is none.
    pub delta: Option<DeltaStatus>,
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

/// Reads the state of the days in scope. Costs the records of those days, and of the versions that they replaced, as far as the
/// ledger indexes do not have them.
///
/// # Errors
/// The lake cannot be read.
pub(crate) async fn status(lake: &Lake, scope: &Scope, holdings: &Holdings, window: &SettleWindow) -> Result<Status, LakeError> {
    let mut status = Status::default();
    let (mut table, unusable) = if holdings.may_have_delta() { read_table(lake).await? } else { (None, None) };
    for ScopedMerchant { merchant, range, dates } in scope.merchants(holdings) {
        let merchant_id = merchant.api_id();
        let Some(range) = range else {
            status.absent.push(merchant_id);
            continue;
        };
        let keys: Vec<DayKey> = dates.into_iter().map(|pay_date| DayKey { pay_date, merchant: merchant.clone() }).collect();
        let mut known: BTreeMap<NaiveDate, StatusDay> =
            keys.iter().map(|key| (key.pay_date, StatusDay::missing(&merchant_id, key.pay_date))).collect();
        // of a merchant that was named and has no day, the lake has no ledger either
        let none = MerchantLedger::empty(&merchant);
        let ledger = holdings.ledgers.get(&merchant).unwrap_or(&none);
        let mut revisions = replaced(lake, &keys, &holdings.history, ledger).await?;
        let in_table: Vec<NaiveDate> = keys.into_iter().filter(|key| holdings.has_day(key)).map(|key| key.pay_date).collect();
        let mut files = pin!(ledger.files(lake, in_table));
        let mut held = BTreeMap::new();
        while let Some((DayKey { pay_date, .. }, file)) = files.try_next().await? {
            let file = file.map(|file| file.record);
            held.insert(pay_date, file.as_ref().ok().map(|record| (record.extracted_at, record.digest.clone())));
            if let Some(replaced) = revisions.get_mut(&pay_date) {
                replaced.extend(file.iter().map(Revision::of));
            }
            known.entry(pay_date).and_modify(|day| day.describe(file));
        }
        table = table.map(|table| table.compare(&merchant, range, &held));
        for day in known.values_mut() {
            day.restated = revisions.get(&day.pay_date).is_some_and(|revisions| restatements(revisions).next().is_some());
            day.overdue = day.state == DayState::Open && day.unreadable.is_none() && window.is_over(day.pay_date);
        }
        let merchant = MerchantStatus { merchant_id, range, known };
        merchant.days().for_each(|day| status.counts.add(&day));
        status.merchants.push(merchant);
    }
    let usable = table.map(|Table { snapshot, lag }| DeltaStatus { version: Some(snapshot.version()), lag: Some(lag), error: None });
    status.delta = usable.or(unusable);
    Ok(status)
}

/// The Delta table, and in how many days it lags behind.
struct Table {
    snapshot: Snapshot,
    lag: u64,
}

/// Reads the Delta table's log. A log that cannot be used is the table's own matter.
async fn read_table(lake: &Lake) -> Result<(Option<Table>, Option<DeltaStatus>), LakeError> {
    match Snapshot::read(lake).await {
        Ok(snapshot) => Ok((snapshot.map(|snapshot| Table { snapshot, lag: 0 }), None)),
        Err(DeltaError::Lake(error)) => Err(error),
        Err(error) => {
            let error = chain(&error);
            tracing::warn!("{error}");
            Ok((None, Some(DeltaStatus { error: Some(error), ..DeltaStatus::default() })))
        }
    }
}

impl Table {
    /// Counts a merchant's days of which the table has another version, or none, and those that only the table has. `held` are
    /// those of the lake; a file that cannot be read is not comparable.
    fn compare(mut self, merchant: &MerchantName, range: DateRange, held: &BTreeMap<NaiveDate, Option<(DateTime<Utc>, String)>>) -> Self {
        // a day list of another form holds no day
        let packed = self.snapshot.days_of(merchant).unwrap_or_default();
        let is_lag = |(pay_date, held): (&NaiveDate, &Option<(DateTime<Utc>, String)>)| {
            held.as_ref().is_some_and(|(extracted_at, digest)| {
                packed.get(pay_date).is_none_or(|day| (&day.extracted_at, &day.digest) != (extracted_at, digest))
            })
        };
        let behind = held.iter().filter(|day| is_lag(*day)).count();
        let gone = packed.keys().filter(|pay_date| range.contains(**pay_date) && !held.contains_key(*pay_date)).count();
        self.lag += (behind + gone) as u64;
        self
    }
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
            run_id: None,
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
                self.state = DayState::of(&record);
                self.rows = Some(record.rows);
                self.pending_rows = Some(record.pending_rows);
                self.totals = Some(record.sums);
                self.extracted_at = Some(record.extracted_at);
                self.run_id = Some(record.run_id);
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
