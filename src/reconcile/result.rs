//! The result as JSON. Keys, statuses and reasons are English in every language.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::command::Command;
use crate::exit::ExitCode;
use crate::lang::Lang;
use crate::settlement::values::{AMOUNT, format_decimal};
use crate::texts::reconcile as texts;

use super::books::FilesRead;
use super::books::{Hundredths, Meaning};
use super::deposits::DepositDay;
use super::difference::{Difference, LISTED};
use super::outcome::{DepositsFound, FeesFound, OrdersFound, Outcome};
use super::period::Period;
use super::reason;

/// The result of a reconciliation.
#[derive(Debug, Serialize)]
pub struct ReconcileResult {
    command: Command,
    status: &'static str,
    exit_code: ExitCode,
    dest: String,
    period: Period,
    settle_days: Option<u32>,
    orders: Option<OrdersResult>,
    fees: FeesResult,
    deposits: Option<DepositsResult>,
    differences: Vec<Json>,
    out: Vec<String>,
}

#[derive(Debug, Serialize)]
struct FilesResult {
    files: usize,
    lines: u64,
    passed_over: u64,
    columns: Map<String, Json>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct OrdersResult {
    are: Meaning,
    period: Period,
    #[serde(flatten)]
    read: FilesResult,
    unstated: u64,
    order_amount: String,
    pg_amount: String,
    difference: String,
    statuses: BTreeMap<&'static str, CaseResult>,
}

#[derive(Debug, Serialize)]
struct CaseResult {
    cases: u64,
    order_amount: String,
    pg_amount: String,
}

#[derive(Debug, Serialize)]
struct FeesResult {
    rows: u64,
    statuses: BTreeMap<&'static str, FeeResult>,
}

#[derive(Debug, Serialize)]
struct FeeResult {
    rows: u64,
    difference: String,
}

#[derive(Debug, Serialize)]
struct DepositsResult {
    period: Period,
    #[serde(flatten)]
    read: FilesResult,
    expected: String,
    deposited: String,
    difference: String,
    statuses: BTreeMap<&'static str, DepositResult>,
    /// The first of those that arrived late.
    late: Vec<Json>,
}

#[derive(Debug, Serialize)]
struct DepositResult {
    dates: u64,
    expected: String,
    deposited: String,
}

/// An amount as results have it.
fn decimal(amount: Hundredths) -> String {
    format_decimal(amount, AMOUNT.decimals)
}

impl ReconcileResult {
    /// The result of an outcome of which these files were written.
    #[must_use]
    pub fn new(outcome: &Outcome, out: Vec<String>) -> Self {
        let differs = outcome.differs();
        Self {
            command: Command::Reconcile,
            status: if differs { "differs" } else { "ok" },
            exit_code: exit_code(outcome),
            dest: outcome.dest.clone(),
            period: outcome.period,
            settle_days: outcome.settle_days,
            orders: outcome.orders.as_ref().map(OrdersResult::new),
            fees: FeesResult::new(&outcome.fees),
            deposits: outcome.deposits.as_ref().map(DepositsResult::new),
            differences: outcome.differences().iter().map(difference).collect(),
            out,
        }
    }
}

/// The message about differences, for a webhook. Slack shows its `text`.
#[must_use]
pub fn notification(outcome: &Outcome, lang: Lang) -> Json {
    /// Differences that a message lists.
    const LISTED: usize = 10;
    let Period { from, to } = outcome.period;
    let period: Vec<String> = [from, to].into_iter().flatten().map(|date| date.to_string()).collect();
    let differences = outcome.differences();
    let mut text = texts::notification(&period.join(" ~ "), outcome.difference_count(), lang);
    for found in differences.iter().take(LISTED) {
        let whose = [&found.merchant_id, &found.order_no, &found.transaction_id].into_iter().flatten().cloned();
        let date = found.date.or(found.pay_date).map(|date| date.to_string());
        let whose: Vec<String> = whose.chain(date).collect();
        let _ = write!(text, "\n{} {} {}: {}", found.of, found.status, whose.join(" "), decimal(found.difference));
        if let Some(reason) = reason::text(&found.reasons, lang) {
            let _ = write!(text, " ({reason})");
        }
    }
    serde_json::json!({
        "text": text,
        "command": Command::Reconcile,
        "status": "differs",
        "exit_code": exit_code(outcome),
        "period": outcome.period,
        "dest": outcome.dest,
        "differences": differences.iter().take(LISTED).map(difference).collect::<Vec<_>>(),
    })
}

/// How the process ends.
#[must_use]
pub fn exit_code(outcome: &Outcome) -> ExitCode {
    if outcome.differs() { ExitCode::Refused } else { ExitCode::Success }
}

impl FilesResult {
    fn new(read: &FilesRead, lines: u64) -> Self {
        let FilesRead { files, passed_over, columns, notes, .. } = read;
        let columns = columns.iter().map(|(field, header)| ((*field).to_owned(), header.clone().into())).collect();
        Self { files: files.len(), lines, passed_over: *passed_over, columns, notes: notes.clone() }
    }
}

impl OrdersResult {
    fn new(found: &OrdersFound) -> Self {
        let total = found.total();
        let statuses = found.statuses.iter().map(|(status, sum)| {
            let of = CaseResult { cases: sum.cases, order_amount: decimal(sum.order_amount), pg_amount: decimal(sum.pg_amount) };
            (status.name(), of)
        });
        Self {
            are: found.are,
            period: found.period,
            read: FilesResult::new(&found.read, found.lines.len() as u64),
            unstated: found.unstated,
            order_amount: decimal(total.order_amount),
            pg_amount: decimal(total.pg_amount),
            difference: decimal(total.pg_amount - total.order_amount),
            statuses: statuses.collect(),
        }
    }
}

impl FeesResult {
    fn new(found: &FeesFound) -> Self {
        let statuses = found.statuses.iter();
        let statuses = statuses.map(|(status, sum)| (status.name(), FeeResult { rows: sum.rows, difference: decimal(sum.difference) }));
        Self { rows: found.statuses.values().map(|sum| sum.rows).sum(), statuses: statuses.collect() }
    }
}

impl DepositsResult {
    fn new(found: &DepositsFound) -> Self {
        let total = found.total();
        let statuses = found.statuses().into_iter().map(|(status, sum)| {
            let of = DepositResult { dates: sum.dates, expected: decimal(sum.expected), deposited: decimal(sum.deposited) };
            (status.name(), of)
        });
        Self {
            period: found.period,
            read: FilesResult::new(&found.read, found.lines),
            expected: decimal(total.expected),
            deposited: decimal(total.deposited),
            difference: decimal(total.deposited - total.expected),
            statuses: statuses.collect(),
            late: found.late().take(LISTED).map(late).collect(),
        }
    }
}

fn late((day, arrived): (&DepositDay, NaiveDate)) -> Json {
    serde_json::json!({
        "pay_date": day.date,
        "date": arrived,
        "deposited": decimal(day.deposited),
        "reason": reason::text(&day.reasons(), Lang::En),
    })
}

/// A difference as results have it.
#[must_use]
pub fn difference(found: &Difference) -> Json {
    serde_json::json!({
        "of": found.of,
        "status": found.status,
        "merchant_id": found.merchant_id,
        "order_no": found.order_no,
        "transaction_id": found.transaction_id,
        "date": found.date,
        "pay_date": found.pay_date,
        "expected": found.expected.map(decimal),
        "found": found.found.map(decimal),
        "difference": decimal(found.difference),
        "reason": reason::text(&found.reasons, Lang::En),
    })
}
