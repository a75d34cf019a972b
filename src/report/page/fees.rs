//! The fees: what approved rows cost, by method and by acquirer.

use maud::{Markup, html};

use crate::document::cell::Cell;
use crate::document::table::Table;
use crate::lang::Words;
use crate::settlement::codes::meaning;
use crate::settlement::source::Field;
use crate::texts::report as texts;

use super::View;
use crate::report::amounts::{Fees, FeesByCode, Share};

pub(super) fn render(view: &View<'_>) -> Markup {
    let fees = view.figures.fees();
    let total = fees.total();
    if total.rows == 0 {
        return html! { p { (view.text(texts::NO_FEES)) } };
    }
    let table = |caption: Words, first: Words, by: &FeesByCode, name: &dyn Fn(Option<&str>) -> String| {
        let mut codes: Vec<_> = by.iter().collect();
        codes.sort_by_key(|(_, fees)| std::cmp::Reverse(fees.approved));
        let lines = codes.into_iter().map(|(code, fees)| [vec![Cell::text(name(code.as_deref()))], line(fees, &total)].concat());
        let columns = [texts::ROWS, texts::APPROVED, texts::SHARE_OF_SALES, texts::FEE, texts::VAT, texts::EFFECTIVE_RATE];
        let mut table = Table::new(view.text(caption), view.headers(first, &columns), lines.collect());
        table.total = Some([vec![Cell::text(view.text(texts::TOTAL))], line(&total, &total)].concat());
        table.parts = view.by_merchant(|merchant| line(&merchant.fees.total(), &total));
        table
    };
    let method = |code: Option<&str>| named(view, code, texts::method, texts::NO_CODE);
    let acquirer = |code: Option<&str>| named(view, code, |code| meaning(Field::Acquirer, code), texts::NO_ACQUIRER);
    html! {
        (table(texts::FEES_BY_METHOD, texts::METHOD, &fees.methods(), &method).render(view.lang))
        (table(texts::FEES_BY_ACQUIRER, texts::ACQUIRER, &fees.acquirers(), &acquirer).render(view.lang))
        p.note { (view.text(texts::FEES_NOTE)) }
    }
}

/// A code's name with the code, or the code alone.
fn named(view: &View<'_>, code: Option<&str>, name: impl Fn(&str) -> Option<Words>, blank: Words) -> String {
    match code.map(str::trim).filter(|code| !code.is_empty()) {
        None => view.text(blank).to_owned(),
        Some(code) => name(code).map_or_else(|| code.to_owned(), |name| format!("{} ({code})", view.text(name))),
    }
}

fn line(fees: &Fees, total: &Fees) -> Vec<Cell> {
    let Share { part, whole } = fees.effective_rate();
    vec![
        Cell::Count(fees.rows),
        Cell::Won(fees.approved),
        Cell::Share { part: fees.approved, whole: total.approved },
        Cell::Won(fees.fee),
        Cell::Won(fees.vat),
        Cell::Share { part, whole },
    ]
}
