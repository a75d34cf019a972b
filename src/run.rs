//! A run against the API: what the lake has, what to ask for, and whether it may write there.

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::NaiveDate;
use tokio::sync::watch;

use crate::api::client::Client;
use crate::errors::chain;
use crate::extract::{Extractor, Policy, Work, may_stand_beside, other_schema};
use crate::lake::error::LakeError;
use crate::lake::layout::{DayKey, MerchantName};
use crate::lake::record::Environment;
use crate::lake::store::{DayFile, Lake, day_files};
use crate::plan::{Action, Mode, PlannedDay, Range, Stored, plan};
use crate::result::{RunResult, Stopped};
use crate::walk::{Ended, Observer, Report, Signal, Walk, conclude, signalled};

/// What a run is to do.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// The command's name, for the result.
    pub command: &'static str,
    /// The run's id (`UUIDv7`).
    pub run_id: String,
    /// The lake's root, for the result.
    pub dest: String,
    /// The first day; none for the lake's first day of the merchant.
    pub from: Option<NaiveDate>,
    /// The last day.
    pub to: NaiveDate,
    /// What decides about each of them.
    pub mode: Mode,
    /// Days in flight.
    pub concurrency: usize,
    /// How days are extracted.
    pub policy: Policy,
}

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The lake.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The lake holds another environment's days.
    #[error("the lake holds days of the {found} API ({object}), and this run asks the {asked} one: choose another --dest or --env")]
    Environment {
        /// Of the lake.
        found: Environment,
        /// Of the run.
        asked: Environment,
        /// A file that says so.
        object: String,
    },
    /// The daily job does not know where to begin.
    #[error("the lake holds no day of merchant {0} yet: say with --since which pay date to begin with")]
    Since(String),
    /// A merchant that is named is not in the lake.
    #[error("the lake holds nothing of merchant {0}: check --api-id")]
    Unknown(String),
    /// A planned day's file has another schema.
    #[error("{0}")]
    Schema(String),
}

impl PlanError {
    /// What it means for the run.
    #[must_use]
    pub fn stopped(&self) -> Stopped {
        match self {
            Self::Environment { .. } | Self::Since(_) | Self::Unknown(_) => Stopped::Settings,
            Self::Lake(_) | Self::Schema(_) => Stopped::Lake,
        }
    }

    /// It left all of the plan undone.
    pub(crate) fn ended(&self, dest: &str) -> Ended {
        Ended { stopped: Some(self.stopped()), error: Some(self.told(dest)) }
    }

    /// In one line, with the lake's root where the lake is at fault.
    #[must_use]
    pub fn told(&self, dest: &str) -> String {
        match self {
            Self::Lake(error) => error.at(dest),
            error => chain(error),
        }
    }
}

/// What the lake has of a merchant, as far as a plan needs it.
pub struct LakeState {
    range: Range,
    stored: BTreeMap<NaiveDate, Stored>,
    /// Files of the merchant whose records were not read.
    unread: Vec<DayKey>,
    proven: bool,
}

/// Reads what a plan needs of the lake, and checks that the run may write there.
///
/// # Errors
/// Where the lake cannot be read, or holds what the run must not mix with.
pub async fn read_state(lake: Option<&Lake>, merchant: &MerchantName, config: &RunConfig) -> Result<LakeState, PlanError> {
    let days = match lake {
        Some(lake) => lake.days().await?,
        None => Vec::new(),
    };
    let first = || days.iter().find(|key| key.merchant == *merchant).map(|key| key.pay_date);
    let from = config.from.or_else(first).ok_or_else(|| PlanError::Since(merchant.api_id()))?;
    let range = Range { from, to: config.to.max(from) };
    let mut state = LakeState { range, stored: BTreeMap::new(), unread: Vec::new(), proven: false };
    let Some(lake) = lake else { return Ok(state) };
    let mut wanted = Vec::new();
    for key in &days {
        if key.merchant != *merchant {
            continue;
        }
        if range.contains(key.pay_date) && config.mode.reads_records() {
            wanted.push(key.clone());
        } else {
            if range.contains(key.pay_date) {
                state.stored.insert(key.pay_date, Stored::File);
            }
            state.unread.push(key.clone());
        }
    }
    let mut witnessed = false;
    for (key, file) in day_files(lake, wanted).await? {
        let stored = match file {
            Ok(file) => {
                admit(&key, &file, true, config.policy.environment)?;
                witnessed = true;
                state.proven |= file.record.rows > 0;
                Stored::Record(Box::new(file.record))
            }
            Err(reason) => Stored::Unreadable(reason),
        };
        state.stored.insert(key.pay_date, stored);
    }
    // where none of the planned days tells whose lake it is, any other day does
    if !witnessed && let Some((key, file)) = newest_file(lake, &days).await? {
        admit(&key, &file, false, config.policy.environment)?;
    }
    Ok(state)
}

