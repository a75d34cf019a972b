//! The figures of a report, by merchant and day, and what follows from them for all merchants together.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use crate::calendar::DateRange;
use crate::lake::record::{Environment, OpenReason};
use crate::revisions::Revision;
use crate::status::DayState;

use super::amounts::{Amounts, FeeTable};
use super::period::{last_full_month, months, within};

/// All figures of a report.
#[derive(Debug)]
pub(crate) struct Figures {
    /// The pay dates covered.
    pub(crate) range: DateRange,
    /// When the report is made.
    pub(crate) made_at: DateTime<Utc>,
    /// The date in Seoul.
    pub(crate) today: NaiveDate,
    /// When the newest response arrived.
    pub(crate) as_of: Option<DateTime<Utc>>,
    /// Which API the lake's days come from.
    pub(crate) environment: Option<Environment>,
    pub(crate) merchants: Vec<MerchantFigures>,
}

/// A merchant's.
#[derive(Debug)]
pub(crate) struct MerchantFigures {
    pub(crate) merchant_id: String,
    /// What the settings file calls it, if that is not its id.
    pub(crate) name: Option<String>,
    /// The days of which none should be missing; `None` if its first is after the last day covered.
    pub(crate) range: Option<DateRange>,
    /// When its newest response arrived.
    pub(crate) as_of: Option<DateTime<Utc>>,
    /// The days that have a file.
    pub(crate) days: BTreeMap<NaiveDate, Day>,
    pub(crate) fees: FeeTable,
    /// By day, oldest first.
    pub(crate) restatements: Vec<Restatement>,
}

/// A day of a merchant.
#[derive(Debug)]
pub(crate) struct Day {
    pub(crate) state: DayState,
    /// Open for longer than the settle window.
    pub(crate) overdue: bool,
    pub(crate) restated: bool,
    /// Why its file cannot be read.
    pub(crate) unreadable: Option<String>,
    pub(crate) open_because: Vec<OpenReason>,
    pub(crate) rejected_rows: u64,
    pub(crate) unbalanced_rows: u64,
    pub(crate) extracted_at: Option<DateTime<Utc>>,
    pub(crate) amounts: Amounts,
}

/// A closed version of a day that was replaced by one with other content.
#[derive(Debug, Clone)]
pub(crate) struct Restatement {
    pub(crate) pay_date: NaiveDate,
    /// When the response that changed it arrived.
    pub(crate) seen_at: DateTime<Utc>,
    pub(crate) rows_before: u64,
    pub(crate) rows_after: u64,
    pub(crate) payout_before: i128,
    pub(crate) payout_after: i128,
}

impl Restatement {
    pub(crate) fn new(pay_date: NaiveDate, before: &Revision, after: &Revision) -> Self {
        Self {
            pay_date,
            seen_at: after.extracted_at,
            rows_before: before.rows,
            rows_after: after.rows,
            payout_before: before.payout,
            payout_after: after.payout,
        }
    }

    /// What it changes, in hundredths of a won.
    pub(crate) fn change(&self) -> i128 {
        self.payout_after.saturating_sub(self.payout_before)
    }
}

/// Days by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DayCounts {
    pub(crate) closed: u64,
    pub(crate) closed_empty: u64,
    pub(crate) open: u64,
    pub(crate) missing: u64,
    /// Of the open ones.
    pub(crate) overdue: u64,
    pub(crate) restated: u64,
}

impl DayCounts {
    fn add(&mut self, other: Self) {
        self.closed += other.closed;
        self.closed_empty += other.closed_empty;
        self.open += other.open;
        self.missing += other.missing;
        self.overdue += other.overdue;
        self.restated += other.restated;
    }
}

impl MerchantFigures {
    /// What its days of a range come to.
    pub(crate) fn amounts(&self, range: DateRange) -> Amounts {
        self.days_in(range).map(|(_, day)| day.amounts).sum()
    }

    /// Its days by state, within a range.
    pub(crate) fn counts(&self, range: DateRange) -> DayCounts {
        let mut counts = DayCounts::default();
        let Some(own) = self.range else { return counts };
        let expected = DateRange { from: own.from.max(range.from), to: own.to.min(range.to) };
        let mut present = 0;
        for (_, day) in self.days_in(range) {
            present += 1;
            *match day.state {
                DayState::Closed => &mut counts.closed,
                DayState::ClosedEmpty => &mut counts.closed_empty,
                DayState::Open | DayState::Missing => &mut counts.open,
            } += 1;
            counts.overdue += u64::from(day.overdue);
            counts.restated += u64::from(day.restated);
        }
        counts.missing = if expected.from <= expected.to { expected.len().saturating_sub(present) } else { 0 };
        counts
    }

