//! Adds up what became of one merchant's days.

use chrono::NaiveDate;

use crate::calendar::DateRange;
use crate::lake::publish::{ContentChange, Landed, Restated, Updated};

use super::failure::Failure;
use super::job::RefusedMerchant;
use super::outcome::{DayFailed, DayOutcome};
use super::result::{Dates, ReportedFailure, Tally};

/// What became of one merchant's days.
pub(super) struct Report {
    pub(super) merchant_id: String,
    /// The days planned.
    pub(super) range: Option<DateRange>,
    pub(super) tally: Tally,
    pub(super) failures: Vec<ReportedFailure>,
    pub(super) updated: Vec<Updated>,
    pub(super) restated: Vec<Restated>,
}

impl Report {
    /// A report of a range, of which this many days are to be done.
    pub(super) fn new(merchant_id: String, range: Option<DateRange>, to_do: u64) -> Self {
        let planned = range.map_or(0, DateRange::len);
        let dates = Dates { planned, skipped: planned - to_do, ..Dates::default() };
        Self {
            merchant_id,
            range,
            tally: Tally { dates, ..Tally::default() },
            failures: Vec::new(),
            updated: Vec::new(),
            restated: Vec::new(),
        }
    }

    /// The report of a merchant whose plan could not be made.
    pub(super) fn not_attempted(merchant_id: String, range: Option<DateRange>) -> Self {
        let mut report = Self::new(merchant_id, range, range.map_or(0, DateRange::len));
        report.finish();
        report
    }

    /// The report of a merchant about whose days nothing is done.
    pub(super) fn refused(refused: &RefusedMerchant) -> Self {
        let mut report = Self::new(refused.merchant_id.clone(), None, 0);
        report.failures.push(refused.failure());
        report
    }

    fn fail(&mut self, pay_date: Option<NaiveDate>, failure: &Failure, attempts: u32) {
        let (merchant_id, message) = (self.merchant_id.clone(), failure.message());
        self.failures.push(ReportedFailure { merchant_id, pay_date, kind: failure.kind, message, attempts });
    }

    /// Adds a day. Each day is added once.
    pub(super) fn add(&mut self, outcome: DayOutcome) {
        match outcome {
            DayOutcome::Landed(landed) => self.landed(*landed),
            DayOutcome::Failed(DayFailed { pay_date, failure, attempts }) => {
                self.tally.dates.failed += 1;
                self.fail(Some(pay_date), &failure, attempts);
            }
            // counted with the days that were not even begun
            DayOutcome::NotAttempted(_) => {}
        }
    }

    fn landed(&mut self, landed: Landed) {
        let dates = &mut self.tally.dates;
        if landed.written {
            dates.published += 1;
            self.tally.rows_written += landed.rows;
        } else {
            dates.unchanged += 1;
        }
        dates.empty += u64::from(landed.rows == 0);
        self.tally.rows += landed.rows;
        self.tally.rejected_rows += landed.rejected_rows;
        self.tally.bytes_written += landed.bytes;
        match landed.change {
            Some(ContentChange::Restated(restated)) => self.restated.push(restated),
            Some(ContentChange::Updated(updated)) => {
                dates.updated += 1;
                self.updated.push(updated);
            }
            None => {}
        }
        for (sum, day) in self.tally.totals.iter_mut().zip(landed.sums) {
            *sum += day;
        }
    }

    /// Counts the days that nothing became of as not attempted.
    pub(super) fn finish(&mut self) {
        let Dates { planned, published, unchanged, skipped, failed, .. } = self.tally.dates;
        self.tally.dates.not_attempted = planned - published - unchanged - skipped - failed;
    }

    /// Whether days landed, and none of them has a row.
    pub(super) fn found_no_row(&self) -> bool {
        self.tally.dates.published + self.tally.dates.unchanged > 0 && self.tally.rows == 0
    }
}
