//! What a reconciliation found: sums by status, and on request every case, every fee that differs and every day of the bank's side.
//! Results, files and pages are made from this.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;

use crate::lang::Lang;

use super::books::{FilesRead, Hundredths, Meaning, OrderLine};
use super::cases::{Case, CaseStatus, Cases, Rules};
use super::days::{LakeDays, Unsettled};
use super::deposits::{DepositDay, DepositReason, DepositStatus};
use super::fees::FeeStatus;
use super::groups::Node;
use super::join::MerchantIndex;
use super::period::Period;
use super::reading::{FeeRow, FeeSum};
use super::reason::{self, Reason};
use super::rows::Rows;

/// What a reconciliation found.
pub struct Outcome {
    /// The lake's root.
    pub dest: String,
    /// The period of the orders, or else of the deposits, or else of the fees.
    pub period: Period,
    /// Days from a line's date after which it is due; `None` without orders.
    pub settle_days: Option<u32>,
    /// The orders, if there are files of them.
    pub orders: Option<OrdersFound>,
    /// The fees.
    pub fees: FeesFound,
    /// The deposits, if there are files of them.
    pub deposits: Option<DepositsFound>,
    /// The API ids; a [`MerchantIndex`] is a position here.
    pub(super) merchants: Vec<String>,
    pub(super) rows: Rows,
    pub(super) fee_rows: Vec<FeeRow>,
}

/// The cases of one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaseSum {
    /// How many there are.
    pub cases: u64,
    /// The merchant's side, in hundredths of a won.
    pub order_amount: Hundredths,
    /// The lake's side, in hundredths of a won.
    pub pg_amount: Hundredths,
}

/// What was found of the orders.
pub struct OrdersFound {
    /// The files.
    pub read: FilesRead,
    /// What their lines mean.
    pub are: Meaning,
    /// The period.
    pub period: Period,
    /// Rows of the lake that count nothing, because their approved amount is NULL.
    pub unstated: u64,
    /// The cases that were examined, by status.
    pub statuses: BTreeMap<CaseStatus, CaseSum>,
    pub(crate) lines: Vec<OrderLine>,
    pub(super) cases: Cases,
    pub(super) settle_days: u32,
    pub(super) days: LakeDays,
    /// Order numbers of the lake with other leading zeros, by the set of the case that looks for them.
    pub(super) zeros: HashMap<u32, String>,
}

impl OrdersFound {
    /// The sums of all statuses.
    #[must_use]
    pub fn total(&self) -> CaseSum {
        self.statuses.values().fold(CaseSum::default(), |sum, of| CaseSum {
            cases: sum.cases + of.cases,
            order_amount: sum.order_amount + of.order_amount,
            pg_amount: sum.pg_amount + of.pg_amount,
        })
    }

    fn side(&self, node: Node) -> Side<'_> {
        match self.lines.get(node as usize) {
            Some(line) => Side::Line(line),
            None => Side::Row(node as usize - self.lines.len()),
        }
    }

    fn rules(&self) -> Rules<'_> {
        Rules { meaning: self.are, period: self.period, settle_days: self.settle_days, days: &self.days }
    }
}

/// What was found of the fees of approved rows.
#[derive(Debug, Clone, Default)]
pub struct FeesFound {
    /// The pay dates whose fees were checked.
    pub period: Period,
    /// The rows by status.
    pub statuses: BTreeMap<FeeStatus, FeeSum>,
}

/// The dates of one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DepositSum {
    /// How many there are.
    pub dates: u64,
    /// What was to be paid out, in hundredths of a won.
    pub expected: Hundredths,
    /// What has arrived, in hundredths of a won.
    pub deposited: Hundredths,
}

/// What was found of the deposits.
#[derive(Debug, Clone, Default)]
pub struct DepositsFound {
    /// The files.
    pub read: FilesRead,
    /// How many of their lines count.
    pub lines: u64,
    /// The period.
    pub period: Period,
    /// Each day with an expected amount or a deposit, in their order.
    pub days: Vec<DepositDay>,
}

