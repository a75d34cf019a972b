//! An outcome as a page: summary first, then differences by won, cases, fees, deposits.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::document::cell::{Cell, seoul};
use crate::document::page::{Page, Section};
use crate::document::table::{Align, Table};
use crate::lang::{Lang, Words};
use crate::texts::reconcile as texts;
use crate::texts::reconcile::{column, heading, sheet};
use crate::texts::report::made;

use super::books::FilesRead;
use super::lists::{self, List};
use super::outcome::Outcome;
use super::period::Period;

/// Lines of a list that a page shows; the workbook has all.
const LISTED: usize = 500;

/// The page.
pub(crate) fn page(outcome: &Outcome, made_at: DateTime<Utc>, lang: Lang) -> String {
    let mut sections = vec![
        section("summary", sheet::SUMMARY, summary(outcome, lang), lang),
        section("differences", sheet::DIFFERENCES, list(column::LARGEST_FIRST, lists::differences(outcome, LISTED + 1, lang), lang), lang),
    ];
    if outcome.orders.is_some() {
        sections.push(section("cases", sheet::CASES, list(column::CASES_IN_ORDER, lists::cases(outcome, lang), lang), lang));
    }
    sections.push(section("fees", heading::FEES, list(column::FEES_THAT_DIFFER, lists::fees(outcome, lang), lang), lang));
    if outcome.deposits.is_some() {
        sections.push(section("deposits", heading::DEPOSITS, list(column::DAYS_OF_THE_BANK, lists::deposits(outcome, lang), lang), lang));
    }
    let differences = outcome.difference_count();
    let about = html! {
        p { (period(outcome.period)) }
        p { strong { @if differences == 0 { "✓ " (texts::AGREES.to(lang)) } @else { "! " (texts::differences(differences, differences, lang)) } } }
    };
    let time = seoul(made_at).format("%Y-%m-%d %H:%M").to_string();
    let footer = html! { p { (made(&time, &outcome.dest, lang)) } };
    Page { lang, title: sheet::TITLE.to(lang).into(), about, sections, footer }.render()
}

fn section(id: &'static str, title: Words, body: Markup, lang: Lang) -> Section {
    Section { id, title: title.to(lang), body }
}

fn period(Period { from, to }: Period) -> String {
    let ends: Vec<String> = [from, to].into_iter().flatten().map(|date| date.to_string()).collect();
    ends.join(" ~ ")
}

fn summary(outcome: &Outcome, lang: Lang) -> Markup {
    let read = |part: &str| match part {
        "order" => outcome.orders.as_ref().map(|orders| (&orders.read, orders.lines.len() as u64)),
        "deposit" => outcome.deposits.as_ref().map(|deposits| (&deposits.read, deposits.lines)),
        _ => None,
    };
    html! {
        @for (part, lines) in lists::summary(outcome, lang) {
            (by_status(part, lines, lang).render(lang))
            @if let Some((FilesRead { files, passed_over, notes, .. }, lines)) = read(part) {
                p.note { (texts::read(files.len(), lines, *passed_over, lang)) ": " (files.join(", ")) }
                @for note in notes { p.note { (note) } }
            }
        }
    }
}

/// A part's statuses, with its total.
fn by_status(part: &str, lines: Vec<Vec<Cell>>, lang: Lang) -> Table {
    let (number, one, other) = match part {
        "order" => (heading::CASES, Some(heading::ORDER_AMOUNT), Some(heading::PG_AMOUNT)),
        "deposit" => (heading::DATES, Some(heading::EXPECTED), Some(heading::DEPOSITED)),
        _ => (heading::ROWS, None, None),
    };
    let titles = [Some(number), one, other, Some(heading::DIFFERENCE)];
    let mut columns = vec![(heading::STATUS.to(lang).to_owned(), Align::Left)];
    columns.extend(titles.into_iter().flatten().map(|title| (title.to(lang).to_owned(), Align::Right)));
    columns.push((column::MEANING.to(lang).to_owned(), Align::Left));
    // fees have one figure in place of two sides
    let kept = |line: Vec<Cell>| -> Vec<Cell> {
        line.into_iter().enumerate().filter(|(at, _)| one.is_some() || !(2..4).contains(at)).map(|(_, cell)| cell).collect()
    };
    let lines: Vec<Vec<Cell>> = lines.into_iter().map(kept).collect();
    let total = total(&lines, columns.len(), lang);
    let mut table = Table::new(column::part(part).to(lang), columns, lines);
    table.total = Some(total);
    table
}

/// The sum of each column of numbers.
fn total(lines: &[Vec<Cell>], columns: usize, lang: Lang) -> Vec<Cell> {
    let sum = |at: usize| {
        lines.iter().filter_map(|line| line.get(at)).fold(Cell::Blank, |sum, cell| match (sum, cell) {
            (Cell::Count(sum), Cell::Count(number)) => Cell::Count(sum + number),
            (Cell::Won(sum), Cell::Won(amount)) => Cell::Won(sum.saturating_add(*amount)),
            (Cell::Change(sum), Cell::Change(amount)) => Cell::Change(sum.saturating_add(*amount)),
            (Cell::Blank, Cell::Count(_) | Cell::Won(_) | Cell::Change(_)) => cell.clone(),
            (sum, _) => sum,
        })
    };
    std::iter::once(Cell::text(heading::TOTAL.to(lang))).chain((1..columns).map(sum)).collect()
}

fn list(caption: Words, list: List<'_>, lang: Lang) -> Markup {
    let List { columns, mut lines } = list;
    let shown: Vec<Vec<Cell>> = lines.by_ref().take(LISTED).collect();
    if shown.is_empty() {
        return html! { p { (column::NOTHING.to(lang)) } };
    }
    let is_number = |at: usize| shown.iter().any(|line| line.get(at).is_some_and(Cell::is_number));
    let titles = columns
        .iter()
        .enumerate()
        .map(|(at, (title, _))| (title.to(lang).to_owned(), if is_number(at) { Align::Right } else { Align::Left }));
    let table = Table::new(caption.to(lang), titles.collect(), shown.clone());
    let more = lines.next().is_some();
    html! {
        (table.render(lang))
        @if more { p.note { (column::only_the_first(LISTED, lang)) } }
    }
}
