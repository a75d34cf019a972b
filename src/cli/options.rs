//! Flags of every command, and what several commands share in turning flags into settings.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::command::Command;
use crate::settings::groups::{LogFormat, LogLayer, OutputFormat};
use crate::settings::{RawSettings, SettingsError};

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global")]
pub(super) struct GlobalArgs {
    /// Read settings from this TOML file; flags and environment variables take precedence
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Only this [[merchant]] of the settings file; repeat for several [default: all]
    #[arg(long, global = true, value_name = "NAME")]
    merchant: Vec<String>,
    #[command(flatten)]
    log: LogLayer,
    /// Log more; repeat to include the HTTP stack
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Log only errors, and show no progress bar
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
}

impl GlobalArgs {
    /// A command's flags, over the settings file.
    pub(super) fn settings(&self, flags: RawSettings) -> Result<RawSettings, SettingsError> {
        RawSettings { only: self.merchant.clone(), ..flags }.over_file(self.config.as_deref())
    }

    /// The format of the logs. They begin before the settings are checked; what is wrong with the file is reported then.
    pub(super) fn log_format(&self) -> LogFormat {
        let raw = RawSettings { log: self.log.clone(), ..RawSettings::default() }.over_file(self.config.as_deref());
        raw.map_or(self.log.log_format, |raw| raw.log.log_format).unwrap_or(LogFormat::Text)
    }
}

/// The format of what a command prints that only reads.
pub(super) fn read_format(raw: &RawSettings) -> OutputFormat {
    raw.output.output.unwrap_or(OutputFormat::Text)
}

/// The format of a run's result: the requested one, or the one that fits where stdout goes. Schedulers read the result of a run that
/// walks days; `delta` is typed by people.
pub(super) fn run_format(command: Command, requested: Option<OutputFormat>) -> OutputFormat {
    let is_for_people = command == Command::Delta || std::io::IsTerminal::is_terminal(&std::io::stdout());
    requested.unwrap_or(if is_for_people { OutputFormat::Text } else { OutputFormat::Json })
}
