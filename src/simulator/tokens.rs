//! Tokens: issued, looked up, forgotten. They are never logged, and a new one leaves the older ones
//! valid.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::draw::{hash_bytes, mix};

/// The tokens of one simulator.
pub(super) struct Tokens {
    /// Of the seed and the time of the start, so that no token outlives a simulator.
    base: u64,
    ttl: Duration,
    issued: Mutex<Issued>,
}

#[derive(Default)]
struct Issued {
    count: u64,
    live: HashMap<String, Token>,
}

struct Token {
    /// Position in the options.
    merchant: usize,
    expires: Option<Instant>,
}

impl Token {
    fn is_live(&self) -> bool {
        // a life too long for the clock never ends
        self.expires.is_none_or(|expires| Instant::now() < expires)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    pub(super) fn new(seed: u64, ttl: Duration) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { base: hash_bytes(seed, &started.as_nanos().to_le_bytes()), ttl, issued: Mutex::default() }
    }

    /// A new token for the merchant at this position.
    pub(super) fn issue(&self, merchant: usize) -> String {
        let mut issued = self.lock();
        issued.live.retain(|_, token| token.is_live());
        issued.count += 1;
        let base = mix(self.base, issued.count);
        let part = |n| mix(base, n);
        let token = format!("{:016x}{:016x}{:016x}{:016x}", part(0), part(1), part(2), part(3));
        let expires = Instant::now().checked_add(self.ttl);
        issued.live.insert(token.clone(), Token { merchant, expires });
        token
    }

    /// The position of the merchant a valid token was issued to.
    pub(super) fn merchant(&self, token: &str) -> Option<usize> {
        self.lock().live.get(token).filter(|token| token.is_live()).map(|token| token.merchant)
    }

    /// Makes a token invalid.
    pub(super) fn forget(&self, token: &str) {
        self.lock().live.remove(token);
    }

    fn lock(&self) -> MutexGuard<'_, Issued> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_tokens_stay_valid_until_forgotten_or_expired() {
        let tokens = Tokens::new(1, Duration::from_mins(1));
        let (older, newer) = (tokens.issue(0), tokens.issue(1));
        assert_ne!(older, newer);
        assert_eq!((tokens.merchant(&older), tokens.merchant(&newer)), (Some(0), Some(1)));
        tokens.forget(&older);
        assert_eq!((tokens.merchant(&older), tokens.merchant(&newer)), (None, Some(1)));

        let brief = Tokens::new(1, Duration::from_nanos(1));
        let token = brief.issue(0);
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(brief.merchant(&token), None);
        assert_eq!(Tokens::new(1, Duration::MAX).merchant(&token), None);
    }
}
