//! What commands print on stdout: data, and nothing else.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use chrono::NaiveDate;
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use crate::calendar::DateRange;
use crate::command::Command;
use crate::engine::job::{MerchantPlan, RefusedMerchant};
use crate::engine::result::{ReportedFailure, RunResult, Status, Stop, StopReason};
use crate::exit::ExitCode;
use crate::files;
use crate::plan::Action;
use crate::settings::OutputSettings;
use crate::settings::groups::OutputFormat;
use crate::telemetry::Telemetry;

use super::options::run_format;
use super::{figures, summary};

/// Prints on stdout and returns `code`, or that of a failure if not all of it could be printed: whoever reads it must not
/// take half of it for all. Only a reader that has closed the pipe is not a failure.
pub(super) fn print(code: ExitCode, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            tracing::error!("cannot write to stdout, and what was printed is incomplete: {error}");
            if code == ExitCode::Success { ExitCode::Internal } else { code }
        }
        _ => code,
    }
}

/// The items of an iterator as a JSON list that is never in memory as a whole.
pub(super) struct Each<F>(pub(super) F);

impl<I: Iterator<Item: Serialize>, F: Fn() -> I> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// Writes a value as JSON, on one line; piece by piece, because lists of days can be long.
pub(super) fn write_json(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
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
    print(result.exit_code, |out| match run_format(result.command, output.format) {
        OutputFormat::Json => write_json(&result, out),
        OutputFormat::Text => summary::write(&result, out),
    })
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
    failures: &'a [ReportedFailure],
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
pub(super) fn plan<P: MerchantPlan>(
    command: Command,
    dest: &str,
    plans: Vec<Result<P, RefusedMerchant>>,
    output: &OutputSettings,
) -> ExitCode {
    let several = plans.len() > 1;
    let (refused, plans): (Vec<RefusedMerchant>, Vec<P>) = plans.into_iter().fold(Default::default(), |(mut refused, mut ready), plan| {
        match plan {
            Ok(plan) => ready.push(plan),
            Err(reason) => refused.push(reason),
        }
        (refused, ready)
    });
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
    let (status, exit_code) = if refused.is_empty() { (Status::Success, ExitCode::Success) } else { (Status::Partial, ExitCode::Partial) };
    let failures: Vec<ReportedFailure> = refused.iter().map(RefusedMerchant::failure).collect();
    let result = PlanReport { command, dry_run: true, status, exit_code, from, to, dest, dates, failures: &failures, days };
    let exit_code = if save(output, &result) { exit_code } else { ExitCode::Internal };
    print(exit_code, |out| {
        if run_format(command, output.format) == OutputFormat::Json {
            return write_json(&result, out);
        }
        for plan in &plans {
            let whose = if several { format!("{} ", plan.merchant().api_id()) } else { String::new() };
            for day in plan.days() {
                writeln!(out, "{whose}{} {:7} {}", day.pay_date, word(day.action), day.reason)?;
            }
        }
        for RefusedMerchant { merchant_id, reason } in &refused {
            writeln!(out, "{merchant_id} fails: {reason}")?;
        }
        let doing = if command == Command::Rebuild { "rebuilt" } else { "fetched" };
        writeln!(out, "{} of {} would be {doing}", figures::count(done), figures::days(planned))
    })
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
    if error.exit_code() == 0 {
        // --help and --version
        return match error.print() {
            // no log has been started yet
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let _ = writeln!(io::stderr(), "error: cannot write to stdout: {error}");
                ExitCode::Internal
            }
            _ => ExitCode::Success,
        };
    }
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    // the value may be the key: the parser's own message is not shown
    let holds_key = arguments.iter().any(|argument| argument == "--api-key" || argument.starts_with("--api-key="));
    let message = if holds_key {
        "there is no --api-key, because every user of a machine can read command lines: set COOKIEPAY_API_KEY or COOKIEPAY_API_KEY_FILE"
            .to_owned()
    } else {
        first_paragraph(error)
    };
    if holds_key {
        let _ = writeln!(io::stderr(), "error: {message}");
    } else {
        let _ = error.print();
    }
    if let Some(command) = command.filter(|command| command.is_run()) {
        let result = RunResult::not_begun(command, None, None, Stop { reason: StopReason::Settings, message });
        if let Some(path) = flag(&arguments, "--result-file") {
            save_to(Path::new(path), &result);
        }
        let requested = flag(&arguments, "--output").map(|format| if format == "json" { OutputFormat::Json } else { OutputFormat::Text });
        if run_format(command, requested) == OutputFormat::Json {
            return print(ExitCode::Usage, |out| write_json(&result, out));
        }
    }
    ExitCode::Usage
}

/// The parser's message in one line; what it lists is on lines of its own.
fn first_paragraph(error: &clap::Error) -> String {
    let message = error.to_string();
    let first = message.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The value of a flag in a command line that does not parse.
fn flag<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    arguments.iter().enumerate().find_map(|(index, argument)| match argument.strip_prefix(name)? {
        "" => arguments.get(index + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    })
}
