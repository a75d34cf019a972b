//! Runs any job: plans each merchant's days, walks them, and concludes with one result.
//!
//! A [`job`] says what to do about each day and how to read one. The walk reads and publishes several days in
//! parallel, bounded by [`shutdown`] and a breaker. A [`failure`] of any folder has one form here. [`result`] is what the
//! run prints. Knows neither the API nor what a file looks like.

mod breaker;
pub mod failure;
pub mod job;
pub mod outcome;
mod report;
pub mod result;
pub mod shutdown;
mod table;
mod walk;

use std::time::{Duration, Instant};

use futures::future::OptionFuture;
use tracing::{Instrument as _, Span};

use crate::calendar::{Clock, DateRange};
use crate::command::Command;
use crate::delta::held::HeldMerchant;
use crate::delta::update::{Known, Updated};
use crate::lake::backend::StagingFolder;
use crate::lake::ledger::MerchantLedger;
use crate::lake::merchant::Merchants;
use crate::lake::publish::Publisher;
use crate::lake::store::Lake;

use job::{Job, MerchantPlan, PlanError, RefusedMerchant, Unplanned, Walked};
use outcome::Observer;
use report::Report;
use result::{MerchantTally, Requests, RunResult, Stop, Tally, judge};
use shutdown::{Signals, signalled};
use table::Held;
use walk::Walk;

/// How a run of any job is carried out.
pub struct RunOptions {
    /// The command, for the result.
    pub command: Command,
    /// The run's id (UUIDv7).
    pub run_id: String,
    /// The lake's root, for the result and for messages.
    pub dest: String,
    /// Days processed in parallel.
    pub concurrency: usize,
    /// Decides whether a pay date has passed.
    pub clock: Clock,
    /// Whether the Delta table is brought up to date once the days are published.
    pub delta: bool,
}

/// Carries a job out to its end, one merchant after another, and returns the result.
pub async fn execute<J: Job>(job: &J, lake: &Lake, options: &RunOptions, observer: &dyn Observer, signals: Signals) -> RunResult {
    let began = Instant::now();
    let planned = async {
        let plans = planned(job, lake).await?;
        Ok::<_, PlanError>((plans, lake.begin(&options.run_id).await?))
    };
    let planned = tokio::select! {
        planned = planned => Some(planned),
        () = signalled(signals.clone()) => None,
    };
    let (walked, updated) = match planned {
        Some(Ok((plans, staging))) => {
            let mut walked = walk(job, plans, lake, options, observer, &signals).await;
            let held = std::mem::take(&mut walked.held);
            let updated = match walked.stop {
                None => table::bring_up_to_date(lake, held, Known::Some, &options.run_id, &options.clock, &signals).await,
                Some(_) => Updated::default(),
            };
            OptionFuture::from(staging.map(StagingFolder::remove)).await;
            (walked, updated)
        }
        Some(Err(error)) => (WalkedAll::none(job.unplanned(), Some(error.stop(&options.dest))), Updated::default()),
        None => (WalkedAll::none(job.unplanned(), None), Updated::default()),
    };
    lake.settle().await;
    let WalkedAll { reports, stop, .. } = walked;
    conclude(options, Ended { reports, stop, requests: job.requests(), range: job.unplanned().range, updated }, &signals, began)
}

/// What became of all plans.
struct WalkedAll {
    reports: Vec<Report>,
    /// What ended the run before its end.
    stop: Option<Stop>,
    /// What the lake holds of the merchants, for the Delta table; nothing if that is not wanted.
    held: Vec<Held>,
}

impl WalkedAll {
    /// No plan could be made.
    fn none(unplanned: Unplanned, stop: Option<Stop>) -> Self {
        Self { reports: not_attempted(unplanned), stop, held: Vec::new() }
    }
}

/// Carries out a run that publishes no day, and only brings the Delta table up to date with what the lake holds of these merchants;
/// of all its merchants, if none are named.
pub async fn execute_delta(merchants: &Merchants, lake: &Lake, options: &RunOptions, signals: Signals) -> RunResult {
    let began = Instant::now();
    let prepared = async {
        let holdings = lake.holdings_by_listing().await?;
        holdings.check(lake.dest(), merchants)?;
        let wanted = holdings.merchants().into_iter().filter(|merchant| merchants.include(merchant)).collect();
        let staging = lake.begin(&options.run_id).await?;
        Ok::<_, PlanError>((HeldMerchant::load(lake, &holdings.days, wanted, &options.run_id).await?, staging))
    };
    let prepared = tokio::select! {
        prepared = prepared => Some(prepared),
        () = signalled(signals.clone()) => None,
    };
    let (reports, stop, updated) = match prepared {
        Some(Ok((held, staging))) => {
            let reports = held.iter().map(|held| Report::new(held.api_id(), None, 0)).collect();
            let known = if merchants.named().is_empty() { Known::All } else { Known::Named };
            let held = held.into_iter().map(Ok).collect();
            let updated = table::bring_up_to_date(lake, held, known, &options.run_id, &options.clock, &signals).await;
            OptionFuture::from(staging.map(StagingFolder::remove)).await;
            (reports, None, updated)
        }
        Some(Err(error)) => (Vec::new(), Some(error.stop(&options.dest)), Updated::default()),
        None => (Vec::new(), None, Updated::default()),
    };
    lake.settle().await;
    conclude(options, Ended { reports, stop, requests: Requests::default(), range: None, updated }, &signals, began)
}

