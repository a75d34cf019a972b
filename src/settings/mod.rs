//! Raw settings (flags, environment, file) into validated ones: later code never checks again.
//!
//! A flag beats its variable, which beats the file named by `--config`, which beats the default. The
//! first two are merged where flags are parsed; here come the file, the defaults and the checks.

mod merchants;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, Utc};
use reqwest::Url;
use serde::Deserialize;

use crate::calendar::DateRange;
use crate::cookiepay::client::ClientConfig;
use crate::cookiepay::http::is_loopback;
use crate::cookiepay::throttle::Throttle;
use crate::lake::destination::Destination;
use crate::lake::error::LakeError;
use crate::lake::merchant::NameError;
use crate::lake::publish::BadRows;
use crate::lake::record::Environment;
use crate::plan::Refetch;
use crate::settlement::values::parse_date;
use crate::simulator;

pub use merchants::{Merchant, MerchantTable, merchants_of};

/// The environment variables, beside the usual `AWS_*` of the destination.
pub mod names {
    /// Which API.
    pub const ENV: &str = "COOKIEPAY_ENV";
    /// Another API root.
    pub const BASE_URL: &str = "COOKIEPAY_BASE_URL";
    /// The merchant's API id.
    pub const API_ID: &str = "COOKIEPAY_API_ID";
    /// The key.
    pub const API_KEY: &str = "COOKIEPAY_API_KEY";
    /// A file that holds the key.
    pub const API_KEY_FILE: &str = "COOKIEPAY_API_KEY_FILE";
    /// The lake's root.
    pub const DEST: &str = "COOKIEPAY_DEST";
    /// Who is told of failures and restatements.
    pub const NOTIFY_URL: &str = "COOKIEPAY_NOTIFY_URL";
}

/// Settings that cannot be used; the message says what to change.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A setting that is needed and not given, or given and not usable.
    #[error("{0}")]
    Setting(String),
    /// A file that cannot be read.
    #[error("cannot read {what} {path}")]
    File {
        /// What the file is for.
        what: &'static str,
        /// Where it should be.
        path: String,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// The settings file is not the TOML that is expected.
    #[error("line {line} of the settings file {path}: {reason}")]
    Toml {
        /// The file.
        path: String,
        /// Where.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The API id cannot name files.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The destination is of no known form.
    #[error(transparent)]
    Destination(#[from] LakeError),
    /// The simulator's settings.
    #[error(transparent)]
    Simulator(#[from] simulator::OptionsError),
}

fn setting<T>(message: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError::Setting(message.into()))
}

/// Which API, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Env {
    /// The live API
    Live,
    /// The vendor's test API
    Sandbox,
    /// The one embedded here, on loopback; needs no credentials
    Simulator,
}

/// What may be set, before any of it is checked. The settings file has these keys, and no others.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSettings {
    /// Which API.
    pub env: Option<Env>,
    /// Another API root.
    pub base_url: Option<String>,
    /// The merchant's API id.
    pub api_id: Option<String>,
    /// A file that holds the key.
    pub api_key_file: Option<PathBuf>,
    /// The lake's root.
    pub dest: Option<String>,
    /// Which days to ask for again.
    pub refetch: Option<Refetch>,
    /// Days in flight.
    pub concurrency: Option<u16>,
    /// Requests a second.
    pub rate_limit: Option<u32>,
    /// More tries a day after the first.
    pub retries: Option<u32>,
    /// The longest silence.
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// The longest wait for a connection.
    #[serde(deserialize_with = "duration")]
    pub connect_timeout: Option<Duration>,
    /// Result codes that mean "no rows".
    pub empty_codes: Option<Vec<String>>,
    /// The largest answer taken, in MiB.
    pub max_answer_mib: Option<u64>,
    /// What is done about bad rows.
    pub bad_rows: Option<BadRows>,
    /// Whether an empty answer may replace a day that had rows.
    pub allow_empty_replacement: Option<bool>,
    /// Whether answers are kept as received.
    pub keep_raw: Option<bool>,
    /// A file for Prometheus metrics.
    pub metrics_file: Option<PathBuf>,
    /// Who is told of failures and restatements.
    pub notify_url: Option<String>,
    /// Several merchants, in place of the one API id.
    pub merchant: Vec<MerchantTable>,
    /// Names of those that the command is about; none for all.
    #[serde(skip)]
    pub only: Vec<String>,
}

fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

