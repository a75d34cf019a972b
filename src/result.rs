//! The result of a run: what schedulers read, and the exit code that says the same in a number.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::calendar::DateRange;
use crate::command::Command;
use crate::exit::ExitCode;
use crate::settlement::totals::{Sums, sums_json};

/// How a run ended, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Every planned day is published, unchanged or skipped.
    Success,
    /// Some are.
    Partial,
    /// None is, or the run could not be made.
    Failed,
    /// A signal ended it.
    Interrupted,
}

/// What kind of failure a day met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The API or the way to it.
    Upstream,
    /// The answer is not what the manual and the notes on it allow.
    Contract,
    /// The credentials.
    Auth,
    /// The API asks for fewer requests.
    RateLimit,
    /// The lake.
    Storage,
    /// A stored day was protected from an answer.
    Guard,
    /// A defect of this tool.
    Internal,
}

/// A day that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The API id.
    pub merchant_id: String,
    /// The pay date.
    pub pay_date: NaiveDate,
    /// Its kind.
    pub kind: Kind,
    /// What happened, the datum, and what to do.
    pub message: String,
    /// Tries made.
    pub attempts: u32,
}

/// What stopped a run as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Usage or settings; nothing was asked of the API.
    Settings,
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// A defect of this tool.
    Internal,
    /// The API refused the credentials.
    Auth,
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
    /// Asked for and found as stored.
    pub unchanged: u64,
    /// Not asked for.
    pub skipped: u64,
    /// Failed.
    pub failed: u64,
    /// Left out because the run stopped.
    pub not_attempted: u64,
    /// Days without rows among published and unchanged.
    pub empty: u64,
}

/// A published day whose stored content was another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Restated {
    /// The API id.
    pub merchant_id: String,
    /// The pay date.
    pub pay_date: NaiveDate,
    /// Rows of the version replaced.
    pub rows_before: u64,
    /// Rows now.
    pub rows_after: u64,
    /// Rows that are new.
    pub added: u64,
    /// Rows that are gone.
    pub removed: u64,
    /// Rows gone and new that share transaction and status, in pairs.
    pub changed: u64,
    /// The change of each sum that changed.
    pub delta: Map<String, Json>,
}

