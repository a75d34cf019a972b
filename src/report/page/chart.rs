//! Bars by month. The drawing stretches to the page's width; what is written beside it is text, so that it does not.

use chrono::{Datelike as _, NaiveDate};
use maud::{Markup, html};

use crate::document::cell::{month, won};
use crate::lang::Lang;
use crate::texts::report as texts;

use super::View;

/// A month's bar.
pub(super) struct Bar {
    pub(super) month: NaiveDate,
    /// In hundredths of a won.
    pub(super) amount: i128,
    pub(super) is_complete: bool,
}

/// The height of the drawing, in its own units.
const HEIGHT: i128 = 1000;
/// The width of a month in them, and of its bar.
const STEP: usize = 100;
const WIDTH: usize = 66;
/// With more months than this, only years are named.
const NAMED: usize = 26;

/// The drawing, with the amounts at its side and the months below; nothing if there is no amount to draw.
pub(super) fn bars(view: &View<'_>, bars: &[Bar]) -> Markup {
    let lang = view.lang;
    let (least, most) = bars.iter().fold((0, 0), |(least, most), bar| (bar.amount.min(least), bar.amount.max(most)));
    if least == most {
        return html! {};
    }
    let step = round_up(most.max(least.saturating_neg()));
    let (top, bottom) = (if most > 0 { step } else { 0 }, if least < 0 { -step } else { 0 });
    let y = |amount: i128| (top - amount).saturating_mul(HEIGHT) / (top - bottom).max(1);
    let has_parts = bars.iter().any(|bar| !bar.is_complete);
    html! {
        div.chart {
            div.scale aria-hidden="true" {
                @for amount in scale(top, bottom) { span { (texts::short(amount, lang)) } }
            }
            svg viewBox={ "0 0 " (bars.len() * STEP) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(view.text(texts::MONTHS_CHART)) {
                @for amount in scale(top, bottom) {
                    line class=(if amount == 0 { "zero" } else { "grid" }) x1="0" x2=(bars.len() * STEP) y1=(y(amount)) y2=(y(amount)) {}
                }
                @for (index, bar) in bars.iter().enumerate() {
                    @let (from, to) = (y(bar.amount.max(0)), y(bar.amount.min(0)));
                    rect.part[!bar.is_complete] x=(index * STEP + (STEP - WIDTH) / 2) y=(from) width=(WIDTH) height=(to - from) {
                        title { (month(bar.month, lang)) ": " (won(bar.amount)) }
                    }
                }
            }
            @if bars.len() <= NAMED {
                div.names.dense[bars.len() > 14] aria-hidden="true" {
                    @for (index, bar) in bars.iter().enumerate() {
                        span { (month_name(bar.month, lang)) b { @if index == 0 || bar.month.month() == 1 { (bar.month.year()) } } }
                    }
                }
            } @else {
                div.names.years aria-hidden="true" {
                    @for bar in bars { span { @if bar.month.month() == 1 { (bar.month.year()) } } }
                }
            }
        }
        @if has_parts { p.note { (view.text(texts::UNFINISHED)) } }
    }
}

fn month_name(month: NaiveDate, lang: Lang) -> String {
    match lang {
        Lang::En => month.format("%b").to_string(),
        Lang::Ko => month.month().to_string(),
    }
}

/// The amounts at which a line is drawn, from the top.
fn scale(top: i128, bottom: i128) -> Vec<i128> {
    if bottom < 0 && top > 0 { vec![top, 0, bottom] } else { vec![top, i128::midpoint(top, bottom), bottom] }
}

/// The next amount that is 1, 2, 4, 6 or 8 times a power of ten.
fn round_up(amount: i128) -> i128 {
    let mut power = 100i128;
    while power.saturating_mul(10) < amount {
        power = power.saturating_mul(10);
    }
    [1, 2, 4, 6, 8, 10].into_iter().map(|times| power.saturating_mul(times)).find(|round| *round >= amount).unwrap_or(amount)
}
