//! Makes days again without asking the API: which ones, from what, and why.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Instant;

use chrono::NaiveDate;
use futures::TryStreamExt as _;
use object_store::path::Path;
use tokio::sync::watch;

use crate::calendar::DateRange;
use crate::command::Command;
use crate::extract::{RebuildPolicy, Rebuilder, Remade, Source};
use crate::lake::layout::{DayKey, MerchantName, Merchants, is_damaged, time_of};
use crate::lake::record::Environment;
use crate::lake::store::{DayFile, Lake, day_files};
use crate::plan::{Action, Planned, PlannedDay};
use crate::result::RunResult;
use crate::run::{PlanError, any_rows, newest_file};
use crate::settlement::columns::SchemaFit;
use crate::walk::{Ended, Observer, Report, Signal, Walk, conclude, signalled};

/// What a rebuild is to do.
#[derive(Debug, Clone)]
pub struct RebuildConfig {
    /// The run's id (`UUIDv7`).
    pub run_id: String,
    /// The lake's root, for the result.
    pub dest: String,
    /// Whose days.
    pub merchants: Merchants,
    /// The days.
    pub range: DateRange,
    /// Days in flight.
    pub concurrency: usize,
    /// How days are made again.
    pub policy: RebuildPolicy,
}

/// One merchant's days.
pub struct RebuildPlan {
    merchant: MerchantName,
    range: DateRange,
    /// The days of which the lake has a file or an answer: why, and what is made again.
    known: BTreeMap<NaiveDate, (Cow<'static, str>, Option<Remade>)>,
    proven: bool,
}

impl Planned for RebuildPlan {
    fn merchant_id(&self) -> String {
        self.merchant.api_id()
    }

