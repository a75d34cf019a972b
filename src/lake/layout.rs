//! Names of objects: where everything of a merchant and pay date is. Pure.

use chrono::{DateTime, NaiveDate, Utc};
use object_store::path::Path;

use super::merchant::MerchantName;
use super::record::DayRecord;

/// The table; nothing else is ever under it.
pub const SETTLEMENTS: &str = "settlements";
/// Versions that a restatement replaced.
pub const HISTORY: &str = "history";
/// Responses as received.
pub const RAW: &str = "raw";
/// Rows that could not be read.
const REJECTS: &str = "rejects";
/// Indexes of the day records.
pub const LEDGER: &str = "ledger";
/// The Delta table.
pub const DELTA: &str = "delta";
/// The folders into which a run moves files.
pub(super) const FOLDERS: [&str; 6] = [SETTLEMENTS, HISTORY, RAW, REJECTS, LEDGER, DELTA];
/// On local disk: files that are being written.
pub const STAGING: &str = ".staging";

/// The run of a version that does not state its own.
pub(crate) const UNKNOWN_RUN: &str = "00000000";

/// `-YYYYMMDDTHHMMSSmmmZ-` and eight digits of a run, as they follow the id in some names.
const TIME_AND_RUN: usize = 1 + 19 + 1 + 8;

/// Another day whose file lies in a day's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Misplaced {
    /// That of another merchant.
    Merchant(String),
    /// That of another pay date.
    PayDate(NaiveDate),
}

/// One day of one merchant, after which all its objects are named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayKey {
    /// The pay date.
    pub pay_date: NaiveDate,
    /// The merchant.
    pub merchant: MerchantName,
}

impl DayKey {
    /// The day's object of the table.
    #[must_use]
    pub fn settlement(&self) -> Path {
        self.path(SETTLEMENTS, ".parquet")
    }

    /// Where a version that a restatement replaced is kept, under its own time and run.
    #[must_use]
    pub fn history(&self, extracted_at: DateTime<Utc>, run_id: &str) -> Path {
        self.path(HISTORY, &format!("-{}-{}.parquet", file_time(extracted_at), short_run(run_id)))
    }

    /// Where rows that a run could not read are kept.
    #[must_use]
    pub fn rejects(&self, run_id: &str) -> Path {
        self.path(REJECTS, &format!("-{run_id}.jsonl"))
    }

    /// Where a response is kept as it was received.
    #[must_use]
    pub fn raw(&self, extracted_at: DateTime<Utc>, run_id: &str) -> Path {
        self.path(RAW, &format!("-{}-{}.json.zst", file_time(extracted_at), short_run(run_id)))
    }

    /// Reads the day back from the path of an object of the table; `None` for any other path.
    #[must_use]
    pub fn of_settlement(location: &Path) -> Option<Self> {
        Self::read(location, SETTLEMENTS, ".parquet", 0)
    }

    /// Reads the day back from the path of a version kept in `history/`; `None` for any other path.
    #[must_use]
    pub fn of_history(location: &Path) -> Option<Self> {
        Self::read(location, HISTORY, ".parquet", TIME_AND_RUN)
    }

    /// Reads the day back from the path of a response kept in `raw/`; `None` for any other path.
    #[must_use]
    pub fn of_raw(location: &Path) -> Option<Self> {
        Self::read(location, RAW, ".json.zst", TIME_AND_RUN)
    }

    /// Whether a day's record says that its file is another day's.
    #[must_use]
    pub(crate) fn misplaced(&self, record: &DayRecord) -> Option<Misplaced> {
        if MerchantName::new(&record.merchant_id).as_ref() != Ok(&self.merchant) {
            return Some(Misplaced::Merchant(record.merchant_id.clone()));
        }
        (record.pay_date != self.pay_date).then_some(Misplaced::PayDate(record.pay_date))
    }

    /// Reads `{folder}/pay_date={date}/{merchant}{so many bytes}{suffix}`.
    fn read(location: &Path, folder: &str, suffix: &str, bytes: usize) -> Option<Self> {
        let mut parts = location.as_ref().strip_prefix(folder)?.strip_prefix('/')?.split('/');
        let pay_date = parts.next()?.strip_prefix("pay_date=")?;
        let name = parts.next()?.strip_suffix(suffix)?;
        let (merchant, time_and_run) = name.split_at_checked(name.len().checked_sub(bytes)?)?;
        if bytes > 0 && name_time(time_and_run).is_none() {
            return None;
        }
        let pay_date = NaiveDate::parse_from_str(pay_date, "%Y-%m-%d").ok()?;
        let merchant = MerchantName::of_path(merchant)?;
        parts.next().is_none().then_some(Self { pay_date, merchant })
    }

