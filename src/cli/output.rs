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
use crate::settings::OutputSettings;
use crate::settings::groups::OutputFormat;
use crate::settlement::columns::amounts;
use crate::settlement::values::format_decimal;
use crate::telemetry::Telemetry;

use super::options::output_format;

/// Prints a line on stdout. A reader that has closed the pipe is not a failure.
pub(super) fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints a value on stdout as JSON, on one line; piece by piece, because lists of days can be long.
pub(super) fn json_line(value: &impl Serialize) {
    let _ = write_json(value, &mut BufWriter::new(std::io::stdout().lock()));
}

/// The items of an iterator as a JSON list that is never in memory as a whole.
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

/// Writes the result to its file, reports and prints it, and returns the exit code.
pub(super) async fn result(mut result: RunResult, output: &OutputSettings, telemetry: Telemetry) -> ExitCode {
    if let Some(error) = &result.error {
        tracing::error!("{error}");
    }
    if !save(output, &result) && result.exit_code == ExitCode::Success {
        // a scheduler that waits for the file must not see a success
        result.exit_code = ExitCode::Internal;
        result.status = Status::Failed;
        result.error = Some("the result could not be written to --result-file; the lake is as the rest of the result states".into());
    }
    telemetry.run_ended(&result).await;
    match output_format(output.format) {
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

/// Prints what would be done for each merchant's days, and returns the exit code.
pub(super) fn plan(command: Command, dest: &str, plans: &[impl MerchantPlan], output: &OutputSettings) -> ExitCode {
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
    match output_format(output.format) {
        OutputFormat::Json => json_line(&result),
        OutputFormat::Text => {
            for plan in plans {
                let whose = if plans.len() > 1 { format!("{} ", plan.merchant().api_id()) } else { String::new() };
                for day in plan.days() {
                    line(format_args!("{whose}{} {:7} {}", day.pay_date, word(day.action), day.reason));
                }
            }
            let doing = if command == Command::Rebuild { "rebuilt" } else { "fetched" };
            line(format_args!("{done} of {planned} days would be {doing}"));
        }
    }
    if saved { ExitCode::Success } else { ExitCode::Internal }
}

/// Writes a result to its file; returns whether that succeeded.
pub(super) fn save(output: &OutputSettings, result: &impl Serialize) -> bool {
    output.result_file.as_deref().is_none_or(|path| save_to(path, result))
}

fn save_to(path: &Path, result: &impl Serialize) -> bool {
    let saved = files::replace(path, |file| write_json(result, file));
    if let Err(error) = &saved {
        tracing::error!("cannot write the result to {}: {error}", path.display());
    }
    saved.is_ok()
}

/// Reports a command line that cannot be parsed; if a run was meant, with its result as well.
pub(super) fn usage(error: &clap::Error, command: Option<Command>) -> ExitCode {
    // to stderr, or for --help and --version to stdout
    let _ = error.print();
    if error.exit_code() == 0 {
        return ExitCode::Success;
    }
    if let Some(command) = command.filter(|command| command.is_run()) {
        let message = error.to_string();
        // the first paragraph; what clap lists is on lines of its own
        let first = message.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        let message = first.split_whitespace().collect::<Vec<_>>().join(" ");
        let result = RunResult::not_begun(command, None, None, Stop { reason: StopReason::Settings, message });
        let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
        if let Some(path) = result_file(&arguments) {
            save_to(&path, &result);
        }
        json_line(&result);
    }
    ExitCode::Usage
}

/// `--result-file` of a command line that does not parse.
fn result_file(arguments: &[String]) -> Option<PathBuf> {
    arguments.iter().enumerate().find_map(|(index, argument)| match argument.strip_prefix("--result-file")? {
        "" => arguments.get(index + 1).map(PathBuf::from),
        rest => rest.strip_prefix('=').map(PathBuf::from),
    })
}

/// The result as a table.
fn text(result: &RunResult) {
    let dates = &result.tally.dates;
    let mut table = Table::new();
    table.load_style(NOTHING);
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row("published", format!("{} days", dates.published));
    row("unchanged", format!("{} days", dates.unchanged));
    row("skipped", format!("{} days (closed, or not requested)", dates.skipped));
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
    let status = result.status.name();
    line(format_args!(
        "{status} (exit {}) in {}, run {}",
        result.exit_code,
        humantime::format_duration(Duration::from_millis(result.duration_ms)),
        result.run_id
    ));
}
