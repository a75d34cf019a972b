//! The webhook: one JSON message if a run failed or restated days. Slack's incoming webhooks show its `text`.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::engine::result::RunResult;
use crate::exit::ExitCode;
use crate::lang::Lang;
use crate::texts::notification;

/// Failures and restatements that a message lists; the result has all of them.
const LISTED: usize = 10;

/// The message about a run; `None` if it succeeded and nothing was restated.
pub(super) fn message(result: &RunResult, lang: Lang) -> Option<Json> {
    if result.exit_code == ExitCode::Success && result.restated.is_empty() {
        return None;
    }
    Some(json!({
        "text": text(result, lang),
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

fn text(result: &RunResult, lang: Lang) -> String {
    let mut text = notification::summary(result, lang);
    if let Some(error) = &result.error {
        let _ = write!(text, "\n{error}");
    }
    for failure in result.failures.iter().take(LISTED) {
        let _ = write!(text, "\n{} {failure}", notification::FAILED.to(lang));
    }
    for restated in result.restated.iter().take(LISTED) {
        let _ = write!(text, "\n{}", notification::restated(restated, lang));
    }
    let more = result.failures.len().saturating_sub(LISTED) + result.restated.len().saturating_sub(LISTED);
    if more > 0 {
        let _ = write!(text, "\n{}", notification::more(more, lang));
    }
    escaped(&text)
}

/// Without the characters that Slack's text interprets.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
