//! The simulator's flags as typed, and the same validated: later code checks nothing again.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use chrono::NaiveDate;

use super::dates;
use super::error::{MAX_ID_CHARS, MAX_KEY_CHARS, MAX_ROWS, OptionsError};
use super::faults::Faults;

const HEADING: &str = "Simulator";
const DEFAULT_SEED: u64 = 1;
const DEFAULT_ROWS: u64 = 40;
const DEFAULT_TOKEN_TTL: Duration = Duration::from_mins(10);

/// Flags of the simulated API, shared by `simulate` and the commands that fetch with `--env
/// simulator`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SimulatorArgs {
    /// Seed of the simulated rows and faults [default: 1]
    #[arg(long, value_name = "N", help_heading = HEADING)]
    pub sim_seed: Option<u64>,

    /// Rows on an average working day, or `=N` for exactly N on every day, weekends included
    /// [default: 40]
    #[arg(long, value_name = "N|=N", help_heading = HEADING)]
    pub sim_rows: Option<String>,

    /// A merchant's id and key that the simulator accepts (repeatable) [default:
    /// simulator=simulator-key]
    #[arg(long, value_name = "ID=KEY", help_heading = HEADING)]
    pub sim_merchant: Vec<String>,

    /// The simulator's today in Seoul, as YYYY-MM-DD [default: the clock's, at each request]
    #[arg(long, value_name = "DATE", help_heading = HEADING)]
    pub sim_today: Option<String>,

    /// How long a token stays valid, such as 90s or 10m [default: 10m]
    #[arg(long, value_name = "D", help_heading = HEADING)]
    pub sim_token_ttl: Option<String>,

    /// Requests per second that the simulator accepts, those for tokens included; the others receive status 429, with Retry-After
    /// [default: no limit]
    #[arg(long, value_name = "N", help_heading = HEADING, value_parser = clap::value_parser!(u32).range(1..))]
    pub sim_rate_limit: Option<u32>,

    /// What goes wrong (repeatable, first match wins): `KIND[@DATE][xN][:RATE]`, such as 500:0.2,
    /// 429+5s:0.1 or 503@2024-01-05x2. KIND is an HTTP status 400..599 (+5s adds Retry-After), cut,
    /// stall, reset, html, expire, code=E999, latency=200ms, token-STATUS or token-refused; @DATE
    /// limits it to one pay date, xN to the first N requests of each merchant's pay date (token-: of
    /// the run), :RATE to a share of requests from 0 to 1
    #[arg(long, value_name = "SPEC", help_heading = HEADING)]
    pub sim_fault: Vec<String>,
}

/// How many rows a pay date has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Volume {
    /// Rows on a working day, averaged over a year.
    Average(u64),
    /// Rows on every single day, which is then neither restated nor late.
    Exact(u64),
}

/// A merchant that may ask; its key stays out of every `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Merchant {
    pub(super) id: String,
    pub(super) key: String,
}

impl fmt::Debug for Merchant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merchant").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a simulator is started with: [`SimulatorArgs`] validated, or the defaults.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) seed: u64,
    pub(super) volume: Volume,
    /// At least one, no id twice.
    pub(super) merchants: Vec<Merchant>,
    /// `None`: the clock's.
    pub(super) today: Option<NaiveDate>,
    pub(super) token_ttl: Duration,
    /// Requests per second; `None` for no limit.
    pub(super) rate_limit: Option<NonZeroU32>,
    pub(super) faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: DEFAULT_SEED,
            volume: Volume::Average(DEFAULT_ROWS),
            merchants: vec![Merchant { id: "simulator".into(), key: "simulator-key".into() }],
            today: None,
            token_ttl: DEFAULT_TOKEN_TTL,
            rate_limit: None,
            faults: Faults::default(),
        }
    }
}

impl Options {
    /// The id and key of the first merchant.
    #[must_use]
    pub fn credentials(&self) -> (&str, &str) {
        // there is always one
        self.merchants.first().map_or(("", ""), |merchant| (&merchant.id, &merchant.key))
    }

    /// The same, with this merchant before the others.
    #[must_use]
    pub fn with_merchant(mut self, id: &str, key: &str) -> Self {
        self.merchants.retain(|merchant| merchant.id != id);
        self.merchants.insert(0, Merchant { id: id.to_owned(), key: key.to_owned() });
        self
    }
}

impl TryFrom<&SimulatorArgs> for Options {
    type Error = OptionsError;

