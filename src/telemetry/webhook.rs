//! The webhook: one JSON message if a run failed or restated days. Slack's incoming webhooks show its `text`.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::engine::result::RunResult;
use crate::exit::ExitCode;
use crate::lake::publish::Restated;

/// Failures and restatements that a message lists; the result has all of them.
const LISTED: usize = 10;

/// The message about a run; `None` if it succeeded and nothing was restated.
pub(super) fn message(result: &RunResult) -> Option<Json> {
    if result.exit_code == ExitCode::Success && result.restated.is_empty() {
        return None;
    }
    Some(json!({
        "text": text(result),
        "command": result.command,
        "run_id": result.run_id,
        "status": result.status,
        "exit_code": result.exit_code,
        "from": result.from,
        "to": result.to,
        "dest": result.dest,
        "dates": result.tally.dates,
        "error": result.error,
        "failures": result.failures.iter().take(LISTED).collect::<Vec<_>>(),
        "restated": result.restated.iter().take(LISTED).collect::<Vec<_>>(),
    }))
}

fn text(result: &RunResult) -> String {
    let dates = &result.tally.dates;
    let mut text = format!("cookiepay-etl {}: exit {}", result.command, result.exit_code);
    if let (Some(from), Some(to)) = (result.from, result.to) {
        let _ = write!(text, ", pay dates {from} to {to}");
    }
    let _ = write!(text, ": {} published, {} failed, {} restated", dates.published, dates.failed, result.restated.len());
    if let Some(error) = &result.error {
        let _ = write!(text, "\n{error}");
    }
    for failure in result.failures.iter().take(LISTED) {
        let _ = write!(text, "\nfailed {} of {}: {}", failure.pay_date, failure.merchant_id, failure.message);
    }
    for Restated { merchant_id, pay_date, rows_before, rows_after, added, removed, changed, delta } in result.restated.iter().take(LISTED) {
        let _ = write!(
            text,
            "\nrestated {pay_date} of {merchant_id}: {rows_before} rows, now {rows_after} ({added} added, {removed} removed, {changed} changed)"
        );
        for (column, change) in delta {
            let _ = write!(text, ", {column} {}", change.as_str().unwrap_or_default());
        }
    }
    let more = result.failures.len().saturating_sub(LISTED) + result.restated.len().saturating_sub(LISTED);
    if more > 0 {
        let _ = write!(text, "\nand {more} more");
    }
    // characters that Slack's text interprets
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
