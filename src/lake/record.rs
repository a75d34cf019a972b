//! The day record: what each file of the table states about its day. State is read from these records alone.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value as Json};

use crate::calendar::seoul_date;
use crate::settlement::columns::{SCHEMA_VERSION, amounts, fingerprint};
use crate::settlement::groups::Group;
use crate::settlement::sums::{Sums, parse_sum};
use crate::settlement::totals::StatedTotals;

/// The key of the record in the Parquet file's metadata.
pub const RECORD_KEY: &str = "cookiepay_etl.day";

/// Which API a lake's days come from. A lake holds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// The live API.
    Live,
    /// The vendor's test API.
    Sandbox,
    /// The embedded simulator.
    Simulator,
    /// Another root, named by `--base-url`.
    Custom,
}

impl std::fmt::Display for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Sandbox => "sandbox",
            Self::Simulator => "simulator",
            Self::Custom => "custom",
        })
    }
}

/// Whether a day is expected to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing more is expected of it.
    Closed,
    /// It will be fetched again.
    Open,
}

impl State {
    /// Open if there is a reason for it.
    #[must_use]
    pub fn of(open_because: &[OpenReason]) -> Self {
        if open_because.is_empty() { Self::Closed } else { Self::Open }
    }

    /// The state as records have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
        }
    }
}

/// What a file states about its day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DayRecord {
    /// [`crate::settlement::columns::SCHEMA_VERSION`] of the tool that wrote the file.
    pub schema_version: u32,
    /// [`crate::settlement::columns::fingerprint`] of that tool.
    pub schema_fingerprint: String,
    /// The tool's version.
    pub tool_version: String,
    /// Which API the day comes from.
    pub environment: Environment,
    /// The API's root.
    pub source_url: String,
    /// The requested API id.
    pub merchant_id: String,
    /// The requested pay date.
    pub pay_date: NaiveDate,
    /// The run that wrote the file.
    pub run_id: String,
    /// When the response headers arrived, to the millisecond.
    pub extracted_at: DateTime<Utc>,
    /// `RESULTCODE`
    pub result_code: String,
    /// `RESULTMSG`
    pub result_message: Option<String>,
    /// Closed or open.
    pub state: State,
    /// Why it is open; empty if it is closed.
    pub open_because: Vec<OpenReason>,
    /// Rows in the file.
    pub rows: u64,
    /// Rows whose payout status is not `03`.
    pub pending_rows: u64,
    /// Rows of the response that could not be read and are not in the file.
    pub rejected_rows: u64,
    /// Exact sums by amount column: decimals in strings, and nothing else.
    #[serde(deserialize_with = "exact_sums")]
    pub sums: Map<String, Json>,
    /// NULLs by column and kind of absence: whole numbers.
    #[serde(deserialize_with = "null_counts")]
    pub nulls: Json,
    /// Rows for which `auth_amount - fee - vat = payment_amount` does not hold.
    pub unbalanced_rows: u64,
    /// Rows and sums by code: all that a report needs of the day. Records of earlier versions have none, and a day with
    /// more combinations than a report could show has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<Group>>,
    /// Changes if the day's content changes.
    pub digest: String,
    /// The response as received, if it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Evidence>,
    /// SHA-256 of the file with these 64 digits as zeros.
    pub seal: String,
}

/// A saved response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The object's path inside the lake.
    pub name: String,
    /// SHA-256 of the object.
    pub sha256: String,
}

/// Why a day is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenReason {
    /// The response arrived before the pay date had passed in Seoul.
    PayDateNotPassed,
    /// Rows are still to be paid out.
    PendingRows,
    /// Rows were rejected.
    RejectedRows,
    /// Empty by its code, and no day of the merchant is known to have rows: the account may be wrong.
    EmptyUnproven,
}

impl OpenReason {
    /// The reason as records have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PayDateNotPassed => "pay_date_not_passed",
            Self::PendingRows => "pending_rows",
            Self::RejectedRows => "rejected_rows",
            Self::EmptyUnproven => "empty_unproven",
        }
    }
}

impl std::fmt::Display for OpenReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::PayDateNotPassed => "fetched before the pay date had passed",
            Self::PendingRows => "rows are pending",
            Self::RejectedRows => "rows were rejected",
            Self::EmptyUnproven => "empty, and no day of the merchant is known to have rows",
        })
    }
}

/// What decides whether a day is closed.
#[derive(Debug, Clone, Copy)]
pub struct Closing {
    /// The pay date.
    pub pay_date: NaiveDate,
    /// When the response headers arrived.
    pub extracted_at: DateTime<Utc>,
    /// Rows whose payout status is not `03`.
    pub pending_rows: u64,
    /// Rows that were rejected.
    pub rejected_rows: u64,
}

