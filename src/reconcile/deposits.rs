//! Whether what was to be paid out on each day has arrived at the bank. Pure.
//!
//! Days of the period take late deposits before days that lie before it, because most of those were paid before the statement begins.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};

use crate::lang::Words;
use crate::texts::reconcile::deposit;

use super::books::{Deposit, Hundredths};
use super::period::Period;

/// What was found of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DepositStatus {
    /// What was expected has arrived.
    Matched,
    /// Nothing has arrived yet, and it may still come.
    NotDue,
    /// Less than nothing was expected, so that nothing arrives.
    Carried,
    /// Something else has arrived than was expected.
    Difference,
    /// Nothing has arrived.
    MissingDeposit,
    /// Something has arrived, and nothing was expected.
    UnexpectedDeposit,
}

impl DepositStatus {
    /// Every status, in the order in which they are shown.
    pub const ALL: [Self; 6] =
        [Self::Matched, Self::NotDue, Self::Carried, Self::Difference, Self::MissingDeposit, Self::UnexpectedDeposit];

    /// Whether it is a difference.
    #[must_use]
    pub const fn differs(self) -> bool {
        matches!(self, Self::Difference | Self::MissingDeposit | Self::UnexpectedDeposit)
    }

    /// The name, as results have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::NotDue => "not_due",
            Self::Carried => "carried",
            Self::Difference => "difference",
            Self::MissingDeposit => "missing_deposit",
            Self::UnexpectedDeposit => "unexpected_deposit",
        }
    }

    /// What it means.
    #[must_use]
    pub const fn meaning(self) -> Words {
        match self {
            Self::Matched => deposit::MATCHED,
            Self::NotDue => deposit::NOT_DUE,
            Self::Carried => deposit::CARRIED,
            Self::Difference => deposit::DIFFERENCE,
            Self::MissingDeposit => deposit::MISSING_DEPOSIT,
            Self::UnexpectedDeposit => deposit::UNEXPECTED_DEPOSIT,
        }
    }
}

/// What the lake has of a pay date, over the merchants examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Payout {
    /// What was to be paid out, in hundredths of a won.
    pub(super) expected: Hundredths,
    /// The part of it that cancellations took off: 0 or less.
    pub(super) cancelled: Hundredths,
}

/// The payouts by pay date.
pub(super) type Payouts = BTreeMap<NaiveDate, Payout>;

/// A day of the bank's side: a pay date with what was expected, or a date on which something else arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositDay {
    /// The date.
    pub date: NaiveDate,
    /// What was found.
    pub status: DepositStatus,
    /// What was to be paid out on this date, in hundredths of a won.
    pub expected: Hundredths,
    /// What has arrived for it, in hundredths of a won.
    pub deposited: Hundredths,
    /// Why it can be so.
    pub why: Option<DepositReason>,
}

/// Why a day of the bank's side can be as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DepositReason {
    /// The deposit came some days later, on this date.
    Late(NaiveDate),
    /// A cancellation after payout was fixed is settled by a deposit of the merchant.
    CancelledAfterPayout {
        /// Whether the difference is what cancellations took off this pay date.
        exactly: bool,
    },
    /// The difference is what was carried over from the day before it with less than nothing.
    CarriedFrom(NaiveDate),
}

