//! Days that are empty by their code. A wrong account receives "no rows" for every day, so such a day is closed only once
//! the lake or the run holds a day of that merchant that has rows. Until then it is published as open, so that a run that
//! ends early keeps it, and is published once more as closed at the end of the run.

use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, NaiveDate, Utc};

use crate::lake::record::{Closing, DayRecord, Evidence, OpenReason, State};

/// Whether a merchant is known to have a day with rows. Days in progress share it.
pub(super) struct KnownRows(AtomicBool);

impl KnownRows {
    pub(super) fn new(known: bool) -> Self {
        Self(AtomicBool::new(known))
    }

    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A day that is in the lake as open because no day of the merchant was known to have rows: what its record takes from
/// the response. A run may have thousands of them.
#[derive(Debug)]
pub(crate) struct Unproven {
    pay_date: NaiveDate,
    source_url: String,
    extracted_at: DateTime<Utc>,
    result_code: String,
    result_message: Option<String>,
    raw: Option<Evidence>,
}

impl Unproven {
    pub(super) fn of(record: &DayRecord) -> Self {
        let DayRecord { pay_date, source_url, extracted_at, result_code, result_message, raw, .. } = record.clone();
        Self { pay_date, source_url, extracted_at, result_code, result_message, raw }
    }

    pub(super) fn pay_date(&self) -> NaiveDate {
        self.pay_date
    }

    /// The record under which the day is published once more, now that the merchant is known to have rows; `None` if the
    /// lake holds another day by now.
    pub(super) fn closed(self, stored: DayRecord, run_id: &str) -> Option<DayRecord> {
        if stored.rows > 0 || stored.rejected_rows > 0 {
            return None;
        }
        let Self { pay_date, source_url, extracted_at, result_code, result_message, raw } = self;
        let open_because = Closing { pay_date, extracted_at, pending_rows: 0, rejected_rows: 0 }.open_because();
        let state = State::of(&open_because);
        let stored = stored.rewritten_by(run_id.to_owned());
        Some(DayRecord { source_url, extracted_at, result_code, result_message, state, open_because, raw, ..stored })
    }
}

/// The record of a day that may not be closed yet.
pub(super) fn provisional(mut record: DayRecord) -> DayRecord {
    record.state = State::Open;
    record.open_because.push(OpenReason::EmptyUnproven);
    record
}