/// A merchant's plan, ready to be walked.
struct ReadyPlan<P> {
    plan: P,
    to_do: u64,
    has_rows: bool,
}

async fn planned<J: Job>(job: &J, lake: &Lake) -> Result<Vec<Result<ReadyPlan<J::Plan>, RefusedMerchant>>, PlanError> {
    let mut ready = Vec::new();
    for plan in job.plans(Some(lake)).await? {
        let plan = match plan {
            Ok(plan) => plan,
            Err(refused) => {
                ready.push(Err(refused));
                continue;
            }
        };
        let to_do = plan.days_to_do().count() as u64;
        let has_rows = to_do > 0 && plan.ledger().find_rows(lake).await?;
        ready.push(Ok(ReadyPlan { plan, to_do, has_rows }));
    }
    Ok(ready)
}

fn not_attempted(Unplanned { merchant_ids, range }: Unplanned) -> Vec<Report> {
    merchant_ids.into_iter().map(|merchant_id| Report::not_attempted(merchant_id, range)).collect()
}

/// Walks the plans, until one of them stops the run.
async fn walk<J: Job>(
    job: &J,
    plans: Vec<Result<ReadyPlan<J::Plan>, RefusedMerchant>>,
    lake: &Lake,
    options: &RunOptions,
    observer: &dyn Observer,
    signals: &Signals,
) -> WalkedAll {
    observer.planned(plans.iter().flatten().map(|ready| ready.to_do).sum());
    let walk = Walk { concurrency: options.concurrency, observer, signals: signals.clone() };
    let several = plans.len() > 1;
    let (mut reports, mut stop, mut held) = (Vec::new(), None, Vec::new());
    for plan in plans {
        let ReadyPlan { plan, to_do, has_rows } = match plan {
            Ok(ready) => ready,
            Err(refused) => {
                tracing::error!("{}", refused.reason);
                reports.push(Report::refused(&refused));
                continue;
            }
        };
        let merchant_id = plan.merchant().api_id();
        let span = if several { tracing::error_span!("merchant", id = merchant_id) } else { Span::none() };
        let mut report = Report::new(merchant_id, plan.range(), to_do);
        if stop.is_some() {
            report.finish();
        } else {
            let publisher = Publisher::new(lake, plan.ledger(), options.run_id.clone(), job.policy(), options.clock.clone(), has_rows);
            let reader = job.reader(lake, &plan, &options.run_id);
            let walked = async {
                let stop = walk.days(&reader, &publisher, plan.days_to_do(), &mut report).await;
                job.review(&plan, &Walked { found_no_row: report.found_no_row(), has_rows: publisher.has_rows() });
                save_index(plan.ledger(), lake, options, signals).await;
                stop
            };
            stop = walked.instrument(span).await;
            if options.delta && stop.is_none() {
                let of = HeldMerchant::of(plan.ledger(), lake).await;
                held.push(of.map_err(|error| (plan.merchant().api_id(), error)));
            }
        }
        reports.push(report);
    }
    WalkedAll { reports, stop, held }
}

/// Brings the ledger index up to date. After a signal there is little time for it, and the next run makes up for it.
async fn save_index(ledger: &MerchantLedger, lake: &Lake, options: &RunOptions, signals: &Signals) {
    const PATIENCE: Duration = Duration::from_millis(500);
    let hurried = async {
        signalled(signals.clone()).await;
        tokio::time::sleep(PATIENCE).await;
    };
    tokio::select! {
        () = ledger.save(lake, &options.run_id, options.delta) => {}
        () = hurried => {}
    }
}

/// All that a run leaves behind.
struct Ended {
    reports: Vec<Report>,
    stop: Option<Stop>,
    requests: Requests,
    /// The days that were requested, if they were named.
    range: Option<DateRange>,
    updated: Updated,
}

/// Adds up what became of each merchant's days.
fn conclude(options: &RunOptions, ended: Ended, signals: &Signals, began: Instant) -> RunResult {
    let Ended { reports, stop, requests, range, updated: Updated { change, failures: not_updated } } = ended;
    // a shard without merchants has no report
    let ranges = || reports.iter().filter_map(|report| report.range).chain(range.filter(|_| reports.is_empty()));
    let (from, to) = (ranges().map(|range| range.from).min(), ranges().map(|range| range.to).max());
    let mut tally = Tally::default();
    let (mut failures, mut updated, mut restated, mut merchants) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for report in reports {
        tally.add(&report.tally);
        failures.extend(report.failures);
        updated.extend(report.updated);
        restated.extend(report.restated);
        merchants.push(MerchantTally { merchant_id: report.merchant_id, tally: report.tally });
    }
    failures.extend(not_updated.into_iter().map(|(merchant_id, error)| table::reported(merchant_id, error)));
    failures.sort_by_key(|failure| failure.pay_date);
    updated.sort_by_key(|day| day.pay_date);
    restated.sort_by_key(|day| day.pay_date);
    let signal = *signals.borrow();
    let (exit_code, status) = judge(signal, stop.as_ref().map(|stop| stop.reason), &merchants, &failures);
    RunResult {
        command: options.command,
        run_id: options.run_id.clone(),
        status,
        exit_code,
        from,
        to,
        dest: options.dest.clone(),
        tally,
        updated,
        restated,
        failures,
        merchants,
        delta: change,
        requests,
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        error: stop.map(|stop| stop.message),
    }
}
