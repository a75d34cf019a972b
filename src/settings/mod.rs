//! Raw settings (flags, environment, file) into validated ones, once, at the edge: later code neither checks nor applies defaults.
//!
//! A flag takes precedence over its variable, which takes precedence over the file named by `--config`, which takes precedence over
//! the default. [`groups`] declares every setting, `raw` merges the layers, and each family of commands has one validated type
//! here.

pub(crate) mod check;
pub(crate) mod env;
mod error;
pub mod groups;
mod layer;
mod merchants;
mod raw;
mod shard;
mod telemetry;

use std::path::PathBuf;
use std::time::Duration;

use chrono::{Days, NaiveDate};
use reqwest::Url;

use crate::calendar::{Clock, DateRange, seoul_date};
use crate::cookiepay::client::ClientConfig;
use crate::cookiepay::throttle::Throttle;
use crate::jobs::Reading;
use crate::lake::destination::Destination;
use crate::lake::merchant::Merchants;
use crate::lake::record::Environment;
use crate::plan::{Daily, Mode, SettleWindow};
use crate::simulator::{self, SimulatorArgs};

use check::defaults;
use groups::{Env, OutputFormat};

pub use error::SettingsError;
pub(crate) use error::setting;
pub use merchants::Merchant;
pub use raw::RawSettings;
#[cfg(test)]
pub(crate) use raw::augment;
pub(crate) use shard::Shard;
pub use telemetry::{LineageSettings, ParentRun, TelemetrySettings};

/// Which API is called, and how.
pub struct ApiSettings {
    /// The environment to which its days belong.
    pub environment: Environment,
    /// Where it is.
    pub root: Root,
    /// The merchants for which it is called: at least one, unless the shard has none.
    pub merchants: Vec<Merchant>,
    /// Result codes that mean "no rows".
    pub empty_codes: Vec<String>,
    timeout: Duration,
    connect_timeout: Duration,
    retries: u32,
    rate_limit: u32,
    max_response_bytes: u64,
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
    /// Checks the settings of the API for the merchants of a shard.
    ///
    /// # Errors
    /// The first setting that is absent or cannot be used.
    pub(crate) fn new(raw: &RawSettings, simulated: &SimulatorArgs, shard: Shard) -> Result<Self, SettingsError> {
        check::proxies()?;
        let (environment, root, merchants) = match (raw.api.base_url.as_deref(), raw.api.env.unwrap_or(Env::Live)) {
            (None, Env::Simulator) => {
                let (options, merchants) = merchants::embedded(raw, simulated, shard)?;
                (Environment::Simulator, Root::Embedded(options), merchants)
            }
            (Some(url), _) => (Environment::Custom, Root::Url(check::api_root(url)?), merchants::with_keys(raw, shard)?),
            (None, Env::Sandbox) => (Environment::Sandbox, Root::Url(check::api_root(SANDBOX)?), merchants::with_keys(raw, shard)?),
            (None, Env::Live | Env::Blank) => (Environment::Live, Root::Url(check::api_root(LIVE)?), merchants::with_keys(raw, shard)?),
        };
        Ok(Self {
            environment,
            root,
            merchants,
            empty_codes: check::empty_codes(&raw.responses),
            timeout: check::positive("--timeout", raw.api.timeout, defaults::TIMEOUT)?,
            connect_timeout: check::positive("--connect-timeout", raw.api.connect_timeout, defaults::CONNECT_TIMEOUT)?,
            retries: raw.api.retries.unwrap_or(defaults::RETRIES),
            rate_limit: raw.api.rate_limit.unwrap_or(defaults::RATE_LIMIT),
            max_response_bytes: check::max_response_bytes(&raw.responses)?,
        })
    }

    /// The pace of the whole run.
    #[must_use]
    pub fn pace(&self) -> Throttle {
        Throttle::new(self.rate_limit)
    }

    /// How to call the API at `base_url`, at this pace.
    #[must_use]
    pub fn client_config(&self, base_url: Url, pace: Throttle, clock: Clock) -> ClientConfig {
        ClientConfig {
            base_url,
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
            retries: self.retries,
            pace,
            max_response_bytes: self.max_response_bytes,
            clock,
        }
    }
}

/// The days that a fetch is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchRange {
    /// The first day; `None` for the lake's first day of each merchant.
    pub from: Option<NaiveDate>,
    /// The last day.
    pub to: NaiveDate,
    /// Which of the days are fetched.
    pub mode: Mode,
}

impl FetchRange {
    /// The range of `backfill`.
    #[must_use]
    pub fn backfill(range: DateRange, raw: &RawSettings) -> Self {
        Self { from: Some(range.from), to: range.to, mode: Mode::Backfill(raw.backfill.refetch.unwrap_or_default()) }
    }