    fn days(&self) -> impl Iterator<Item = PlannedDay> {
        self.range.days().map(|pay_date| match self.known.get(&pay_date) {
            Some((reason, remade)) => {
                let action = if remade.is_some() { Action::Rebuild } else { Action::Skip };
                PlannedDay { pay_date, action, reason: reason.clone() }
            }
            None => PlannedDay { pay_date, action: Action::Skip, reason: NOTHING_KNOWN.into() },
        })
    }
}

const NOTHING_KNOWN: &str = "neither the day nor an answer is in the lake";

/// What a plan says of a lake.
pub struct Plans {
    /// By merchant.
    pub merchants: Vec<RebuildPlan>,
    /// Whose days the lake holds, where any file tells.
    environment: Option<Environment>,
}

/// Plans a rebuild: three listings, and what the files of the range say of themselves.
///
/// # Errors
/// Where the lake cannot be read, or holds nothing of the merchant that is named.
pub async fn plan(lake: &Lake, config: &RebuildConfig) -> Result<Plans, PlanError> {
    let stored = lake.days().await?;
    let (mut answers, mut history) = (lake.answers().await?, lake.history().await?);
    let known: BTreeSet<MerchantName> = stored.iter().chain(answers.keys()).map(|key| key.merchant.clone()).collect();
    let wanted = known.into_iter().filter(|merchant| config.merchants.include(merchant));
    let mut plans = Plans { merchants: Vec::new(), environment: None };
    for merchant in wanted {
        let of_merchant = stored.iter().filter(|key| key.merchant == merchant).cloned();
        let (in_range, others): (Vec<DayKey>, Vec<DayKey>) = of_merchant.partition(|key| config.range.contains(key.pay_date));
        let mut files: BTreeMap<DayKey, Result<DayFile, String>> = day_files(lake, in_range).try_collect().await?;
        let mut records = files.values().flatten().map(|file| &file.record);
        plans.environment = plans.environment.or(records.clone().next().map(|record| record.environment));
        let proven = records.any(|record| record.rows > 0) || any_rows(lake, &others).await?;
        let mut plan = RebuildPlan { merchant, range: config.range, known: BTreeMap::new(), proven };
        let answered = answers.keys().filter(|key| key.merchant == plan.merchant && config.range.contains(key.pay_date));
        let keys: BTreeSet<DayKey> = files.keys().chain(answered).cloned().collect();
        for key in keys {
            let newest_first = answers.remove(&key).into_iter().flatten().rev().collect();
            plan.add(&key, files.remove(&key), newest_first, history.remove(&key).unwrap_or_default());
        }
        plans.merchants.push(plan);
    }
    let unknown = config.merchants.named().iter().filter(|named| !plans.merchants.iter().any(|plan| plan.merchant == **named));
    for merchant in unknown {
        if plans.merchants.is_empty() {
            return Err(PlanError::Unknown(merchant.api_id()));
        }
        tracing::warn!(merchant_id = merchant.api_id(), "the lake holds nothing of this merchant");
    }
    if plans.environment.is_none() {
        plans.environment = newest_file(lake, &stored).await?.map(|(_, file)| file.record.environment);
    }
    Ok(plans)
}

impl RebuildPlan {
    fn add(&mut self, key: &DayKey, file: Option<Result<DayFile, String>>, answers: Vec<Path>, history: Vec<Path>) {
        let at = key.settlement();
        let newest = answers.first().cloned();
        let time = newest.as_ref().and_then(time_of);
        let is_later = |file: &DayFile| answers.is_empty() || time.is_some_and(|time| file.record.extracted_at > time);
        let replaced_later = history.iter().rev().find(|version| !is_damaged(version) && time_of(version) > time);
        let (source, reason) = match (newest, &file) {
            (newest, Some(Ok(file))) if is_later(file) => {
                let why = newest.map_or_else(|| "no answer was kept".into(), |newest| format!("it is of a later answer than {newest}"));
                match file.fit {
                    SchemaFit::Same => (None, format!("{why}, and its schema is this version's")),
                    SchemaFit::Appended | SchemaFit::Widened => {
                        (Some(Source::Table), "from its own file, into this version's schema".to_owned())
                    }
                    SchemaFit::Other => nothing(format!(
                        "{at} cannot be carried over into this version's schema, and {why}: fetch the day again into another --dest"
                    )),
                }
            }
            (Some(newest), Some(Err(_)) | None) if let Some(later) = replaced_later => nothing(format!(
                "{at} is missing or cannot be read, and {later} was of a later answer than {newest}, the newest that was kept: fetch the day again"
            )),
            (Some(newest), _) => (Some(Source::Answers(answers)), format!("from the answer {newest}")),
            (None, Some(Err(why))) => {
                nothing(format!("{at} cannot be read ({why}), and no answer was kept: fetch the day again with backfill"))
            }
            (None, _) => (None, NOTHING_KNOWN.to_owned()),
        };
        let remade = source.map(|source| Remade { source, stored: file.and_then(Result::ok), history });
        self.known.insert(key.pay_date, (reason.into(), remade));
    }
}

fn nothing(why: String) -> (Option<Source>, String) {
    let reason = format!("cannot be made again: {why}");
    (Some(Source::Nothing(why)), reason)
}

/// Runs a rebuild to its end and gives the result.
pub async fn rebuild(lake: &Lake, config: &RebuildConfig, observer: &dyn Observer, signals: watch::Receiver<Option<Signal>>) -> RunResult {
    let began = Instant::now();
    let planned = async {
        let plans = plan(lake, config).await?;
        let folder = lake.begin(&config.run_id)?;
        Ok::<_, PlanError>((plans, folder))
    };
    let planned = tokio::select! {
        planned = planned => Some(planned),
        () = signalled(signals.clone()) => None,
    };
    let mut reports = Vec::new();
    let mut ended = Ended::default();
    match planned {
        Some(Ok((plans, _folder))) => {
            let environment = plans.environment.map_or_else(OnceLock::new, OnceLock::from);
            let plans = plans.merchants;
            if plans.is_empty() {
                tracing::warn!("the lake holds no merchant's days, and no answers");
            }
            let walk = Walk { concurrency: config.concurrency, observer, signals: signals.clone() };
            let remade = |plan: &RebuildPlan| plan.known.values().filter(|(_, remade)| remade.is_some()).count() as u64;
            observer.planned(plans.iter().map(remade).sum());
            for plan in plans {
                let to_do = remade(&plan);
                let RebuildPlan { merchant, range, known, proven } = plan;
                let left = range.len() - to_do;
                if left > 0 {
                    tracing::warn!(
                        merchant_id = merchant.api_id(),
                        days = left,
                        "days are left as they are: no answer was kept of them, or none as late as their file"
                    );
                }
                let mut report = Report::new(&merchant.api_id(), Some(range), to_do);
                let remade: BTreeMap<NaiveDate, Remade> =
                    known.into_iter().filter_map(|(pay_date, (_, remade))| Some((pay_date, remade?))).collect();
                let days: Vec<NaiveDate> = remade.keys().copied().collect();
                let worker = Rebuilder::new(lake, merchant, config.run_id.clone(), config.policy.clone(), remade, (proven, &environment));
                walk.days(&worker, days.into_iter(), &mut report, &mut ended).await;
                reports.push(report);
            }
        }
        unplanned => {
            let named = config.merchants.named().iter().map(MerchantName::api_id);
            let named: Vec<String> = if config.merchants.named().is_empty() { vec![String::new()] } else { named.collect() };
            reports.extend(named.iter().map(|merchant_id| Report::not_attempted(merchant_id, Some(config.range))));
            if let Some(Err(error)) = unplanned {
                ended = error.ended(&config.dest);
            }
        }
    }
    lake.settle().await;
    conclude((Command::Rebuild, &config.run_id, &config.dest), reports, ended, &signals, began)
}
