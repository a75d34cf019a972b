//! What is to do, what will be paid, and what was changed.

use maud::{Markup, html};

use crate::document::cell::Cell;
use crate::document::table::{Align, Table};
use crate::texts::report as texts;

use super::View;
use crate::report::amounts::Amounts;
use crate::report::figures::Restatement;

/// Things to do that are listed.
const ITEMS: usize = 30;
/// Pay dates with pending rows that are listed; the others are one line.
const UPCOMING: usize = 120;
/// Restatements that are listed.
const RESTATEMENTS: usize = 400;

pub(super) fn attention(view: &View<'_>) -> Markup {
    html! {
        @if view.items.is_empty() { p.fine { "✓ " (view.text(texts::NOTHING_TO_DO)) } }
        @else {
            ul.todo {
                @for item in view.items.iter().take(ITEMS) {
                    li.do[item.is_to_do].watch[!item.is_to_do] {
                        b.mark aria-hidden="true" { @if item.is_to_do { "!" } @else { "i" } }
                        @if let Some(merchant) = &item.merchant { strong { (merchant) } ": " }
                        (item.text)
                        @if let Some(command) = &item.command { " " code { (command) } }
                    }
                }
            }
            @if view.items.len() > ITEMS { p.note { (texts::more(view.items.len() - ITEMS, view.lang)) } }
        }
    }
}

pub(super) fn upcoming(view: &View<'_>) -> Markup {
    let (figures, lang) = (view.figures, view.lang);
    let pending = figures.upcoming();
    if pending.is_empty() {
        return html! { p { (view.text(texts::NO_UPCOMING)) } };
    }
    let total: Amounts = pending.values().copied().sum();
    let left_out = pending.len().saturating_sub(UPCOMING);
    let earlier: Amounts = pending.values().take(left_out).copied().sum();
    let mut running = earlier.pending;
    let lines = pending.iter().skip(left_out).map(|(pay_date, amounts)| {
        running = running.saturating_add(amounts.pending);
        let overdue = figures.of_day(*pay_date).any(|day| day.overdue);
        vec![
            Cell::Date(*pay_date),
            Cell::Won(amounts.pending),
            Cell::text(texts::due((*pay_date - figures.today).num_days(), overdue, lang)),
            Cell::Count(amounts.pending_rows),
            Cell::Won(running),
        ]
    });
    let summed = |title: &'static str, amounts: &Amounts, running: Cell| {
        vec![Cell::text(title), Cell::Won(amounts.pending), Cell::Blank, Cell::Count(amounts.pending_rows), running]
    };
    let mut columns = view.headers(texts::PAY_DATE, &[texts::PENDING, texts::WHEN, texts::PENDING_ROWS, texts::RUNNING]);
    columns[2].1 = Align::Left;
    let mut table = Table::new(view.text(texts::UPCOMING_CAPTION), columns, lines.collect());
    table.rest = (left_out > 0).then(|| summed(view.text(texts::EARLIER), &earlier, Cell::Won(earlier.pending)));
    table.total = Some(summed(view.text(texts::TOTAL), &total, Cell::Blank));
    table.parts = view.by_merchant(|merchant| {
        let amounts = merchant.amounts(figures.range);
        vec![Cell::Won(amounts.pending), Cell::Blank, Cell::Count(amounts.pending_rows), Cell::Blank]
    });
    html! {
        (table.render(lang))
        p.note {
            (view.text(texts::UPCOMING_NOTE))
            @if left_out > 0 { " " (texts::left_out(left_out, lang)) }
        }
    }
}

pub(super) fn restatements(view: &View<'_>) -> Markup {
    let (figures, lang) = (view.figures, view.lang);
    let found = figures.restatements();
    if found.is_empty() {
        return html! { p { (view.text(texts::NO_RESTATEMENTS)) } };
    }
    let several = figures.merchants.len() > 1;
    let whose = |merchant: &str| several.then(|| Cell::text(merchant.to_owned()));
    let lines = found.iter().take(RESTATEMENTS).map(|(merchant, restatement)| {
        let mut line = vec![Cell::Date(restatement.pay_date)];
        line.extend(whose(&merchant.label()));
        line.push(Cell::Time(restatement.seen_at));
        line.extend(figures_of([*restatement]));
        line
    });
    let summed = |title: &'static str, of: &mut dyn Iterator<Item = &Restatement>| {
        let mut line = vec![Cell::text(title)];
        line.extend(whose(""));
        line.push(Cell::Blank);
        line.extend(figures_of(of));
        line
    };
    let mut columns = view.headers(
        texts::PAY_DATE,
        &[texts::SEEN_AT, texts::ROWS_BEFORE, texts::ROWS_AFTER, texts::PAYOUT_BEFORE, texts::PAYOUT_AFTER, texts::CHANGE],
    );
    columns[1].1 = Align::Left;
    if several {
        columns.insert(1, (view.text(texts::MERCHANT).into(), Align::Left));
    }
    let mut table = Table::new(view.text(texts::RESTATEMENTS_CAPTION), columns, lines.collect());
    let left_out = found.len().saturating_sub(RESTATEMENTS);
    table.rest = (left_out > 0)
        .then(|| summed(view.text(texts::EARLIER), &mut found.iter().skip(RESTATEMENTS).map(|(_, restatement)| *restatement)));
    table.total = Some(summed(view.text(texts::TOTAL), &mut found.iter().map(|(_, restatement)| *restatement)));
    table.parts = view.by_merchant(|merchant| {
        let mut line = vec![Cell::Blank, Cell::Count(merchant.restatements.len() as u64)];
        line.extend(figures_of(&merchant.restatements));
        line
    });
    html! {
        (table.render(lang))
        p.note {
            (view.text(texts::RESTATEMENTS_NOTE))
            @if left_out > 0 { " " (texts::left_out(left_out, lang)) }
        }
    }
}

/// Rows and payouts before and after, and the change.
fn figures_of<'r>(restatements: impl IntoIterator<Item = &'r Restatement>) -> [Cell; 5] {
    let (mut before, mut after, mut change) = ((0u64, 0i128), (0u64, 0i128), 0i128);
    for restatement in restatements {
        before = (before.0 + restatement.rows_before, before.1.saturating_add(restatement.payout_before));
        after = (after.0 + restatement.rows_after, after.1.saturating_add(restatement.payout_after));
        change = change.saturating_add(restatement.change());
    }
    [Cell::Count(before.0), Cell::Count(after.0), Cell::Won(before.1), Cell::Won(after.1), Cell::Change(change)]
}
