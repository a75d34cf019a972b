//! The progress bar: days done, rows, failures and the time left. On a terminal only.

use std::fmt::Write;
use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::engine::outcome::{DayFailed, DayOutcome, Observer};

static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// Runs `write` while the progress bar, if there is one, is hidden.
pub(super) fn suspended(write: impl FnOnce()) {
    match BAR.get() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Shows a run as it goes, and logs each day.
pub(super) struct Progress {
    shown: bool,
    /// Whether the result on stdout lists failures, so that logging each as well would show it twice.
    listed: bool,
    rows: AtomicU64,
    failed: AtomicU64,
}

impl Progress {
    /// Shows a bar if stderr is a terminal, unless `quiet`.
    pub(super) fn new(quiet: bool, listed: bool) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        Self { shown, listed, rows: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }

    /// Removes the bar.
    pub(super) fn finish() {
        if let Some(bar) = BAR.get() {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Progress {
    fn planned(&self, days: u64) {
        if !self.shown {
            return;
        }
        let bar = BAR.get_or_init(|| ProgressBar::new(days));
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} days · {msg} · {rate} · {eta} left");
        if let Ok(style) = style {
            // the template's own rate has four decimals
            let rate = |state: &ProgressState, out: &mut dyn Write| {
                let _ = write!(out, "{:.0} days/s", state.per_sec());
            };
            bar.set_style(style.with_key("rate", rate));
        }
        bar.set_message("0 rows");
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
    }

    fn day(&self, outcome: &DayOutcome) {
        match outcome {
            DayOutcome::Landed(day) => {
                self.rows.fetch_add(day.rows, Ordering::Relaxed);
                let what = if day.written { "published" } else { "unchanged" };
                tracing::info!(pay_date = %day.pay_date, rows = day.rows, bytes = day.bytes, "{what}");
            }
            DayOutcome::Failed(DayFailed { pay_date, failure, attempts }) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                if self.listed {
                    tracing::debug!(%pay_date, attempts, "failed: {}", failure.message());
                } else {
                    tracing::error!(%pay_date, attempts, "failed: {}", failure.message());
                }
            }
            DayOutcome::NotAttempted(pay_date) => tracing::debug!(%pay_date, "not attempted"),
        }
        if let Some(bar) = BAR.get() {
            let failed = match self.failed.load(Ordering::Relaxed) {
                0 => String::new(),
                failed => format!(", {failed} failed"),
            };
            bar.set_message(format!("{} rows{failed}", self.rows.load(Ordering::Relaxed)));
            bar.inc(1);
        }
    }
}
