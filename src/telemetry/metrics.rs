//! The metrics file: Prometheus text, as node_exporter's textfile collector reads it. One file serves several commands and
//! lakes: a run replaces its own series and carries over the others.

use std::collections::BTreeMap;
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
    // another run that ends now must not lose its series
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _lock = fs::File::open(folder).and_then(|folder| folder.lock().map(|()| folder));
    let earlier = fs::read_to_string(path).unwrap_or_default();
    let success = if result.exit_code == ExitCode::Success { Some(now) } else { last_success(&earlier, result) };
    let own = text(result, now, success).map_err(io::Error::other)?;
    let text = merged(&own, &earlier, &labels_of(result));
    files::replace(path, |file| file.write_all(text.as_bytes()))
}

/// What every series of a run has in common, in the order in which the encoder writes labels.
fn labels_of(result: &RunResult) -> [String; 2] {
    let escaped = result.dest.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    [format!("command=\"{}\"", result.command.name()), format!("lake=\"{escaped}\"")]
}

/// When the command last succeeded in this lake, according to the file of an earlier run.
fn last_success(earlier: &str, result: &RunResult) -> Option<f64> {
    let labels = labels_of(result);
    // versions before 0.2 did not name the lake
    let is_own = |line: &&str| is_of(line, &labels) || (!line.contains("lake=\"") && is_of(line, &labels[..1]));
    let own = earlier.lines().filter(|line| line.starts_with(LAST_SUCCESS)).filter(is_own);
    own.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).next_back()
}

/// Whether a series has all of these labels.
fn is_of(series: &str, labels: &[String]) -> bool {
    labels.iter().all(|label| series.contains(&format!("{{{label}")) || series.contains(&format!(",{label}")))
}

/// This run's metrics, each with the series of other runs that an earlier file has; then the earlier file's other metrics.
fn merged(own: &str, earlier: &str, labels: &[String]) -> String {
    let mut carried: BTreeMap<&str, Family<'_>> = BTreeMap::new();
    for line in earlier.lines().filter(|line| !line.trim().is_empty()) {
        let (name, is_comment) = match line.strip_prefix("# ") {
            Some(comment) => (comment.split(' ').nth(1).unwrap_or_default(), true),
            None => (line.split(['{', ' ']).next().unwrap_or_default(), false),
        };
        let family = carried.entry(name).or_default();
        if is_comment {
            family.comments.push(line);
        } else if !is_of(line, labels) && line.contains("lake=\"") {
            family.series.push(line);
        }
    }
    let mut text = String::new();
    let mut lines = own.lines().peekable();
    while let Some(line) = lines.next() {
        text += line;
        text.push('\n');
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let more = lines.peek().is_some_and(|next| next.starts_with(&format!("{name}{{")));
        if !line.starts_with('#') && !more {
            for series in carried.remove(name).unwrap_or_default().series {
                text += series;
                text.push('\n');
            }
        }
    }
    for Family { comments, series } in carried.into_values().filter(|family| !family.series.is_empty()) {
        for line in comments.into_iter().chain(series) {
            text += line;
            text.push('\n');
        }
    }
    text
}

/// A metric of an earlier file.
#[derive(Default)]
struct Family<'a> {
    /// Its help and type.
    comments: Vec<&'a str>,
    series: Vec<&'a str>,
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats, and counts of a run stay far below 2^53")]
fn text(result: &RunResult, now: f64, success: Option<f64>) -> prometheus::Result<String> {
    let registry = Registry::new();
    let gauge = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<GaugeVec> {
        let gauge = GaugeVec::new(Opts::new(name, help), labels)?;
        registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    };
    let of_run = [result.command.name(), result.dest.as_str()];
    let whole = |name: &str, help: &str, value: f64| -> prometheus::Result<()> {
        gauge(&format!("cookiepay_etl_{name}"), help, &["command", "lake"])?.with_label_values(&of_run).set(value);
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
    whole("last_run_restated_days", "Days whose closed version was replaced by one with other content.", result.restated.len() as f64)?;
    whole("last_run_updated_days", "Days whose open version was replaced by one with other content.", result.updated.len() as f64)?;

    let days =
        gauge("cookiepay_etl_last_run_days", "Days of the last run by what became of them.", &["command", "lake", "merchant_id", "state"])?;
    let of_merchant = |name: &str, help: &str| gauge(&format!("cookiepay_etl_{name}"), help, &["command", "lake", "merchant_id"]);
    let rows = of_merchant("last_run_rows", "Rows of days published or unchanged.")?;
    let rejected = of_merchant("last_run_rejected_rows", "Rows that could not be read.")?;
    let bytes = of_merchant("last_run_written_bytes", "Bytes of Parquet written.")?;
    for part in &result.merchants {
        let labels = [of_run[0], of_run[1], &part.merchant_id];
        let Dates { published, unchanged, skipped, failed, not_attempted, .. } = part.tally.dates;
        for (state, count) in
            [("published", published), ("unchanged", unchanged), ("skipped", skipped), ("failed", failed), ("not_attempted", not_attempted)]
        {
            days.with_label_values(&[labels[0], labels[1], labels[2], state]).set(count as f64);
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
