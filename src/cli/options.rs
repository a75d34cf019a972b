//! Flags of every command, and what several commands share in turning flags into settings.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use crate::settings::groups::OutputFormat;
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
    /// Format of the logs on stderr
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,
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
}

/// The format of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

/// The requested format, or the one that fits where stdout goes.
pub(super) fn output_format(requested: Option<OutputFormat>) -> OutputFormat {
    use std::io::IsTerminal as _;
    requested.unwrap_or(if std::io::stdout().is_terminal() { OutputFormat::Text } else { OutputFormat::Json })
}
