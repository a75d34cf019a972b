//! A run against the API: what the lake has, what to ask for, and whether it may write there.

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::NaiveDate;
use futures::TryStreamExt as _;
use tokio::sync::watch;
use tracing::{Instrument as _, Span};

use crate::calendar::DateRange;
use crate::command::Command;
use crate::cookiepay::client::Client;
use crate::errors::chain;
use crate::extract::{Extractor, Policy, Work, may_stand_beside, other_schema};
use crate::lake::error::LakeError;
use crate::lake::layout::{DayKey, MerchantName};
use crate::lake::record::Environment;
use crate::lake::store::{DayFile, Lake, day_files};
use crate::plan::{Mode, Plan, Planned, PlannedDay, Stored};
use crate::result::{RunResult, Stopped};
use crate::walk::{Ended, Observer, Report, Signal, Walk, conclude, signalled};

/// What a run is to do.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// The command, for the result.
    pub command: Command,
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

/// A merchant whose days are asked for.
pub struct Asked {
    /// Asks for it.
    pub client: Client,
    /// Its id as files are named after it.
    pub merchant: MerchantName,
}

/// What a run does for one merchant.
pub struct RunPlan {
    /// The API id.
    merchant_id: String,
    /// What is done about each day.
    plan: Plan,
    /// Days that are asked for.
    asks: u64,
    /// Whether one of the records read is of a day that has rows.
    proven: bool,
    /// Files of the merchant whose records were not read.
    unread: Vec<DayKey>,
}

/// Plans a run from what the lake has of each merchant, and checks that it may write there: a listing,
/// and the records of the days in question.
///
/// # Errors
/// Where the lake cannot be read, or holds what the run must not mix with.
pub async fn plans(lake: Option<&Lake>, asked: &[Asked], config: &RunConfig) -> Result<Vec<RunPlan>, PlanError> {
    let days = match lake {
        Some(lake) => lake.days().await?,
        None => Vec::new(),
    };
    let mut plans = Vec::new();
    for asked in asked {
        plans.push(RunPlan::make(lake, &days, asked, config).await?);
    }
    Ok(plans)
}

impl RunPlan {
    /// `days` are all that the lake holds, in their order.
    async fn make(lake: Option<&Lake>, days: &[DayKey], Asked { client, merchant }: &Asked, config: &RunConfig) -> Result<Self, PlanError> {
        let first = || days.iter().find(|key| key.merchant == *merchant).map(|key| key.pay_date);
        let from = config.from.or_else(first).ok_or_else(|| PlanError::Since(merchant.api_id()))?;
        let range = DateRange { from, to: config.to.max(from) };
        let (mut wanted, mut unread, mut stored) = (Vec::new(), Vec::new(), BTreeMap::new());
        for key in days.iter().filter(|key| key.merchant == *merchant) {
            if range.contains(key.pay_date) && config.mode.reads_records() {
                wanted.push(key.clone());
            } else {
                if range.contains(key.pay_date) {
                    stored.insert(key.pay_date, Stored::File);
                }
                unread.push(key.clone());
            }
        }
        let (mut witnessed, mut proven) = (false, false);
        if let Some(lake) = lake {
            let mut files = std::pin::pin!(day_files(lake, wanted));
            while let Some((key, file)) = files.try_next().await? {
                let found = match file {
                    Ok(file) => {
                        admit(&key, &file, true, config.policy.environment)?;
                        witnessed = true;
                        proven |= file.record.rows > 0;
                        Stored::Record(file.record.into())
                    }
                    Err(reason) => Stored::Unreadable(reason),
                };
                stored.insert(key.pay_date, found);
            }
            // where none of the planned days tells whose lake it is, any other day does
            if !witnessed && let Some((key, file)) = newest_file(lake, days).await? {
                admit(&key, &file, false, config.policy.environment)?;
            }
        }
        let plan = Plan::new(range, stored, config.mode, client.now());
        let asks = plan.days_to_do().count() as u64;
        Ok(Self { merchant_id: merchant.api_id(), plan, asks, proven, unread })
    }

