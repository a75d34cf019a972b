//! The result of a run: what schedulers read, and the exit code that summarizes it in a number.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::Serialize;

use crate::calendar::DateRange;
use crate::command::Command;
use crate::delta::update::DeltaChange;
use crate::exit::ExitCode;
use crate::lake::publish::{Restated, Updated};
use crate::settlement::sums::{Sums, sums_json};

use super::failure::FailureKind;
use super::shutdown::Signal;

/// How a run ended, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Every planned day is published, unchanged or skipped.
    Success,
    /// Some are.
    Partial,
    /// None is, or the run could not be started.
    Failed,
    /// A signal ended it.
    Interrupted,
}

impl Status {
    /// The word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What failed of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportedFailure {
    /// The API id.
    pub merchant_id: String,
    /// The pay date; `None` if the failure does not belong to one day.
    pub pay_date: Option<NaiveDate>,
    /// What failed.
    pub kind: FailureKind,
    /// What happened, the datum, and what to do.
    pub message: String,
    /// Attempts made.
    pub attempts: u32,
}

impl std::fmt::Display for ReportedFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(pay_date) = self.pay_date {
            write!(f, "{pay_date} of ")?;
        }
        write!(f, "{}: {}", self.merchant_id, self.message)
    }
}

/// What ended a run as a whole.
#[derive(Debug, Clone)]
pub struct Stop {
    /// In which way.
    pub reason: StopReason,
    /// What happened, the datum, and what to do.
    pub message: String,
}

/// In which way a run as a whole ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Usage or settings; the API was not called.
    Settings,
    /// A defect of this tool.
    Internal,
    /// The lake could not be reached, or stopped the run.
    Lake,
}

/// Days by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Dates {
    /// Days of the range.
    pub planned: u64,
    /// Written.
    pub published: u64,
    /// Fetched and found as stored.
    pub unchanged: u64,
    /// Left as they are by the plan.
    pub skipped: u64,
    /// Failed.
    pub failed: u64,
    /// Left out because the run stopped.
    pub not_attempted: u64,
    /// Days without rows among published and unchanged.
    pub empty: u64,
    /// Days among published whose stored version was open and had other content.
    pub updated: u64,
}

/// The figures of a run, or of one merchant's part of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tally {
    /// Days by what became of them.
    pub dates: Dates,
    /// Rows of days published or unchanged.
    pub rows: u64,
    /// Rows of days published.
    #[serde(skip)]
    pub rows_written: u64,
    /// Rows that could not be read.
    pub rejected_rows: u64,
    /// Bytes of Parquet written.
    pub bytes_written: u64,
    /// Exact sums over days published or unchanged.
    #[serde(serialize_with = "totals")]
    pub totals: Sums,
}

impl Tally {
    /// Adds another part.
    pub(super) fn add(&mut self, part: &Self) {
        let (dates, more) = (&mut self.dates, &part.dates);
        for (count, add) in [
            (&mut dates.planned, more.planned),
            (&mut dates.published, more.published),
            (&mut dates.unchanged, more.unchanged),
            (&mut dates.skipped, more.skipped),
            (&mut dates.failed, more.failed),
            (&mut dates.not_attempted, more.not_attempted),
            (&mut dates.empty, more.empty),
            (&mut dates.updated, more.updated),
            (&mut self.rows, part.rows),
            (&mut self.rows_written, part.rows_written),
            (&mut self.rejected_rows, part.rejected_rows),
            (&mut self.bytes_written, part.bytes_written),
        ] {
            *count += add;
        }
        for (sum, add) in self.totals.iter_mut().zip(part.totals) {
            *sum += add;
        }
    }
}

fn totals<S: serde::Serializer>(sums: &Sums, serializer: S) -> Result<S::Ok, S::Error> {
    sums_json(sums).serialize(serializer)
}

/// One merchant's part of a result.
#[derive(Debug, Clone, Serialize)]
pub struct MerchantTally {
    /// The API id.
    pub merchant_id: String,
    /// Its figures.
    #[serde(flatten)]
    pub tally: Tally,
}

