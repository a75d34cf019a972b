//! The merchant's books and the bank's statement: what a shop and a bank would have exported about the payments that the simulated
//! API settles. They agree with what it serves, but for the faults that are requested.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use encoding_rs::EUC_KR;
use serde::Serialize;

use crate::calendar::DateRange;

use super::dates::{after, before, days_between, seoul_today};
use super::draw::{Draw, hash};
use super::lifecycle::Shown;
use super::options::Options;
use super::row::{Row, Status};

/// Days between an event and the pay dates under which it can be served: cycles, holidays and restatements.
const REACH_DAYS: u64 = 40;
/// Days that a late deposit takes.
const LATE_DAYS: u64 = 2;
/// What a short deposit lacks, in won.
const SHORT_BY: i64 = 1000;
/// A deposit that no payout explains, in won.
const EXTRA: i64 = 12_345;

/// A way in which the books or the statement differ from what the API serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BooksFault {
    /// A payment that the books do not have.
    Missing,
    /// A payment that the books have twice.
    Doubled,
    /// A payment whose amount in the books is 100 won more.
    Mispriced,
    /// A payment that only the books have.
    Unknown,
    /// A payout that did not arrive.
    DepositMissing,
    /// A payout of which 1,000 won are missing.
    DepositShort,
    /// A payout that arrived two days later, which is no difference.
    DepositLate,
    /// A deposit that no payout explains.
    DepositExtra,
}

impl BooksFault {
    const ALL: [Self; 8] = [
        Self::Missing,
        Self::Doubled,
        Self::Mispriced,
        Self::Unknown,
        Self::DepositMissing,
        Self::DepositShort,
        Self::DepositLate,
        Self::DepositExtra,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Doubled => "doubled",
            Self::Mispriced => "mispriced",
            Self::Unknown => "unknown",
            Self::DepositMissing => "deposit-missing",
            Self::DepositShort => "deposit-short",
            Self::DepositLate => "deposit-late",
            Self::DepositExtra => "deposit-extra",
        }
    }
}

/// A fault, and how many times it is made: `KIND` or `KINDxN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BooksFaults {
    kind: BooksFault,
    times: u32,
}

impl FromStr for BooksFaults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let counted = text.rsplit_once('x').and_then(|(kind, times)| Some((kind, times.parse::<u32>().ok().filter(|times| *times > 0)?)));
        let (name, times) = counted.unwrap_or((text, 1));
        let kind = BooksFault::ALL.into_iter().find(|kind| kind.name() == name);
        kind.map(|kind| Self { kind, times }).ok_or_else(|| {
            let names = BooksFault::ALL.map(BooksFault::name).join(", ");
            format!("expected KIND or KINDxN, where KIND is one of {names}")
        })
    }
}

/// A difference that was made, as `reconcile` reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `order` or `deposit`.
    pub of: &'static str,
    /// The status; `matched` for a deposit that is late.
    pub status: &'static str,
    /// The merchant; `None` for a deposit.
    pub merchant_id: Option<String>,
    /// The order number.
    pub order_no: Option<String>,
    /// The transaction number.
    pub transaction_id: Option<String>,
    /// The date of the line, or the pay date.
    pub date: NaiveDate,
    /// The merchant's amount, or the one to be paid out, in won.
    pub expected: String,
    /// The amount that the PG or the bank has, in won.
    pub found: String,
}

/// What is written.
#[derive(Debug, Clone)]
pub struct Books {
    /// The books, as a shop exports them: CSV in CP949.
    pub orders: Vec<u8>,
    /// The statement, as a bank exports it: CSV in CP949.
    pub deposits: Vec<u8>,
    /// Lines of the books.
    pub order_lines: usize,
    /// Deposits on the statement.
    pub deposit_lines: usize,
    /// The differences that were made.
    pub differences: Vec<Difference>,
}

/// Why no books can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BooksError {
    /// There is nothing left that a fault could change.
    #[error("--books-fault {0}: no payment or payout of the period is left for it: request fewer, or a longer period")]
    TooMany(BooksFault),
}

impl fmt::Display for BooksFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A line of the books.
#[derive(Debug, Clone)]
struct Line {
    merchant: String,
    date: NaiveDate,
    second: u32,
    order_no: String,
    transaction_id: String,
    pay_type: &'static str,
    /// Approved, or cancelled.
    approved: bool,
    /// In won.
    amount: i64,
}

