//! The page of a report: one function for each section.

mod calendar;
mod chart;
mod fees;
mod lists;
mod months;
mod summary;

use maud::{Markup, html};

use crate::document::cell::{Cell, seoul};
use crate::document::page::{Page, Section};
use crate::document::table::Align;
use crate::lang::Words;
use crate::texts::report as texts;

use super::attention::{self, Item};
use super::figures::{Figures, MerchantFigures};
use super::{Lang, Shown};

/// What the sections show.
struct View<'f> {
    figures: &'f Figures,
    lang: Lang,
    items: Vec<Item>,
}

impl View<'_> {
    fn text(&self, words: Words) -> &'static str {
        words.to(self.lang)
    }

    /// A table's headers: the first is that of its lines, the others those of numbers.
    fn headers(&self, first: Words, others: &[Words]) -> Vec<(String, Align)> {
        let others = others.iter().map(|title| (self.text(*title).into(), Align::Right));
        std::iter::once((self.text(first).into(), Align::Left)).chain(others).collect()
    }

    /// A line for each merchant below a table, if there are several.
    fn by_merchant(&self, line: impl Fn(&MerchantFigures) -> Vec<Cell>) -> Option<(&'static str, Vec<Vec<Cell>>)> {
        let lines = |merchant: &MerchantFigures| [vec![Cell::text(merchant.label())], line(merchant)].concat();
        let merchants = &self.figures.merchants;
        (merchants.len() > 1).then(|| (self.text(texts::BY_MERCHANT), merchants.iter().map(lines).collect()))
    }
}

/// The page.
pub(super) fn render(figures: &Figures, shown: Shown<'_>) -> String {
    let Shown { lang, dest, settle_window } = shown;
    let view = View { figures, lang, items: attention::items(figures, settle_window, lang) };
    let section = |id, title: Words, body: Markup| Section { id, title: title.to(lang), body };
    let sections = vec![
        section("summary", texts::SUMMARY, summary::render(&view)),
        section("attention", texts::ATTENTION, lists::attention(&view)),
        section("upcoming", texts::UPCOMING, lists::upcoming(&view)),
        section("months", texts::MONTHS, months::render(&view)),
        section("calendar", texts::CALENDAR, calendar::render(&view)),
        section("restatements", texts::RESTATEMENTS, lists::restatements(&view)),
        section("fees", texts::FEES, fees::render(&view)),
    ];
    let time = |time| seoul(time).format("%Y-%m-%d %H:%M").to_string();
    let whose = match figures.merchants.as_slice() {
        [merchant] => merchant.label(),
        merchants => texts::merchants(merchants.len(), lang),
    };
    let about = html! {
        p { (texts::range(figures.range, lang)) " · " (whose) }
        p.soft { strong { (texts::as_of(figures.as_of.map(time).as_deref(), lang)) } }
        @if let Some(badge) = figures.environment.and_then(texts::environment) {
            p { span.badge { (badge.to(lang)) } }
        }
    };
    let footer = html! { p { (texts::made(&time(figures.made_at), dest, lang)) } };
    Page { lang, title: texts::TITLE.to(lang).into(), about, sections, footer }.render()
}
