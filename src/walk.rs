//! The walk over a plan: the days in flight, signals, when to stop asking, and what it all came to.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use futures::StreamExt as _;
use tokio::sync::watch;

use crate::calendar::DateRange;
use crate::command::Command;
use crate::extract::{DayError, Landed, Unproven, Work};
use crate::result::{Dates, Failure, Kind, MerchantTally, Restated, RunResult, Stopped, Tally, judge};

/// Days in a row that fail for the same outside reason before a run stops asking.
const BREAKER_DAYS: u32 = 5;

/// How long days in flight may take to finish once a signal has come.
const GRACE: Duration = Duration::from_secs(3);
/// How much longer a day may take that is being published by then.
const PUBLISHING_GRACE: Duration = Duration::from_secs(1);

/// A signal that asked the run to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

/// Sees a run as it goes.
pub trait Observer: Send + Sync {
    /// The plan is made: so many days will be asked for.
    fn planned(&self, days: u64);
    /// A day is done.
    fn day(&self, outcome: &DayOutcome);
}

/// What became of a day that was to be asked for.
#[derive(Debug, Clone)]
pub enum DayOutcome {
    /// In the lake.
    Landed(Box<Landed>),
    /// Failed.
    Failed(NaiveDate, DayError),
    /// Left out because the run stopped.
    NotAttempted(NaiveDate),
}

/// What ended a run before its plan did.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) stopped: Option<Stopped>,
    pub(crate) error: Option<String>,
}

/// Makes the result of what each merchant's days came to.
pub(crate) fn conclude(
    (command, run_id, dest): (Command, &str, &str),
    reports: Vec<Report>,
    ended: Ended,
    signals: &watch::Receiver<Option<Signal>>,
    began: Instant,
) -> RunResult {
    let signal = *signals.borrow();
    let stopped = match signal {
        Some(Signal::Interrupt) => Some(Stopped::Interrupt),
        Some(Signal::Terminate) => Some(Stopped::Terminate),
        None => ended.stopped,
    };
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
    let (exit_code, status) = judge(stopped, &tally, &failures);
    RunResult {
        command,
        run_id: run_id.to_owned(),
        status,
        exit_code,
        from,
        to,
        dest: dest.to_owned(),
        tally,
        restated,
        failures,
        merchants,
        requests: 0,
        retries: 0,
        token_requests: 0,
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        error: ended.error,
    }
}

/// How the days of a plan are gone through.
pub(crate) struct Walk<'a> {
    pub(crate) concurrency: usize,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) signals: watch::Receiver<Option<Signal>>,
}

