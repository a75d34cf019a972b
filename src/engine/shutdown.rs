//! Signals, and the time that days in progress have to finish after one.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::exit::ExitCode;

/// How long days in progress may take to finish after a signal.
const GRACE: Duration = Duration::from_secs(3);
/// How much longer a day may take that is being committed by then: the result should include it.
const COMMIT_GRACE: Duration = Duration::from_secs(1);

/// A signal that stops the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    HangUp,
}

impl Signal {
    /// The exit code of a run that it stopped.
    #[must_use]
    pub const fn exit_code(self) -> ExitCode {
        match self {
            Self::Interrupt => ExitCode::Interrupted,
            Self::Terminate => ExitCode::Terminated,
            Self::HangUp => ExitCode::HungUp,
        }
    }
}

/// The first signal that was received.
pub type Signals = watch::Receiver<Option<Signal>>;

/// Returns when a signal has been received.
pub(super) async fn signalled(mut signals: Signals) {
    if signals.wait_for(Option::is_some).await.is_err() {
        // no signal can be received any more
        std::future::pending::<()>().await;
    }
}

/// The time that days in progress have after a signal; one for all of them.
pub(super) struct Grace {
    signals: Signals,
    until: OnceLock<Instant>,
}

impl Grace {
    pub(super) fn new(signals: Signals) -> Self {
        Self { signals, until: OnceLock::new() }
    }

    /// Whether a signal has been received.
    pub(super) fn has_begun(&self) -> bool {
        self.signals.borrow().is_some()
    }

    /// Runs a step that does not change the table; `None` if the time was over before it was done.
    pub(super) async fn bound<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        self.bound_by(step, Duration::ZERO).await
    }

    /// Runs a step that changes the table; `None` if the time was over before it was done.
    pub(super) async fn bound_commit<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        self.bound_by(step, COMMIT_GRACE).await
    }

    async fn bound_by<T>(&self, step: impl Future<Output = T>, longer: Duration) -> Option<T> {
        let mut step = std::pin::pin!(step);
        tokio::select! {
            done = &mut step => return Some(done),
            () = signalled(self.signals.clone()) => {}
        }
        let until = *self.until.get_or_init(|| Instant::now() + GRACE);
        timeout_at(until + longer, step).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    /// What becomes of two steps that take so many milliseconds, of which the second is a commit, after a signal.
    async fn steps(milliseconds: u64) -> (bool, bool) {
        let (_send, signals) = watch::channel(Some(Signal::Terminate));
        let grace = Grace::new(signals);
        let step = || sleep(Duration::from_millis(milliseconds));
        let (read, commit) = tokio::join!(grace.bound(step()), grace.bound_commit(step()));
        (read.is_some(), commit.is_some())
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_has_a_second_more_than_any_other_step() {
        assert_eq!(steps(2900).await, (true, true));
        assert_eq!(steps(3500).await, (false, true));
        assert_eq!(steps(4500).await, (false, false));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_begins_with_the_signal_and_is_one_for_all_steps() {
        let (send, signals) = watch::channel(None);
        let grace = Grace::new(signals);
        let signal = async {
            sleep(Duration::from_mins(1)).await;
            let _ = send.send(Some(Signal::Interrupt));
        };
        let one_after_another = async {
            let first = grace.bound(sleep(Duration::from_secs(62))).await;
            let second = grace.bound(sleep(Duration::from_secs(2))).await;
            (first.is_some(), second.is_some())
        };
        let ((), done) = tokio::join!(signal, one_after_another);
        assert_eq!(done, (true, false));
        assert!(grace.has_begun());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_signal_a_step_takes_as_long_as_it_takes() {
        let (send, signals) = watch::channel(None);
        drop(send);
        assert!(Grace::new(signals).bound(sleep(Duration::from_hours(1))).await.is_some());
    }
}