impl DepositsFound {
    /// The dates by status.
    #[must_use]
    pub fn statuses(&self) -> BTreeMap<DepositStatus, DepositSum> {
        let mut statuses: BTreeMap<DepositStatus, DepositSum> = BTreeMap::new();
        for day in &self.days {
            let sum = statuses.entry(day.status).or_default();
            sum.dates += 1;
            sum.expected += day.expected;
            sum.deposited += day.deposited;
        }
        statuses
    }

    /// The days whose deposit came later, with the date on which it did.
    pub fn late(&self) -> impl Iterator<Item = (&DepositDay, NaiveDate)> {
        self.days.iter().filter_map(|day| match day.why {
            Some(DepositReason::Late(arrived)) => Some((day, arrived)),
            _ => None,
        })
    }

    /// The sums of all dates.
    #[must_use]
    pub fn total(&self) -> DepositSum {
        let sum = |amount: fn(&DepositDay) -> Hundredths| self.days.iter().map(amount).sum();
        DepositSum { dates: self.days.len() as u64, expected: sum(|day| day.expected), deposited: sum(|day| day.deposited) }
    }
}

/// A case that was examined, in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseView {
    /// The API id; `None` if no merchant has its numbers.
    pub merchant_id: Option<String>,
    /// Its order numbers, separated by spaces.
    pub order_no: Option<String>,
    /// Its transaction numbers, separated by spaces.
    pub transaction_ids: Option<String>,
    /// What was found.
    pub status: CaseStatus,
    /// Why it can be so.
    pub reasons: Vec<Reason>,
    /// The merchant's side, in hundredths of a won.
    pub order_amount: Hundredths,
    /// The lake's side, in hundredths of a won.
    pub pg_amount: Hundredths,
    /// The first date of its lines.
    pub order_date: Option<NaiveDate>,
    /// The first transaction date of its rows.
    pub auth_date: Option<NaiveDate>,
    /// The first pay date of its rows.
    pub first_pay_date: Option<NaiveDate>,
    /// The last pay date of its rows.
    pub last_pay_date: Option<NaiveDate>,
    /// Days from its first date to the last closed pay date of its merchant.
    pub age_days: Option<i64>,
    /// Its lines: `file:line`, separated by spaces.
    pub lines: String,
    /// How many rows of the lake it has.
    pub rows: u64,
}

impl CaseView {
    /// The lake's side minus the merchant's, in hundredths of a won.
    #[must_use]
    pub fn difference(&self) -> Hundredths {
        self.pg_amount - self.order_amount
    }

    /// Why it can be so, in words.
    #[must_use]
    pub fn reason(&self, lang: Lang) -> Option<String> {
        reason::text(&self.reasons, lang)
    }
}

/// An approved row whose fee differs, in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeeView {
    /// The API id.
    pub merchant_id: String,
    /// The order number.
    pub order_no: Option<String>,
    /// The transaction number.
    pub transaction_id: Option<String>,
    /// What was found.
    pub status: FeeStatus,
    /// The transaction date.
    pub auth_date: Option<NaiveDate>,
    /// The pay date.
    pub pay_date: NaiveDate,
    /// The fee, VAT or payout that was expected, in hundredths of a won.
    pub expected: Option<Hundredths>,
    /// The one in the lake, in hundredths of a won.
    pub found: Option<Hundredths>,
    /// What they differ by, in hundredths of a won.
    pub difference: Hundredths,
    /// For another rate: the two.
    pub reason: Option<Reason>,
}

impl Outcome {
    /// Whether anything differs.
    #[must_use]
    pub fn differs(&self) -> bool {
        let orders = self.orders.iter().flat_map(|orders| orders.statuses.keys()).any(|status| status.differs());
        let fees = self.fees.statuses.keys().any(|status| status.differs());
        let deposits = self.deposits.iter().flat_map(|deposits| &deposits.days).any(|day| day.status.differs());
        orders || fees || deposits
    }

