//! Day records: what is read of a file's metadata writes back as itself, and decides without panicking.

use cookiepay_etl::calendar::seoul_date;
use cookiepay_etl::lake::record::{Closing, DayRecord};

pub(crate) fn check(bytes: &[u8]) {
    let Ok(record) = serde_json::from_slice::<DayRecord>(bytes) else { return };
    let text = serde_json::to_string(&record).unwrap();
    let again: DayRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(again, record);
    assert!(!record.supersedes(&again));
    let _ = seoul_date(record.extracted_at);
    let closing = Closing {
        pay_date: record.pay_date,
        extracted_at: record.extracted_at,
        pending_rows: record.pending_rows,
        rejected_rows: record.rejected_rows,
    };
    let _ = closing.open_because();
}
