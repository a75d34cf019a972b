//! Which pay dates the lake holds of each merchant, and whether they are closed.

use std::collections::BTreeMap;
use std::pin::pin;

use chrono::{Days, NaiveDate, TimeDelta};
use futures::TryStreamExt as _;

use crate::lake::error::LakeError;
use crate::lake::holdings::Holdings;
use crate::lake::layout::DayKey;
use crate::lake::merchant::MerchantName;
use crate::lake::record::State;
use crate::lake::store::Lake;

/// The days of one merchant that the lake holds, and whether they are closed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MerchantDays(BTreeMap<NaiveDate, bool>);

impl MerchantDays {
    /// The last day of which nothing more is expected.
    fn last_closed(&self) -> Option<NaiveDate> {
        self.0.iter().rev().find(|(_, is_closed)| **is_closed).map(|(day, _)| *day)
    }
}

/// The days of all merchants of a reconciliation, in the order of the merchants.
#[derive(Debug, Clone, Default)]
pub(super) struct LakeDays {
    merchants: Vec<MerchantDays>,
    last_closed: Vec<Option<NaiveDate>>,
    /// The date by which lines are due that belong to no merchant.
    earliest: Option<NaiveDate>,
}

/// The days of a range that were not settled: some, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unsettled {
    /// Days without a file.
    pub missing: Vec<NaiveDate>,
    /// Days that are open.
    pub open: Vec<NaiveDate>,
}

impl LakeDays {
    /// The days of these merchants, by their records.
    ///
    /// # Errors
    /// The lake cannot be read.
    pub(super) async fn load(lake: &Lake, holdings: &Holdings, merchants: &[MerchantName]) -> Result<Self, LakeError> {
        let mut all = Vec::new();
        for merchant in merchants {
            let mut days = BTreeMap::new();
            if let Some(ledger) = holdings.ledgers.get(merchant) {
                let mut unknown = Vec::new();
                ledger.each_current(|pay_date, row| match row {
                    Some(row) => drop(days.insert(pay_date, row.state == State::Closed.name())),
                    None => unknown.push(pay_date),
                });
                let mut files = pin!(ledger.files(lake, unknown));
                while let Some((DayKey { pay_date, .. }, file)) = files.try_next().await? {
                    let file = file.map_err(|reason| LakeError::Record {
                        object: DayKey { pay_date, merchant: merchant.clone() }.settlement().to_string(),
                        reason,
                    })?;
                    days.insert(pay_date, file.record.state == State::Closed);
                }
            }
            all.push(MerchantDays(days));
        }
        Ok(Self::new(all))
    }

    fn new(merchants: Vec<MerchantDays>) -> Self {
        /// A merchant whose last closed day is longer ago than this does not hold the others back: it may have left.
        const BEHIND: TimeDelta = TimeDelta::days(30);
        let last_closed: Vec<_> = merchants.iter().map(MerchantDays::last_closed).collect();
        let newest = last_closed.iter().flatten().max().copied();
        let earliest = newest.and_then(|newest| last_closed.iter().flatten().filter(|last| newest - **last <= BEHIND).min().copied());
        Self { merchants, last_closed, earliest }
    }

    /// The last closed pay date by which a line of a merchant, or of none, is due.
    pub(super) fn last_closed(&self, merchant: Option<u32>) -> Option<NaiveDate> {
        match merchant {
            Some(merchant) => self.last_closed.get(merchant as usize).copied().flatten(),
            None => self.earliest,
        }
    }

    /// Whether the lake holds a day of a merchant.
    pub(super) fn holds(&self, merchant: u32) -> bool {
        self.merchants.get(merchant as usize).is_some_and(|days| !days.0.is_empty())
    }

    /// The days from one on, and so many more, that are missing or open: of a merchant, or of any.
    pub(super) fn unsettled(&self, merchant: Option<u32>, from: NaiveDate, days: u32) -> Unsettled {
        let to = from.checked_add_days(Days::new(days.into())).unwrap_or(from);
        let of: Vec<&MerchantDays> = match merchant {
            Some(merchant) => self.merchants.get(merchant as usize).into_iter().collect(),
            None => self.merchants.iter().collect(),
        };
        let mut found = Unsettled::default();
        for day in from.iter_days().take_while(|day| *day <= to) {
            let closed = || of.iter().map(|days| days.0.get(&day));
            if closed().any(|is_closed| is_closed.is_none()) {
                found.missing.push(day);
            } else if closed().any(|is_closed| is_closed == Some(&false)) {
                found.open.push(day);
            }
        }
        found
    }
}

#[cfg(test)]
impl LakeDays {
    /// Merchants of which the lake holds the last 365 days up to these.
    pub(super) fn closed_until(last: &[NaiveDate]) -> Self {
        let year_before = |last: NaiveDate| (0..365).map(move |days| last - Days::new(days));
        Self::new(last.iter().map(|last| MerchantDays(year_before(*last).map(|day| (day, true)).collect())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or_default() + Days::new(u64::from(number) - 1)
    }

    fn days(closed: &[u32], open: &[u32]) -> MerchantDays {
        let of = |numbers: &[u32], is_closed| numbers.iter().map(move |number| (day(*number), is_closed)).collect::<Vec<_>>();
        MerchantDays(of(closed, true).into_iter().chain(of(open, false)).collect())
    }

    #[test]
    fn a_merchant_that_has_left_does_not_hold_the_others_back() {
        let lake = LakeDays::new(vec![days(&[1, 2], &[3]), days(&[1, 31, 33], &[]), days(&[], &[1])]);
        assert_eq!(
            [Some(0), Some(1), Some(2), Some(3)].map(|merchant| lake.last_closed(merchant)),
            [Some(day(2)), Some(day(33)), None, None]
        );
        assert_eq!(lake.last_closed(None), Some(day(33)));
        let near = LakeDays::new(vec![days(&[3], &[]), days(&[33], &[])]);
        assert_eq!(near.last_closed(None), Some(day(3)));
    }

    #[test]
    fn days_that_are_missing_or_open_are_found() {
        let lake = LakeDays::new(vec![days(&[1, 2, 5], &[4]), days(&[1, 2, 3, 4, 5], &[])]);
        let expected = Unsettled { missing: vec![day(3)], open: vec![day(4)] };
        assert_eq!(lake.unsettled(Some(0), day(1), 4), expected);
        assert_eq!(lake.unsettled(None, day(1), 4), expected);
        assert_eq!(lake.unsettled(Some(1), day(1), 4), Unsettled::default());
    }
}