    /// Every case that was examined, by merchant, date and number.
    pub fn cases(&self) -> impl Iterator<Item = CaseView> + '_ {
        self.orders.iter().flat_map(|orders| self.sorted(orders).into_iter().map(|case| self.view(orders, case)))
    }

    /// How many cases were examined.
    #[must_use]
    pub fn case_count(&self) -> usize {
        self.orders.as_ref().map_or(0, |orders| orders.cases.examined.len())
    }

    fn sorted<'o>(&'o self, orders: &'o OrdersFound) -> Vec<&'o Case> {
        let key = |case: &Case| {
            let nodes = || orders.cases.members.of(case.set as usize).iter();
            let dates = nodes().filter_map(|node| match orders.side(*node) {
                Side::Line(line) => line.date,
                Side::Row(row) => Some(self.rows.all[row].date()),
            });
            (case.merchant, dates.min())
        };
        let mut cases: Vec<_> = orders.cases.examined.iter().map(|case| (key(case), case)).collect();
        cases.sort_by(|(a, of_a), (b, of_b)| a.cmp(b).then_with(|| self.by_number(orders, of_a, of_b)));
        cases.into_iter().map(|(_, case)| case).collect()
    }

    /// The order of cases by their numbers, whatever the order of files and lines.
    fn by_number(&self, orders: &OrdersFound, a: &Case, b: &Case) -> Ordering {
        let numbers = |case: &Case| {
            let nodes = || orders.cases.members.of(case.set as usize).iter();
            let order_numbers = nodes().filter_map(|node| self.order_no(orders, *node)).min();
            (order_numbers, nodes().filter_map(|node| self.transaction_id(orders, *node)).min())
        };
        numbers(a).cmp(&numbers(b))
    }

    fn order_no<'o>(&'o self, orders: &'o OrdersFound, node: Node) -> Option<&'o str> {
        match orders.side(node) {
            Side::Line(line) => line.order_no.as_deref(),
            Side::Row(row) => self.rows.order_numbers.get(row),
        }
    }

    fn transaction_id<'o>(&'o self, orders: &'o OrdersFound, node: Node) -> Option<&'o str> {
        match orders.side(node) {
            Side::Line(line) => line.transaction_id.as_deref(),
            Side::Row(row) => self.rows.transaction_ids.get(row),
        }
    }

    pub(super) fn view(&self, orders: &OrdersFound, case: &Case) -> CaseView {
        let nodes = orders.cases.members.of(case.set as usize);
        let joined = |texts: BTreeSet<&str>| (!texts.is_empty()).then(|| texts.into_iter().collect::<Vec<_>>().join(" "));
        let order_no = joined(nodes.iter().filter_map(|node| self.order_no(orders, *node)).collect());
        let transaction_ids = joined(nodes.iter().filter_map(|node| self.transaction_id(orders, *node)).collect());
        let (mut lines, mut rows) = (Vec::new(), Vec::new());
        for node in nodes {
            match orders.side(*node) {
                Side::Line(line) => lines.push(line),
                Side::Row(row) => rows.push(&self.rows.all[row]),
            }
        }
        let order_date = lines.iter().filter_map(|line| line.date).min();
        let auth_date = rows.iter().map(|row| row.date()).min();
        let age_days = order_date.or(auth_date).zip(orders.days.last_closed(case.merchant)).map(|(date, last)| (last - date).num_days());
        let file = |line: &OrderLine| orders.read.files.get(line.place.file as usize).map_or("", String::as_str);
        let mut places: Vec<(&str, u64)> = lines.iter().map(|line| (file(line), line.place.line)).collect();
        places.sort_unstable();
        CaseView {
            merchant_id: case.merchant.and_then(|merchant| self.merchants.get(merchant as usize).cloned()),
            order_no,
            transaction_ids,
            status: case.status,
            reasons: self.reasons(orders, case, &lines, nodes),
            order_amount: case.order_amount,
            pg_amount: case.pg_amount,
            order_date,
            auth_date,
            first_pay_date: rows.iter().map(|row| row.pay_date).min(),
            last_pay_date: rows.iter().map(|row| row.pay_date).max(),
            age_days,
            lines: places.into_iter().map(|(file, line)| format!("{file}:{line}")).collect::<Vec<_>>().join(" "),
            rows: rows.len() as u64,
        }
    }

    fn reasons(&self, orders: &OrdersFound, case: &Case, lines: &[&OrderLine], nodes: &[Node]) -> Vec<Reason> {
        let rules = orders.rules();
        let last_closed = orders.days.last_closed(case.merchant);
        match case.status {
            CaseStatus::Matched => Vec::new(),
            CaseStatus::Duplicate => case.duplicate.map(Reason::Duplicate).into_iter().collect(),
            CaseStatus::Ambiguous => {
                let merchants: BTreeSet<MerchantIndex> =
                    nodes.iter().filter_map(|node| orders.cases.ambiguous.get(node)).flatten().copied().collect();
                let ids = merchants.into_iter().filter_map(|merchant| self.merchants.get(merchant as usize).cloned());
                vec![Reason::SeveralMerchants(ids.collect())]
            }
            CaseStatus::NotDue => {
                let due = lines.iter().filter_map(|line| line.date).map(|date| rules.due(date));
                due.max().map(|due| Reason::NotDue { due, last_closed }).into_iter().collect()
            }
            CaseStatus::MissingAtPg => {
                if let Some(merchant) = case.merchant.filter(|merchant| !orders.days.holds(*merchant)) {
                    debug_assert!((merchant as usize) < self.merchants.len());
                    return vec![Reason::NoDays];
                }
                let mut reasons: Vec<Reason> = orders.zeros.get(&case.set).cloned().map(Reason::LeadingZeros).into_iter().collect();
                let dates: BTreeSet<NaiveDate> = lines.iter().filter_map(|line| line.date).collect();
                let (mut missing, mut open) = (BTreeSet::new(), BTreeSet::new());
                for date in dates {
                    let found = orders.days.unsettled(case.merchant, date, orders.settle_days);
                    missing.extend(found.missing);
                    open.extend(found.open);
                }
                if !missing.is_empty() || !open.is_empty() {
                    reasons.push(Reason::Unsettled(Unsettled { missing: missing.into_iter().collect(), open: open.into_iter().collect() }));
                }
                reasons
            }
            CaseStatus::AmountMismatch | CaseStatus::MissingInOrders => {
                if orders.are == Meaning::Totals {
                    return Vec::new();
                }
                let outside = |node: &&Node| match orders.side(**node) {
                    Side::Line(line) => !rules.is_inside(line),
                    Side::Row(row) => !rules.is_counted(&self.rows.all[row]),
                };
                let outside: Vec<Node> = nodes.iter().filter(outside).copied().collect();
                let of_lines = outside.iter().filter(|node| (**node as usize) < orders.lines.len()).count();
                let counts = Reason::OutsidePeriod { lines: of_lines, rows: outside.len() - of_lines };
                if outside.is_empty() { Vec::new() } else { vec![counts] }
            }
        }
    }

    /// Every approved row whose fee differs, in the order in which the lake has them.
    #[must_use]
    pub fn fee_rows(&self) -> impl ExactSizeIterator<Item = FeeView> + '_ {
        self.fee_rows.iter().map(|found| self.fee_view(found))
    }

    pub(super) fn fee_view(&self, found: &FeeRow) -> FeeView {
        let row = &self.rows.all[found.row];
        let rates = found.rate.zip(found.judged.contracted);
        FeeView {
            merchant_id: self.merchants.get(row.merchant as usize).cloned().unwrap_or_default(),
            order_no: self.rows.order_numbers.get(found.row).map(str::to_owned),
            transaction_id: self.rows.transaction_ids.get(found.row).map(str::to_owned),
            status: found.judged.status,
            auth_date: row.auth_date,
            pay_date: row.pay_date,
            expected: found.judged.expected,
            found: found.judged.found,
            difference: found.judged.difference(),
            reason: rates.map(|(stated, contracted)| Reason::OtherRate { stated, contracted }),
        }
    }
}

/// A node of a case.
enum Side<'o> {
    Line(&'o OrderLine),
    /// The position of a row.
    Row(usize),
}