impl Books {
    /// The books of all merchants for the events of a period, and the statement for its pay dates.
    ///
    /// # Errors
    /// More faults than there are payments or payouts.
    pub fn new(options: &Options, period: DateRange, faults: &[BooksFaults]) -> Result<Self, BooksError> {
        let today = options.today.unwrap_or_else(seoul_today);
        let mut lines = Vec::new();
        let mut payouts: BTreeMap<NaiveDate, i64> = BTreeMap::new();
        let reach = DateRange { from: before(period.from, REACH_DAYS), to: after(period.to, REACH_DAYS) };
        for merchant in &options.merchants {
            for pay_date in reach.days() {
                let shown = Shown::new(options.seed, &merchant.id, options.volume, pay_date, today);
                for row in (0..shown.slots()).filter_map(|position| shown.row(position)) {
                    if period.contains(pay_date) && row.paid && row.status != Status::CancelledSameDay {
                        *payouts.entry(pay_date).or_default() += row.payment();
                    }
                    if period.contains(row.auth_date) {
                        lines.extend(events(&merchant.id, &row));
                    }
                }
            }
        }
        lines.sort_by(|one, other| {
            let key = |line: &Line| (line.date, line.second, !line.approved);
            key(one).cmp(&key(other)).then_with(|| one.order_no.cmp(&other.order_no))
        });
        let deposits = payouts.into_iter().filter(|(_, amount)| *amount > 0).map(|(date, amount)| Payout { date, on: date, amount });
        let draw = Draw::new(hash(options.seed, "books", "", period.from, 0));
        let several = options.merchants.len() > 1;
        let mut made = Faulty {
            period,
            several,
            lines,
            deposits: deposits.collect(),
            draw,
            used: Vec::new(),
            used_dates: Vec::new(),
            differences: Vec::new(),
        };
        for fault in faults {
            for _ in 0..fault.times {
                made.make(fault.kind).ok_or(BooksError::TooMany(fault.kind))?;
            }
        }
        Ok(made.write())
    }
}

/// What a shop notes about a row: a payment voided on its own day is two events.
fn events(merchant: &str, row: &Row) -> Vec<Line> {
    let line = |approved: bool, amount: i64| Line {
        merchant: merchant.to_owned(),
        date: row.auth_date,
        second: row.approved_at,
        order_no: row.order_no(),
        transaction_id: String::from_utf8_lossy(&row.transaction_id()).into_owned(),
        pay_type: row.pay_type,
        approved,
        amount,
    };
    match row.status {
        Status::Approved => vec![line(true, row.amount)],
        Status::CancelledSameDay => vec![line(true, row.amount), line(false, row.amount)],
        Status::CancelledLater => vec![line(false, -row.amount)],
    }
}

/// A deposit.
#[derive(Debug, Clone, Copy)]
struct Payout {
    date: NaiveDate,
    /// When it arrives.
    on: NaiveDate,
    amount: i64,
}

/// Books in which faults are made.
struct Faulty {
    period: DateRange,
    /// Whether the lines name their merchants.
    several: bool,
    lines: Vec<Line>,
    deposits: Vec<Payout>,
    draw: Draw,
    /// Orders and pay dates with a fault: each has one at the most.
    used: Vec<String>,
    used_dates: Vec<NaiveDate>,
    differences: Vec<Difference>,
}

impl Faulty {
    /// Makes a fault; `None` if nothing is left for it.
    fn make(&mut self, fault: BooksFault) -> Option<()> {
        match fault {
            BooksFault::Missing | BooksFault::Doubled | BooksFault::Mispriced => {
                let at = self.payment()?;
                let line = self.lines[at].clone();
                let (status, booked) = match fault {
                    BooksFault::Missing => {
                        self.lines.remove(at);
                        ("missing_in_orders", 0)
                    }
                    BooksFault::Doubled => {
                        self.lines.insert(at, line.clone());
                        ("duplicate", 2 * line.amount)
                    }
                    _ => {
                        self.lines[at].amount += 100;
                        ("amount_mismatch", line.amount + 100)
                    }
                };
                self.note_order(status, &line, booked, line.amount);
            }
            BooksFault::Unknown => {
                let at = self.payment()?;
                let mut line = self.lines[at].clone();
                let number = 9_000_001 + self.differences.len();
                line.order_no = format!("ORD-{}-{number}", line.date.format("%Y%m%d"));
                line.transaction_id = format!("CTS{}{number:05}", line.date.format("%y%m%d000000"));
                self.lines.insert(at + 1, line.clone());
                self.note_order("missing_at_pg", &line, line.amount, 0);
            }
            BooksFault::DepositMissing | BooksFault::DepositShort | BooksFault::DepositLate | BooksFault::DepositExtra => {
                self.make_deposit(fault)?;
            }
        }
        Some(())
    }