/// The newest of these days, in their order, whose file can be read.
pub(crate) async fn newest_file(lake: &Lake, days: &[DayKey]) -> Result<Option<(DayKey, DayFile)>, LakeError> {
    for key in days.iter().rev() {
        match lake.day(key).await {
            Ok(Some(file)) => return Ok(Some((key.clone(), file))),
            Ok(None) | Err(LakeError::Record { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Checks a file that the run will stand beside; with `planned`, also one that it may replace.
fn admit(key: &DayKey, file: &DayFile, planned: bool, asked: Environment) -> Result<(), PlanError> {
    let found = file.record.environment;
    if found != asked {
        return Err(PlanError::Environment { found, asked, object: key.settlement().to_string() });
    }
    if planned && !may_stand_beside(file.fit) {
        return Err(PlanError::Schema(other_schema(key, &file.record)));
    }
    Ok(())
}

impl LakeState {
    /// The plan for the run's range.
    #[must_use]
    pub fn plan(&self, mode: Mode) -> Vec<PlannedDay> {
        plan(self.range, &self.stored, mode)
    }

    /// Whether the lake holds a day of the merchant that has rows; looks on where the plan's own
    /// records do not tell.
    async fn prove(&self, lake: &Lake) -> Result<bool, LakeError> {
        if self.proven { Ok(true) } else { any_rows(lake, &self.unread).await }
    }
}

/// Whether any of these days, in the order of days, has rows; newest first.
pub(crate) async fn any_rows(lake: &Lake, days: &[DayKey]) -> Result<bool, LakeError> {
    const AT_ONCE: usize = 64;
    let newest_first: Vec<DayKey> = days.iter().rev().cloned().collect();
    for keys in newest_first.chunks(AT_ONCE) {
        let files = day_files(lake, keys.to_vec()).await?;
        if files.iter().any(|(_, file)| file.as_ref().is_ok_and(|file| file.record.rows > 0)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Runs a plan to its end and gives the result.
pub async fn run(
    client: &Client,
    lake: &Lake,
    merchant: &MerchantName,
    config: &RunConfig,
    observer: &dyn Observer,
    signals: watch::Receiver<Option<Signal>>,
) -> RunResult {
    let began = Instant::now();
    let range = config.from.map(|from| Range { from, to: config.to.max(from) });
    let mut report = Report::new(client.api_id(), range);
    let planned = async {
        let state = read_state(Some(lake), merchant, config).await?;
        let folder = lake.begin(&config.run_id)?;
        let plan = state.plan(config.mode);
        let asks = plan.iter().any(|day| day.action != Action::Skip);
        let proven = asks && state.prove(lake).await?;
        Ok::<_, PlanError>((plan, proven, folder))
    };
    let planned = tokio::select! {
        planned = planned => Some(planned),
        () = signalled(signals.clone()) => None,
    };
    let mut ended = Ended::default();
    match planned {
        None => report.not_attempted(),
        Some(Ok((plan, proven, _folder))) => {
            report.range = plan.first().zip(plan.last()).map(|(first, last)| Range { from: first.pay_date, to: last.pay_date });
            let extractor = Extractor::new(client, lake, merchant.clone(), config.policy.clone(), config.run_id.clone(), proven);
            let walk = Walk { concurrency: config.concurrency, observer, signals: signals.clone() };
            observer.planned(plan.iter().filter(|day| day.action != Action::Skip).count() as u64);
            ended = walk.days(&extractor, &plan, &mut report).await;
            // the daily job often asks for nothing but days to come
            let telling = matches!(config.mode, Mode::Backfill(_)) || !extractor.publisher().proven();
            if report.found_no_row() && telling {
                tracing::warn!(
                    merchant_id = client.api_id(),
                    "the API answered no row for any day of this merchant: check that the API id is the right one"
                );
            }
        }
        Some(Err(error)) => {
            report.not_attempted();
            ended = error.ended(&config.dest);
        }
    }
    let counts = client.counts();
    RunResult {
        requests: counts.requests,
        retries: counts.retries,
        token_requests: counts.token_requests,
        ..conclude((config.command, &config.run_id, &config.dest), vec![report], ended, &signals, began)
    }
}
