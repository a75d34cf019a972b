//! Flags that several commands share. Types only; [`crate::settings`] checks what they say.

use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, ValueEnum};

use crate::lake::publish::BadRows;
use crate::settings::{Env, RawSettings, SettingsError, is_writable_file, names};
use crate::simulator::SimulatorArgs;

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}: write it as 2s, 500ms or 1m"))
}

/// Flags of every command.
#[derive(Debug, Args)]
pub(super) struct GlobalArgs {
    /// Read settings from this TOML file; flags and environment come before it
    #[arg(long, global = true, value_name = "PATH", help_heading = "Global")]
    pub(super) config: Option<PathBuf>,
    /// Only this [[merchant]] of the settings file; repeat for several [default: all]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global")]
    merchant: Vec<String>,
    /// Form of the logs on stderr
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", help_heading = "Global")]
    pub(super) log_format: LogFormat,
    /// Log more; twice for the HTTP stack as well
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Global")]
    pub(super) verbose: u8,
    /// Log errors alone, and show no progress
    #[arg(short, long, global = true, help_heading = "Global")]
    pub(super) quiet: bool,
}

impl GlobalArgs {
    /// The settings that a command's flags give, and where they say nothing those of the file.
    pub(super) fn settings(&self, flags: RawSettings) -> Result<RawSettings, SettingsError> {
        RawSettings { only: self.merchant.clone(), ..flags }.over_file(self.config.as_deref())
    }
}

/// Form of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// Form of what a command prints on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// For people
    Text,
    /// One JSON line
    Json,
}

/// Which API, as typed; a variable that is set to nothing says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum EnvArg {
    /// The live API
    Live,
    /// The vendor's test API
    Sandbox,
    /// The one embedded here, on loopback; needs no credentials
    Simulator,
    #[value(name = "", hide = true)]
    Unset,
}

impl EnvArg {
    fn named(self) -> Option<Env> {
        match self {
            Self::Live => Some(Env::Live),
            Self::Sandbox => Some(Env::Sandbox),
            Self::Simulator => Some(Env::Simulator),
            Self::Unset => None,
        }
    }
}

/// The API to ask.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "API")]
pub(super) struct ApiArgs {
    /// Which API to ask [default: live]
    #[arg(long, env = names::ENV, hide_env_values = true)]
    pub(super) env: Option<EnvArg>,
    /// Another API root (plain http on loopback alone)
    #[arg(long, env = names::BASE_URL, value_name = "URL", hide_env_values = true)]
    pub(super) base_url: Option<String>,
    /// The merchant's API id; its key comes from COOKIEPAY_API_KEY or COOKIEPAY_API_KEY_FILE
    #[arg(long, env = names::API_ID, value_name = "ID", hide_env_values = true)]
    pub(super) api_id: Option<String>,
    /// Requests a second over the whole run, 0 for no limit [default: 10]
    #[arg(long, value_name = "N")]
    pub(super) rate_limit: Option<u32>,
    /// More tries a day after the first [default: 5]
    #[arg(long, value_name = "N")]
    pub(super) retries: Option<u32>,
    /// Longest silence of the API, before or inside an answer, as 2s, 500ms, 1m; what comes slower than 1 KiB a second
    /// for so long is given up as well [default: 60s]
    #[arg(long, value_name = "D", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    /// Longest wait for a connection [default: 3s]
    #[arg(long, value_name = "D", value_parser = duration)]
    pub(super) connect_timeout: Option<Duration>,
    #[command(flatten)]
    pub(super) answers: AnswerArgs,
    /// What the simulator answers
    #[command(flatten)]
    pub(super) simulator: SimulatorArgs,
}

/// How answers are read.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "API")]
pub(super) struct AnswerArgs {
    /// A result code that means "no rows"; repeat for several [default: E008]
    #[arg(long, value_name = "C")]
    empty_code: Vec<String>,
    /// Largest answer taken, decompressed, in MiB [default: 4096]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    max_answer_mib: Option<u64>,
}