/// Compares the payouts of a period with the deposits in it. `days` is how late a deposit may be.
pub(super) fn compare(period: Period, payouts: &Payouts, deposits: &[Deposit], days: u32) -> Vec<DepositDay> {
    let mut bank = Bank::new(deposits.iter().filter(|deposit| period.contains(deposit.date)));
    let in_period: Vec<(NaiveDate, Hundredths)> =
        payouts.iter().filter(|(date, _)| period.contains(**date)).map(|(date, payout)| (*date, payout.expected)).collect();
    let mut found = Vec::new();
    let mut carried = BTreeMap::new();
    let mut remaining = BTreeMap::new();
    for (date, expected) in in_period {
        if expected < 0 {
            found.push(DepositDay { date, status: DepositStatus::Carried, expected, deposited: 0, why: None });
            carried.insert(date, expected);
        } else if expected > 0 && bank.on(date) == Some(expected) {
            bank.take_all(date);
            found.push(DepositDay { date, status: DepositStatus::Matched, expected, deposited: expected, why: None });
        } else if expected > 0 {
            remaining.insert(date, expected);
        }
    }
    // days before the period come last: most of them were paid before the statement begins
    let before = period.from.into_iter().flat_map(|from| {
        let first = from.checked_sub_days(Days::new(days.into())).unwrap_or(NaiveDate::MIN);
        payouts.range(first..from).map(|(date, payout)| (*date, payout.expected)).filter(|(_, expected)| *expected > 0)
    });
    for (date, expected) in remaining.clone().into_iter().chain(before) {
        if let Some(arrived) = bank.take(expected, date, days) {
            remaining.remove(&date);
            let why = (arrived != date).then_some(DepositReason::Late(arrived));
            found.push(DepositDay { date, status: DepositStatus::Matched, expected, deposited: expected, why });
        }
    }
    let last = period.to.or_else(|| payouts.keys().next_back().copied());
    let dates: BTreeSet<NaiveDate> = remaining.keys().copied().chain(bank.dates()).collect();
    for date in dates {
        let (expected, deposited) = (remaining.get(&date).copied().unwrap_or_default(), bank.on(date));
        let may_come = last.is_some_and(|last| (last - date).num_days() < i64::from(days));
        let status = match deposited {
            None if may_come => DepositStatus::NotDue,
            None => DepositStatus::MissingDeposit,
            Some(_) if expected > 0 => DepositStatus::Difference,
            Some(_) => DepositStatus::UnexpectedDeposit,
        };
        let deposited = deposited.unwrap_or_default();
        let why = (status == DepositStatus::Difference).then(|| {
            let difference = deposited - expected;
            let before = carried.range(..date).next_back();
            match before {
                Some((from, carried)) if *carried == difference => DepositReason::CarriedFrom(*from),
                _ => {
                    let cancelled = payouts.get(&date).map_or(0, |payout| payout.cancelled);
                    DepositReason::CancelledAfterPayout { exactly: cancelled < 0 && difference == -cancelled }
                }
            }
        });
        found.push(DepositDay { date, status, expected, deposited, why });
    }
    found.sort_by_key(|day| (day.date, day.status));
    found
}

/// The deposits that are not used yet, by date; the amounts of a date in the order of their size.
struct Bank(BTreeMap<NaiveDate, BTreeMap<Hundredths, u64>>);

