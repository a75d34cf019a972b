//! The webhook: one JSON message where a run failed or restated days, readable as it is by Slack's
//! incoming webhooks, which show its `text`.

use std::fmt::Write as _;

use reqwest::Url;
use serde_json::{Value as Json, json};

use crate::cookiepay::http::is_loopback;
use crate::engine::result::RunResult;
use crate::exit::ExitCode;
use crate::lake::publish::Restated;
use crate::settings::SettingsError;

use super::receiver;

/// Failures and restatements that a message tells of; the result has all.
const TOLD: usize = 10;

/// Who is told of failures and restatements.
pub struct Webhook {
    url: Url,
}

/// The URL of a webhook is its secret.
impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").finish_non_exhaustive()
    }
}

impl Webhook {
    /// Reads `--notify-url`.
    ///
    /// # Errors
    /// No URL, or one that would be sent unencrypted.
    pub(super) fn new(text: &str) -> Result<Self, SettingsError> {
        let url = receiver("--notify-url", text)?;
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(SettingsError::Setting("--notify-url must use https (plain http is for loopback alone)".into()));
        }
        Ok(Self { url })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }
}

/// What is sent of a run; nothing where all went well and nothing was restated.
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
        "failures": result.failures.iter().take(TOLD).collect::<Vec<_>>(),
        "restated": result.restated.iter().take(TOLD).collect::<Vec<_>>(),
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
    for failure in result.failures.iter().take(TOLD) {
        let _ = write!(text, "\nfailed {} of {}: {}", failure.pay_date, failure.merchant_id, failure.message);
    }
    for Restated { merchant_id, pay_date, rows_before, rows_after, added, removed, changed, delta } in result.restated.iter().take(TOLD) {
        let _ = write!(
            text,
            "\nrestated {pay_date} of {merchant_id}: {rows_before} rows, now {rows_after} ({added} added, {removed} removed, {changed} changed)"
        );
        for (column, change) in delta {
            let _ = write!(text, ", {column} {}", change.as_str().unwrap_or_default());
        }
    }
    let more = result.failures.len().saturating_sub(TOLD) + result.restated.len().saturating_sub(TOLD);
    if more > 0 {
        let _ = write!(text, "\nand {more} more");
    }
    // what Slack's text takes as its own
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