    /// Whether the lake holds a day of the merchant that has rows; looks on where the plan's own
    /// records do not tell.
    async fn prove(&self, lake: &Lake) -> Result<bool, LakeError> {
        if self.proven { Ok(true) } else { any_rows(lake, &self.unread).await }
    }
}

impl Planned for RunPlan {
    fn merchant_id(&self) -> String {
        self.merchant_id.clone()
    }

    fn days(&self) -> impl Iterator<Item = PlannedDay> {
        self.plan.days()
    }
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

/// Whether any of these days, in the order of days, has rows; newest first.
pub(crate) async fn any_rows(lake: &Lake, days: &[DayKey]) -> Result<bool, LakeError> {
    const AT_ONCE: usize = 64;
    let newest_first: Vec<DayKey> = days.iter().rev().cloned().collect();
    for keys in newest_first.chunks(AT_ONCE) {
        let mut files = std::pin::pin!(day_files(lake, keys.to_vec()));
        while let Some((_, file)) = files.try_next().await? {
            if file.is_ok_and(|file| file.record.rows > 0) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Runs the plans of these merchants to their end, one after another, and gives the result.
pub async fn run(
    asked: &[Asked],
    lake: &Lake,
    config: &RunConfig,
    observer: &dyn Observer,
    signals: watch::Receiver<Option<Signal>>,
) -> RunResult {
    let began = Instant::now();
    let planned = async {
        let plans = plans(Some(lake), asked, config).await?;
        let folder = lake.begin(&config.run_id)?;
        let mut proven = Vec::new();
        for plan in &plans {
            proven.push(plan.asks > 0 && plan.prove(lake).await?);
        }
        Ok::<_, PlanError>((plans, proven, folder))
    };
    let planned = tokio::select! {
        planned = planned => Some(planned),
        () = signalled(signals.clone()) => None,
    };
    let (mut reports, mut ended) = (Vec::new(), Ended::default());
    match planned {
        Some(Ok((plans, proven, _folder))) => {
            let walk = Walk { concurrency: config.concurrency, observer, signals: signals.clone() };
            observer.planned(plans.iter().map(|plan| plan.asks).sum());
            for ((asked, plan), proven) in asked.iter().zip(&plans).zip(proven) {
                // one merchant needs no telling apart
                let span = if plans.len() > 1 { tracing::error_span!("merchant", id = plan.merchant_id) } else { Span::none() };
                reports.push(days_of(asked, plan, proven, (lake, config), &walk, &mut ended).instrument(span).await);
            }
        }
        unplanned => {
            let range = config.from.map(|from| DateRange { from, to: config.to.max(from) });
            reports.extend(asked.iter().map(|asked| Report::not_attempted(asked.client.api_id(), range)));
            if let Some(Err(error)) = unplanned {
                ended = error.ended(&config.dest);
            }
        }
    }
    lake.settle().await;
    let mut result = conclude((config.command, &config.run_id, &config.dest), reports, ended, &signals, began);
    for Asked { client, .. } in asked {
        let counts = client.counts();
        result.requests += counts.requests;
        result.retries += counts.retries;
        result.token_requests += counts.token_requests;
    }
    result
}

/// Walks one merchant's days.
async fn days_of(
    Asked { client, merchant }: &Asked,
    plan: &RunPlan,
    proven: bool,
    (lake, config): (&Lake, &RunConfig),
    walk: &Walk<'_>,
    ended: &mut Ended,
) -> Report {
    let mut report = Report::new(client.api_id(), plan.plan.range(), plan.asks);
    let extractor = Extractor::new(client, lake, merchant.clone(), config.policy.clone(), config.run_id.clone(), proven);
    walk.days(&extractor, plan.plan.days_to_do(), &mut report, ended).await;
    // the daily job often asks for nothing but days to come
    let telling = matches!(config.mode, Mode::Backfill(_)) || !extractor.publisher().proven();
    if report.found_no_row() && telling {
        tracing::warn!(
            merchant_id = client.api_id(),
            "the API answered no row for any day of this merchant: check that the API id is the right one"
        );
    }
    report
}