impl Bank {
    fn new<'d>(deposits: impl Iterator<Item = &'d Deposit>) -> Self {
        let mut dates: BTreeMap<NaiveDate, BTreeMap<Hundredths, u64>> = BTreeMap::new();
        for deposit in deposits {
            *dates.entry(deposit.date).or_default().entry(deposit.amount).or_default() += 1;
        }
        Self(dates)
    }

    /// The dates on which something arrived that is not used.
    fn dates(&self) -> impl Iterator<Item = NaiveDate> + '_ {
        self.0.keys().copied()
    }

    /// The sum of a date's unused deposits; `None` if there are none.
    fn on(&self, date: NaiveDate) -> Option<Hundredths> {
        self.0.get(&date).map(|amounts| amounts.iter().map(|(amount, times)| amount * i128::from(*times)).sum())
    }

    fn take_all(&mut self, date: NaiveDate) {
        self.0.remove(&date);
    }

    /// Takes the first deposit of exactly this amount from a date on and up to so many days later; returns its date.
    fn take(&mut self, amount: Hundredths, from: NaiveDate, days: u32) -> Option<NaiveDate> {
        let to = from.checked_add_days(Days::new(days.into())).unwrap_or(NaiveDate::MAX);
        let (date, amounts) = self.0.range_mut(from..=to).find(|(_, amounts)| amounts.contains_key(&amount))?;
        let date = *date;
        let times = amounts.get_mut(&amount)?;
        *times -= 1;
        if *times == 0 {
            amounts.remove(&amount);
        }
        if amounts.is_empty() {
            self.0.remove(&date);
        }
        Some(date)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::books::Place;
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or_default() + Days::new(number.into())
    }

    fn deposit(number: u32, amount: Hundredths) -> Deposit {
        Deposit { place: Place { file: 0, line: 1 }, date: day(number), amount }
    }

    fn payouts(of: &[(u32, Hundredths)]) -> Payouts {
        of.iter().map(|(number, expected)| (day(*number), Payout { expected: *expected, cancelled: 0 })).collect()
    }

    fn period(from: u32, to: u32) -> Period {
        Period { from: Some(day(from)), to: Some(day(to)) }
    }

    /// Date, status, expected and deposited of each day.
    fn found(period: Period, expected: &[(u32, Hundredths)], arrived: &[(u32, Hundredths)]) -> Vec<(u32, DepositStatus, i128, i128)> {
        let deposits: Vec<Deposit> = arrived.iter().map(|(number, amount)| deposit(*number, *amount)).collect();
        let number = |date: NaiveDate| u32::try_from((date - day(0)).num_days()).unwrap_or_default();
        let days = compare(period, &payouts(expected), &deposits, 3);
        days.into_iter().map(|day| (number(day.date), day.status, day.expected, day.deposited)).collect()
    }

    use DepositStatus::{Carried, Difference, Matched, MissingDeposit, NotDue, UnexpectedDeposit};

    #[test]
    fn the_deposits_of_a_date_may_be_several() {
        assert_eq!(found(period(10, 20), &[(10, 30)], &[(10, 10), (10, 20)]), [(10, Matched, 30, 30)]);
        // the exact amount, and another payer's
        assert_eq!(found(period(10, 20), &[(10, 30)], &[(10, 30), (10, 5)]), [(10, Matched, 30, 30), (10, UnexpectedDeposit, 0, 5)]);
    }

    #[test]
    fn a_deposit_may_be_late_and_a_date_of_the_period_comes_before_one_that_is_not() {
        let late = compare(period(10, 20), &payouts(&[(10, 30)]), &[deposit(13, 30)], 3);
        assert_eq!(
            late,
            [DepositDay { date: day(10), status: Matched, expected: 30, deposited: 30, why: Some(DepositReason::Late(day(13))) }]
        );
        assert_eq!(found(period(10, 20), &[(10, 30)], &[(14, 30)]), [(10, MissingDeposit, 30, 0), (14, UnexpectedDeposit, 0, 30)]);
        assert_eq!(found(period(10, 20), &[(9, 30)], &[(12, 30)]), [(9, Matched, 30, 30)]);
        assert_eq!(found(period(10, 20), &[(9, 30), (10, 30)], &[(12, 30)]), [(10, Matched, 30, 30)]);
        assert_eq!(found(period(10, 20), &[(6, 30)], &[(10, 30)]), [(10, UnexpectedDeposit, 0, 30)]);
    }

    #[test]
    fn what_may_still_come_is_not_due() {
        assert_eq!(found(period(10, 20), &[(17, 30), (18, 40)], &[]), [(17, MissingDeposit, 30, 0), (18, NotDue, 40, 0)]);
        assert_eq!(found(period(10, 20), &[(18, 40)], &[(18, 39)]), [(18, Difference, 40, 39)]);
    }

    #[test]
    fn a_day_with_less_than_nothing_is_carried() {
        assert_eq!(found(period(10, 20), &[(10, -30), (11, 0)], &[(10, 5)]), [(10, Carried, -30, 0), (10, UnexpectedDeposit, 0, 5)]);
        let next = compare(period(10, 20), &payouts(&[(10, -30), (11, 100)]), &[deposit(11, 70)], 3);
        assert_eq!(next[1].why, Some(DepositReason::CarriedFrom(day(10))));
    }

    #[test]
    fn a_difference_states_that_the_merchant_may_have_paid_a_cancellation() {
        let mut expected = payouts(&[(10, 70)]);
        expected.insert(day(10), Payout { expected: 70, cancelled: -30 });
        for (arrived, exactly) in [(100, true), (99, false)] {
            let days = compare(period(10, 20), &expected, &[deposit(10, arrived)], 3);
            assert_eq!(days[0].why, Some(DepositReason::CancelledAfterPayout { exactly }));
        }
    }

    proptest! {
        #[test]
        fn every_won_is_on_one_day(
            expected in prop::collection::btree_map(0u32..20, -3i128..6, 0..12),
            arrived in prop::collection::vec((0u32..20, 1i128..6), 0..12),
            shuffled in any::<prop::sample::Index>(),
        ) {
            let expected: Vec<_> = expected.into_iter().collect();
            let days = found(period(5, 15), &expected, &arrived);
            let in_period = |number: u32| (5..=15).contains(&number);
            let deposited: i128 = arrived.iter().filter(|(number, _)| in_period(*number)).map(|(_, amount)| amount).sum();
            prop_assert_eq!(days.iter().map(|day| day.3).sum::<i128>(), deposited);
            let wanted: i128 = expected.iter().filter(|(number, _)| in_period(*number)).map(|(_, amount)| amount).sum();
            prop_assert_eq!(days.iter().filter(|day| in_period(day.0)).map(|day| day.2).sum::<i128>(), wanted);
            let mut turned = arrived.clone();
            if !turned.is_empty() {
                let by = shuffled.index(turned.len());
                turned.rotate_left(by);
            }
            prop_assert_eq!(found(period(5, 15), &expected, &turned), days);
        }
    }
}
