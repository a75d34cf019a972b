//! Logs, on stderr only, so that stdout is data.

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::settings::groups::LogFormat;

use super::options::GlobalArgs;
use super::progress;

/// Starts logging according to the flags.
pub(super) fn start(args: &GlobalArgs) {
    let terminal = io::stderr().is_terminal();
    let filter = match (args.quiet, args.verbose) {
        (true, _) => "error",
        // a progress bar shows what these lines would
        (_, 0) if terminal => "warn,cookiepay_etl=warn",
        (_, 0) => "warn,cookiepay_etl=info",
        (_, 1) => "info,cookiepay_etl=debug",
        (_, _) => "trace",
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(BesideProgress)
        .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none());
    match args.log_format() {
        LogFormat::Text => logs.with_target(args.verbose > 1).init(),
        LogFormat::Json => logs.json().init(),
    }
}

/// Writes whole lines to stderr, above the progress bar if there is one.
struct BesideProgress;

impl<'a> MakeWriter<'a> for BesideProgress {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Vec::new())
    }
}

struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // a log that cannot be written must not end the run
        progress::suspended(|| {
            let _ = io::stderr().write_all(&self.0);
        });
    }
}
