//! What commands print on stdout: data, and nothing else.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::NaiveDate;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use crate::calendar::DateRange;
use crate::command::Command;
use crate::engine::job::MerchantPlan;
use crate::engine::result::{RunResult, Status, Stop, StopReason};
use crate::exit::ExitCode;
use crate::files;
use crate::plan::Action;
use crate::settlement::columns::amounts;
use crate::settlement::values::format_decimal;
use crate::telemetry::Reporting;

use super::options::{OutputArgs, OutputFormat};

/// Prints a line on stdout. A reader that has gone away is no failure of ours.
pub(super) fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints a value on stdout as JSON, in a line; piece by piece, for what lists days can be long.
pub(super) fn json_line(value: &impl Serialize) {
    let _ = write_json(value, &mut BufWriter::new(std::io::stdout().lock()));
}

/// What an iterator gives, as a JSON list that is never in memory as a whole.
pub(super) struct Each<F>(pub(super) F);

impl<I: Iterator<Item: Serialize>, F: Fn() -> I> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

fn write_json(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)?;
    out.flush()
}

/// What became of a command that walks days.
pub(super) enum Outcome {
    /// It ran, or could not begin.
    Ended(Box<RunResult>),
    /// Its plan was printed, and this is its exit code.
    Planned(ExitCode),
}

impl Outcome {
    /// Tells it, and gives the exit code.
    pub(super) async fn told(self, output: &OutputArgs, reporting: Reporting) -> ExitCode {
        match self {
            Self::Ended(ended) => result(*ended, output, reporting).await,
            Self::Planned(exit_code) => exit_code,
        }
    }

    pub(super) fn not_begun(command: Command, range: Option<DateRange>, dest: Option<&str>, stop: Stop) -> Self {
        Self::Ended(Box::new(RunResult::not_begun(command, range, dest, stop)))
    }
}

/// Writes the result to the file asked for, tells it to whom it may concern, prints it, and gives the
/// exit code.
async fn result(mut result: RunResult, output: &OutputArgs, reporting: Reporting) -> ExitCode {
    if let Some(error) = &result.error {
        tracing::error!("{error}");
    }
    if !save(output, &result) && result.exit_code == ExitCode::Success {
        // a scheduler that waits for the file must not be told that all is well
        result.exit_code = ExitCode::Internal;
        result.status = Status::Failed;
        result.error = Some("the result could not be written to --result-file; the lake is as the rest of it says".into());
    }
    reporting.ended(&result).await;
    match output.format() {
        OutputFormat::Json => json_line(&result),
        OutputFormat::Text => text(&result),
    }
    result.exit_code
}

/// What a run would do.
#[derive(Serialize)]
struct PlanReport<'a, Days> {
    command: Command,
    dry_run: bool,
    status: Status,
    exit_code: ExitCode,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    dest: &'a str,
    dates: Json,
    days: Days,
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Fetch => "fetch",
        Action::Rebuild => "rebuild",
        Action::Skip => "skip",
    }
}

/// Prints what would be done for each merchant's days, and gives the exit code.
pub(super) fn plan((command, dest): (Command, &str), plans: &[impl MerchantPlan], output: &OutputArgs) -> ExitCode {
    let (mut planned, mut skipped, mut ends) = (0u64, 0u64, None::<DateRange>);
    for day in plans.iter().flat_map(MerchantPlan::days) {
        planned += 1;
        skipped += u64::from(day.action == Action::Skip);
        let DateRange { from, to } = ends.unwrap_or(DateRange { from: day.pay_date, to: day.pay_date });
        ends = Some(DateRange { from: from.min(day.pay_date), to: to.max(day.pay_date) });
    }
    let done = planned - skipped;
    let mut dates = json!({ "planned": planned, "skip": skipped });
    dates[if command == Command::Rebuild { "rebuild" } else { "fetch" }] = done.into();
    let (from, to) = (ends.map(|range| range.from), ends.map(|range| range.to));
    let days = Each(|| {
        plans.iter().flat_map(|plan| {
            let merchant_id = plan.merchant().api_id();
            plan.days().map(move |day| {
                json!({ "merchant_id": merchant_id, "pay_date": day.pay_date, "action": word(day.action), "reason": day.reason })
            })
        })
    });
    let result = PlanReport { command, dry_run: true, status: Status::Success, exit_code: ExitCode::Success, from, to, dest, dates, days };
    let saved = save(output, &result);
    match output.format() {
        OutputFormat::Json => json_line(&result),
        OutputFormat::Text => {
            for plan in plans {
                let whose = if plans.len() > 1 { format!("{} ", plan.merchant().api_id()) } else { String::new() };
                for day in plan.days() {
                    line(format_args!("{whose}{} {:7} {}", day.pay_date, word(day.action), day.reason));
                }
            }
            let doing = if command == Command::Rebuild { "made again" } else { "asked for" };
            line(format_args!("{done} of {planned} days would be {doing}"));
        }
    }
    if saved { ExitCode::Success } else { ExitCode::Internal }
}

/// Writes a result to the file asked for; whether it could.
fn save(output: &OutputArgs, result: &impl Serialize) -> bool {
    output.result_file.as_deref().is_none_or(|path| save_to(path, result))
}

fn save_to(path: &Path, result: &impl Serialize) -> bool {
    let saved = files::replace(path, |file| write_json(result, file));
    if let Err(error) = &saved {
        tracing::error!("cannot write the result to {}: {error}", path.display());
    }
    saved.is_ok()
}

/// Reports a command line that cannot be read; where a run was meant, with its result as well.
pub(super) fn usage(error: &clap::Error) -> std::process::ExitCode {
    // to stderr, or for --help and --version to stdout
    let _ = error.print();
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let run = [Command::Backfill, Command::Sync, Command::Rebuild]
        .into_iter()
        .find(|command| arguments.iter().any(|argument| argument == command.name()));
    if let Some(command) = run.filter(|_| code == 2) {
        let told = error.to_string();
        // the first paragraph; what clap lists is on lines of its own
        let first = told.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        let message = first.split_whitespace().collect::<Vec<_>>().join(" ");
        let result = RunResult::not_begun(command, None, None, Stop { reason: StopReason::Settings, message });
        if let Some(path) = result_file(&arguments) {
            save_to(&path, &result);
        }
        json_line(&result);
    }
    std::process::ExitCode::from(code)
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
    row(
        "requests",
        format!("{} ({} retries, {} for tokens)", result.requests.requests, result.requests.retries, result.requests.token_requests),
    );
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
