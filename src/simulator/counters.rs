//! The requests received and the responses sent. Inspection requests are not counted.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::NaiveDate;
use serde::{Serialize, Serializer};

/// Counts since the start; serialized, the response to `GET /_simulator/requests`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests to `/payAuth/token`.
    pub token_requests: u64,
    /// Requests to `/api/settlement`.
    pub settlement_requests: u64,
    /// Responses by HTTP status; a connection closed without a response is not counted.
    pub answered: BTreeMap<u16, u64>,
    /// Settlement requests by pay date, refused ones included; those without a readable date are
    /// not counted.
    #[serde(serialize_with = "by_iso_date")]
    pub by_date: BTreeMap<NaiveDate, u64>,
    /// Rows of complete responses.
    pub rows_served: u64,
}

fn by_iso_date<S: Serializer>(counts: &BTreeMap<NaiveDate, u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().map(|(date, count)| (date.to_string(), count)))
}

/// The counts of one simulator, and what its faults count by.
#[derive(Debug, Default)]
pub(super) struct Counters {
    counts: Mutex<Counts>,
    /// Valid requests with a valid token, by merchant and pay date.
    valid_requests: Mutex<HashMap<(usize, NaiveDate), u64>>,
}

impl Counters {
    pub(super) fn counts(&self) -> Counts {
        self.lock().clone()
    }

    /// Counts a token request and returns how many came before it.
    pub(super) fn token_request(&self) -> u64 {
        let mut counts = self.lock();
        counts.token_requests += 1;
        counts.token_requests - 1
    }

    pub(super) fn settlement_request(&self, pay_date: Option<NaiveDate>) {
        let mut counts = self.lock();
        counts.settlement_requests += 1;
        if let Some(date) = pay_date {
            *counts.by_date.entry(date).or_default() += 1;
        }
    }

    pub(super) fn responded(&self, status: u16) {
        *self.lock().answered.entry(status).or_default() += 1;
    }

    pub(super) fn rows_served(&self, rows: u64) {
        self.lock().rows_served += rows;
    }

    /// Counts a valid request and returns how many this merchant made before for this pay date.
    pub(super) fn earlier_requests(&self, merchant: usize, pay_date: NaiveDate) -> u64 {
        let mut requests = self.valid_requests.lock().unwrap_or_else(PoisonError::into_inner);
        let count = requests.entry((merchant, pay_date)).or_default();
        *count += 1;
        *count - 1
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
