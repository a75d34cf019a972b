//! The walk over a range: what the lake has, what to ask for, the days in flight, and the result.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use futures::StreamExt as _;
use tokio::sync::watch;

use crate::api::client::Client;
use crate::errors::chain;
use crate::extract::{DayError, Extracted, Extractor, Landed, Policy, Undecided, Work, may_stand_beside, other_schema};
use crate::lake::error::LakeError;
use crate::lake::layout::{DayKey, MerchantName};
use crate::lake::record::Environment;
use crate::lake::store::{DayFile, Lake, day_files};
use crate::plan::{Action, Mode, PlannedDay, Range, Stored, plan};
use crate::result::{Dates, Failure, Kind, MerchantTally, Restated, RunResult, Stopped, Tally, judge};

/// Days in a row that fail for the same outside reason before a run stops asking.
const BREAKER_DAYS: u32 = 5;

/// How long days in flight may take to finish once a signal has come.
const GRACE: Duration = Duration::from_secs(3);
/// How much longer a day may take that is being published by then.
const PUBLISHING_GRACE: Duration = Duration::from_secs(1);

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
}

impl PlanError {
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
    for key in days.iter().rev() {
        if witnessed {
            break;
        }
        match lake.day(key).await {
            Ok(Some(file)) => {
                admit(key, &file, false, config.policy.environment)?;
                witnessed = true;
            }
            Ok(None) | Err(LakeError::Record { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(state)
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
        Ok((plan, proven, folder))
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
            if report.done > 0 && report.tally.rows == 0 && telling {
                tracing::warn!(
                    merchant_id = client.api_id(),
                    "the API answered no row for any day of this merchant: check that the API id is the right one"
                );
            }
        }
        Some(Err(error)) => {
            report.not_attempted();
            ended = Ended::of(&error, &config.dest);
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

/// What ended a run before its plan did.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    stopped: Option<Stopped>,
    error: Option<String>,
}

impl Ended {
    /// An error that left all of the plan undone.
    pub(crate) fn of(error: &PlanError, dest: &str) -> Self {
        Self { stopped: Some(error.stopped()), error: Some(error.told(dest)) }
    }

    /// This, or where it is nothing the other.
    pub(crate) fn or(self, other: Self) -> Self {
        if self.stopped.is_some() { self } else { other }
    }
}

/// Makes the result of what each merchant's days came to.
pub(crate) fn conclude(
    (command, run_id, dest): (&'static str, &str, &str),
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
    /// Does the plan's days, several at once, until all are done or something stops the run.
    pub(crate) async fn days(&self, work: &impl Work, plan: &[PlannedDay], report: &mut Report) -> Ended {
        let days: Vec<NaiveDate> = plan.iter().filter(|day| day.action != Action::Skip).map(|day| day.pay_date).collect();
        report.tally.dates.planned = plan.len() as u64;
        report.tally.dates.skipped = (plan.len() - days.len()) as u64;
        let breaker = Breaker::default();
        let mut undecided: Vec<Box<Undecided>> = Vec::new();
        let mut outcomes = futures::stream::iter(days)
            .map(|day| {
                let (breaker, signals) = (&breaker, self.signals.clone());
                async move {
                    if breaker.open() || signals.borrow().is_some() {
                        return Err(DayOutcome::NotAttempted(day));
                    }
                    let publishing = AtomicBool::new(false);
                    let Some(extracted) = within_grace(work.work(day, &publishing), &publishing, signals).await else {
                        return Err(DayOutcome::NotAttempted(day));
                    };
                    breaker.note(extracted.as_ref().err());
                    match extracted {
                        Ok(Extracted::Undecided(day)) => Ok(day),
                        Ok(Extracted::Landed(landed)) => Err(DayOutcome::Landed(landed)),
                        Err(error) => Err(DayOutcome::Failed(day, error)),
                    }
                }
            })
            .buffer_unordered(self.concurrency);
        while let Some(done) = outcomes.next().await {
            match done {
                Ok(day) => undecided.push(day),
                Err(outcome) => report.day(outcome, self.observer),
            }
        }
        drop(outcomes);
        let mut decided = futures::stream::iter(undecided)
            .map(|day| {
                let signals = self.signals.clone();
                async move {
                    let pay_date = day.pay_date();
                    let publishing = AtomicBool::new(false);
                    let decided = Box::pin(work.publisher().decide(*day, &publishing));
                    match within_grace(decided, &publishing, signals).await {
                        Some(Ok(landed)) => DayOutcome::Landed(Box::new(landed)),
                        Some(Err(error)) => DayOutcome::Failed(pay_date, error),
                        None => DayOutcome::NotAttempted(pay_date),
                    }
                }
            })
            .buffer_unordered(self.concurrency);
        while let Some(outcome) = decided.next().await {
            report.day(outcome, self.observer);
        }
        if !breaker.opened_by_lake() {
            return Ended::default();
        }
        let error = format!("the lake failed {BREAKER_DAYS} days in a row, and the run stopped");
        Ended { stopped: Some(Stopped::Lake), error: Some(error) }
    }
}

/// Returns when a signal has come.
pub(crate) async fn signalled(mut signals: watch::Receiver<Option<Signal>>) {
    if signals.wait_for(Option::is_some).await.is_err() {
        // no signal can come any more
        std::future::pending::<()>().await;
    }
}

/// Runs a day until it is done, or until a signal has come and the time to finish is over. A day that
/// is being published by then is waited for a little longer: the result should know of it.
async fn within_grace<T>(day: impl Future<Output = T>, publishing: &AtomicBool, signals: watch::Receiver<Option<Signal>>) -> Option<T> {
    let mut day = std::pin::pin!(day);
    tokio::select! {
        done = &mut day => return Some(done),
        () = signalled(signals) => {}
    }
    if let Ok(done) = tokio::time::timeout(GRACE, &mut day).await {
        return Some(done);
    }
    if !publishing.load(Ordering::Relaxed) {
        return None;
    }
    tokio::time::timeout(PUBLISHING_GRACE, day).await.ok()
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

    fn note(&self, error: Option<&DayError>) {
        if self.open() {
            return;
        }
        match error.map(|error| error.kind) {
            Some(Kind::Auth) => self.in_a_row.store(BREAKER_DAYS, Ordering::Relaxed),
            Some(kind @ (Kind::Upstream | Kind::RateLimit | Kind::Storage)) => {
                self.last_at_lake.store(kind == Kind::Storage, Ordering::Relaxed);
                self.in_a_row.fetch_add(1, Ordering::Relaxed);
            }
            Some(_) => {}
            None => self.in_a_row.store(0, Ordering::Relaxed),
        }
    }
}

/// Gathers what one merchant's days come to.
pub(crate) struct Report {
    merchant_id: String,
    /// The days planned.
    pub(crate) range: Option<Range>,
    tally: Tally,
    failures: Vec<Failure>,
    restated: Vec<Restated>,
    /// Days that landed.
    done: u64,
}

impl Report {
    pub(crate) fn new(merchant_id: &str, range: Option<Range>) -> Self {
        let dates = Dates { planned: range.map_or(0, Range::len), ..Dates::default() };
        let tally = Tally { dates, ..Tally::default() };
        Self { merchant_id: merchant_id.to_owned(), range, tally, failures: Vec::new(), restated: Vec::new(), done: 0 }
    }

    /// Nothing of the plan was done.
    pub(crate) fn not_attempted(&mut self) {
        self.tally.dates.not_attempted = self.tally.dates.planned;
    }

    fn day(&mut self, outcome: DayOutcome, observer: &dyn Observer) {
        observer.day(&outcome);
        let dates = &mut self.tally.dates;
        match outcome {
            DayOutcome::NotAttempted(_) => dates.not_attempted += 1,
            DayOutcome::Landed(landed) => {
                self.done += 1;
                if landed.written {
                    dates.published += 1;
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
            DayOutcome::Failed(pay_date, error) => {
                dates.failed += 1;
                let DayError { kind, message, attempts } = error;
                self.failures.push(Failure { merchant_id: self.merchant_id.clone(), pay_date, kind, message, attempts });
            }
        }
    }
}
