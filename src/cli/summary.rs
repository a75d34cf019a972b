//! The result of a run, for people.

use std::io::{self, Write};
use std::time::Duration;

use chrono::{Days, NaiveDate};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::command::Command;
use crate::delta::update::DeltaChange;
use crate::engine::result::{Dates, MerchantTally, ReportedFailure, Requests, RunResult};
use crate::lake::publish::Restated;
use crate::settlement::columns::amounts;

use super::figures::{amount, count, counted, days, grouped};

/// Restated days and failures that are listed; the JSON result has all of them.
const LISTED: usize = 50;

/// Writes the result. What stopped the whole run is logged and not repeated here.
pub(super) fn write(result: &RunResult, out: &mut dyn Write) -> io::Result<()> {
    // with nothing done, a table of zeros would only hide the error
    if result.command == Command::Delta {
        failures(result, out)?;
    } else if result.error.is_none() || result.tally.dates.published + result.tally.dates.unchanged + result.tally.dates.failed > 0 {
        table(&figures(result), out)?;
        if result.merchants.len() > 1 {
            writeln!(out)?;
            table(&merchants(&result.merchants), out)?;
            writeln!(out)?;
        }
        restated(result, out)?;
        failures(result, out)?;
    }
    if let Some(DeltaChange { version, files_added, files_removed, days: changed }) = result.delta {
        let what = match changed + files_added + files_removed {
            0 => "nothing to do".to_owned(),
            _ => format!("{} added or replaced, {} added, {} removed", days(changed), counted(files_added, "file"), count(files_removed)),
        };
        writeln!(out, "Delta table: version {version}, {what}")?;
    }
    writeln!(
        out,
        "{} (exit {}) in {}, run {}",
        result.status.name(),
        result.exit_code,
        humantime::format_duration(Duration::from_millis(result.duration_ms)),
        result.run_id
    )
}

/// Without the blanks that fill up the last column.
fn table(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

fn figures(result: &RunResult) -> Table {
    let Dates { published, unchanged, skipped, failed, not_attempted, empty, updated, .. } = result.tally.dates;
    let mut table = Table::new();
    table.load_style(NOTHING);
    let mut row = |name: &str, value: String, note: String| {
        table.add_row([name.to_owned(), value, note]);
    };
    let mut of_days = |name: &str, number: u64, note: &str| {
        row(name, count(number), format!("{}{note}", if number == 1 { "day" } else { "days" }));
    };
    of_days("published", published, "");
    of_days("unchanged", unchanged, "");
    of_days("skipped", skipped, " (left as they are by the plan)");
    of_days("failed", failed, "");
    of_days("not attempted", not_attempted, "");
    of_days("updated", updated, "");
    of_days("restated", result.restated.len() as u64, "");
    row("rows", count(result.tally.rows), format!("in {}, {} without rows", days(published + unchanged), count(empty)));
    if result.tally.rejected_rows > 0 {
        row("rejected rows", count(result.tally.rejected_rows), String::new());
    }
    for ((_, column), sum) in amounts().zip(result.tally.totals) {
        row(column.name, amount(sum), String::new());
    }
    row("written", count(result.tally.bytes_written), "bytes".into());
    let Requests { requests, retries, token_requests } = result.requests;
    row("requests", count(requests), format!("{} retries, {} for tokens", count(retries), count(token_requests)));
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn merchants(parts: &[MerchantTally]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["merchant", "published", "unchanged", "skipped", "failed", "not attempted", "rows", "payment_amount"]);
    let paid = amounts().position(|(_, column)| column.name == "payment_amount");
    for MerchantTally { merchant_id, tally } in parts {
        let Dates { published, unchanged, skipped, failed, not_attempted, .. } = tally.dates;
        let mut cells = vec![merchant_id.clone()];
        cells.extend([published, unchanged, skipped, failed, not_attempted, tally.rows].map(count));
        cells.push(amount(paid.map(|index| tally.totals[index]).unwrap_or_default()));
        table.add_row(cells);
    }
    table.column_iter_mut().skip(1).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    table
}

fn restated(result: &RunResult, out: &mut dyn Write) -> io::Result<()> {
    let several = result.merchants.len() > 1;
    for Restated { merchant_id, pay_date, rows_before, rows_after, delta, .. } in result.restated.iter().take(LISTED) {
        let whose = if several { format!(" of {merchant_id}") } else { String::new() };
        let change = delta.get("payment_amount").and_then(|change| change.as_str()).unwrap_or("0.00");
        let sign = if change.starts_with('-') { "" } else { "+" };
        writeln!(
            out,
            "restated {pay_date}{whose}: {}, now {}; payment_amount {sign}{}",
            counted(*rows_before, "row"),
            count(*rows_after),
            grouped(change)
        )?;
    }
    more(result.restated.len(), "restated days", out)
}

/// Consecutive days of one merchant that failed alike.
struct Alike<'a> {
    first: &'a ReportedFailure,
    last: Option<NaiveDate>,
    days: u64,
}

fn failures(result: &RunResult, out: &mut dyn Write) -> io::Result<()> {
    let several = result.merchants.len() > 1;
    let mut groups: Vec<Alike<'_>> = Vec::new();
    for failure in &result.failures {
        let like = |group: &&mut Alike<'_>| group.first.message == failure.message && group.first.merchant_id == failure.merchant_id;
        match groups.iter_mut().rev().take(LISTED).find(like) {
            Some(group) => {
                group.days += 1;
                group.last = failure.pay_date;
            }
            None => groups.push(Alike { first: failure, last: failure.pay_date, days: 1 }),
        }
    }
    for Alike { first, last, days: number } in groups.iter().take(LISTED) {
        let whose = if several { format!(" of {}", first.merchant_id) } else { String::new() };
        let when = match (first.pay_date, last) {
            (None, _) | (_, None) => String::new(),
            (Some(day), Some(_)) if *number == 1 => format!(" {day}"),
            // without a gap, or with days between that did not fail in this way
            (Some(from), Some(to)) if from.checked_add_days(Days::new(number - 1)) == Some(*to) => format!(" {from} to {to}"),
            (Some(from), Some(to)) => format!(" {} from {from} to {to}", days(*number)),
        };
        writeln!(out, "failed{when}{whose}: {}", first.message)?;
    }
    more(groups.len(), "failures", out)
}

fn more(number: usize, what: &str, out: &mut dyn Write) -> io::Result<()> {
    match number.checked_sub(LISTED) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(out, "and {more} more {what}: see --output json or --result-file"),
    }
}
