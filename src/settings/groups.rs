//! Every setting: its flag, its variable, its key in the settings file, and its help.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::parser::ValueSource;
use serde::Deserialize;

use crate::lake::publish::BadRows;
use crate::lang::Lang;
use crate::plan::Refetch;

use super::env;
use super::layer::{DateText, HumanDuration, Value, layer};

/// Which API to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Env {
    /// The live API
    Live,
    /// The vendor's test API
    Sandbox,
    /// The embedded API, on loopback; needs no credentials
    Simulator,
    /// A variable that is set but empty.
    #[value(name = "", hide = true)]
    #[serde(skip)]
    Blank,
}

impl Value for Env {
    fn is_blank(&self) -> bool {
        *self == Self::Blank
    }
}

/// The form of what a command prints on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// For people
    Text,
    /// One JSON line
    Json,
}

/// The format of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

impl Value for Lang {}
impl Value for LogFormat {}
impl Value for OutputFormat {}
impl Value for BadRows {}
impl Value for Refetch {}

layer! {
    /// The API to call.
    #[command(next_help_heading = "API")]
    pub(crate) struct ApiLayer {
        /// API to use [default: live]
        #[arg(long, env = env::ENV, hide_env_values = true)]
        env: Env,
        /// Root URL of another API (plain http only on loopback)
        #[arg(long, env = env::BASE_URL, value_name = "URL", hide_env_values = true)]
        base_url: String,
        /// The merchant's API id; its key is read from COOKIEPAY_API_KEY or COOKIEPAY_API_KEY_FILE
        #[arg(long, env = env::API_ID, value_name = "ID", hide_env_values = true)]
        api_id: String,
        /// Requests per second over the whole run, 0 for no limit [default: 10]
        #[arg(long, value_name = "N")]
        rate_limit: u32,
        /// Retries per pay date after the first attempt [default: 5]
        #[arg(long, value_name = "N")]
        retries: u32,
        /// Time limit, such as 500ms, 2s or 1m: an attempt fails if nothing arrives for this long, or if the body averages less than 1 KiB/s in this time [default: 60s]
        #[arg(long, value_name = "D")]
        timeout: HumanDuration,
        /// Give up if no connection is made within this time [default: 3s]
        #[arg(long, value_name = "D")]
        connect_timeout: HumanDuration,
    }
}

layer! {
    /// How responses are read.
    #[command(next_help_heading = "API")]
    pub(crate) struct ResponseLayer {
        /// Result code that means "no rows"; repeat for several [default: E008]
        #[arg(long = "empty-code", value_name = "C")]
        empty_codes: Vec<String>,
        /// Largest response accepted, in MiB after decompression [default: 4096]
        #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
        max_answer_mib: u64,
    }
}

layer! {
    /// The lake.
    #[command(next_help_heading = "Lake")]
    pub(crate) struct LakeLayer {
        /// The lake's root: a folder, file:// or s3://bucket/prefix (with the usual AWS_* variables)
        #[arg(long, env = env::DEST, value_name = "PATH|URL", hide_env_values = true)]
        dest: String,
    }
}

layer! {
    /// How days are processed.
    #[command(next_help_heading = "Run")]
    pub(crate) struct RunLayer {
        /// Pay dates processed in parallel [default: 4]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
        concurrency: u16,
        /// What to do with a row that cannot be read or belongs to another day [default: fail]
        #[arg(long, value_name = "HOW")]
        bad_rows: BadRows,
        /// Allow a response without rows to replace a day that had rows
        #[arg(long, num_args = 0, default_missing_value = "true")]
        allow_empty_replacement: bool,
        /// After the days are published, bring the Delta table under delta/ up to date
        #[arg(long, num_args = 0, default_missing_value = "true")]
        delta: bool,
    }
}

layer! {
    /// What is kept of a fetch.
    #[command(next_help_heading = "Run")]
    pub(crate) struct FetchLayer {
        /// Save responses as received, under raw/, except those that contain the API key or a token
        #[arg(long, num_args = 0, default_missing_value = "true")]
        keep_raw: bool,
    }
}

layer! {
    /// Which merchants a fetch processes.
    #[command(next_help_heading = "Run")]
    pub(crate) struct ShardLayer {
        /// Process only the merchants of shard I of N; merchants are assigned to shards by a hash of the API id [default: 1/1]
        #[arg(long, env = env::SHARD, value_name = "I/N", hide_env_values = true)]
        shard: String,
    }
}

