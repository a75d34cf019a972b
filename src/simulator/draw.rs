//! Deterministic draws: a hash of what a thing is, and a small generator (splitmix64) seeded by
//! one. Not for secrets: anyone with the seed can repeat every draw.

use chrono::{Datelike, NaiveDate};
use xxhash_rust::xxh3::xxh3_128_with_seed;

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash from which the property `label` of a merchant on a day is drawn.
pub(super) fn hash(seed: u64, label: &str, merchant: &str, date: NaiveDate, nth: u64) -> u64 {
    let mut key = Vec::with_capacity(label.len() + merchant.len() + 28);
    for text in [label, merchant] {
        // lengths go along, so that no two pairs of texts run together into one key
        key.extend_from_slice(&text.len().to_le_bytes());
        key.extend_from_slice(text.as_bytes());
    }
    key.extend_from_slice(&date.num_days_from_ce().to_le_bytes());
    key.extend_from_slice(&nth.to_le_bytes());
    hash_bytes(seed, &key)
}

/// The hash of raw bytes.
pub(super) fn hash_bytes(seed: u64, key: &[u8]) -> u64 {
    u64::try_from(xxh3_128_with_seed(key, seed) >> 64).unwrap_or_default()
}

/// A number spread over all 64 bits from a hash and the position of a row under it.
pub(super) fn mix(base: u64, position: u64) -> u64 {
    let mut z = base.wrapping_add(position.wrapping_add(1).wrapping_mul(STEP));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A sequence of draws.
#[derive(Debug, Clone)]
pub(super) struct Draw {
    seed: u64,
    drawn: u64,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    fn next(&mut self) -> u64 {
        let value = mix(self.seed, self.drawn);
        self.drawn += 1;
        value
    }

    /// One of `0..n`, or 0 where that is empty.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next().checked_rem(n).unwrap_or(0)
    }

    /// One of `choices`, which must not be empty.
    pub(super) fn pick<T: Copy, const N: usize>(&mut self, choices: &[T; N]) -> T {
        const { assert!(N > 0) }
        choices[usize::try_from(self.below(N as u64)).unwrap_or(0)]
    }
}