impl Closing {
    /// Why the day stays open; empty if it is closed.
    #[must_use]
    pub fn open_because(&self) -> Vec<OpenReason> {
        [
            (seoul_date(self.extracted_at) <= self.pay_date, OpenReason::PayDateNotPassed),
            (self.pending_rows > 0, OpenReason::PendingRows),
            (self.rejected_rows > 0, OpenReason::RejectedRows),
        ]
        .into_iter()
        .filter_map(|(holds, reason)| holds.then_some(reason))
        .collect()
    }
}

/// Whether a response is dated later than any that can have arrived by now, because a clock that was ahead dated it.
/// Synchronized clocks differ by less than five minutes.
#[must_use]
pub fn is_ahead(extracted_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    const APART: TimeDelta = TimeDelta::minutes(5);
    extracted_at - now > APART
}

/// A sum that cannot be read must not be taken for zero.
fn exact_sums<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Json>, D::Error> {
    let sums = Map::deserialize(deserializer)?;
    let unreadable = sums.iter().find(|(_, sum)| sum.as_str().and_then(parse_sum).is_none());
    match unreadable {
        Some((column, sum)) => Err(D::Error::custom(format_args!("the sum of {column} is {sum}, which is not a decimal"))),
        None => Ok(sums),
    }
}

fn null_counts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
    let nulls = Map::deserialize(deserializer)?;
    let counts = |kinds: &Json| kinds.as_object().is_some_and(|kinds| kinds.values().all(Json::is_u64));
    match nulls.iter().find(|(_, kinds)| !counts(kinds)) {
        Some((column, kinds)) => Err(D::Error::custom(format_args!("the NULLs of {column} are {kinds}, which are not counts"))),
        None => Ok(nulls.into()),
    }
}

impl DayRecord {
    /// The totals that the record states.
    pub(crate) fn stated_totals(&self) -> StatedTotals<'_> {
        let Self { rows, pending_rows, sums, nulls, digest, groups, .. } = self;
        StatedTotals { rows: *rows, pending_rows: *pending_rows, sums, nulls, digest, groups: groups.as_deref() }
    }

    /// The sums as numbers.
    pub(crate) fn exact_sums(&self) -> Sums {
        let mut sums = Sums::default();
        for (sum, (_, column)) in sums.iter_mut().zip(amounts()) {
            *sum = self.sums.get(column.name).and_then(|text| parse_sum(text.as_str()?)).unwrap_or_default();
        }
        sums
    }

    /// The record of the same day in a file that this version of the tool writes, in a run.
    #[must_use]
    pub(crate) fn rewritten_by(self, run_id: String) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            schema_fingerprint: fingerprint().to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id,
            ..self
        }
    }

    /// Whether a day with the same content must be rewritten because its record changed.
    #[must_use]
    pub fn supersedes(&self, stored: &Self) -> bool {
        let closes = self.state == State::Closed && stored.state == State::Open;
        let unproven = |record: &Self| record.open_because.contains(&OpenReason::EmptyUnproven);
        closes || (unproven(stored) && !unproven(self)) || self.rejected_rows != stored.rejected_rows
    }
}

#[cfg(test)]
impl DayRecord {
    /// The record of a closed day without rows.
    pub(crate) fn sample() -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            schema_fingerprint: fingerprint().to_owned(),
            tool_version: String::new(),
            environment: Environment::Live,
            source_url: String::new(),
            merchant_id: "m".into(),
            pay_date: NaiveDate::default(),
            run_id: String::new(),
            extracted_at: DateTime::UNIX_EPOCH,
            result_code: "0000".into(),
            result_message: None,
            state: State::Closed,
            open_because: Vec::new(),
            rows: 0,
            pending_rows: 0,
            rejected_rows: 0,
            sums: Map::new(),
            nulls: Map::new().into(),
            unbalanced_rows: 0,
            groups: None,
            digest: String::new(),
            raw: None,
            seal: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_closes_at_midnight_in_seoul() {
        let closing = |at: &str| Closing {
            pay_date: NaiveDate::from_ymd_opt(2024, 1, 5).unwrap_or_default(),
            extracted_at: at.parse().unwrap_or_default(),
            pending_rows: 0,
            rejected_rows: 0,
        };
        assert_eq!(closing("2024-01-05T14:59:59.999Z").open_because(), [OpenReason::PayDateNotPassed]);
        assert_eq!(closing("2024-01-05T15:00:00Z").open_because(), []);
    }
}