    fn make_deposit(&mut self, fault: BooksFault) -> Option<()> {
        let at = self.payout()?;
        let Payout { date, amount, .. } = self.deposits[at];
        let (status, expected, found) = match fault {
            BooksFault::DepositMissing => {
                self.deposits.remove(at);
                ("missing_deposit", amount, 0)
            }
            BooksFault::DepositShort => {
                self.deposits[at].amount -= SHORT_BY;
                ("difference", amount, amount - SHORT_BY)
            }
            BooksFault::DepositLate => {
                self.deposits[at].on = after(date, LATE_DAYS);
                ("matched", amount, amount)
            }
            _ => {
                self.deposits.push(Payout { date, on: date, amount: EXTRA });
                ("unexpected_deposit", 0, EXTRA)
            }
        };
        let (expected, found) = (format!("{expected}.00"), format!("{found}.00"));
        let (merchant_id, order_no, transaction_id) = (None, None, None);
        self.differences.push(Difference { of: "deposit", status, merchant_id, order_no, transaction_id, date, expected, found });
        Some(())
    }

    fn note_order(&mut self, status: &'static str, line: &Line, booked: i64, found: i64) {
        self.differences.push(Difference {
            of: "order",
            status,
            // what only the books have is of the merchant that they name
            merchant_id: Some(line.merchant.clone()).filter(|_| self.several || found != 0),
            order_no: Some(line.order_no.clone()),
            transaction_id: Some(line.transaction_id.clone()),
            date: line.date,
            expected: format!("{booked}.00"),
            found: format!("{found}.00"),
        });
    }

    /// A payment without a cancellation and without a fault, in the first half of the period: what comes later may not be due yet.
    fn payment(&mut self) -> Option<usize> {
        let mut counts: HashMap<&str, u32> = HashMap::new();
        self.lines.iter().for_each(|line| *counts.entry(&line.order_no).or_default() += 1);
        let half = after(self.period.from, days_between(self.period.from, self.period.to) / 2);
        let fits =
            |line: &Line| line.approved && line.date <= half && counts[line.order_no.as_str()] == 1 && !self.used.contains(&line.order_no);
        let found: Vec<usize> = (0..self.lines.len()).filter(|at| fits(&self.lines[*at])).collect();
        let at = *found.get(usize::try_from(self.draw.below(found.len() as u64)).unwrap_or_default())?;
        self.used.push(self.lines[at].order_no.clone());
        Some(at)
    }

    /// A payout without a fault, early enough in the period to be late.
    fn payout(&mut self) -> Option<usize> {
        let last = before(self.period.to, 2 * LATE_DAYS);
        let fits = |deposit: &Payout| deposit.date <= last && deposit.amount > 2 * EXTRA && !self.used_dates.contains(&deposit.date);
        let found: Vec<usize> = (0..self.deposits.len()).filter(|at| fits(&self.deposits[*at])).collect();
        let at = *found.get(usize::try_from(self.draw.below(found.len() as u64)).unwrap_or_default())?;
        self.used_dates.push(self.deposits[at].date);
        Some(at)
    }

    fn write(mut self) -> Books {
        self.deposits.sort_by_key(|deposit| deposit.on);
        Books {
            orders: EUC_KR.encode(&csv(&self.order_rows())).0.into_owned(),
            deposits: EUC_KR.encode(&csv(&self.deposit_rows())).0.into_owned(),
            order_lines: self.lines.len(),
            deposit_lines: self.deposits.len(),
            differences: self.differences,
        }
    }