    fn path(&self, folder: &str, suffix: &str) -> Path {
        path(&format!("{folder}/pay_date={}/{}{suffix}", self.pay_date, self.merchant))
    }
}

/// The index of a merchant's day records.
pub(crate) fn ledger_path(merchant: &MerchantName) -> Path {
    path(&format!("{LEDGER}/{merchant}.parquet"))
}

/// Where an object is staged on local disk: under a name that differs from the others of its run.
pub(super) fn staging_path(target: &Path, run_id: &str) -> Path {
    path(&format!("{STAGING}/{run_id}/{}", target.as_ref().replace('/', "+")))
}

/// An object of the Delta table, by its path below the table's root.
pub(crate) fn delta_path(below: &str) -> Path {
    path(&format!("{DELTA}/{below}"))
}

/// Parses instead of escaping: ids are escaped already, and `Path::from` would escape them twice.
fn path(text: &str) -> Path {
    Path::parse(text).unwrap_or_else(|_| Path::from(text))
}

/// A time in names: `YYYYMMDDTHHMMSSmmmZ`, without the colons that Spark rejects.
#[must_use]
pub fn file_time(time: DateTime<Utc>) -> String {
    time.format("%Y%m%dT%H%M%S%3fZ").to_string()
}

/// The time in the name of a version in `history/`, or of a response in `raw/`.
#[must_use]
pub fn time_of(kept: &Path) -> Option<DateTime<Utc>> {
    let name = kept.filename()?.trim_end_matches(".parquet").trim_end_matches(".json.zst");
    name_time(name.get(name.len().checked_sub(TIME_AND_RUN)?..)?)
}

/// The time in `-YYYYMMDDTHHMMSSmmmZ-` and a run.
fn name_time(time_and_run: &str) -> Option<DateTime<Utc>> {
    let time = time_and_run.strip_prefix('-')?.get(..19)?;
    let time = chrono::NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%S%3fZ").ok()?;
    Some(time.and_utc())
}

/// Whether a version in `history/` did not state its own time and run: a damaged file, kept as evidence.
#[must_use]
pub fn is_damaged(kept: &Path) -> bool {
    kept.as_ref().ends_with(&format!("-{UNKNOWN_RUN}.parquet"))
}

/// Eight hex digits of a run id: its last, which are random. The first are the time.
#[must_use]
pub fn short_run(run_id: &str) -> &str {
    run_id.get(run_id.len().saturating_sub(8)..).unwrap_or(run_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::merchant::NameError;

    fn day(id: &str) -> Result<DayKey, NameError> {
        let pay_date = NaiveDate::from_ymd_opt(2024, 1, 5).unwrap_or_default();
        Ok(DayKey { pay_date, merchant: MerchantName::new(id)? })
    }

    #[test]
    fn ids_are_escaped_once_and_days_read_back() -> Result<(), NameError> {
        for (id, name) in [
            ("m1", "m1"),
            ("a.b_c-D", "a.b_c-D"),
            (".a", "%2Ea"),
            ("_a", "%5Fa"),
            ("../x", "%2E.%2Fx"),
            ("a b#?%'\"", "a%20b%23%3F%25%27%22"),
            ("가", "%EA%B0%80"),
        ] {
            let key = day(id)?;
            let path = key.settlement();
            assert_eq!(path.as_ref(), format!("settlements/pay_date=2024-01-05/{name}.parquet"));
            assert_eq!(key.merchant.api_id(), id);
            let run_id = "01a20871-d66f-773e-8d30-b7b54752987f";
            assert_eq!(DayKey::of_history(&key.history(DateTime::default(), run_id)), Some(key.clone()));
            assert_eq!(DayKey::of_raw(&key.raw(DateTime::default(), run_id)), Some(key.clone()));
            assert_eq!(DayKey::of_settlement(&path), Some(key));
        }
        Ok(())
    }

    #[test]
    fn other_objects_are_not_days() {
        for other in [
            "settlements/x.parquet",
            "settlements/pay_date=2024-13-01/m.parquet",
            "history/pay_date=2024-01-05/m.parquet",
            "settlements/pay_date=2024-01-05/a/m.parquet",
        ] {
            assert_eq!(DayKey::of_settlement(&path(other)), None, "{other}");
        }
    }

    #[test]
    fn times_in_names_have_milliseconds_and_no_colon() {
        let time = DateTime::from_timestamp_millis(1_704_412_800_007).unwrap_or_default();
        assert_eq!(file_time(time), "20240105T000000007Z");
        for path in ["history/pay_date=2024-01-05/m-20240105T000000007Z-b7b54752.parquet", "raw/x/m-20240105T000000007Z-b7b54752.json.zst"]
        {
            assert_eq!(time_of(&super::path(path)), Some(time));
        }
        assert_eq!(time_of(&super::path("settlements/pay_date=2024-01-05/m.parquet")), None);
    }
}
