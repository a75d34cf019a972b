//! Stops a merchant's walk when going on is pointless.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::failure::FailureKind;

/// Consecutive days that fail for the same outside reason before a run stops.
pub(super) const BREAKER_DAYS: u32 = 5;

/// Opens when the credentials were refused, or when several consecutive days failed upstream or at the lake. Days in
/// progress share it. Once open, it stays open.
#[derive(Default)]
pub(super) struct Breaker {
    in_a_row: AtomicU32,
    last_at_lake: AtomicBool,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.in_a_row.load(Ordering::Relaxed) >= BREAKER_DAYS
    }

    pub(super) fn was_opened_by_lake(&self) -> bool {
        self.is_open() && self.last_at_lake.load(Ordering::Relaxed)
    }

    pub(super) fn succeeded(&self) {
        if !self.is_open() {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn failed(&self, kind: FailureKind) {
        if self.is_open() {
            return;
        }
        match kind {
            FailureKind::Auth => self.in_a_row.store(BREAKER_DAYS, Ordering::Relaxed),
            FailureKind::Upstream | FailureKind::RateLimit | FailureKind::Storage => {
                self.last_at_lake.store(kind == FailureKind::Storage, Ordering::Relaxed);
                self.in_a_row.fetch_add(1, Ordering::Relaxed);
            }
            FailureKind::Contract | FailureKind::Guard | FailureKind::Internal => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(kinds: &[Option<FailureKind>]) -> Breaker {
        let breaker = Breaker::default();
        for kind in kinds {
            kind.map_or_else(|| breaker.succeeded(), |kind| breaker.failed(kind));
        }
        breaker
    }

    #[test]
    fn five_consecutive_outside_failures_open_it_and_a_success_starts_over() {
        use FailureKind::{Storage, Upstream};
        assert!(!after(&[Some(Upstream); 4]).is_open());
        assert!(after(&[Some(Upstream); 5]).is_open());
        assert!(!after(&[Some(Upstream), Some(Upstream), None, Some(Upstream), Some(Upstream), Some(Upstream)]).is_open());
        assert!(!after(&[Some(Upstream); 5]).was_opened_by_lake());
        assert!(after(&[Some(Storage); 5]).was_opened_by_lake());
    }

    #[test]
    fn refused_credentials_open_it_at_once_and_refused_days_never() {
        assert!(after(&[Some(FailureKind::Auth)]).is_open());
        for kind in [FailureKind::Contract, FailureKind::Guard, FailureKind::Internal] {
            assert!(!after(&[Some(kind); 9]).is_open());
        }
    }

    #[test]
    fn an_open_breaker_stays_open() {
        assert!(after(&[Some(FailureKind::Auth), None, None]).is_open());
    }
}
