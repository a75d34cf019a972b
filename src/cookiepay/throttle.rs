//! How often a run may ask: the rate limit, and the waits the API asks for. Shared by all walkers, and
//! by the merchants that have no limit of their own.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::Instant;

/// Lets requests through at the run's pace. Clones share it.
#[derive(Clone)]
pub struct Throttle(Arc<Pace>);

struct Pace {
    limiter: Option<DefaultDirectRateLimiter>,
    not_before: Mutex<Option<Instant>>,
}

impl Throttle {
    /// At most `per_second` requests a second, evenly spread; 0 for no limit.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        let limiter = NonZeroU32::new(per_second).map(|rate| {
            // timers are good to a millisecond or two, so high rates need a small burst to be reached
            let burst = NonZeroU32::new(rate.get() / 100).unwrap_or(NonZeroU32::MIN);
            RateLimiter::direct(Quota::per_second(rate).allow_burst(burst))
        });
        Self(Arc::new(Pace { limiter, not_before: Mutex::new(None) }))
    }

    /// Returns when the next request may be sent.
    pub(crate) async fn ready(&self) {
        loop {
            while let Some(until) = self.paused() {
                tokio::time::sleep_until(until).await;
            }
            if let Some(limiter) = &self.0.limiter {
                limiter.until_ready().await;
            }
            // a wait may have been asked for while this walker waited for its turn
            if self.paused().is_none() {
                return;
            }
        }
    }

    fn paused(&self) -> Option<Instant> {
        let until = *self.0.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| *until > Instant::now())
    }

    /// No walker asks again before `wait` has passed.
    pub(crate) fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut not_before = self.0.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *not_before = Some(not_before.map_or(until, |earlier| earlier.max(until)));
    }
}
