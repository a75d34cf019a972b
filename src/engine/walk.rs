//! Walks one merchant's days: several in parallel, until all are done, a signal is received or going on is pointless.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use chrono::NaiveDate;
use futures::{FutureExt as _, StreamExt as _};

use crate::errors::panic_text;
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
    let read = AssertUnwindSafe(reader.read(pay_date)).catch_unwind();
    let read = grace.bound(read).await.map(|read| read.unwrap_or_else(|panic| DayRead { attempts: 1, outcome: Err(panicked(&*panic)) }));
    match read {
        Some(DayRead { attempts, outcome: Ok(day) }) => Ok(Fetched { day, attempts }),
        Some(DayRead { attempts, outcome: Err(failure) }) => {
            breaker.failed(failure.kind);
            Err(DayOutcome::Failed(DayFailed { pay_date, failure, attempts }))
        }
        None => Err(DayOutcome::NotAttempted(pay_date)),
    }
}

/// A panic is a defect, and that of one day: the others are still to be done, and all of them to be reported.
fn panicked(panic: &(dyn Any + Send)) -> Failure {
    Failure::internal(format!("a defect: the work on this day panicked: {}", panic_text(panic)))
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
    let landed = match AssertUnwindSafe(landed).catch_unwind().await {
        Ok(landed) => landed.map(|landed| landed.map_err(Failure::from)),
        Err(panic) => Some(Err(panicked(&*panic))),
    };
    match landed {
        Some(Ok((landed, unproven))) => {
            breaker.succeeded();
            Done { outcome: DayOutcome::Landed(Box::new(landed)), unproven }
        }
        Some(Err(failure)) => {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use chrono::{Days, Utc};
    use tokio::sync::watch;
    use tokio::time::{Instant, sleep};

    use super::super::failure::FailureKind;
    use super::super::result::Dates;
    use super::super::shutdown::Signal;
    use super::*;
    use crate::calendar::DateRange;
    use crate::lake::destination::Destination;
    use crate::lake::ledger::MerchantLedger;
    use crate::lake::merchant::MerchantName;
    use crate::lake::publish::{BadRows, Origin, PublishPolicy};
    use crate::lake::store::Lake;

    /// Days that fail, each after so many seconds.
    struct Failing {
        kind: FailureKind,
        seconds: u64,
        read: AtomicU32,
        most_in_parallel: AtomicU32,
        in_parallel: AtomicU32,
    }

    impl Failing {
        fn after(seconds: u64, kind: FailureKind) -> Self {
            Self { kind, seconds, read: AtomicU32::new(0), most_in_parallel: AtomicU32::new(0), in_parallel: AtomicU32::new(0) }
        }
    }

    impl ReadDay for Failing {
        async fn read(&self, _: NaiveDate) -> DayRead {
            self.read.fetch_add(1, Ordering::Relaxed);
            let in_parallel = self.in_parallel.fetch_add(1, Ordering::Relaxed) + 1;
            self.most_in_parallel.fetch_max(in_parallel, Ordering::Relaxed);
            sleep(Duration::from_secs(self.seconds)).await;
            self.in_parallel.fetch_sub(1, Ordering::Relaxed);
            DayRead { attempts: 3, outcome: Err(Failure::new(self.kind, "as scripted")) }
        }
    }

    struct Panicking;

    impl ReadDay for Panicking {
        async fn read(&self, pay_date: NaiveDate) -> DayRead {
            assert!(pay_date != NaiveDate::default() + Days::new(3), "as scripted");
            DayRead { attempts: 1, outcome: Err(Failure::new(FailureKind::Contract, "refused")) }
        }
    }

    struct Unobserved;

    impl Observer for Unobserved {
        fn planned(&self, _: u64) {}
        fn day(&self, _: &DayOutcome) {}
    }

    /// Walks 31 days; a signal is received after so many seconds.
    async fn walk(reader: &impl ReadDay, concurrency: usize, signal_after: Option<u64>) -> (Report, Option<Stop>) {
        let folder = tempfile::tempdir().expect("a folder");
        let dest = Destination::Local(folder.path().to_owned());
        let lake = Lake::open(&dest, false).await.expect("a lake").expect("a folder that was made");
        let ledger = MerchantLedger::empty(&MerchantName::new("m1").expect("a name"));
        let policy = PublishPolicy { origin: Origin::Api, bad_rows: BadRows::Fail, allow_empty_replacement: false };
        let publisher = Publisher::new(&lake, &ledger, "run".into(), policy, Arc::new(Utc::now), true);
        let (send, signals) = watch::channel(None);
        let from = NaiveDate::default();
        let range = DateRange { from, to: from + Days::new(30) };
        let mut report = Report::new("m1".into(), Some(range), range.len());
        let walk = Walk { concurrency, observer: &Unobserved, signals };
        let signal = async {
            if let Some(seconds) = signal_after {
                sleep(Duration::from_secs(seconds)).await;
                let _ = send.send(Some(Signal::Terminate));
            }
        };
        let (stop, ()) = tokio::join!(walk.days(reader, &publisher, range.days(), &mut report), signal);
        (report, stop)
    }

    #[tokio::test(start_paused = true)]
    async fn days_are_read_as_many_at_once_as_was_set() {
        let reader = Failing::after(10, FailureKind::Contract);
        let began = Instant::now();
        let (report, stop) = walk(&reader, 8, None).await;
        assert_eq!((report.tally.dates.failed, stop.is_none()), (31, true));
        assert_eq!(reader.most_in_parallel.load(Ordering::Relaxed), 8);
        assert_eq!(began.elapsed().as_secs(), 40);
        assert!(report.failures.iter().all(|failure| failure.attempts == 3 && failure.message == "as scripted"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_one_days_failure() {
        let (report, _) = walk(&Panicking, 4, None).await;
        let internal: Vec<_> = report.failures.iter().filter(|failure| failure.kind == FailureKind::Internal).collect();
        assert_eq!((report.failures.len(), internal.len()), (31, 1));
        assert!(internal[0].message.contains("panicked: as scripted"), "{}", internal[0].message);
    }

    #[tokio::test(start_paused = true)]
    async fn five_upstream_failures_in_a_row_end_a_merchants_walk_and_not_the_run() {
        let (report, stop) = walk(&Failing::after(1, FailureKind::Upstream), 1, None).await;
        assert_eq!(report.tally.dates, Dates { planned: 31, failed: 5, not_attempted: 26, ..Dates::default() });
        assert!(stop.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn five_lake_failures_in_a_row_end_the_run() {
        let (report, stop) = walk(&Failing::after(1, FailureKind::Storage), 1, None).await;
        assert_eq!((report.tally.dates.failed, report.tally.dates.not_attempted), (5, 26));
        assert_eq!(stop.map(|stop| stop.reason), Some(StopReason::Lake));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_signal_no_day_begins_and_those_in_progress_have_three_seconds() {
        for (seconds, failed) in [(2, 4), (9, 0)] {
            let reader = Failing::after(seconds, FailureKind::Contract);
            let began = Instant::now();
            let (report, _) = walk(&reader, 4, Some(1)).await;
            assert_eq!((report.tally.dates.failed, report.tally.dates.not_attempted), (failed, 31 - failed));
            assert_eq!(reader.read.load(Ordering::Relaxed), 4);
            assert!(began.elapsed() <= Duration::from_secs(4));
        }
    }
}
