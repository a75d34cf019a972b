//! The files of the Delta table: what one holds, and how it is named. Does no I/O.

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use object_store::path::Path;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::calendar::DateRange;
use crate::lake::layout::delta_path;
use crate::lake::merchant::MerchantName;
use crate::settlement::columns::hex;

use super::schema::packing_fingerprint;

/// The key of the day list, in a file's footer and among the tags of its `add` action.
pub const DAYS_KEY: &str = "cookiepay_etl.days";

/// A day that a file of the table holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedDay {
    /// The pay date.
    pub pay_date: NaiveDate,
    /// When its response arrived.
    pub extracted_at: DateTime<Utc>,
    /// The digest of its content.
    pub digest: String,
    /// Its rows; 0 for a day without any.
    pub rows: u64,
}

/// A month of pay dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    month: u32,
}

impl Month {
    /// The month of a date.
    #[must_use]
    pub fn of(date: NaiveDate) -> Self {
        Self { year: date.year(), month: date.month() }
    }

    /// Whether one of its days is in a range.
    #[must_use]
    pub fn overlaps(self, range: DateRange) -> bool {
        Self::of(range.from) <= self && self <= Self::of(range.to)
    }

    fn parse(text: &str) -> Option<Self> {
        let first = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok()?;
        let month = Self::of(first);
        (month.to_string() == text).then_some(month)
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// A version of a day, as the lake holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldDay {
    /// What the table states about it.
    pub day: PackedDay,
    /// The run that wrote it.
    pub run_id: String,
    /// Bytes of its file.
    pub bytes: u64,
}

/// Names the file of these days, which follow each other, after what it holds: two runs that pack the same versions write one file.
#[must_use]
pub(super) fn file_name<'d>(merchant: &MerchantName, month: Month, days: impl IntoIterator<Item = &'d HeldDay>) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{}\n", packing_fingerprint()));
    for HeldDay { day, run_id, .. } in days {
        let times = (i64::from(day.pay_date.num_days_from_ce()), day.extracted_at.timestamp_millis());
        hash.update(times.0.to_le_bytes());
        hash.update(times.1.to_le_bytes());
        for text in [&day.digest, run_id] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
    }
    format!("{month}/{merchant}-{}.parquet", hex(&hash.finalize()[..16]))
}

/// Whose file a name is, and of which month; `None` if it is none of this tool's.
pub(super) fn read_name(name: &str) -> Option<(MerchantName, Month)> {
    let (month, name) = name.split_once('/')?;
    let (merchant, hash) = name.strip_suffix(".parquet")?.rsplit_once('-')?;
    let is_hash = hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    is_hash.then_some(())?;
    Some((MerchantName::of_path(merchant)?, Month::parse(month)?))
}

/// A live file of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFile {
    /// Its path below the table's root.
    pub name: String,
    /// Whose days it holds.
    pub merchant: MerchantName,
    /// Of which month.
    pub month: Month,
    /// Its size.
    pub bytes: u64,
    /// When it was written, in milliseconds since 1970.
    pub(super) modified_ms: i64,
    /// Its statistics, as JSON.
    pub(super) stats: String,
    /// Its day list, as JSON.
    pub(super) days: String,
}

impl TableFile {
    /// The days that it holds, in their order.
    ///
    /// # Errors
    /// The day list is not one that this tool writes.
    pub fn days(&self) -> Result<Vec<PackedDay>, String> {
        serde_json::from_str(&self.days).map_err(|error| format!("has a {DAYS_KEY} that cannot be read: {error}"))
    }

    /// The object.
    #[must_use]
    pub fn location(&self) -> Path {
        delta_path(&self.name)
    }
}

/// A name as the log has it. Names hold `%`, which the log's own encoding escapes once more; no other character of theirs needs it.
pub(super) fn encode_path(name: &str) -> String {
    name.replace('%', "%25")
}

/// A name that the log has.
pub(super) fn decode_path(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(of_month: u32, run_id: &str) -> HeldDay {
        let pay_date = NaiveDate::from_ymd_opt(2024, 1, of_month).unwrap_or_default();
        let day = PackedDay { pay_date, extracted_at: DateTime::UNIX_EPOCH, digest: "d".into(), rows: 0 };
        HeldDay { day, run_id: run_id.into(), bytes: 1 }
    }

    #[test]
    fn a_name_follows_from_what_a_file_holds_and_reads_back() {
        for id in ["m1", "a b#?%'\"", "가맹점", "a-b-0123456789abcdef0123456789abcdef"] {
            let merchant = MerchantName::new(id).expect("a name");
            let month = Month { year: 2024, month: 1 };
            let name = file_name(&merchant, month, &[day(1, "r"), day(2, "r")]);
            assert_eq!(name, file_name(&merchant, month, &[day(1, "r"), day(2, "r")]));
            assert_ne!(name, file_name(&merchant, month, &[day(1, "r"), day(2, "s")]));
            assert_ne!(name, file_name(&merchant, month, &[day(1, "r"), day(3, "r")]));
            assert_eq!(read_name(&name), Some((merchant, month)));
            assert_eq!(decode_path(&encode_path(&name)), name);
        }
        for other in ["2024-01/m1.parquet", "2024-1/m-0123456789abcdef0123456789abcdef.parquet", "part-0001.parquet", "a/b/c-0.parquet"] {
            assert_eq!(read_name(other), None, "{other}");
        }
    }
}
