//! Which days of a lake a command reads.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::calendar::DateRange;
use crate::lake::holdings::Holdings;
use crate::lake::layout::DayKey;
use crate::lake::merchant::{MerchantName, Merchants};

/// Which days to read.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Whose days.
    pub merchants: Merchants,
    /// The first day; `None` for each merchant's first.
    pub from: Option<NaiveDate>,
    /// The last day; `None` for each merchant's last.
    pub to: Option<NaiveDate>,
}

/// One merchant's days in scope.
pub(crate) struct ScopedMerchant {
    pub(crate) merchant: MerchantName,
    /// The range in which a day without a file is missing; `None` if the lake holds nothing of it.
    pub(crate) range: Option<DateRange>,
    /// The days of the range of which the lake holds anything.
    pub(crate) dates: BTreeSet<NaiveDate>,
}

impl Scope {
    /// Each merchant's days in scope. A day of which only an earlier version is left counts as held, and is missing.
    pub(crate) fn merchants(&self, holdings: &Holdings) -> Vec<ScopedMerchant> {
        let mut by_merchant: BTreeMap<MerchantName, BTreeSet<NaiveDate>> = BTreeMap::new();
        by_merchant.extend(self.merchants.named().iter().map(|merchant| (merchant.clone(), BTreeSet::new())));
        for DayKey { pay_date, merchant } in holdings.keys() {
            if self.merchants.include(merchant) {
                by_merchant.entry(merchant.clone()).or_default().insert(*pay_date);
            }
        }
        by_merchant.into_iter().map(|(merchant, dates)| self.bounded(merchant, dates)).collect()
    }

    fn bounded(&self, merchant: MerchantName, mut dates: BTreeSet<NaiveDate>) -> ScopedMerchant {
        let ends = self.from.or(dates.first().copied()).zip(self.to.or(dates.last().copied()));
        let range = ends.map(|(from, to)| DateRange { from, to }).filter(|range| range.from <= range.to);
        dates.retain(|date| range.is_some_and(|range| range.contains(*date)));
        ScopedMerchant { merchant, range, dates }
    }
}
