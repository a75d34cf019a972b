//! The result of a reconciliation, for people: a table of each part, then the largest differences.

use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::lang::{Lang, Words};
use crate::reconcile::books::FilesRead;
use crate::reconcile::books::{Hundredths, Meaning};
use crate::reconcile::cases::CaseStatus;
use crate::reconcile::deposits::DepositStatus;
use crate::reconcile::difference::Difference;
use crate::reconcile::fees::FeeStatus;
use crate::reconcile::outcome::{CaseSum, DepositSum, DepositsFound, FeesFound, OrdersFound, Outcome};
use crate::reconcile::period::Period;
use crate::reconcile::reason;
use crate::texts::reconcile as texts;
use crate::texts::reconcile::heading;

use super::figures::{amount, count};

/// Differences that are listed; the JSON result has more, and the files have all cases.
const LISTED: usize = 10;

/// Writes the result.
pub(super) fn write(outcome: &Outcome, lang: Lang, out: &mut dyn Write) -> io::Result<()> {
    if let Some(orders) = &outcome.orders {
        writeln!(
            out,
            "{}",
            texts::orders(&period(orders.period), orders.are == Meaning::Events, outcome.settle_days.unwrap_or_default(), lang)
        )?;
        read(&orders.read, orders.lines.len() as u64, lang, out)?;
        table(&orders_table(orders, lang), out)?;
        if orders.unstated > 0 {
            writeln!(out, "{}", texts::unstated(orders.unstated, lang))?;
        }
        writeln!(out)?;
    }
    writeln!(out, "{}", texts::part(heading::FEES, &period(outcome.fees.period), lang))?;
    table(&fees_table(&outcome.fees, lang), out)?;
    writeln!(out)?;
    if let Some(deposits) = &outcome.deposits {
        writeln!(out, "{}", texts::part(heading::DEPOSITS, &period(deposits.period), lang))?;
        read(&deposits.read, deposits.lines, lang, out)?;
        table(&deposits_table(deposits, lang), out)?;
        for (day, _) in deposits.late().take(LISTED) {
            writeln!(out, "{} {}: {}", day.date, amount(day.deposited), reason::text(&day.reasons(), lang).unwrap_or_default())?;
        }
        writeln!(out)?;
    }
    differences(outcome, lang, out)
}

/// A period for people: nothing if it is not bounded.
fn period(Period { from, to }: Period) -> String {
    let end = |end: Option<chrono::NaiveDate>| end.map(|date| date.to_string()).unwrap_or_default();
    if from.is_none() && to.is_none() { String::new() } else { format!("{} ~ {}", end(from), end(to)) }
}

fn read(read: &FilesRead, lines: u64, lang: Lang, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", texts::read(read.files.len(), lines, read.passed_over, lang))?;
    let columns: Vec<String> = read.columns.iter().map(|(field, header)| format!("{field}={header}")).collect();
    if !columns.is_empty() {
        writeln!(out, "{}: {}", heading::COLUMNS.to(lang), columns.join(", "))?;
    }
    read.notes.iter().try_for_each(|note| writeln!(out, "{note}"))
}

fn differences(outcome: &Outcome, lang: Lang, out: &mut dyn Write) -> io::Result<()> {
    let all = outcome.difference_count();
    if all == 0 {
        return writeln!(out, "{}", texts::AGREES.to(lang));
    }
    writeln!(out, "{}", texts::differences(all, all.min(LISTED), lang))?;
    for found in outcome.differences().iter().take(LISTED) {
        let Difference { of, status, merchant_id, order_no, transaction_id, date, pay_date, expected, found, difference, reasons } = found;
        let date = date.or(*pay_date).map(|date| date.to_string());
        let whose = [merchant_id, order_no, transaction_id, &date].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
        let figure = |figure: &Option<Hundredths>| figure.map_or("-".into(), amount);
        writeln!(out, "{of} {status} {whose}: {}", texts::figures(&figure(expected), &figure(found), &amount(*difference), lang))?;
        if let Some(reason) = reason::text(reasons, lang) {
            writeln!(out, "    {reason}")?;
        }
    }
    Ok(())
}

/// Without the blanks that fill up the last column.
fn table(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

/// A table with figures between the status and what it means.
fn figures_table(headings: &[Words], lang: Lang) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(headings.iter().map(|heading| heading.to(lang)).chain([""]));
    for index in 1..headings.len() {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn orders_table(found: &OrdersFound, lang: Lang) -> Table {
    use heading::{CASES, DIFFERENCE, ORDER_AMOUNT, PG_AMOUNT, STATUS};
    let mut table = figures_table(&[STATUS, CASES, ORDER_AMOUNT, PG_AMOUNT, DIFFERENCE], lang);
    let mut row = |name: &str, sum: CaseSum, meaning: &str| {
        let difference = sum.pg_amount - sum.order_amount;
        table.add_row([name, &count(sum.cases), &amount(sum.order_amount), &amount(sum.pg_amount), &amount(difference), meaning]);
    };
    for status in CaseStatus::ALL {
        if let Some(sum) = found.statuses.get(&status) {
            row(status.name(), *sum, status.meaning().to(lang));
        }
    }
    row(heading::TOTAL.to(lang), found.total(), "");
    table
}

fn fees_table(found: &FeesFound, lang: Lang) -> Table {
    let mut table = figures_table(&[heading::STATUS, heading::ROWS, heading::DIFFERENCE], lang);
    for status in FeeStatus::ALL {
        if let Some(sum) = found.statuses.get(&status) {
            table.add_row([status.name(), &count(sum.rows), &amount(sum.difference), status.meaning().to(lang)]);
        }
    }
    let rows = found.statuses.values().map(|sum| sum.rows).sum();
    let difference = found.statuses.values().map(|sum| sum.difference).sum();
    table.add_row([heading::TOTAL.to(lang), &count(rows), &amount(difference), ""]);
    table
}

fn deposits_table(found: &DepositsFound, lang: Lang) -> Table {
    use heading::{DATES, DEPOSITED, DIFFERENCE, EXPECTED, STATUS};
    let mut table = figures_table(&[STATUS, DATES, EXPECTED, DEPOSITED, DIFFERENCE], lang);
    let mut row = |name: &str, sum: DepositSum, meaning: &str| {
        let difference = sum.deposited - sum.expected;
        table.add_row([name, &count(sum.dates), &amount(sum.expected), &amount(sum.deposited), &amount(difference), meaning]);
    };
    let statuses = found.statuses();
    for status in DepositStatus::ALL {
        if let Some(sum) = statuses.get(&status) {
            row(status.name(), *sum, status.meaning().to(lang));
        }
    }
    row(heading::TOTAL.to(lang), found.total(), "");
    table
}
