//! What an outcome holds as lists of cells: the same in the page and in the workbook.

use chrono::NaiveDate;

use crate::document::cell::Cell;
use crate::document::workbook::Total;
use crate::lang::{Lang, Words};
use crate::texts::reconcile::{column, heading};

use super::cases::CaseStatus;
use super::deposits::DepositStatus;
use super::difference::Difference;
use super::fees::FeeStatus;
use super::outcome::Outcome;
use super::reason;

/// A list.
pub(super) struct List<'o> {
    /// Its columns, and what the last line has in them.
    pub(super) columns: Vec<(Words, Total)>,
    pub(super) lines: Box<dyn Iterator<Item = Vec<Cell>> + 'o>,
}

const NO: Total = Total::Blank;
const SUM: Total = Total::Sum;

fn text(text: Option<String>) -> Cell {
    text.map_or(Cell::Blank, Cell::text)
}

fn date(date: Option<NaiveDate>) -> Cell {
    date.map_or(Cell::Blank, Cell::Date)
}

fn amount(amount: Option<i128>) -> Cell {
    amount.map_or(Cell::Blank, Cell::Won)
}

/// The differences, the largest first.
pub(super) fn differences(outcome: &Outcome, limit: usize, lang: Lang) -> List<'_> {
    let columns = vec![
        (column::PART, NO),
        (heading::STATUS, NO),
        (column::MERCHANT, NO),
        (column::ORDER_NO, NO),
        (column::TRANSACTION, NO),
        (column::DATE, NO),
        (column::PAY_DATE, NO),
        (column::EXPECTED, NO),
        (column::FOUND, NO),
        (heading::DIFFERENCE, SUM),
        (column::REASON, NO),
    ];
    let lines = outcome.largest(limit).into_iter().map(move |found| {
        let Difference { of, status, merchant_id, order_no, transaction_id, date: day, pay_date, expected, found, difference, reasons } =
            found;
        vec![
            Cell::text(column::part(of).to(lang)),
            Cell::text(status),
            text(merchant_id),
            text(order_no),
            text(transaction_id),
            date(day),
            date(pay_date),
            amount(expected),
            amount(found),
            Cell::Change(difference),
            text(reason::text(&reasons, lang)),
        ]
    });
    List { columns, lines: Box::new(lines) }
}

/// Every case.
pub(super) fn cases(outcome: &Outcome, lang: Lang) -> List<'_> {
    let columns = vec![
        (column::MERCHANT, NO),
        (column::ORDER_NO, NO),
        (column::TRANSACTION, NO),
        (heading::STATUS, NO),
        (heading::ORDER_AMOUNT, SUM),
        (heading::PG_AMOUNT, SUM),
        (heading::DIFFERENCE, SUM),
        (column::DATE, NO),
        (column::FIRST_PAY_DATE, NO),
        (column::LAST_PAY_DATE, NO),
        (column::AGE_DAYS, NO),
        (heading::ROWS, SUM),
        (column::LINES, NO),
        (column::REASON, NO),
    ];
    let lines = outcome.cases().map(move |case| {
        let (difference, reason) = (case.difference(), case.reason(lang));
        vec![
            text(case.merchant_id),
            text(case.order_no),
            text(case.transaction_ids),
            Cell::text(case.status.name()),
            Cell::Won(case.order_amount),
            Cell::Won(case.pg_amount),
            Cell::Change(difference),
            date(case.order_date),
            date(case.first_pay_date),
            date(case.last_pay_date),
            // days, in the form of a number with a sign
            case.age_days.map_or(Cell::Blank, |days| Cell::Won(i128::from(days) * 100)),
            Cell::Count(case.rows),
            Cell::text(case.lines),
            text(reason),
        ]
    });
    List { columns, lines: Box::new(lines) }
}

/// The approved rows whose fee differs.
pub(super) fn fees(outcome: &Outcome, lang: Lang) -> List<'_> {
    let columns = vec![
        (column::MERCHANT, NO),
        (column::ORDER_NO, NO),
        (column::TRANSACTION, NO),
        (heading::STATUS, NO),
        (column::DATE, NO),
        (column::PAY_DATE, NO),
        (column::EXPECTED, NO),
        (column::FOUND, NO),
        (heading::DIFFERENCE, SUM),
        (column::REASON, NO),
    ];
    let lines = outcome.fee_rows().map(move |row| {
        let reasons: Vec<_> = row.reason.into_iter().collect();
        vec![
            Cell::text(row.merchant_id),
            text(row.order_no),
            text(row.transaction_id),
            Cell::text(row.status.name()),
            date(row.auth_date),
            Cell::Date(row.pay_date),
            amount(row.expected),
            amount(row.found),
            Cell::Change(row.difference),
            text(reason::text(&reasons, lang)),
        ]
    });
    List { columns, lines: Box::new(lines) }
}

/// Each day of the bank's side.
pub(super) fn deposits(outcome: &Outcome, lang: Lang) -> List<'_> {
    let columns = vec![
        (column::DATE, NO),
        (heading::STATUS, NO),
        (heading::EXPECTED, SUM),
        (heading::DEPOSITED, SUM),
        (heading::DIFFERENCE, SUM),
        (column::REASON, NO),
    ];
    let lines = outcome.deposits.iter().flat_map(|deposits| &deposits.days).map(move |day| {
        vec![
            Cell::Date(day.date),
            Cell::text(day.status.name()),
            Cell::Won(day.expected),
            Cell::Won(day.deposited),
            Cell::Change(day.deposited - day.expected),
            text(reason::text(&day.reasons(), lang)),
        ]
    });
    List { columns, lines: Box::new(lines) }
}

/// A part by status: its name, and a line for each status with its count, both sides, the difference, and what it means.
pub(super) fn summary(outcome: &Outcome, lang: Lang) -> Vec<(&'static str, Vec<Vec<Cell>>)> {
    let line = |name: &'static str, number: u64, sides: Option<[i128; 2]>, difference: i128, meaning: Words| {
        let [one, other] = sides.map_or([Cell::Blank, Cell::Blank], |sides| sides.map(Cell::Won));
        vec![Cell::text(name), Cell::Count(number), one, other, Cell::Change(difference), Cell::text(meaning.to(lang))]
    };
    let mut parts = Vec::new();
    if let Some(orders) = &outcome.orders {
        let lines = CaseStatus::ALL.into_iter().filter_map(|status| {
            let sum = orders.statuses.get(&status)?;
            let sides = [sum.order_amount, sum.pg_amount];
            Some(line(status.name(), sum.cases, Some(sides), sum.pg_amount - sum.order_amount, status.meaning()))
        });
        parts.push(("order", lines.collect()));
    }
    let lines = FeeStatus::ALL.into_iter().filter_map(|status| {
        let sum = outcome.fees.statuses.get(&status)?;
        Some(line(status.name(), sum.rows, None, sum.difference, status.meaning()))
    });
    parts.push(("fee", lines.collect()));
    if let Some(deposits) = &outcome.deposits {
        let statuses = deposits.statuses();
        let lines = DepositStatus::ALL.into_iter().filter_map(|status| {
            let sum = statuses.get(&status)?;
            Some(line(status.name(), sum.dates, Some([sum.expected, sum.deposited]), sum.deposited - sum.expected, status.meaning()))
        });
        parts.push(("deposit", lines.collect()));
    }
    parts
}