    /// What a shop exports: a title, the header, the lines, and their total.
    fn order_rows(&self) -> Vec<Vec<String>> {
        let mut header = texts(&["결제일시", "주문번호", "거래번호", "승인취소구분", "결제수단", "결제금액(원)"]);
        let mut rows: Vec<Vec<String>> = self.lines.iter().map(Line::cells).collect();
        let mut total = texts(&["합계", "", "", "", ""]);
        total.push(grouped(self.lines.iter().map(Line::signed).sum()));
        if self.several {
            header.insert(0, "상점ID".into());
            rows.iter_mut().zip(&self.lines).for_each(|(row, line)| row.insert(0, line.merchant.clone()));
            total.insert(0, String::new());
        }
        let title = vec!["결제 내역".into(), self.title()];
        [title, Vec::new(), header].into_iter().chain(rows).chain([total]).collect()
    }

    /// What a bank exports: deposits, and what else happens on an account.
    fn deposit_rows(&self) -> Vec<Vec<String>> {
        let header = texts(&["거래일시", "적요", "지급(원)", "입금(원)", "거래후잔액(원)"]);
        let mut rows = vec![vec!["거래내역조회".into(), self.title()], Vec::new(), header];
        let mut balance = 1_000_000;
        for (index, Payout { on, amount, .. }) in self.deposits.iter().enumerate() {
            let day = on.format("%Y.%m.%d");
            balance += amount;
            rows.push(vec![format!("{day} 10:00:00"), "쿠키페이정산".into(), "-".into(), grouped(*amount), grouped(balance)]);
            if index % 5 == 4 {
                let paid = balance / 2;
                balance -= paid;
                rows.push(vec![format!("{day} 16:30:00"), "거래처지급".into(), grouped(paid), "-".into(), grouped(balance)]);
            }
        }
        rows
    }

    fn title(&self) -> String {
        format!("{} ~ {}", self.period.from, self.period.to)
    }
}

impl Line {
    /// The amount: negative if it went back.
    const fn signed(&self) -> i64 {
        if self.approved { self.amount } else { -self.amount }
    }

    fn cells(&self) -> Vec<String> {
        let Self { date, second, order_no, transaction_id, pay_type, approved, .. } = self;
        let time = format!("{date} {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
        let kind = if *approved { "승인" } else { "취소" };
        vec![time, order_no.clone(), transaction_id.clone(), kind.into(), (*pay_type).into(), grouped(self.signed())]
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn csv(rows: &[Vec<String>]) -> String {
    let row = |row: &Vec<String>| row.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(",") + "\r\n";
    rows.iter().map(row).collect()
}

/// A value of CSV.
fn quoted(value: &str) -> String {
    if value.contains([',', '"', '\n', '\r']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value.to_owned() }
}

/// A number with its digits in groups of three.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::super::dates::parse;
    use super::*;

    fn books(faults: &[&str]) -> Result<Books, BooksError> {
        let options = Options { today: parse("2024-03-15"), ..Options::default() };
        let period = DateRange { from: parse("2024-01-01").unwrap(), to: parse("2024-01-31").unwrap() };
        Books::new(&options, period, &faults.iter().map(|fault| fault.parse().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn books_are_the_same_each_time_and_faults_are_as_many_as_requested() {
        let plain = books(&[]).unwrap();
        assert_eq!(plain.orders, books(&[]).unwrap().orders);
        assert!(plain.differences.is_empty() && plain.order_lines > 800 && plain.deposit_lines > 18);
        let all = ["missingx2", "doubledx3", "mispriced", "unknown", "deposit-missing", "deposit-short", "deposit-late", "deposit-extra"];
        let faulty = books(&all).unwrap();
        assert_eq!(faulty.order_lines, plain.order_lines - 2 + 3 + 1);
        assert_eq!(faulty.deposit_lines, plain.deposit_lines - 1 + 1);
        assert_eq!(faulty.differences.len(), 11);
        assert_eq!(books(&["deposit-missingx99"]).unwrap_err(), BooksError::TooMany(BooksFault::DepositMissing));
        for wrong in ["", "lost", "missingx0", "x2", "missingx"] {
            assert!(wrong.parse::<BooksFaults>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn amounts_as_people_write_them() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(quoted("a\"b,c"), "\"a\"\"b,c\"");
    }
}