/// What a run, or one merchant's part of it, came to.
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
    pub(crate) fn add(&mut self, part: &Self) {
        let (dates, more) = (&mut self.dates, &part.dates);
        for (count, add) in [
            (&mut dates.planned, more.planned),
            (&mut dates.published, more.published),
            (&mut dates.unchanged, more.unchanged),
            (&mut dates.skipped, more.skipped),
            (&mut dates.failed, more.failed),
            (&mut dates.not_attempted, more.not_attempted),
            (&mut dates.empty, more.empty),
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
    /// Its part.
    #[serde(flatten)]
    pub tally: Tally,
}

/// The whole result.
#[derive(Debug, Clone, Serialize)]
pub struct RunResult {
    /// The command.
    pub command: Command,
    /// The run's id (`UUIDv7`).
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
    /// What it came to.
    #[serde(flatten)]
    pub tally: Tally,
    /// Days whose stored content was replaced by another.
    pub restated: Vec<Restated>,
    /// Days that failed.
    pub failures: Vec<Failure>,
    /// Each merchant's part.
    pub merchants: Vec<MerchantTally>,
    /// Requests sent to the API, those for tokens included.
    pub requests: u64,
    /// Requests that repeated a failed one.
    pub retries: u64,
    /// Requests for tokens.
    pub token_requests: u64,
    /// How long the run took.
    pub duration_ms: u64,
    /// What stopped the run as a whole, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl RunResult {
    /// The result of a run that could not begin.
    #[must_use]
    pub fn not_begun(command: Command, range: Option<DateRange>, dest: Option<&str>, stopped: Stopped, error: String) -> Self {
        let planned = range.map_or(0, DateRange::len);
        let dates = Dates { planned, not_attempted: planned, ..Dates::default() };
        let tally = Tally { dates, ..Tally::default() };
        let (exit_code, status) = judge(Some(stopped), &tally, &[]);
        Self {
            command,
            run_id: uuid::Uuid::now_v7().to_string(),
            status,
            exit_code,
            from: range.map(|range| range.from),
            to: range.map(|range| range.to),
            dest: dest.unwrap_or_default().to_owned(),
            tally,
            restated: Vec::new(),
            failures: Vec::new(),
            merchants: Vec::new(),
            requests: 0,
            retries: 0,
            token_requests: 0,
            duration_ms: 0,
            error: Some(error),
        }
    }
}

/// The exit code and the status: the first line of the contract's table that applies.
#[must_use]
pub fn judge(stopped: Option<Stopped>, tally: &Tally, failures: &[Failure]) -> (ExitCode, Status) {
    match stopped {
        Some(Stopped::Settings) => return (ExitCode::Usage, Status::Failed),
        Some(Stopped::Interrupt) => return (ExitCode::Interrupted, Status::Interrupted),
        Some(Stopped::Terminate) => return (ExitCode::Terminated, Status::Interrupted),
        Some(Stopped::Internal) => return (ExitCode::Internal, Status::Failed),
        Some(Stopped::Auth) => return (ExitCode::Auth, Status::Failed),
        Some(Stopped::Lake) => return (ExitCode::Lake, Status::Failed),
        None => {}
    }
    let any = |kinds: &[Kind]| failures.iter().any(|failure| kinds.contains(&failure.kind));
    if any(&[Kind::Internal]) {
        return (ExitCode::Internal, Status::Failed);
    }
    if any(&[Kind::Auth]) {
        return (ExitCode::Auth, Status::Failed);
    }
    let dates = &tally.dates;
    if dates.failed == 0 && dates.not_attempted == 0 {
        // with --bad-rows reject a day is published without the rows that could not be read
        return if tally.rejected_rows == 0 { (ExitCode::Success, Status::Success) } else { (ExitCode::Partial, Status::Partial) };
    }
    if dates.published + dates.unchanged > 0 {
        return (ExitCode::Partial, Status::Partial);
    }
    let families: [(ExitCode, &[Kind]); 3] = [
        (ExitCode::Lake, &[Kind::Storage]),
        (ExitCode::Refused, &[Kind::Contract, Kind::Guard]),
        (ExitCode::Upstream, &[Kind::Upstream, Kind::RateLimit]),
    ];
    let one = families.iter().find(|(_, kinds)| !failures.is_empty() && failures.iter().all(|failure| kinds.contains(&failure.kind)));
    (one.map_or(ExitCode::Partial, |(code, _)| *code), Status::Failed)
}

/// Writes a file so that a reader sees the old content or the new.
///
/// # Errors
/// What the file system says.
pub fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // as a file that is simply created would be: the umask decides who reads it
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let file = tempfile::Builder::new().permissions(mode).tempfile_in(folder)?;
    let mut buffered = BufWriter::new(file);
    write(&mut buffered)?;
    buffered.into_inner()?.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(kinds: &[Kind]) -> Vec<Failure> {
        let failure = |kind: &Kind| Failure {
            merchant_id: "m".into(),
            pay_date: NaiveDate::default(),
            kind: *kind,
            message: String::new(),
            attempts: 1,
        };
        kinds.iter().map(failure).collect()
    }

    fn tally(published: u64, skipped: u64, failed: usize, not_attempted: u64, rejected_rows: u64) -> Tally {
        let dates = Dates { published, skipped, failed: failed as u64, not_attempted, ..Dates::default() };
        Tally { dates, rejected_rows, ..Tally::default() }
    }

    #[test]
    fn every_line_of_the_exit_table() {
        use Kind::{Auth, Contract, Guard, Internal, RateLimit, Storage, Upstream};
        type Case<'a> = (Option<Stopped>, u64, u64, u64, u64, &'a [Kind], u8);
        let cases: &[Case<'_>] = &[
            (Some(Stopped::Settings), 0, 0, 0, 0, &[], 2),
            (Some(Stopped::Interrupt), 3, 0, 1, 0, &[], 130),
            (Some(Stopped::Terminate), 3, 0, 1, 0, &[], 143),
            (None, 3, 0, 0, 0, &[Internal], 1),
            (None, 3, 0, 1, 0, &[Auth], 4),
            (Some(Stopped::Lake), 3, 0, 1, 0, &[], 7),
            (None, 3, 1, 0, 0, &[], 0),
            (None, 0, 4, 0, 0, &[], 0),
            (None, 3, 0, 0, 2, &[], 3),
            (None, 1, 0, 0, 0, &[Upstream], 3),
            (None, 0, 1, 0, 0, &[Storage, Storage], 7),
            (None, 0, 1, 0, 0, &[Contract, Guard], 5),
            (None, 0, 0, 9, 0, &[Upstream, RateLimit], 6),
            (None, 0, 0, 0, 0, &[Upstream, Contract], 3),
        ];
        for &(stopped, published, skipped, not_attempted, rejected, kinds, code) in cases {
            let found = judge(stopped, &tally(published, skipped, kinds.len(), not_attempted, rejected), &failures(kinds));
            assert_eq!(found.0.number(), code, "{stopped:?} {published} {kinds:?}");
        }
    }
}