layer! {
    /// Which days a backfill fetches.
    pub(crate) struct BackfillLayer {
        /// Days to fetch: those that are missing or not closed, only missing ones, or all [default: open]
        #[arg(long, value_name = "WHICH")]
        refetch: Refetch,
    }
}

layer! {
    /// Which days the daily job fetches.
    pub(crate) struct SyncLayer {
        /// First pay date to consider; a merchant's own in the settings file takes precedence [default: the lake's first]
        #[arg(long, value_name = "DATE")]
        since: DateText,
        /// Days after today in Seoul to fetch as well, for announced payouts [default: 7]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(..=3660))]
        ahead: u32,
        /// Fetch closed days again if their pay date is at most this many days ago, to find restatements [default: 7]
        #[arg(long, value_name = "DAYS")]
        lookback: u32,
        /// Fetch closed days again in turn, each once in 30 days, if their pay date is at most this many days ago; 0 for never [default: 365]
        #[arg(long, value_name = "DAYS")]
        recheck: u32,
    }
}

layer! {
    /// When an open day is overdue.
    pub(crate) struct SettleLayer {
        /// A day still open this many days after its pay date is overdue, and sync no longer fetches it [default: 60]
        #[arg(long, value_name = "DAYS")]
        settle_window: u32,
    }
}

layer! {
    /// What a run prints and writes.
    #[command(next_help_heading = "Output")]
    pub(crate) struct OutputLayer {
        /// Format of the result on stdout [default: text on a terminal, else json]
        #[arg(long, value_name = "FORMAT")]
        output: OutputFormat,
        /// Also write the JSON result to this file, even if the run fails
        #[arg(long, value_name = "PATH")]
        result_file: PathBuf,
    }
}

layer! {
    /// The language of texts for people.
    #[command(next_help_heading = "Output")]
    pub(crate) struct LangLayer {
        /// Language of texts for people [default: Korean if the locale is, else English]
        #[arg(long, value_name = "LANG")]
        lang: Lang,
    }
}

impl LangLayer {
    /// The language that is set, or else the locale's.
    pub(crate) fn lang(&self) -> Lang {
        self.lang.unwrap_or_else(|| Lang::of_locale(&env::locale()))
    }
}

layer! {
    /// How a command logs.
    #[command(next_help_heading = "Global")]
    pub(crate) struct LogLayer {
        /// Format of the logs on stderr [default: text]
        #[arg(long, global = true, value_name = "FORMAT")]
        log_format: LogFormat,
    }
}

layer! {
    /// Where a run is reported.
    #[command(next_help_heading = "Notification")]
    pub(crate) struct TelemetryLayer {
        /// Replace this file with Prometheus metrics of the run, for node_exporter's textfile collector (NAME.prom)
        #[arg(long, value_name = "PATH")]
        metrics_file: PathBuf,
        /// Post a JSON message to this URL if a run fails or restates days; works with Slack's incoming webhooks (if the URL is secret, set it through the environment variable)
        #[arg(long, env = env::NOTIFY_URL, value_name = "URL", hide_env_values = true)]
        notify_url: String,
    }
}

impl ApiLayer {
    /// If `--env simulator` is a flag and another API root only a variable, the flag decides: whoever chooses the simulator must not
    /// send a key elsewhere.
    pub(crate) fn prefer_simulator_flag(&mut self, flags: &clap::ArgMatches) {
        let env_is_flag = flags.value_source("env") == Some(ValueSource::CommandLine);
        if self.env == Some(Env::Simulator) && env_is_flag && flags.value_source("base_url") == Some(ValueSource::EnvVariable) {
            self.base_url = None;
        }
    }
}

/// Keys that only the settings file has.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct FileLayer {
    /// A file that holds the key.
    pub api_key_file: Option<PathBuf>,
    /// Several merchants, in place of the one API id.
    pub merchant: Vec<MerchantTable>,
}

impl FileLayer {
    pub(super) const KEYS: &'static [&'static str] = &["api_key_file", "merchant"];
}

/// A `[[merchant]]` table of the settings file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MerchantTable {
    /// What people call the merchant: for `--merchant`.
    pub name: String,
    /// Its API id.
    pub api_id: String,
    /// A file that holds its key.
    pub api_key_file: Option<PathBuf>,
    /// The environment variable that holds its key.
    pub api_key_env: Option<String>,
    /// The first pay date that the daily job considers for it.
    pub since: Option<DateText>,
    /// Requests per second of its own; otherwise it shares the run's.
    pub rate_limit: Option<u32>,
}
