//! What commands print on stdout: data, and nothing else.

use std::fmt::Display;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde_json::json;

use crate::plan::{Action, PlannedDay, Range};
use crate::reporting::Reporting;
use crate::result::{RunResult, Status, Stopped, write_file};
use crate::settlement::columns::amounts;
use crate::settlement::values::format_decimal;

use super::options::{OutputArgs, OutputFormat};

/// Prints a line on stdout. A reader that has gone away is no failure of ours.
pub(super) fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What became of a command that walks days.
pub(super) enum Outcome {
    /// It ran, or could not begin.
    Ended(Box<RunResult>),
    /// Its plan was printed, and this is its exit code.
    Planned(u8),
}

impl Outcome {
    /// Tells it, and gives the exit code.
    pub(super) async fn told(self, output: &OutputArgs, reporting: Reporting) -> u8 {
        match self {
            Self::Ended(ended) => result(*ended, output, reporting).await,
            Self::Planned(exit_code) => exit_code,
        }
    }

    pub(super) fn not_begun(command: &'static str, range: Option<Range>, dest: Option<&str>, stopped: Stopped, error: String) -> Self {
        Self::Ended(Box::new(RunResult::not_begun(command, range, dest, stopped, error)))
    }
}

/// Writes the result to the file asked for, tells it to whom it may concern, prints it, and gives the
/// exit code.
async fn result(mut result: RunResult, output: &OutputArgs, reporting: Reporting) -> u8 {
    if let Some(error) = &result.error {
        tracing::error!("{error}");
    }
    let json = |result: &RunResult| serde_json::to_string(result).unwrap_or_default();
    if !save(output, &json(&result)) && result.exit_code == 0 {
        // a scheduler that waits for the file must not be told that all is well
        result.exit_code = 1;
        result.status = Status::Failed;
        result.error = Some("the result could not be written to --result-file; the lake is as the rest of it says".into());
    }
    reporting.ended(&result).await;
    match output.format() {
        OutputFormat::Json => line(json(&result)),
        OutputFormat::Text => text(&result),
    }
    result.exit_code
}

/// Prints what would be done for each merchant's days, and gives the exit code.
pub(super) fn plan((command, dest): (&str, &str), plans: &[(String, Vec<PlannedDay>)], output: &OutputArgs) -> u8 {
    let word = |action| match action {
        Action::Fetch => "fetch",
        Action::Rebuild => "rebuild",
        Action::Skip => "skip",
    };
    let days = || plans.iter().flat_map(|(merchant_id, days)| days.iter().map(move |day| (merchant_id, day)));
    let (planned, skipped) = (days().count(), days().filter(|(_, day)| day.action == Action::Skip).count());
    let (from, to) = (days().map(|(_, day)| day.pay_date).min(), days().map(|(_, day)| day.pay_date).max());
    let mut counts = json!({ "planned": planned, "skip": skipped });
    counts[if command == "rebuild" { "rebuild" } else { "fetch" }] = (planned - skipped).into();
    let listed: Vec<_> = days()
        .map(|(merchant_id, day)| {
            json!({ "merchant_id": merchant_id, "pay_date": day.pay_date, "action": word(day.action), "reason": day.reason })
        })
        .collect();
    let result = json!({
        "command": command, "dry_run": true, "status": "success", "exit_code": 0, "from": from, "to": to, "dest": dest,
        "dates": counts, "days": listed,
    });
    let saved = save(output, &result.to_string());
    match output.format() {
        OutputFormat::Json => line(result),
        OutputFormat::Text => {
            for (merchant_id, day) in days() {
                let whose = if plans.len() > 1 { format!("{merchant_id} ") } else { String::new() };
                line(format_args!("{whose}{} {:7} {}", day.pay_date, word(day.action), day.reason));
            }
            let doing = if command == "rebuild" { "made again" } else { "asked for" };
            line(format_args!("{} of {planned} days would be {doing}", planned - skipped));
        }
    }
    u8::from(!saved)
}

/// Writes a result to the file asked for; whether it could.
pub(super) fn save(output: &OutputArgs, json: &str) -> bool {
    output.result_file.as_deref().is_none_or(|path| save_to(path, json))
}

fn save_to(path: &Path, json: &str) -> bool {
    let saved = write_file(path, &format!("{json}\n"));
    if let Err(error) = &saved {
        tracing::error!("cannot write the result to {}: {error}", path.display());
    }
    saved.is_ok()
}

/// Reports a command line that cannot be read; where a run was meant, with its result as well.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    // to stderr, or for --help and --version to stdout
    let _ = error.print();
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let run = ["backfill", "sync", "rebuild"].into_iter().find(|name| arguments.iter().any(|argument| argument == name));
    if let Some(command) = run.filter(|_| code == 2) {
        let told = error.to_string();
        // the first paragraph; what clap lists is on lines of its own
        let first = told.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        let message = first.split_whitespace().collect::<Vec<_>>().join(" ");
        let result = RunResult::not_begun(command, None, None, Stopped::Settings, message);
        let json = serde_json::to_string(&result).unwrap_or_default();
        if let Some(path) = result_file(&arguments) {
            save_to(&path, &json);
        }
        line(json);
    }
    ExitCode::from(code)
}

/// `--result-file` of a command line that does not parse.
fn result_file(arguments: &[String]) -> Option<PathBuf> {
    arguments.iter().enumerate().find_map(|(index, argument)| match argument.strip_prefix("--result-file")? {
        "" => arguments.get(index + 1).map(PathBuf::from),
        rest => rest.strip_prefix('=').map(PathBuf::from),
    })
}

/// The closing table.
fn text(result: &RunResult) {
    let dates = &result.tally.dates;
    let mut table = Table::new();
    table.load_style(NOTHING);
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row("published", format!("{} days", dates.published));
    row("unchanged", format!("{} days", dates.unchanged));
    row("skipped", format!("{} days (closed, or not asked for)", dates.skipped));
    row("failed", format!("{} days", dates.failed));
    row("not attempted", format!("{} days", dates.not_attempted));
    row("rows", format!("{} (in {} days; {} days were empty)", result.tally.rows, dates.published + dates.unchanged, dates.empty));
    if result.tally.rejected_rows > 0 {
        row("rejected rows", result.tally.rejected_rows.to_string());
    }
    for ((_, column), sum) in amounts().zip(result.tally.totals) {
        row(column.name, format_decimal(sum, 2));
    }
    row("written", format!("{} bytes", result.tally.bytes_written));
    row("requests", format!("{} ({} retries, {} for tokens)", result.requests, result.retries, result.token_requests));
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    line(&table);
    for failure in &result.failures {
        line(format_args!("failed {}: {}", failure.pay_date, failure.message));
    }
    let status = format!("{:?}", result.status).to_lowercase();
    line(format_args!(
        "{status} (exit {}) in {}, run {}",
        result.exit_code,
        humantime::format_duration(Duration::from_millis(result.duration_ms)),
        result.run_id
    ));
}
