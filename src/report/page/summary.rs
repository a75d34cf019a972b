//! The summary: what came in, how that compares, what will come, and whether anything is missing.

use chrono::{Months, NaiveDate};
use maud::{Markup, html};

use crate::calendar::DateRange;
use crate::document::cell::{Cell, month};
use crate::document::table::{Align, Table};
use crate::lang::Words;
use crate::texts::report as texts;

use super::View;
use crate::report::amounts::{Amounts, Share};
use crate::report::period::within;

/// The month that the summary is about, and the one before.
struct Compared {
    /// `None` for the whole range.
    month: Option<NaiveDate>,
    range: DateRange,
    before: Option<(NaiveDate, DateRange)>,
}

impl Compared {
    fn of(view: &View<'_>) -> Self {
        let figures = view.figures;
        let Some(month) = figures.last_full_month() else { return Self { month: None, range: figures.range, before: None } };
        let before = month.checked_sub_months(Months::new(1)).filter(|before| *before >= figures.range.from);
        Self {
            month: Some(month),
            range: within(month, figures.range),
            before: before.map(|before| (before, within(before, figures.range))),
        }
    }
}

pub(super) fn render(view: &View<'_>) -> Markup {
    let compared = Compared::of(view);
    html! {
        (tiles(view, &compared))
        @if compared.month.is_none() { p.note { (view.text(texts::NO_FULL_MONTH)) } }
        (table(view, &compared).render(view.lang))
        @if let Some(table) = merchants(view, &compared) { (table.render(view.lang)) }
    }
}

fn tiles(view: &View<'_>, compared: &Compared) -> Markup {
    let (figures, lang) = (view.figures, view.lang);
    let payout = figures.amounts(compared.range).payout;
    let heading = compared
        .month
        .map_or_else(|| format!("{}: {}", view.text(texts::PAYOUT), view.text(texts::WHOLE_RANGE)), |month| texts::payout_of(month, lang));
    let before = compared.before.map(|(month, range)| (month, figures.amounts(range).payout));
    let counts = figures.counts(figures.range);
    let upcoming = figures.upcoming();
    let pending = upcoming.values().copied().sum::<Amounts>();
    let next = upcoming.range(figures.today..).next();
    html! {
        dl.tiles {
            div.first {
                dt { (heading) }
                dd.big { (texts::money(payout, lang)) }
                dd.soft {
                    @match before {
                        Some((month, before)) => {
                            (growth(payout, before).show(lang)) " (" (Cell::Change(payout.saturating_sub(before)).show(lang)) ") " (texts::compared_with(month, lang))
                        }
                        None => (view.text(texts::NO_MONTH_BEFORE)),
                    }
                }
            }
            div {
                dt { (view.text(texts::PAYOUT_TO_COME)) }
                dd.big { (texts::money(pending.pending, lang)) }
                dd.soft {
                    @match next {
                        Some((pay_date, amounts)) => (texts::next(*pay_date, amounts.pending, lang)),
                        None if pending.pending_rows == 0 => (view.text(texts::NOTHING_PENDING)),
                        None => (texts::rows(pending.pending_rows, lang)),
                    }
                }
            }
            (tile(view, texts::MISSING_DAYS, counts.missing, counts.missing > 0, None))
            (tile(view, texts::OPEN_DAYS, counts.open, counts.overdue > 0, Some(texts::of_which_overdue(counts.overdue, lang))))
            (tile(view, texts::RESTATED_DAYS, counts.restated, false, None))
        }
    }
}

fn tile(view: &View<'_>, title: Words, days: u64, is_bad: bool, more: Option<String>) -> Markup {
    html! {
        div {
            dt { (view.text(title)) }
            dd.big.bad[is_bad] { (texts::days(days, view.lang)) }
            @if let Some(more) = more { dd.soft { (more) } }
        }
    }
}

fn growth(now: i128, before: i128) -> Cell {
    Cell::Growth { part: now.saturating_sub(before), whole: before.saturating_abs() }
}

/// A line for each figure, and a column for each of the two months.
fn table(view: &View<'_>, compared: &Compared) -> Table {
    let lang = view.lang;
    let now = view.figures.amounts(compared.range);
    let before = compared.before.map(|(_, range)| view.figures.amounts(range));
    let amount = |title: Words, of: &dyn Fn(&Amounts) -> i128| {
        let mut line = vec![Cell::text(view.text(title)), Cell::Won(of(&now))];
        if let Some(before) = &before {
            let change = of(&now).saturating_sub(of(before));
            line.extend([Cell::Won(of(before)), Cell::Change(change), growth(of(&now), of(before))]);
        }
        line
    };
    let rate = |Share { part, whole }: Share| Cell::Share { part, whole };
    let mut rows = vec![Cell::text(view.text(texts::ROWS)), Cell::Count(now.rows)];
    let mut rates = vec![Cell::text(view.text(texts::EFFECTIVE_RATE)), rate(now.effective_rate())];
    if let Some(before) = &before {
        let change = i128::from(now.rows) - i128::from(before.rows);
        rows.extend([Cell::Count(before.rows), Cell::Change(change * 100), Cell::Growth { part: change, whole: i128::from(before.rows) }]);
        rates.extend([rate(before.effective_rate()), Cell::Blank, Cell::Blank]);
    }
    let lines = vec![
        amount(texts::PAYOUT, &|amounts| amounts.payout),
        amount(texts::APPROVED, &|amounts| amounts.approved),
        amount(texts::CANCELLED, &|amounts| amounts.cancelled),
        amount(texts::FEE, &|amounts| amounts.fee),
        amount(texts::VAT, &|amounts| amounts.vat),
        rates,
        rows,
    ];
    let mut titles = vec![compared.month.map_or_else(|| view.text(texts::WHOLE_RANGE).to_owned(), |of| month(of, lang))];
    if let Some((of, _)) = compared.before {
        titles.extend([month(of, lang), view.text(texts::CHANGE).into(), view.text(texts::GROWTH).into()]);
    }
    let mut columns = view.headers(texts::FIGURE, &[]);
    columns.extend(titles.into_iter().map(|title| (title, Align::Right)));
    Table::new(view.text(if before.is_some() { texts::COMPARED } else { texts::SUMMARY }), columns, lines)
}

/// A line for each merchant, with its two months, its days, and as of when.
fn merchants(view: &View<'_>, compared: &Compared) -> Option<Table> {
    let figures = view.figures;
    let headers = [
        texts::PAYOUT,
        texts::CHANGE,
        texts::GROWTH,
        texts::PENDING,
        texts::MISSING_DAYS,
        texts::OPEN_DAYS,
        texts::OVERDUE,
        texts::RESTATED,
        texts::AS_OF,
    ];
    let (heading, lines) = view.by_merchant(|merchant| {
        let payout = merchant.amounts(compared.range).payout;
        let before = compared.before.map(|(_, range)| merchant.amounts(range).payout);
        let counts = merchant.counts(figures.range);
        vec![
            Cell::Won(payout),
            before.map_or(Cell::Blank, |before| Cell::Change(payout.saturating_sub(before))),
            before.map_or(Cell::Blank, |before| growth(payout, before)),
            Cell::Won(merchant.amounts(figures.range).pending),
            Cell::Count(counts.missing),
            Cell::Count(counts.open),
            Cell::Count(counts.overdue),
            Cell::Count(counts.restated),
            merchant.as_of.map_or(Cell::Blank, Cell::Time),
        ]
    })?;
    Some(Table::new(heading, view.headers(texts::MERCHANT, &headers), lines))
}
