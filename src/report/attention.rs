//! What somebody should do about a lake, as far as its day records show it.

use chrono::{NaiveDate, TimeDelta};

use crate::calendar::DateRange;
use crate::lake::record::OpenReason;
use crate::lang::Lang;
use crate::texts::report as texts;

use super::figures::{Day, Figures, MerchantFigures};

/// Restatements are new for so many days.
const NEWS: TimeDelta = TimeDelta::days(31);

/// Something to do, or to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Whether it waits for somebody, and does not settle by itself.
    pub(crate) is_to_do: bool,
    /// Whose days, if the report shows several merchants.
    pub(crate) merchant: Option<String>,
    pub(crate) text: String,
    /// What to type.
    pub(crate) command: Option<String>,
}

/// What there is to do, the most urgent first.
pub(crate) fn items(figures: &Figures, settle_window: u32, lang: Lang) -> Vec<Item> {
    let mut items = Vec::new();
    for merchant in &figures.merchants {
        let whose = (figures.merchants.len() > 1).then(|| merchant.label());
        let mut add = |is_to_do: bool, text: String, command: Option<String>| {
            items.push(Item { is_to_do, merchant: whose.clone(), text, command });
        };
        for gap in merchant.missing() {
            let DateRange { from, to } = gap;
            add(true, texts::missing(gap, lang), Some(format!("cookiepay-etl backfill --from {from} --to {to} --refetch missing")));
        }
        if let Some((days, first, last, pending)) = spanned(merchant, |day| day.overdue) {
            let command = format!("cookiepay-etl backfill --from {first} --to {last}");
            add(true, texts::overdue(days, first, last, pending, settle_window, lang), Some(command));
        }
        let unreadable = merchant.days.iter().find_map(|(pay_date, day)| Some((*pay_date, day.unreadable.as_deref()?)));
        if let Some((example, reason)) = unreadable {
            let days = merchant.days.values().filter(|day| day.unreadable.is_some()).count() as u64;
            add(true, texts::unreadable(days, example, reason, lang), Some("cookiepay-etl verify".into()));
        }
        let counted = |of: &dyn Fn(&Day) -> u64| {
            let found = merchant.days.values().map(of).filter(|rows| *rows > 0);
            found.fold((0u64, 0u64), |(days, rows), more| (days + 1, rows.saturating_add(more)))
        };
        let (days, rows) = counted(&|day| day.rejected_rows);
        if days > 0 {
            add(true, texts::rejected(days, rows, lang), None);
        }
        let (days, rows) = counted(&|day| day.unbalanced_rows);
        if days > 0 {
            add(true, texts::unbalanced(days, rows, lang), Some("examples/duckdb/days_that_do_not_add_up.sql".into()));
        }
        if merchant.days.values().any(|day| day.open_because.contains(&OpenReason::EmptyUnproven)) {
            add(true, texts::UNPROVEN.to(lang).into(), None);
        }
        let recent = merchant.restatements.iter().filter(|restatement| figures.made_at - restatement.seen_at <= NEWS);
        let (number, change) = recent.fold((0, 0i128), |(number, sum), restatement| (number + 1, sum.saturating_add(restatement.change())));
        if number > 0 {
            add(true, texts::restated(number, change, lang), None);
        }
        let is_late = |pay_date: NaiveDate, day: &Day| pay_date < figures.today && !day.overdue && day.amounts.pending_rows > 0;
        let late = merchant.days.iter().filter(|(pay_date, day)| is_late(**pay_date, day));
        let (days, pending) = late.fold((0, 0i128), |(days, sum), (_, day)| (days + 1, sum.saturating_add(day.amounts.pending)));
        if days > 0 {
            add(false, texts::late(days, pending, lang), None);
        }
    }
    // those that wait for somebody first, and otherwise by merchant
    items.sort_by_key(|item| !item.is_to_do);
    items
}

/// How many days of a merchant are so, the first and the last of them, and what is pending on them.
fn spanned(merchant: &MerchantFigures, is_so: impl Fn(&Day) -> bool) -> Option<(u64, NaiveDate, NaiveDate, i128)> {
    let found: Vec<_> = merchant.days.iter().filter(|(_, day)| is_so(day)).collect();
    let pending = found.iter().fold(0i128, |sum, (_, day)| sum.saturating_add(day.amounts.pending));
    Some((found.len() as u64, *found.first()?.0, *found.last()?.0, pending))
}

impl MerchantFigures {
    /// Its name and id, or its id alone.
    pub(crate) fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} ({})", self.merchant_id),
            None => self.merchant_id.clone(),
        }
    }
}