/// The lake.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Lake")]
pub(super) struct LakeArgs {
    /// The lake's root: a folder, file:// or s3://bucket/prefix (with the usual AWS_* variables)
    #[arg(long, env = names::DEST, value_name = "PATH|URL", hide_env_values = true)]
    pub(super) dest: Option<String>,
}

/// How a range is walked.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Run")]
pub(super) struct RunArgs {
    /// Days in flight [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) concurrency: Option<u16>,
    /// A row that cannot be read, or is another day's: fail its day, or publish the day without it [default: fail]
    #[arg(long, value_name = "HOW")]
    pub(super) bad_rows: Option<BadRows>,
    /// Let an empty answer replace a day that had rows
    #[arg(long)]
    pub(super) allow_empty_replacement: bool,
}

/// What a command prints.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Form of the result on stdout [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT")]
    pub(super) output: Option<OutputFormat>,
    /// Also write the JSON result to this file, however the run ends
    #[arg(long, value_name = "PATH")]
    pub(super) result_file: Option<PathBuf>,
}

/// Who is told how a run went.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reporting")]
pub(super) struct ReportingArgs {
    /// Replace this file with Prometheus metrics of the run, for node_exporter's textfile collector (NAME.prom)
    #[arg(long, value_name = "PATH")]
    metrics_file: Option<PathBuf>,
    /// Post a JSON message here where a run fails or restates days (fit for Slack's incoming webhooks; the variable
    /// keeps a secret URL off the command line)
    #[arg(long, env = names::NOTIFY_URL, value_name = "URL", hide_env_values = true)]
    notify_url: Option<String>,
}

impl ReportingArgs {
    /// The settings these flags give, over `settings`.
    pub(super) fn over(&self, settings: RawSettings) -> RawSettings {
        RawSettings { metrics_file: self.metrics_file.clone(), notify_url: self.notify_url.clone(), ..settings }
    }
}

impl OutputArgs {
    /// Refuses a result file that could not be written, before the run rather than after it.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        self.result_file.as_deref().map_or(Ok(()), |path| is_writable_file("--result-file", path))
    }

    /// The form asked for, or the one that fits where stdout goes.
    pub(super) fn format(&self) -> OutputFormat {
        output_format(self.output)
    }
}

/// The form asked for, or the one that fits where stdout goes.
pub(super) fn output_format(asked: Option<OutputFormat>) -> OutputFormat {
    use std::io::IsTerminal as _;
    asked.unwrap_or(if std::io::stdout().is_terminal() { OutputFormat::Text } else { OutputFormat::Json })
}

impl ApiArgs {
    /// Where `--env simulator` is a flag and another API root only a variable, the flag decides: nobody
    /// who asks for the simulator should send a key elsewhere.
    pub(super) fn settle_root(&mut self, given: &ArgMatches) {
        let env_is_flag = given.value_source("env") == Some(ValueSource::CommandLine);
        if self.env == Some(EnvArg::Simulator) && env_is_flag && given.value_source("base_url") == Some(ValueSource::EnvVariable) {
            self.base_url = None;
        }
    }

    /// The settings these flags give.
    pub(super) fn settings(&self) -> RawSettings {
        RawSettings {
            env: self.env.and_then(EnvArg::named),
            base_url: self.base_url.clone(),
            api_id: self.api_id.clone(),
            rate_limit: self.rate_limit,
            retries: self.retries,
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
            ..self.answers.over(RawSettings::default())
        }
    }
}

impl AnswerArgs {
    /// The settings these flags give, over `settings`.
    pub(super) fn over(&self, settings: RawSettings) -> RawSettings {
        RawSettings {
            empty_codes: Some(self.empty_code.clone()).filter(|codes| !codes.is_empty()),
            max_answer_mib: self.max_answer_mib,
            ..settings
        }
    }
}

impl RunArgs {
    /// The settings these flags give, over `settings`.
    pub(super) fn over(&self, settings: RawSettings) -> RawSettings {
        RawSettings {
            concurrency: self.concurrency,
            bad_rows: self.bad_rows,
            allow_empty_replacement: self.allow_empty_replacement.then_some(true),
            ..settings
        }
    }
}