impl RawSettings {
    /// The settings that the text of a file gives; `path` is for its errors.
    ///
    /// # Errors
    /// What is not TOML, or has an unknown key.
    pub fn from_toml(text: &str, path: &str) -> Result<Self, SettingsError> {
        toml::from_str(text).map_err(|error| SettingsError::Toml {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count()),
            reason: error.message().to_owned(),
        })
    }

    /// These settings, and where they say nothing those of the file.
    ///
    /// # Errors
    /// A file that cannot be read or has an unknown key.
    pub fn over_file(mut self, path: Option<&Path>) -> Result<Self, SettingsError> {
        // a variable that is set to nothing says nothing
        for text in [&mut self.base_url, &mut self.api_id, &mut self.dest, &mut self.notify_url] {
            *text = text.take().filter(|text| !text.trim().is_empty());
        }
        let Some(path) = path else { return Ok(self) };
        let shown = path.display().to_string();
        let text =
            fs::read_to_string(path).map_err(|source| SettingsError::File { what: "the settings file", path: shown.clone(), source })?;
        let file = Self::from_toml(&text, &shown)?;
        Ok(Self {
            env: self.env.or(file.env),
            base_url: self.base_url.or(file.base_url),
            api_id: self.api_id.or(file.api_id),
            api_key_file: self.api_key_file.or(file.api_key_file),
            dest: self.dest.or(file.dest),
            refetch: self.refetch.or(file.refetch),
            concurrency: self.concurrency.or(file.concurrency),
            rate_limit: self.rate_limit.or(file.rate_limit),
            retries: self.retries.or(file.retries),
            timeout: self.timeout.or(file.timeout),
            connect_timeout: self.connect_timeout.or(file.connect_timeout),
            empty_codes: self.empty_codes.or(file.empty_codes),
            max_answer_mib: self.max_answer_mib.or(file.max_answer_mib),
            bad_rows: self.bad_rows.or(file.bad_rows),
            allow_empty_replacement: self.allow_empty_replacement.or(file.allow_empty_replacement),
            keep_raw: self.keep_raw.or(file.keep_raw),
            metrics_file: self.metrics_file.or(file.metrics_file),
            notify_url: self.notify_url.or(file.notify_url),
            merchant: file.merchant,
            only: self.only,
        })
    }
}

/// Defaults, as the help states them.
pub mod defaults {
    use std::time::Duration;

    /// Days in flight.
    pub const CONCURRENCY: u16 = 4;
    /// Requests a second.
    pub const RATE_LIMIT: u32 = 10;
    /// More tries a day after the first.
    pub const RETRIES: u32 = 5;
    /// The longest silence.
    pub const TIMEOUT: Duration = Duration::from_mins(1);
    /// The longest wait for a connection.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
    /// The result code that means "no rows".
    pub const EMPTY_CODE: &str = "E008";
    /// The largest answer taken, in MiB: some thirteen million rows.
    pub const MAX_ANSWER_MIB: u64 = 4096;
}

/// Which API is asked, and how.
pub struct ApiSettings {
    /// Which environment its days belong to.
    pub environment: Environment,
    /// Where it is.
    pub root: Root,
    /// Who asks: at least one.
    pub merchants: Vec<Merchant>,
    /// Result codes that mean "no rows".
    pub empty_codes: Vec<String>,
    timeout: Duration,
    connect_timeout: Duration,
    retries: u32,
    rate_limit: u32,
    max_answer_bytes: u64,
}

/// Where the API is.
pub enum Root {
    /// At this URL.
    Url(Url),
    /// To be started in this process.
    Embedded(simulator::Options),
}

const LIVE: &str = "https://www.cookiepayments.com";
const SANDBOX: &str = "https://sandbox.cookiepayments.com";

impl ApiSettings {
    /// Checks what is set of the API.
    ///
    /// # Errors
    /// The first setting that is missing or cannot be used.
    pub fn new(raw: &RawSettings, simulated: &simulator::SimulatorArgs) -> Result<Self, SettingsError> {
        let env = raw.env.unwrap_or(Env::Live);
        let (environment, root, merchants) = match (raw.base_url.as_deref(), env) {
            (None, Env::Simulator) => {
                let (options, merchants) = merchants::embedded(raw, simulated)?;
                (Environment::Simulator, Root::Embedded(options), merchants)
            }
            (Some(url), _) => (Environment::Custom, Root::Url(api_root(url)?), merchants::merchants(raw)?),
            (None, Env::Sandbox) => (Environment::Sandbox, Root::Url(api_root(SANDBOX)?), merchants::merchants(raw)?),
            (None, Env::Live) => (Environment::Live, Root::Url(api_root(LIVE)?), merchants::merchants(raw)?),
        };
        let retries = raw.retries.unwrap_or(defaults::RETRIES);
        Ok(Self {
            environment,
            root,
            merchants,
            empty_codes: empty_codes(raw),
            timeout: positive("--timeout", raw.timeout, defaults::TIMEOUT)?,
            connect_timeout: positive("--connect-timeout", raw.connect_timeout, defaults::CONNECT_TIMEOUT)?,
            retries,
            rate_limit: raw.rate_limit.unwrap_or(defaults::RATE_LIMIT),
            max_answer_bytes: max_answer_bytes(raw)?,
        })
    }