    /// The range of `sync`.
    ///
    /// # Errors
    /// `--since` is not a date, or after the last day.
    pub fn sync(raw: &RawSettings, clock: &Clock) -> Result<Self, SettingsError> {
        let today = seoul_date(clock());
        let ahead = raw.sync.ahead.unwrap_or(defaults::AHEAD);
        let from = raw.sync.since.as_deref().map(|since| check::pay_date("--since", since)).transpose()?;
        let to = today.checked_add_days(Days::new(ahead.into())).unwrap_or(today);
        if let Some(since) = from.filter(|since| *since > to) {
            return setting(format!("--since {since} is after {to}, the last pay date to fetch (--ahead)"));
        }
        let lookback_days = raw.sync.lookback.unwrap_or(defaults::LOOKBACK);
        let recheck_days = raw.sync.recheck.unwrap_or(defaults::RECHECK);
        Ok(Self { from, to, mode: Mode::Sync(Daily { today, lookback_days, recheck_days, settle_window: settle_window(raw, today) }) })
    }
}

/// The settle window, as of a date in Seoul.
#[must_use]
pub fn settle_window(raw: &RawSettings, today: NaiveDate) -> SettleWindow {
    SettleWindow { today, days: raw.settle.settle_window.unwrap_or(defaults::SETTLE_WINDOW) }
}

/// What `backfill`, `sync` and `rebuild` have in common.
pub struct RunSettings {
    /// The lake's root.
    pub dest: Destination,
    /// Days processed in parallel.
    pub concurrency: usize,
    /// How responses are read.
    pub reading: Reading,
    /// Whether a response without rows may replace a day that had rows.
    pub allow_empty_replacement: bool,
    /// Whether the Delta table is brought up to date.
    pub delta: bool,
}

impl RunSettings {
    /// Checks the settings of a run.
    ///
    /// # Errors
    /// The first setting that is absent or cannot be used.
    pub fn new(raw: &RawSettings) -> Result<Self, SettingsError> {
        Ok(Self {
            dest: check::destination(&raw.lake)?,
            concurrency: check::concurrency(&raw.run)?,
            reading: Reading { empty_codes: check::empty_codes(&raw.responses), bad_rows: raw.run.bad_rows.unwrap_or_default() },
            allow_empty_replacement: raw.run.allow_empty_replacement.unwrap_or_default(),
            delta: raw.run.delta.unwrap_or_default(),
        })
    }
}

/// What a rebuild has beside [`RunSettings`].
pub struct RebuildSettings {
    /// Whose days.
    pub merchants: Merchants,
    /// The largest response accepted, in bytes, decompressed.
    pub max_response_bytes: u64,
}

impl RebuildSettings {
    /// Checks the settings of a rebuild.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn new(raw: &RawSettings) -> Result<Self, SettingsError> {
        Ok(Self { merchants: merchants::named(raw)?, max_response_bytes: check::max_response_bytes(&raw.responses)? })
    }
}

/// The settings of the commands that only read the lake.
pub struct ReadSettings {
    /// The lake's root.
    pub dest: Destination,
    /// Whose days.
    pub merchants: Merchants,
}

impl ReadSettings {
    /// Checks the settings of a command that reads the lake.
    ///
    /// # Errors
    /// The first setting that is absent or cannot be used.
    pub fn new(raw: &RawSettings) -> Result<Self, SettingsError> {
        Ok(Self { dest: check::destination(&raw.lake)?, merchants: merchants::named(raw)? })
    }
}

/// The settings of `check`: the API and the lake.
pub struct CheckSettings {
    /// The API.
    pub api: ApiSettings,
    /// The lake's root.
    pub dest: Destination,
    /// Whether runs write the Delta table.
    pub delta: bool,
}

impl CheckSettings {
    /// Checks the settings of `check`.
    ///
    /// # Errors
    /// The first setting that is absent or cannot be used.
    pub fn new(raw: &RawSettings, simulated: &SimulatorArgs) -> Result<Self, SettingsError> {
        let delta = raw.run.delta.unwrap_or_default();
        Ok(Self { api: ApiSettings::new(raw, simulated, Shard::WHOLE)?, dest: check::destination(&raw.lake)?, delta })
    }
}

/// Where a result goes.
#[derive(Debug, Clone, Default)]
pub struct OutputSettings {
    /// The format on stdout; `None` for the one that fits where stdout goes.
    pub format: Option<OutputFormat>,
    /// A file that also receives it.
    pub result_file: Option<PathBuf>,
}

impl OutputSettings {
    /// Checks where the result goes.
    ///
    /// # Errors
    /// The result file could not be written.
    pub fn new(raw: &RawSettings) -> Result<Self, SettingsError> {
        let result_file = raw.output.result_file.clone();
        result_file.as_deref().map_or(Ok(()), |path| check::writable_file("--result-file", path))?;
        Ok(Self { format: raw.output.output, result_file })
    }
}