/// Requests sent to the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Requests {
    /// All of them, those for tokens included.
    pub requests: u64,
    /// Requests that repeated a failed one.
    pub retries: u64,
    /// Requests for tokens.
    pub token_requests: u64,
}

/// The whole result.
#[derive(Debug, Clone, Serialize)]
pub struct RunResult {
    /// The command.
    pub command: Command,
    /// The run's id (UUIDv7).
    pub run_id: String,
    /// How it ended.
    pub status: Status,
    /// The process's exit code.
    pub exit_code: ExitCode,
    /// The first pay date.
    pub from: Option<NaiveDate>,
    /// The last pay date.
    pub to: Option<NaiveDate>,
    /// The lake's root.
    pub dest: String,
    /// The figures.
    #[serde(flatten)]
    pub tally: Tally,
    /// Days whose stored version was open and had other content.
    pub updated: Vec<Updated>,
    /// Days whose stored version was closed and had other content.
    pub restated: Vec<Restated>,
    /// What failed.
    pub failures: Vec<ReportedFailure>,
    /// Each merchant's part.
    pub merchants: Vec<MerchantTally>,
    /// What changed in the Delta table; `None` if the run was not to write it, or could not.
    pub delta: Option<DeltaChange>,
    /// Requests sent to the API.
    #[serde(flatten)]
    pub requests: Requests,
    /// How long the run took, in milliseconds.
    pub duration_ms: u64,
    /// What stopped the run as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl RunResult {
    /// The result of a run that could not begin.
    #[must_use]
    pub fn not_begun(command: Command, range: Option<DateRange>, dest: Option<&str>, stop: Stop) -> Self {
        let planned = range.map_or(0, DateRange::len);
        let dates = Dates { planned, not_attempted: planned, ..Dates::default() };
        let tally = Tally { dates, ..Tally::default() };
        let (exit_code, status) = judge(None, Some(stop.reason), &[], &[]);
        Self {
            command,
            run_id: uuid::Uuid::now_v7().to_string(),
            status,
            exit_code,
            from: range.map(|range| range.from),
            to: range.map(|range| range.to),
            dest: dest.unwrap_or_default().to_owned(),
            tally,
            updated: Vec::new(),
            restated: Vec::new(),
            failures: Vec::new(),
            merchants: Vec::new(),
            delta: None,
            requests: Requests::default(),
            duration_ms: 0,
            error: Some(stop.message),
        }
    }
}

/// The exit code and the status: the first line of the contract's table that applies.
pub(super) fn judge(
    signal: Option<Signal>,
    stop: Option<StopReason>,
    merchants: &[MerchantTally],
    failures: &[ReportedFailure],
) -> (ExitCode, Status) {
    match (signal, stop) {
        (Some(signal), _) => return (signal.exit_code(), Status::Interrupted),
        (None, Some(StopReason::Settings)) => return (ExitCode::Usage, Status::Failed),
        (None, Some(StopReason::Internal)) => return (ExitCode::Internal, Status::Failed),
        (None, Some(StopReason::Lake)) => return (ExitCode::Lake, Status::Failed),
        (None, None) => {}
    }
    if failures.iter().any(|failure| failure.kind == FailureKind::Internal) {
        return (ExitCode::Internal, Status::Failed);
    }
    let landed = |dates: &Dates| dates.published + dates.unchanged > 0;
    let refused: BTreeSet<&str> = of_kind(failures, FailureKind::Auth).collect();
    let another_landed = merchants.iter().any(|part| landed(&part.tally.dates) && !refused.contains(part.merchant_id.as_str()));
    if !refused.is_empty() && !another_landed {
        return (ExitCode::Auth, Status::Failed);
    }
    let mut tally = Tally::default();
    for part in merchants {
        tally.add(&part.tally);
    }
    let dates = &tally.dates;
    if failures.is_empty() && dates.not_attempted == 0 && tally.rejected_rows == 0 {
        return (ExitCode::Success, Status::Success);
    }
    // with --bad-rows reject a day is published without the rows that could not be read
    if landed(dates) || dates.skipped > 0 {
        return (ExitCode::Partial, Status::Partial);
    }
    (family(failures).unwrap_or(ExitCode::Partial), Status::Failed)
}

