//! The calendar: a cell for each day, by which gaps and restatements are seen at a glance.

use chrono::{Datelike as _, NaiveDate};
use maud::{Markup, html};

use crate::calendar::DateRange;
use crate::document::cell::{Cell, month, weekday, won};
use crate::document::table::Table;
use crate::status::DayState;
use crate::texts::report as texts;

use super::View;
use crate::report::amounts::Amounts;

pub(super) fn render(view: &View<'_>) -> Markup {
    let mut years: Vec<(i32, Vec<(NaiveDate, DateRange)>)> = Vec::new();
    for (first, covered) in view.figures.months() {
        match years.last_mut() {
            Some((year, months)) if *year == first.year() => months.push((first, covered)),
            _ => years.push((first.year(), vec![(first, covered)])),
        }
    }
    let several = years.len() > 1;
    html! {
        (legend(view))
        @for (year, months) in &years {
            @if several { h3 { (year) } }
            div.year { @for (first, covered) in months { (month_grid(view, *first, *covered)) } }
        }
        p.note { (view.text(texts::CALENDAR_NOTE)) }
        (states(view).render(view.lang))
    }
}

/// The sign of a state, beside its colour.
const fn sign(state: DayState) -> &'static str {
    match state {
        DayState::Closed | DayState::ClosedEmpty => "",
        DayState::Open => "○",
        DayState::Missing => "✕",
    }
}

const fn name(state: DayState) -> &'static str {
    match state {
        DayState::Closed => "closed",
        DayState::ClosedEmpty => "closed_empty",
        DayState::Open => "open",
        DayState::Missing => "missing",
    }
}

fn legend(view: &View<'_>) -> Markup {
    let states = [DayState::Closed, DayState::ClosedEmpty, DayState::Open, DayState::Missing];
    html! {
        ul.legend aria-label=(view.text(texts::LEGEND)) {
            @for state in states {
                li {
                    span.day data-state=(name(state)) aria-hidden="true" { "5" @if !sign(state).is_empty() { b { (sign(state)) } } }
                    (view.text(texts::state(state)))
                }
            }
            li { span.day data-state="closed" data-restated aria-hidden="true" { "5" b.r { "R" } } (view.text(texts::RESTATED)) }
        }
    }
}

fn month_grid(view: &View<'_>, first: NaiveDate, covered: DateRange) -> Markup {
    let lang = view.lang;
    let mut weeks: Vec<Vec<NaiveDate>> = Vec::new();
    let days = first.iter_days().take_while(|day| day.month() == first.month());
    for day in days {
        match weeks.last_mut() {
            Some(week) if day.weekday().num_days_from_sunday() > 0 => week.push(day),
            _ => weeks.push(vec![day]),
        }
    }
    // a Sunday and the six days after it
    let week = NaiveDate::from_ymd_opt(2023, 1, 1).unwrap_or_default().iter_days().take(7);
    html! {
        table.cal {
            caption { (month(first, lang)) }
            thead { tr { @for day in week { @let name = weekday(day, lang); th scope="col" abbr=(name) { (name.chars().next().unwrap_or(' ')) } } } }
            tbody {
                @for (index, week) in weeks.iter().enumerate() {
                    tr {
                        @if index == 0 && week.len() < 7 { td colspan=(7 - week.len()) {} }
                        @for day in week { (cell(view, *day, covered)) }
                        @if index > 0 && week.len() < 7 { td colspan=(7 - week.len()) {} }
                    }
                }
            }
        }
    }
}

fn cell(view: &View<'_>, day: NaiveDate, covered: DateRange) -> Markup {
    if !covered.contains(day) {
        return html! { td {} };
    }
    let figures = view.figures;
    let (state, restated) = (figures.worst_state(day), figures.is_restated(day));
    let words = view.text(texts::state(state));
    let amounts: Amounts = figures.of_day(day).map(|day| day.amounts).sum();
    let rows = (amounts.rows > 0).then(|| format!(" · {} · {}", texts::rows(amounts.rows, view.lang), won(amounts.payout)));
    let restated_words = if restated { view.text(texts::RESTATED) } else { "" };
    html! {
        td data-date=(day) data-state=(name(state)) data-restated[restated] title={ (words) @if restated { " · " (restated_words) } (rows.unwrap_or_default()) } {
            (day.day())
            @if !sign(state).is_empty() || restated {
                b.r[restated] aria-hidden="true" { (sign(state)) @if restated { "R" } }
            }
            @if state != DayState::Closed || restated {
                i.v { " " (words) " " (restated_words) }
            }
        }
    }
}

/// Days by state: in all, and by merchant.
fn states(view: &View<'_>) -> Table {
    let figures = view.figures;
    let line = |counts: crate::report::figures::DayCounts| {
        [counts.closed, counts.closed_empty, counts.open, counts.missing, counts.overdue, counts.restated].map(Cell::Count).to_vec()
    };
    let columns = [
        texts::state(DayState::Closed),
        texts::state(DayState::ClosedEmpty),
        texts::state(DayState::Open),
        texts::state(DayState::Missing),
        texts::OVERDUE,
        texts::RESTATED,
    ];
    let mut table = Table::new(view.text(texts::STATES_BY_MERCHANT), view.headers(texts::MERCHANT, &columns), Vec::new());
    table.total = Some([vec![Cell::text(view.text(texts::TOTAL))], line(figures.counts(figures.range))].concat());
    table.parts = view.by_merchant(|merchant| line(merchant.counts(figures.range)));
    table
}