impl Walk<'_> {
    /// Does these days, several at once, until all are done or something stops the run, which `ended` then
    /// says; none where something had stopped it before.
    pub(crate) async fn days(&self, work: &impl Work, days: impl Iterator<Item = NaiveDate>, report: &mut Report, ended: &mut Ended) {
        let mut unproven: Vec<Unproven> = Vec::new();
        let (breaker, grace, stopped) = (&Breaker::default(), &Grace::new(self.signals.clone()), ended.stopped.is_some());
        let goes_on = |_: &NaiveDate| !(stopped || breaker.open() || grace.has_begun());
        // two buffers: while days are published, as many others are asked for
        let read = futures::stream::iter(days.take_while(goes_on)).map(|day| async move {
            match grace.bound(work.read(day), &AtomicBool::new(false)).await {
                Some(Ok(read)) => Ok(read),
                Some(Err(error)) => {
                    breaker.failed(error.kind);
                    Err(DayOutcome::Failed(day, error))
                }
                None => Err(DayOutcome::NotAttempted(day)),
            }
        });
        let landed = read.buffer_unordered(self.concurrency).map(|read| async move {
            let read = match read {
                Ok(read) => read,
                Err(outcome) => return (outcome, None),
            };
            let day = read.pay_date();
            let publishing = AtomicBool::new(false);
            match grace.bound(Box::pin(work.publisher().land(read, &publishing)), &publishing).await {
                Some(Ok((landed, unproven))) => {
                    breaker.succeeded();
                    (DayOutcome::Landed(Box::new(landed)), unproven)
                }
                Some(Err(error)) => {
                    breaker.failed(error.kind);
                    (DayOutcome::Failed(day, error), None)
                }
                None => (DayOutcome::NotAttempted(day), None),
            }
        });
        let mut outcomes = landed.buffer_unordered(self.concurrency);
        while let Some((outcome, empty)) = outcomes.next().await {
            report.day(outcome, self.observer);
            unproven.extend(empty);
        }
        drop(outcomes);
        report.leave_the_rest();
        let closing = &Breaker::default();
        if work.publisher().proven() {
            self.close(work, unproven, (closing, grace), report).await;
        }
        if breaker.opened_by_lake() || closing.opened_by_lake() {
            let error = format!("the lake failed {BREAKER_DAYS} days in a row, and the run stopped");
            *ended = Ended { stopped: Some(Stopped::Lake), error: Some(error) };
        }
    }

    /// Closes days without rows that landed as open, now that the merchant is known to have a day with rows. What
    /// is left when the lake fails or a signal comes stays in the lake as open, and the next run asks for it.
    async fn close(&self, work: &impl Work, days: Vec<Unproven>, (breaker, grace): (&Breaker, &Grace), report: &mut Report) {
        let goes_on = |_: &Unproven| !(breaker.open() || grace.has_begun());
        let mut closed = futures::stream::iter(days.into_iter().take_while(goes_on))
            .map(|day| async move {
                let publishing = AtomicBool::new(false);
                let (pay_date, bytes) = (day.pay_date, day.bytes);
                let closed = grace.bound(Box::pin(work.publisher().close(day, &publishing)), &publishing).await;
                (pay_date, bytes, closed)
            })
            .buffer_unordered(self.concurrency);
        let mut count = 0u64;
        while let Some((pay_date, bytes, closed)) = closed.next().await {
            match closed {
                Some(Ok(Some(landed))) => {
                    breaker.succeeded();
                    count += 1;
                    report.closed(bytes, landed);
                }
                Some(Err(error)) => {
                    let message =
                        format!("the day is in the lake, without rows and as open, and could not be closed; run again: {}", error.message);
                    breaker.failed(error.kind);
                    report.not_closed(bytes, pay_date, DayError { message, ..error });
                }
                Some(Ok(None)) | None => {}
            }
        }
        if count > 0 {
            tracing::info!(days = count, "closed days without rows: the merchant has days with rows");
        }
    }
}

/// Returns when a signal has come.
pub(crate) async fn signalled(mut signals: watch::Receiver<Option<Signal>>) {
    if signals.wait_for(Option::is_some).await.is_err() {
        // no signal can come any more
        std::future::pending::<()>().await;
    }
}

/// The time that days in flight have once a signal has come.
struct Grace {
    signals: watch::Receiver<Option<Signal>>,
    until: OnceLock<tokio::time::Instant>,
}

impl Grace {
    fn new(signals: watch::Receiver<Option<Signal>>) -> Self {
        Self { signals, until: OnceLock::new() }
    }

    /// Whether a signal has come.
    fn has_begun(&self) -> bool {
        self.signals.borrow().is_some()
    }

    /// Runs a day's step until it is done, or until a signal has come and the time to finish is over. A
    /// day that is being published by then is waited for a little longer: the result should know of it.
    async fn bound<T>(&self, step: impl Future<Output = T>, publishing: &AtomicBool) -> Option<T> {
        let mut step = std::pin::pin!(step);
        tokio::select! {
            done = &mut step => return Some(done),
            () = signalled(self.signals.clone()) => {}
        }
        let until = *self.until.get_or_init(|| tokio::time::Instant::now() + GRACE);
        if let Ok(done) = tokio::time::timeout_at(until, &mut step).await {
            return Some(done);
        }
        if !publishing.load(Ordering::Relaxed) {
            return None;
        }
        tokio::time::timeout_at(until + PUBLISHING_GRACE, step).await.ok()
    }
}

/// Opens when asking on is pointless: the credentials were refused, or several days in a row failed
/// upstream or at the lake.
#[derive(Default)]
struct Breaker {
    in_a_row: AtomicU32,
    last_at_lake: AtomicBool,
}

impl Breaker {
    fn open(&self) -> bool {
        self.in_a_row.load(Ordering::Relaxed) >= BREAKER_DAYS
    }

    fn opened_by_lake(&self) -> bool {
        self.open() && self.last_at_lake.load(Ordering::Relaxed)
    }