    /// The pace of the whole run.
    #[must_use]
    pub fn pace(&self) -> Throttle {
        Throttle::new(self.rate_limit)
    }

    /// How to ask the API at `base_url`, at this pace.
    #[must_use]
    pub fn client_config(&self, base_url: Url, pace: Throttle) -> ClientConfig {
        ClientConfig {
            base_url,
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
            retries: self.retries,
            pace,
            max_response_bytes: self.max_answer_bytes,
            clock: Arc::new(Utc::now),
        }
    }
}

/// Refuses a file that a flag names and that could not be written.
///
/// # Errors
/// A folder, or a file in a folder that is not there.
pub fn is_writable_file(flag: &str, path: &Path) -> Result<(), SettingsError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() || !folder.is_dir() {
        return setting(format!("{flag} {}: it must name a file in a folder that is there", path.display()));
    }
    Ok(())
}

fn positive(flag: &str, given: Option<Duration>, default: Duration) -> Result<Duration, SettingsError> {
    match given {
        Some(Duration::ZERO) => setting(format!("{flag} must be longer than nothing")),
        given => Ok(given.unwrap_or(default)),
    }
}

fn api_root(text: &str) -> Result<Url, SettingsError> {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return setting(format!("--base-url {text:?} is not a URL: {error}")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return setting("--base-url must not hold credentials");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return setting(format!("--base-url {text:?} must end with its path"));
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => setting(format!("--base-url {text:?} would send the key unencrypted: use https (plain http is for loopback alone)")),
        _ => setting(format!("--base-url {text:?} must begin with https://")),
    }
}

/// Reads `--dest`.
///
/// # Errors
/// No destination, or one of no known form.
pub fn destination(raw: &RawSettings) -> Result<Destination, SettingsError> {
    match raw.dest.as_deref() {
        Some(dest) => Ok(Destination::parse(dest)?),
        None => setting(format!("no destination: set --dest or {} to a folder or s3://bucket/prefix", names::DEST)),
    }
}

/// Reads `--empty-code`.
#[must_use]
pub fn empty_codes(raw: &RawSettings) -> Vec<String> {
    raw.empty_codes.clone().unwrap_or_else(|| vec![defaults::EMPTY_CODE.into()])
}

/// Reads `--max-answer-mib`, in bytes.
///
/// # Errors
/// None at all.
pub fn max_answer_bytes(raw: &RawSettings) -> Result<u64, SettingsError> {
    match raw.max_answer_mib {
        Some(0) => setting("--max-answer-mib must be at least 1"),
        given => Ok(given.unwrap_or(defaults::MAX_ANSWER_MIB).saturating_mul(1 << 20)),
    }
}

/// Reads `--concurrency`. Each day in flight holds a thread while its answer is read.
///
/// # Errors
/// None at all, or more than a process has threads for.
pub fn concurrency(raw: &RawSettings) -> Result<usize, SettingsError> {
    match raw.concurrency.unwrap_or(defaults::CONCURRENCY) {
        days @ 1..=256 => Ok(days.into()),
        days => setting(format!("--concurrency {days}: it must be from 1 to 256")),
    }
}

/// Reads `--from` and `--to`.
///
/// # Errors
/// A date that is none, or a range that runs backwards.
pub fn range(from: &str, to: &str) -> Result<DateRange, SettingsError> {
    let range = DateRange { from: pay_date("--from", from)?, to: pay_date("--to", to)? };
    if range.from > range.to {
        return setting(format!("--from {} is after --to {}", range.from, range.to));
    }
    Ok(range)
}

/// Reads a pay date, `YYYY-MM-DD` or `YYYYMMDD`.
///
/// # Errors
/// Any other text.
pub fn pay_date(flag: &str, text: &str) -> Result<NaiveDate, SettingsError> {
    let date = if matches!(text.len(), 8 | 10) { parse_date(text) } else { None };
    date.ok_or_else(|| SettingsError::Setting(format!("{flag} {text:?} is not a date: write it as 2024-01-31 or 20240131")))
}
