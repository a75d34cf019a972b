//! The metrics file: Prometheus text, as node_exporter's textfile collector reads it.

use std::fs;
use std::io;
use std::path::Path;

use chrono::Utc;
use prometheus::{Encoder as _, GaugeVec, Opts, Registry, TextEncoder};

use crate::engine::result::{Dates, RunResult};
use crate::exit::ExitCode;
use crate::files;

const LAST_SUCCESS: &str = "cookiepay_etl_last_success_timestamp_seconds";

/// Replaces the file, so that a reader sees the last run's metrics or this one's.
pub(super) fn write(path: &Path, result: &RunResult) -> io::Result<()> {
    let now = seconds(Utc::now().timestamp_millis());
    let success = if result.exit_code == ExitCode::Success { Some(now) } else { last_success(path, result.command.name()) };
    let text = text(result, now, success).map_err(io::Error::other)?;
    files::replace(path, |file| file.write_all(text.as_bytes()))
}

/// When the command last succeeded, according to the file of an earlier run.
fn last_success(path: &Path, command: &str) -> Option<f64> {
    let earlier = fs::read_to_string(path).ok()?;
    let series = format!("{LAST_SUCCESS}{{command=\"{command}\"}} ");
    earlier.lines().find_map(|line| line.strip_prefix(&series)?.trim().parse().ok())
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats, and counts of a run stay far below 2^53")]
fn text(result: &RunResult, now: f64, success: Option<f64>) -> prometheus::Result<String> {
    let registry = Registry::new();
    let gauge = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<GaugeVec> {
        let gauge = GaugeVec::new(Opts::new(name, help), labels)?;
        registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    };
    let whole = |name: &str, help: &str, value: f64| -> prometheus::Result<()> {
        gauge(&format!("cookiepay_etl_{name}"), help, &["command"])?.with_label_values(&[result.command.name()]).set(value);
        Ok(())
    };
    whole("last_run_timestamp_seconds", "When the last run ended.", now)?;
    if let Some(success) = success {
        whole("last_success_timestamp_seconds", "When a run last ended with exit code 0.", success)?;
    }
    whole("last_run_exit_code", "Exit code of the last run.", result.exit_code.number().into())?;
    whole("last_run_duration_seconds", "How long the last run took.", seconds(i64::try_from(result.duration_ms).unwrap_or(i64::MAX)))?;
    whole("last_run_requests", "Requests sent to the API, those for tokens included.", result.requests.requests as f64)?;
    whole("last_run_retries", "Requests that repeated a failed one.", result.requests.retries as f64)?;
    whole("last_run_token_requests", "Requests for tokens.", result.requests.token_requests as f64)?;
    whole("last_run_restated_days", "Days whose stored content was replaced by a different one.", result.restated.len() as f64)?;

    let days = gauge("cookiepay_etl_last_run_days", "Days of the last run by what became of them.", &["command", "merchant_id", "state"])?;
    let of_merchant = |name: &str, help: &str| gauge(&format!("cookiepay_etl_{name}"), help, &["command", "merchant_id"]);
    let rows = of_merchant("last_run_rows", "Rows of days published or unchanged.")?;
    let rejected = of_merchant("last_run_rejected_rows", "Rows that could not be read.")?;
    let bytes = of_merchant("last_run_written_bytes", "Bytes of Parquet written.")?;
    for part in &result.merchants {
        let labels = [result.command.name(), &part.merchant_id];
        let Dates { published, unchanged, skipped, failed, not_attempted, .. } = part.tally.dates;
        for (state, count) in
            [("published", published), ("unchanged", unchanged), ("skipped", skipped), ("failed", failed), ("not_attempted", not_attempted)]
        {
            days.with_label_values(&[labels[0], labels[1], state]).set(count as f64);
        }
        rows.with_label_values(&labels).set(part.tally.rows as f64);
        rejected.with_label_values(&labels).set(part.tally.rejected_rows as f64);
        bytes.with_label_values(&labels).set(part.tally.bytes_written as f64);
    }
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of this age stay far below 2^53")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}
