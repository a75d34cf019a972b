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
mod walk;

use std::time::Instant;

use futures::future::OptionFuture;
use tracing::{Instrument as _, Span};

use crate::calendar::Clock;
use crate::command::Command;
use crate::lake::backend::StagingFolder;
use crate::lake::publish::Publisher;
use crate::lake::store::Lake;

use job::{Job, MerchantPlan, PlanError, Unplanned, Walked};
use outcome::Observer;
use report::Report;
use result::{MerchantTally, Requests, RunResult, Stop, Tally, judge};
use shutdown::{Signals, signalled};
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
    let (reports, stop) = match planned {
        Some(Ok((plans, staging))) => {
            let walked = walk(job, plans, lake, options, observer, &signals).await;
            OptionFuture::from(staging.map(StagingFolder::remove)).await;
            walked
        }
        Some(Err(error)) => (not_attempted(job.unplanned()), Some(error.stop(&options.dest))),
        None => (not_attempted(job.unplanned()), None),
    };
    lake.settle().await;
    conclude(options, Ended { reports, stop, requests: job.requests() }, &signals, began)
}

/// A merchant's plan, ready to be walked.
struct ReadyPlan<P> {
    plan: P,
    to_do: u64,
    has_rows: bool,
}

async fn planned<J: Job>(job: &J, lake: &Lake) -> Result<Vec<ReadyPlan<J::Plan>>, PlanError> {
    let mut ready = Vec::new();
    for plan in job.plans(Some(lake)).await? {
        let to_do = plan.days_to_do().count() as u64;
        let has_rows = to_do > 0 && plan.known_rows().find_out(lake).await?;
        ready.push(ReadyPlan { plan, to_do, has_rows });
    }
    Ok(ready)
}

fn not_attempted(Unplanned { merchant_ids, range }: Unplanned) -> Vec<Report> {
    merchant_ids.into_iter().map(|merchant_id| Report::not_attempted(merchant_id, range)).collect()
}

/// Walks the plans, until one of them stops the run.
async fn walk<J: Job>(
    job: &J,
    plans: Vec<ReadyPlan<J::Plan>>,
    lake: &Lake,
    options: &RunOptions,
    observer: &dyn Observer,
    signals: &Signals,
) -> (Vec<Report>, Option<Stop>) {
    observer.planned(plans.iter().map(|ready| ready.to_do).sum());
    let walk = Walk { concurrency: options.concurrency, observer, signals: signals.clone() };
    let several = plans.len() > 1;
    let (mut reports, mut stop) = (Vec::new(), None);
    for ReadyPlan { plan, to_do, has_rows } in plans {
        let merchant_id = plan.merchant().api_id();
        let span = if several { tracing::error_span!("merchant", id = merchant_id) } else { Span::none() };
        let mut report = Report::new(merchant_id, plan.range(), to_do);
        if stop.is_some() {
            report.finish();
        } else {
            let publisher =
                Publisher::new(lake, plan.merchant().clone(), options.run_id.clone(), job.policy(), options.clock.clone(), has_rows);
            let reader = job.reader(lake, &plan, &options.run_id);
            let walked = async {
                let stop = walk.days(&reader, &publisher, plan.days_to_do(), &mut report).await;
                job.review(&plan, &Walked { found_no_row: report.found_no_row(), has_rows: publisher.has_rows() });
                stop
            };
            stop = walked.instrument(span).await;
        }
        reports.push(report);
    }
    (reports, stop)
}

/// All that a run leaves behind.
struct Ended {
    reports: Vec<Report>,
    stop: Option<Stop>,
    requests: Requests,
}

/// Adds up what became of each merchant's days.
fn conclude(options: &RunOptions, ended: Ended, signals: &Signals, began: Instant) -> RunResult {
    let Ended { reports, stop, requests } = ended;
    let ranges = || reports.iter().filter_map(|report| report.range);
    let (from, to) = (ranges().map(|range| range.from).min(), ranges().map(|range| range.to).max());
    let mut tally = Tally::default();
    let (mut failures, mut restated, mut merchants) = (Vec::new(), Vec::new(), Vec::new());
    for report in reports {
        tally.add(&report.tally);
        failures.extend(report.failures);
        restated.extend(report.restated);
        merchants.push(MerchantTally { merchant_id: report.merchant_id, tally: report.tally });
    }
    failures.sort_by_key(|failure| failure.pay_date);
    restated.sort_by_key(|day| day.pay_date);
    let signal = *signals.borrow();
    let (exit_code, status) = judge(signal, stop.as_ref().map(|stop| stop.reason), &tally, &failures);
    RunResult {
        command: options.command,
        run_id: options.run_id.clone(),
        status,
        exit_code,
        from,
        to,
        dest: options.dest.clone(),
        tally,
        restated,
        failures,
        merchants,
        requests,
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        error: stop.map(|stop| stop.message),
    }
}