/// The merchants that failed in this way.
fn of_kind(failures: &[ReportedFailure], kind: FailureKind) -> impl Iterator<Item = &str> {
    failures.iter().filter(move |failure| failure.kind == kind).map(|failure| failure.merchant_id.as_str())
}

/// The exit code that all failures share, if they are of one family.
fn family(failures: &[ReportedFailure]) -> Option<ExitCode> {
    let first = failures.first()?.kind.exit_code();
    failures.iter().all(|failure| failure.kind.exit_code() == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(kinds: &[FailureKind]) -> Vec<ReportedFailure> {
        let failure = |kind: &FailureKind| ReportedFailure {
            merchant_id: "m".into(),
            pay_date: None,
            kind: *kind,
            message: String::new(),
            attempts: 1,
        };
        kinds.iter().map(failure).collect()
    }

    struct Case<'a> {
        signal: Option<Signal>,
        stop: Option<StopReason>,
        published: u64,
        skipped: u64,
        not_attempted: u64,
        rejected_rows: u64,
        another_landed: bool,
        kinds: &'a [FailureKind],
    }

    const NOTHING: Case<'static> =
        Case { signal: None, stop: None, published: 0, skipped: 0, not_attempted: 0, rejected_rows: 0, another_landed: false, kinds: &[] };

    #[test]
    fn every_line_of_the_exit_table() {
        use FailureKind::{Auth, Contract, Guard, Internal, RateLimit, Storage, Upstream};
        let stopped = |stop| Case { stop: Some(stop), ..NOTHING };
        let signalled = |signal| Case { signal: Some(signal), published: 3, not_attempted: 1, ..NOTHING };
        let cases = [
            (stopped(StopReason::Settings), 2),
            (signalled(Signal::Interrupt), 130),
            (signalled(Signal::Terminate), 143),
            (Case { published: 3, kinds: &[Internal], ..NOTHING }, 1),
            (stopped(StopReason::Internal), 1),
            (Case { published: 3, not_attempted: 1, kinds: &[Auth], ..NOTHING }, 4),
            (Case { published: 3, not_attempted: 1, ..stopped(StopReason::Lake) }, 7),
            (Case { published: 3, skipped: 1, ..NOTHING }, 0),
            (Case { skipped: 4, ..NOTHING }, 0),
            (Case { published: 3, rejected_rows: 2, ..NOTHING }, 3),
            (Case { published: 1, kinds: &[Upstream], ..NOTHING }, 3),
            (Case { another_landed: true, kinds: &[Auth], ..NOTHING }, 3),
            (Case { skipped: 4, kinds: &[Auth], ..NOTHING }, 4),
            (Case { skipped: 1, kinds: &[Storage], ..NOTHING }, 3),
            (Case { kinds: &[Storage, Storage], ..NOTHING }, 7),
            (Case { kinds: &[Contract, Guard], ..NOTHING }, 5),
            (Case { not_attempted: 9, kinds: &[Upstream, RateLimit], ..NOTHING }, 6),
            (Case { kinds: &[Upstream, Contract], ..NOTHING }, 3),
        ];
        for (case, code) in cases {
            let Case { signal, stop, published, skipped, not_attempted, rejected_rows, another_landed, kinds } = case;
            let dates = Dates { published, skipped, failed: kinds.len() as u64, not_attempted, ..Dates::default() };
            let mut merchants = vec![MerchantTally { merchant_id: "m".into(), tally: Tally { dates, rejected_rows, ..Tally::default() } }];
            if another_landed {
                let dates = Dates { published: 1, ..Dates::default() };
                merchants.push(MerchantTally { merchant_id: "n".into(), tally: Tally { dates, ..Tally::default() } });
            }
            let found = judge(signal, stop, &merchants, &failures(kinds));
            assert_eq!(found.0.number(), code, "{signal:?} {stop:?} {published} {kinds:?}");
        }
    }
}
