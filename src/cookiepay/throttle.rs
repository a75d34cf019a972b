//! When requests may be sent: the rate limit, and the waits that the API demands. Shared by all walkers, and by the merchants
//! that have no limit of their own.

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
    /// At most this many requests per second, evenly spread; 0 for no limit.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        let limiter = NonZeroU32::new(per_second).map(|rate| {
            // timers are accurate to a millisecond or two, so high rates need a small burst
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
            // a wait may have been demanded while this walker waited for its turn
            if self.paused().is_none() {
                return;
            }
        }
    }

    fn paused(&self) -> Option<Instant> {
        let until = *self.0.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| *until > Instant::now())
    }

    /// No request is sent before `wait` has passed.
    pub(crate) fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut not_before = self.0.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *not_before = Some(not_before.map_or(until, |earlier| earlier.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_every_walker_back_and_the_longest_counts() {
        let throttle = Throttle::new(0);
        let began = Instant::now();
        throttle.pause(Duration::from_secs(30));
        throttle.pause(Duration::from_secs(5));
        let walker = throttle.clone();
        tokio::join!(throttle.ready(), walker.ready());
        assert_eq!(began.elapsed().as_secs(), 30);
        throttle.ready().await;
        assert_eq!(began.elapsed().as_secs(), 30);
    }
}