    fn try_from(args: &SimulatorArgs) -> Result<Self, OptionsError> {
        let mut options = Self::default();
        options.seed = args.sim_seed.unwrap_or(options.seed);
        if let Some(text) = &args.sim_rows {
            options.volume = parse_volume(text).ok_or_else(|| OptionsError::Rows(text.clone()))?;
        }
        if !args.sim_merchant.is_empty() {
            options.merchants = parse_merchants(&args.sim_merchant)?;
        }
        if let Some(text) = &args.sim_today {
            options.today = Some(dates::parse(text).ok_or_else(|| OptionsError::Today(text.clone()))?);
        }
        if let Some(text) = &args.sim_token_ttl {
            options.token_ttl =
                humantime::parse_duration(text).ok().filter(|ttl| !ttl.is_zero()).ok_or_else(|| OptionsError::TokenTtl(text.clone()))?;
        }
        options.rate_limit = args.sim_rate_limit.and_then(NonZeroU32::new);
        options.faults = Faults::parse(&args.sim_fault)?;
        Ok(options)
    }
}

fn parse_volume(text: &str) -> Option<Volume> {
    let (digits, exact) = text.strip_prefix('=').map_or((text, false), |digits| (digits, true));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let rows = digits.parse().ok().filter(|rows| *rows <= MAX_ROWS)?;
    Some(if exact { Volume::Exact(rows) } else { Volume::Average(rows) })
}

fn parse_merchants(specs: &[String]) -> Result<Vec<Merchant>, OptionsError> {
    let mut merchants: Vec<Merchant> = Vec::with_capacity(specs.len());
    for spec in specs {
        let (id, key) = spec.split_once('=').unwrap_or((spec, ""));
        let fits = |text: &str, chars: usize| (1..=chars).contains(&text.chars().count());
        if !fits(id, MAX_ID_CHARS) || !fits(key, MAX_KEY_CHARS) {
            return Err(OptionsError::Merchant(id.into()));
        }
        if merchants.iter().any(|merchant| merchant.id == id) {
            return Err(OptionsError::MerchantTwice(id.into()));
        }
        merchants.push(Merchant { id: id.into(), key: key.into() });
    }
    Ok(merchants)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        simulator: SimulatorArgs,
    }

    fn options(line: &str) -> Result<Options, OptionsError> {
        let command = Command::try_parse_from(line.split_whitespace()).unwrap();
        Options::try_from(&command.simulator)
    }

    #[test]
    fn no_flags_are_the_defaults() {
        let options = options("command").unwrap();
        assert_eq!((options.seed, options.volume), (1, Volume::Average(40)));
        assert_eq!(options.merchants, [Merchant { id: "simulator".into(), key: "simulator-key".into() }]);
        assert_eq!((options.today, options.token_ttl, options.rate_limit), (None, Duration::from_mins(10), None));
    }

    #[test]
    fn reads_every_flag() {
        let options = options(
            "command --sim-seed 7 --sim-rows =1000 --sim-merchant m1=a=b --sim-merchant m2=c --sim-today 2024-01-05 \
             --sim-token-ttl 1m30s --sim-rate-limit 10 --sim-fault 500:0.2 --sim-fault cut",
        )
        .unwrap();
        assert_eq!((options.seed, options.volume), (7, Volume::Exact(1000)));
        assert_eq!(options.merchants[0], Merchant { id: "m1".into(), key: "a=b".into() });
        assert_eq!(options.merchants.len(), 2);
        assert_eq!(options.today, NaiveDate::from_ymd_opt(2024, 1, 5));
        assert_eq!((options.token_ttl, options.rate_limit), (Duration::from_secs(90), NonZeroU32::new(10)));
        assert_eq!(self::options("command --sim-rows==3").unwrap().volume, Volume::Exact(3));
    }

    #[test]
    fn an_error_names_the_flag_and_the_value_but_no_key() {
        for (line, start) in [
            ("--sim-rows -=5", "--sim-rows \"-=5\": expected N"),
            ("--sim-rows +5", "--sim-rows \"+5\": expected N"),
            ("--sim-rows 100000001", "--sim-rows \"100000001\": expected N"),
            ("--sim-merchant =secret", "--sim-merchant \"\": expected ID=KEY"),
            ("--sim-merchant m1=a --sim-merchant m1=b", "--sim-merchant \"m1\": duplicate"),
            ("--sim-today 2024-02-30", "--sim-today \"2024-02-30\": expected a date"),
            ("--sim-token-ttl 0s", "--sim-token-ttl \"0s\": expected a duration"),
            ("--sim-fault boom:0.1", "--sim-fault \"boom:0.1\": "),
        ] {
            let line = line.replacen("--sim-rows -", "--sim-rows=-", 1);
            let message = options(&format!("command {line}")).unwrap_err().to_string();
            assert!(message.starts_with(start), "{line}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
        let long = format!("--sim-merchant m1={}secret", "k".repeat(50));
        assert_eq!(options(&format!("command {long}")).unwrap_err(), OptionsError::Merchant("m1".into()));
    }

    #[test]
    fn keys_stay_out_of_debug() {
        assert!(!format!("{:?}", Options::default()).contains("simulator-key"));
    }
}
