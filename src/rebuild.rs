//! Makes days again without asking the API: which ones, from what, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use chrono::NaiveDate;
use object_store::path::Path;
use tokio::sync::watch;

use crate::extract::{RebuildPolicy, Rebuilder, Source};
use crate::lake::error::LakeError;
use crate::lake::layout::{DayKey, MerchantName};
use crate::lake::store::{DayFile, Lake, day_files};
use crate::plan::{Action, PlannedDay, Range};
use crate::result::RunResult;
use crate::run::{Ended, Observer, PlanError, Report, Signal, Walk, any_rows, conclude, signalled};
use crate::settlement::columns::SchemaFit;

/// What a rebuild is to do.
#[derive(Debug, Clone)]
pub struct RebuildConfig {
    /// The run's id (`UUIDv7`).
    pub run_id: String,
    /// The lake's root, for the result.
    pub dest: String,
    /// Only this merchant; else every merchant in the lake.
    pub merchant: Option<MerchantName>,
    /// The days.
    pub range: Range,
    /// Days in flight.
    pub concurrency: usize,
    /// How days are made again.
    pub policy: RebuildPolicy,
}

/// One merchant's days.
pub struct RebuildPlan {
    /// Whose days.
    pub merchant: MerchantName,
    /// What is done about each day of the range.
    pub days: Vec<PlannedDay>,
    sources: BTreeMap<NaiveDate, (Source, Option<DayFile>)>,
    proven: bool,
}

/// Plans a rebuild: two listings, and what the files of the range say of themselves.
///
/// # Errors
/// Where the lake cannot be read.
pub async fn plan(lake: &Lake, config: &RebuildConfig) -> Result<Vec<RebuildPlan>, LakeError> {
    let stored = lake.days().await?;
    let mut answers = lake.newest_answers().await?;
    let known = stored.iter().map(|day| &day.key).chain(answers.keys());
    let mut merchants: BTreeSet<MerchantName> = known.map(|key| key.merchant.clone()).collect();
    if let Some(only) = &config.merchant {
        merchants = BTreeSet::from([only.clone()]);
    }
    let mut plans = Vec::new();
    for merchant in merchants {
        let of_merchant: Vec<DayKey> = stored.iter().map(|day| &day.key).filter(|key| key.merchant == merchant).cloned().collect();
        let wanted = of_merchant.iter().filter(|key| config.range.contains(key.pay_date)).cloned().collect();
        let mut files = BTreeMap::new();
        for (key, file) in day_files(lake, wanted).await {
            match file {
                Ok(Some(file)) => files.insert(key.pay_date, Ok(file)),
                Ok(None) => None,
                Err(LakeError::Record { reason, .. }) => files.insert(key.pay_date, Err(reason)),
                Err(error) => return Err(error),
            };
        }
        let mut plan = RebuildPlan { merchant, days: Vec::new(), sources: BTreeMap::new(), proven: false };
        for pay_date in config.range.days() {
            let answer = answers.remove(&DayKey { pay_date, merchant: plan.merchant.clone() });
            plan.add(pay_date, files.remove(&pay_date), answer);
        }
        plan.proven = plan.sources.values().any(|(_, file)| file.as_ref().is_some_and(|file| file.record.rows > 0))
            || (!plan.sources.is_empty() && any_rows(lake, &of_merchant).await?);
        plans.push(plan);
    }
    Ok(plans)
}

impl RebuildPlan {
    fn add(&mut self, pay_date: NaiveDate, file: Option<Result<DayFile, String>>, answer: Option<Path>) {
        let (source, reason) = match (answer, &file) {
            (Some(at), _) => {
                let reason = format!("from the answer {at}");
                (Some(Source::Answer(at)), reason)
            }
            (None, None) => (None, "neither the day nor an answer is in the lake".to_owned()),
            (None, Some(Ok(file))) => match file.fit {
                SchemaFit::Same => (None, "no answer was kept, and its schema is this version's".to_owned()),
                SchemaFit::Appended | SchemaFit::Widened => {
                    (Some(Source::Table), "from its own file, into this version's schema".to_owned())
                }
                SchemaFit::Other => (Some(Source::Table), "its schema is another, and no answer was kept".to_owned()),
            },
            (None, Some(Err(why))) => (Some(Source::Table), format!("no answer was kept, and its file cannot be read: {why}")),
        };
        let action = if source.is_some() { Action::Rebuild } else { Action::Skip };
        self.days.push(PlannedDay { pay_date, action, reason });
        if let Some(source) = source {
            self.sources.insert(pay_date, (source, file.and_then(Result::ok)));
        }
    }
}

/// Runs a rebuild to its end and gives the result.
pub async fn rebuild(lake: &Lake, config: &RebuildConfig, observer: &dyn Observer, signals: watch::Receiver<Option<Signal>>) -> RunResult {
    let began = Instant::now();
    let planned = async {
        let plans = plan(lake, config).await?;
        let folder = lake.begin(&config.run_id)?;
        Ok::<_, LakeError>((plans, folder))
    };
    let planned = tokio::select! {
        planned = planned => Some(planned),
        () = signalled(signals.clone()) => None,
    };
    let mut reports = Vec::new();
    let mut ended = Ended::default();
    match planned {
        Some(Ok((plans, _folder))) => {
            if plans.is_empty() {
                tracing::warn!("the lake holds no merchant's days, and no answers");
            }
            let walk = Walk { concurrency: config.concurrency, observer, signals: signals.clone() };
            observer.planned(plans.iter().map(|plan| plan.sources.len() as u64).sum());
            for RebuildPlan { merchant, days, sources, proven } in plans {
                let left = days.len() - sources.len();
                if left > 0 {
                    tracing::warn!(merchant_id = merchant.api_id(), days = left, "days of which no answer was kept are left as they are");
                }
                let mut report = Report::new(&merchant.api_id(), Some(config.range));
                let worker = Rebuilder::new(lake, merchant, config.run_id.clone(), config.policy.clone(), sources, proven);
                ended = ended.or(walk.days(&worker, &days, &mut report).await);
                reports.push(report);
            }
        }
        unplanned => {
            let mut report = Report::new(&config.merchant.as_ref().map(MerchantName::api_id).unwrap_or_default(), Some(config.range));
            report.not_attempted();
            reports.push(report);
            if let Some(Err(error)) = unplanned {
                ended = Ended::of(&PlanError::Lake(error), &config.dest);
            }
        }
    }
    conclude(("rebuild", &config.run_id, &config.dest), reports, ended, &signals, began)
}