    /// The state of a day; `None` before the merchant's own first.
    pub(crate) fn state(&self, pay_date: NaiveDate) -> Option<DayState> {
        let expected = self.range.is_some_and(|range| range.contains(pay_date));
        expected.then(|| self.days.get(&pay_date).map_or(DayState::Missing, |day| day.state))
    }

    /// The days without a file, as ranges without gaps.
    pub(crate) fn missing(&self) -> Vec<DateRange> {
        let mut gaps = Vec::new();
        let Some(DateRange { from, to }) = self.range else { return gaps };
        let mut next = Some(from);
        for pay_date in self.days.keys().chain(to.succ_opt().as_ref()) {
            if let Some(first) = next.filter(|first| first < pay_date) {
                gaps.push(DateRange { from: first, to: pay_date.pred_opt().unwrap_or(first) });
            }
            next = pay_date.succ_opt();
        }
        gaps
    }

    fn days_in(&self, range: DateRange) -> impl Iterator<Item = (&NaiveDate, &Day)> {
        // a range that runs backwards has no days
        let to = range.to.max(range.from);
        self.days.range(range.from..=to).filter(move |(pay_date, _)| range.contains(**pay_date))
    }
}

impl Figures {
    /// What the days of a range come to, over all merchants.
    pub(crate) fn amounts(&self, range: DateRange) -> Amounts {
        self.merchants.iter().map(|merchant| merchant.amounts(range)).sum()
    }

    /// The merchants' days by state, within a range.
    pub(crate) fn counts(&self, range: DateRange) -> DayCounts {
        let mut counts = DayCounts::default();
        self.merchants.iter().for_each(|merchant| counts.add(merchant.counts(range)));
        counts
    }

    /// Each month, oldest first, as its first day and the days of it that are covered.
    pub(crate) fn months(&self) -> impl DoubleEndedIterator<Item = (NaiveDate, DateRange)> + '_ {
        months(self.range).map(|month| (month, within(month, self.range)))
    }

    /// The last month that has passed and is covered as a whole.
    pub(crate) fn last_full_month(&self) -> Option<NaiveDate> {
        last_full_month(self.range, self.today)
    }

    /// The worst state of a day over the merchants.
    pub(crate) fn worst_state(&self, pay_date: NaiveDate) -> DayState {
        let states = self.merchants.iter().filter_map(|merchant| merchant.state(pay_date));
        states.max_by_key(|state| severity(*state)).unwrap_or(DayState::Missing)
    }

    /// Whether a day of any merchant was restated.
    pub(crate) fn is_restated(&self, pay_date: NaiveDate) -> bool {
        self.of_day(pay_date).any(|day| day.restated)
    }

    /// A day of each merchant that has it.
    pub(crate) fn of_day(&self, pay_date: NaiveDate) -> impl Iterator<Item = &Day> {
        self.merchants.iter().filter_map(move |merchant| merchant.days.get(&pay_date))
    }

    /// What is pending, by pay date.
    pub(crate) fn upcoming(&self) -> BTreeMap<NaiveDate, Amounts> {
        let mut pending: BTreeMap<NaiveDate, Amounts> = BTreeMap::new();
        for (pay_date, day) in self.merchants.iter().flat_map(|merchant| &merchant.days) {
            if day.amounts.pending_rows > 0 {
                *pending.entry(*pay_date).or_default() += day.amounts;
            }
        }
        pending
    }

    /// Every restatement with its merchant, the one seen last first.
    pub(crate) fn restatements(&self) -> Vec<(&MerchantFigures, &Restatement)> {
        let of_merchant = |merchant: &MerchantFigures| merchant.restatements.len();
        let mut found = Vec::with_capacity(self.merchants.iter().map(of_merchant).sum());
        for merchant in &self.merchants {
            found.extend(merchant.restatements.iter().map(|restatement| (merchant, restatement)));
        }
        found.sort_by_key(|(_, found)| std::cmp::Reverse((found.seen_at, found.pay_date)));
        found
    }

    /// What approved rows cost, over all merchants.
    pub(crate) fn fees(&self) -> FeeTable {
        let mut fees = FeeTable::default();
        self.merchants.iter().for_each(|merchant| fees.merge(&merchant.fees));
        fees
    }

    /// Days times merchants.
    pub(crate) fn merchant_days(&self) -> u64 {
        self.merchants.iter().filter_map(|merchant| merchant.range).map(DateRange::len).sum()
    }
}

/// How bad a state is.
const fn severity(state: DayState) -> u8 {
    match state {
        DayState::ClosedEmpty => 0,
        DayState::Closed => 1,
        DayState::Open => 2,
        DayState::Missing => 3,
    }
}