    fn succeeded(&self) {
        if !self.open() {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
    }

    fn failed(&self, kind: Kind) {
        if !self.open() {
            match kind {
                Kind::Auth => self.in_a_row.store(BREAKER_DAYS, Ordering::Relaxed),
                Kind::Upstream | Kind::RateLimit | Kind::Storage => {
                    self.last_at_lake.store(kind == Kind::Storage, Ordering::Relaxed);
                    self.in_a_row.fetch_add(1, Ordering::Relaxed);
                }
                Kind::Contract | Kind::Guard | Kind::Internal => {}
            }
        }
    }
}

/// Gathers what one merchant's days come to.
pub(crate) struct Report {
    merchant_id: String,
    /// The days planned.
    pub(crate) range: Option<DateRange>,
    tally: Tally,
    failures: Vec<Failure>,
    restated: Vec<Restated>,
    /// Days that landed.
    done: u64,
}

impl Report {
    /// Of the range's days, so many are to be done.
    pub(crate) fn new(merchant_id: &str, range: Option<DateRange>, to_do: u64) -> Self {
        let planned = range.map_or(0, DateRange::len);
        let dates = Dates { planned, skipped: planned - to_do, ..Dates::default() };
        let tally = Tally { dates, ..Tally::default() };
        Self { merchant_id: merchant_id.to_owned(), range, tally, failures: Vec::new(), restated: Vec::new(), done: 0 }
    }

    /// Days landed, and none of them has a row.
    pub(crate) fn found_no_row(&self) -> bool {
        self.done > 0 && self.tally.rows == 0
    }

    /// The report of a merchant whose plan could not be made.
    pub(crate) fn not_attempted(merchant_id: &str, range: Option<DateRange>) -> Self {
        let mut report = Self::new(merchant_id, range, range.map_or(0, DateRange::len));
        report.leave_the_rest();
        report
    }

    /// Days of which nothing has come so far are not attempted any more.
    fn leave_the_rest(&mut self) {
        let Dates { planned, published, unchanged, skipped, failed, .. } = self.tally.dates;
        self.tally.dates.not_attempted = planned - published - unchanged - skipped - failed;
    }

    fn day(&mut self, outcome: DayOutcome, observer: &dyn Observer) {
        observer.day(&outcome);
        let dates = &mut self.tally.dates;
        match outcome {
            // counted with those that were not even begun
            DayOutcome::NotAttempted(_) => {}
            DayOutcome::Landed(landed) => {
                self.done += 1;
                if landed.written {
                    dates.published += 1;
                    self.tally.rows_written += landed.rows;
                } else {
                    dates.unchanged += 1;
                }
                dates.empty += u64::from(landed.rows == 0);
                self.tally.rows += landed.rows;
                self.tally.rejected_rows += landed.rejected_rows;
                self.tally.bytes_written += landed.bytes;
                self.restated.extend(landed.restated);
                for (sum, day) in self.tally.totals.iter_mut().zip(landed.sums) {
                    *sum += day;
                }
            }
            DayOutcome::Failed(pay_date, error) => self.failed(pay_date, error),
        }
    }

    fn failed(&mut self, pay_date: NaiveDate, error: DayError) {
        self.tally.dates.failed += 1;
        let DayError { kind, message, attempts } = error;
        self.failures.push(Failure { merchant_id: self.merchant_id.clone(), pay_date, kind, message, attempts });
    }

    /// A day without rows that landed as open, in so many bytes, was published once more, as closed.
    fn closed(&mut self, open_bytes: u64, landed: Landed) {
        if !landed.written {
            return;
        }
        if open_bytes == 0 {
            self.tally.dates.unchanged -= 1;
            self.tally.dates.published += 1;
        }
        // one file took the other's place
        self.tally.bytes_written = self.tally.bytes_written - open_bytes + landed.bytes;
        self.restated.extend(landed.restated);
    }

    /// It could not be.
    fn not_closed(&mut self, open_bytes: u64, pay_date: NaiveDate, error: DayError) {
        tracing::error!(%pay_date, "failed: {}", error.message);
        let dates = &mut self.tally.dates;
        *(if open_bytes > 0 { &mut dates.published } else { &mut dates.unchanged }) -= 1;
        dates.empty -= 1;
        self.done -= 1;
        self.failed(pay_date, error);
    }
}
