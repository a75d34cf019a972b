//! Walks one merchant's days: several in parallel, until all are done, a signal is received or going on is pointless.

use chrono::NaiveDate;
use futures::StreamExt as _;

use crate::lake::publish::{Landed, PublishError, Publisher, StagedDay, Unproven};

use super::breaker::{BREAKER_DAYS, Breaker};
use super::failure::Failure;
use super::job::{DayRead, ReadDay};
use super::outcome::{DayFailed, DayOutcome, Observer};
use super::report::Report;
use super::result::{Stop, StopReason};
use super::shutdown::{Grace, Signals};

/// How days are walked.
pub(super) struct Walk<'a> {
    pub(super) concurrency: usize,
    pub(super) observer: &'a dyn Observer,
    pub(super) signals: Signals,
}

/// A day that was read.
struct Fetched {
    day: StagedDay,
    attempts: u32,
}

/// A day that is in the lake, and what is needed to close it at the end of the walk, if it may be closed then.
struct Done {
    outcome: DayOutcome,
    unproven: Option<Unproven>,
}

impl From<DayOutcome> for Done {
    fn from(outcome: DayOutcome) -> Self {
        Self { outcome, unproven: None }
    }
}

/// A day without rows that is in the lake as open until the end of the walk.
struct Provisional {
    landed: Box<Landed>,
    unproven: Unproven,
}

impl Walk<'_> {
    /// Walks these days and adds what became of them to `report`. Returns why the whole run must stop, if it must.
    pub(super) async fn days(
        &self,
        reader: &impl ReadDay,
        publisher: &Publisher<'_>,
        days: impl Iterator<Item = NaiveDate>,
        report: &mut Report,
    ) -> Option<Stop> {
        let (breaker, grace) = (&Breaker::default(), &Grace::new(self.signals.clone()));
        let goes_on = |_: &NaiveDate| !(breaker.is_open() || grace.has_begun());
        // two buffers: while days are published, as many others are read
        let mut done = futures::stream::iter(days.take_while(goes_on))
            .map(|day| read(reader, day, breaker, grace))
            .buffer_unordered(self.concurrency)
            .map(|read| async move {
                match read {
                    Ok(fetched) => land(publisher, fetched, breaker, grace).await,
                    Err(outcome) => outcome.into(),
                }
            })
            .buffer_unordered(self.concurrency);
        let mut provisional = Vec::new();
        while let Some(Done { outcome, unproven }) = done.next().await {
            self.observer.day(&outcome);
            match (outcome, unproven) {
                (DayOutcome::Landed(landed), Some(unproven)) => provisional.push(Provisional { landed, unproven }),
                (outcome, _) => report.add(outcome),
            }
        }
        drop(done);
        let closing = &Breaker::default();
        self.settle(publisher, provisional, closing, grace, report).await;
        report.finish();
        (breaker.was_opened_by_lake() || closing.was_opened_by_lake()).then(|| Stop {
            reason: StopReason::Lake,
            message: format!("the lake failed {BREAKER_DAYS} days in a row, and the run stopped"),
        })
    }

    /// Closes days without rows that landed as open, if the merchant is now known to have a day with rows. Those that are
    /// left when the lake fails or a signal is received stay in the lake as open, and the next run fetches them.
    async fn settle(&self, publisher: &Publisher<'_>, days: Vec<Provisional>, breaker: &Breaker, grace: &Grace, report: &mut Report) {
        let mut settled = futures::stream::iter(days)
            .map(|Provisional { landed, unproven }| async move {
                if !publisher.has_rows() || breaker.is_open() || grace.has_begun() {
                    return Settled::StaysOpen(landed);
                }
                close(publisher, landed, unproven, breaker, grace).await
            })
            .buffer_unordered(self.concurrency);
        let mut closed_days = 0u64;
        while let Some(settled) = settled.next().await {
            report.add(match settled {
                Settled::StaysOpen(landed) => DayOutcome::Landed(landed),
                Settled::Closed(landed) => {
                    closed_days += 1;
                    DayOutcome::Landed(landed)
                }
                Settled::Failed(failed) => {
                    tracing::error!(pay_date = %failed.pay_date, "failed: {}", failed.failure.message());
                    DayOutcome::Failed(failed)
                }
            });
        }
        if closed_days > 0 {
            tracing::info!(days = closed_days, "closed days without rows, because the merchant has days with rows");
        }
    }
}

/// Reads one day.
async fn read(reader: &impl ReadDay, pay_date: NaiveDate, breaker: &Breaker, grace: &Grace) -> Result<Fetched, DayOutcome> {
    match grace.bound(reader.read(pay_date)).await {
        Some(DayRead { attempts, outcome: Ok(day) }) => Ok(Fetched { day, attempts }),
        Some(DayRead { attempts, outcome: Err(failure) }) => {
            breaker.failed(failure.kind);
            Err(DayOutcome::Failed(DayFailed { pay_date, failure, attempts }))
        }
        None => Err(DayOutcome::NotAttempted(pay_date)),
    }
}

/// Publishes a day that was read.
async fn land(publisher: &Publisher<'_>, Fetched { day, attempts }: Fetched, breaker: &Breaker, grace: &Grace) -> Done {
    let pay_date = day.record.pay_date;
    let landed = async {
        let prepared = grace.bound(Box::pin(publisher.prepare(day))).await?;
        match prepared {
            Ok(prepared) => grace.bound_commit(Box::pin(publisher.commit(prepared))).await,
            Err(error) => Some(Err(error)),
        }
    };
    match landed.await {
        Some(Ok((landed, unproven))) => {
            breaker.succeeded();
            Done { outcome: DayOutcome::Landed(Box::new(landed)), unproven }
        }
        Some(Err(error)) => {
            let failure = Failure::from(error);
            breaker.failed(failure.kind);
            DayOutcome::Failed(DayFailed { pay_date, failure, attempts }).into()
        }
        None => DayOutcome::NotAttempted(pay_date).into(),
    }
}

/// What became of a day that landed as open only because the merchant was not known to have rows.
enum Settled {
    StaysOpen(Box<Landed>),
    Closed(Box<Landed>),
    Failed(DayFailed),
}

/// Publishes a day once more, as closed.
async fn close(publisher: &Publisher<'_>, landed: Box<Landed>, unproven: Unproven, breaker: &Breaker, grace: &Grace) -> Settled {
    let pay_date = landed.pay_date;
    let closed = async {
        let prepared = match grace.bound(Box::pin(publisher.prepare_closed(unproven))).await? {
            Ok(prepared) => prepared?,
            Err(error) => return Some(Err(error)),
        };
        Some(grace.bound_commit(Box::pin(publisher.commit(prepared))).await?.map(|(closed, _)| closed))
    };
    match closed.await {
        Some(Ok(closed)) => {
            breaker.succeeded();
            Settled::Closed(Box::new(landed.replaced_by(closed)))
        }
        Some(Err(error)) => {
            let failure = not_closed(error);
            breaker.failed(failure.kind);
            Settled::Failed(DayFailed { pay_date, failure, attempts: 1 })
        }
        None => Settled::StaysOpen(landed),
    }
}

fn not_closed(error: PublishError) -> Failure {
    Failure::from(error).context("the day is in the lake, without rows and as open, and could not be closed; run again")
}
