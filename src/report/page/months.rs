//! The months: bars, and the table from which they are drawn.

use chrono::NaiveDate;
use maud::{Markup, html};

use crate::calendar::DateRange;
use crate::document::cell::Cell;
use crate::document::table::Table;
use crate::texts::report as texts;

use super::View;
use super::chart::{Bar, bars};
use crate::report::amounts::{Amounts, Share};
use crate::report::period::{first_of_month, within};

/// A month as it is shown.
struct Month {
    first: NaiveDate,
    amounts: Amounts,
    /// Every day of it is covered and closed.
    is_complete: bool,
}

pub(super) fn render(view: &View<'_>) -> Markup {
    let figures = view.figures;
    let months: Vec<Month> = figures.months().map(|(first, covered)| month(view, first, covered)).collect();
    let columns = [
        texts::APPROVED,
        texts::CANCELLED,
        texts::CANCELLED_SAME_DAY,
        texts::FEE,
        texts::VAT,
        texts::PAYOUT,
        texts::EFFECTIVE_RATE,
        texts::ROWS,
    ];
    // what people look for first is the newest
    let lines = months.iter().rev().map(|month| [vec![name(month)], line(&month.amounts)].concat()).collect();
    let mut table = Table::new(view.text(texts::MONTHS_CAPTION), view.headers(texts::MONTH, &columns), lines);
    table.total = Some([vec![Cell::text(view.text(texts::TOTAL))], line(&figures.amounts(figures.range))].concat());
    table.parts = view.by_merchant(|merchant| line(&merchant.amounts(figures.range)));
    let drawn: Vec<Bar> =
        months.iter().map(|month| Bar { month: month.first, amount: month.amounts.payout, is_complete: month.is_complete }).collect();
    html! {
        (bars(view, &drawn))
        (table.render(view.lang))
        p.note { (view.text(texts::MONTHS_NOTE)) }
    }
}

fn month(view: &View<'_>, first: NaiveDate, covered: DateRange) -> Month {
    let figures = view.figures;
    let whole = within(first, DateRange { from: first_of_month(first), to: NaiveDate::MAX });
    let counts = figures.counts(covered);
    Month { first, amounts: figures.amounts(covered), is_complete: covered == whole && counts.missing + counts.open == 0 }
}

fn name(month: &Month) -> Cell {
    if month.is_complete { Cell::Month(month.first) } else { Cell::text(format!("{} ◌", month.first.format("%Y-%m"))) }
}

fn line(amounts: &Amounts) -> Vec<Cell> {
    let Share { part, whole } = amounts.effective_rate();
    vec![
        Cell::Won(amounts.approved),
        Cell::Won(amounts.cancelled),
        Cell::Won(amounts.cancelled_same_day),
        Cell::Won(amounts.fee),
        Cell::Won(amounts.vat),
        Cell::Won(amounts.payout),
        Cell::Share { part, whole },
        Cell::Count(amounts.rows),
    ]
}
