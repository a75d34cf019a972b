//! Cases: what belongs together, compared. Pure.
//!
//! Of events, neither lines nor rows outside the period count: counting the lines would leave the cancellation of an earlier payment without
//! its other half. Of totals, all lines and rows of a case count, because a line is the state of an order, whenever it was paid.

use std::collections::HashMap;

use chrono::{Days, NaiveDate};

use crate::lang::Words;
use crate::texts::reconcile::case;

use super::books::{Hundredths, Meaning, OrderLine};
use super::days::LakeDays;
use super::groups::{Members, Node};
use super::join::{Joined, MerchantIndex};
use super::period::Period;
use super::rows::{Kind, Row, Rows};

/// What was found of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CaseStatus {
    /// Both sides have the same sum.
    Matched,
    /// Several merchants have its number.
    Ambiguous,
    /// Something is there twice.
    Duplicate,
    /// The merchant's books do not have it.
    MissingInOrders,
    /// It may not be paid out yet.
    NotDue,
    /// The PG does not have it.
    MissingAtPg,
    /// The sums differ.
    AmountMismatch,
}

impl CaseStatus {
    /// Every status, in the order in which they are shown.
    pub const ALL: [Self; 7] =
        [Self::Matched, Self::NotDue, Self::AmountMismatch, Self::MissingAtPg, Self::MissingInOrders, Self::Duplicate, Self::Ambiguous];

    /// Whether it is a difference.
    #[must_use]
    pub const fn differs(self) -> bool {
        !matches!(self, Self::Matched | Self::NotDue)
    }

    /// The name, as results have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Ambiguous => "ambiguous",
            Self::Duplicate => "duplicate",
            Self::MissingInOrders => "missing_in_orders",
            Self::NotDue => "not_due",
            Self::MissingAtPg => "missing_at_pg",
            Self::AmountMismatch => "amount_mismatch",
        }
    }

    /// What it means.
    #[must_use]
    pub const fn meaning(self) -> Words {
        match self {
            Self::Matched => case::MATCHED,
            Self::Ambiguous => case::AMBIGUOUS,
            Self::Duplicate => case::DUPLICATE,
            Self::MissingInOrders => case::MISSING_IN_ORDERS,
            Self::NotDue => case::NOT_DUE,
            Self::MissingAtPg => case::MISSING_AT_PG,
            Self::AmountMismatch => case::AMOUNT_MISMATCH,
        }
    }
}

/// On which side something is there twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicateSide {
    /// In the merchant's books.
    Orders,
    /// In the lake.
    Pg,
    /// On both.
    Both,
}

/// A case that was examined.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) status: CaseStatus,
    /// For a duplicate: on which side.
    pub(super) duplicate: Option<DuplicateSide>,
    pub(super) merchant: Option<MerchantIndex>,
    /// The set of its lines and rows.
    pub(super) set: u32,
    pub(super) order_amount: Hundredths,
    pub(super) pg_amount: Hundredths,
}

/// Cases, with what they consist of.
pub(super) struct Cases {
    /// The cases that were examined.
    pub(super) examined: Vec<Case>,
    /// Rows among them without an approved amount.
    pub(super) unstated: u64,
    pub(super) members: Members,
    pub(super) ambiguous: HashMap<Node, Vec<MerchantIndex>>,
}

/// A sum that is not the one of what was read: a defect of this tool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cases' sums are not those of what was read: a defect of this tool (orders {orders} instead of {lines}, PG {pg} instead of {rows}, in hundredths of a won)"
)]
pub struct Unbalanced {
    orders: Hundredths,
    lines: Hundredths,
    pg: Hundredths,
    rows: Hundredths,
}

/// By which rules lines and rows are compared.
pub(super) struct Rules<'r> {
    pub(super) meaning: Meaning,
    pub(super) period: Period,
    /// Days from a line's date after which it is due.
    pub(super) settle_days: u32,
    pub(super) days: &'r LakeDays,
}

impl Rules<'_> {
    /// Whether a line is in the period.
    pub(super) fn is_inside(&self, line: &OrderLine) -> bool {
        line.date.is_none_or(|date| self.period.contains(date))
    }

    /// What a line counts. Of events, those of the period count.
    pub(super) fn line_counts(&self, line: &OrderLine) -> Hundredths {
        if self.meaning == Meaning::Totals || self.is_inside(line) { line.amount } else { 0 }
    }

    /// Whether a row counts. Of events, those of the period count.
    pub(super) fn is_counted(&self, row: &Row) -> bool {
        self.meaning == Meaning::Totals || self.period.contains(row.date())
    }

    fn row_counts(&self, row: &Row) -> Hundredths {
        if self.is_counted(row) { row.amount.into() } else { 0 }
    }

    /// Whether a row makes its case one of the period.
    fn brings_in(&self, row: &Row) -> bool {
        // without any date of the merchant's, only what its lines name can be examined
        !self.period.is_unknown() && (self.meaning == Meaning::Events || row.kind == Kind::Approved) && self.period.contains(row.date())
    }

    /// When a line is due.
    pub(super) fn due(&self, date: NaiveDate) -> NaiveDate {
        date.checked_add_days(Days::new(self.settle_days.into())).unwrap_or(NaiveDate::MAX)
    }

    fn is_due(&self, line: &OrderLine, merchant: Option<MerchantIndex>) -> bool {
        line.date.is_none_or(|date| match self.days.last_closed(merchant) {
            Some(last) => self.due(date) <= last,
            // without any day of the merchant, nobody looked: that is no reason to wait
            None => merchant.is_some_and(|merchant| !self.days.holds(merchant)),
        })
    }

    /// Compares all cases, and checks that nothing was lost or counted twice on the way.
    ///
    /// # Errors
    /// Their sums are not the ones of what was read.
    pub(super) fn compare(&self, lines: &[OrderLine], rows: &Rows, joined: Joined) -> Result<Cases, Unbalanced> {
        let Joined { members, merchants, ambiguous } = joined;
        let mut cases = Cases { examined: Vec::new(), unstated: 0, members, ambiguous };
        let (mut orders, mut pg) = (0, 0);
        let mut sides = Sides::default();
        for set in 0..cases.members.len() {
            sides.clear();
            let nodes = cases.members.of(set);
            for node in nodes.iter().map(|node| *node as usize) {
                match lines.get(node) {
                    Some(line) => sides.lines.push(line),
                    None => sides.rows.push(&rows.all[node - lines.len()]),
                }
            }
            let order_amount: Hundredths = sides.lines.iter().map(|line| self.line_counts(line)).sum();
            let pg_amount: Hundredths = sides.rows.iter().map(|row| self.row_counts(row)).sum();
            orders += order_amount;
            pg += pg_amount;
            let is_examined = sides.lines.iter().any(|line| self.is_inside(line)) || sides.rows.iter().any(|row| self.brings_in(row));
            if !is_examined {
                continue;
            }
            // of one merchant, or of none
            let first = nodes.first().map_or(0, |node| *node as usize);
            let merchant = merchants.get(first).copied().unwrap_or_else(|| sides.rows.first().map(|row| row.merchant));
            let is_ambiguous = || merchant.is_none() && nodes.iter().any(|node| cases.ambiguous.contains_key(node));
            let mut duplicate = None;
            let status = if order_amount == pg_amount {
                CaseStatus::Matched
            } else if is_ambiguous() {
                CaseStatus::Ambiguous
            } else {
                duplicate = sides.duplicate(self, order_amount, pg_amount);
                match duplicate {
                    Some(_) => CaseStatus::Duplicate,
                    None => self.status(&sides, merchant, order_amount, pg_amount),
                }
            };
            cases.unstated += sides.rows.iter().filter(|row| row.unstated && self.is_counted(row)).count() as u64;
            let set = u32::try_from(set).unwrap_or(u32::MAX);
            cases.examined.push(Case { status, duplicate, merchant, set, order_amount, pg_amount });
        }
        let of_lines = lines.iter().map(|line| self.line_counts(line)).sum();
        let of_rows = rows.all.iter().map(|row| self.row_counts(row)).sum();
        if (orders, pg) == (of_lines, of_rows) { Ok(cases) } else { Err(Unbalanced { orders, lines: of_lines, pg, rows: of_rows }) }
    }

    /// The status of a case whose sums differ, and not because of duplicates.
    fn status(&self, sides: &Sides, merchant: Option<MerchantIndex>, orders: Hundredths, pg: Hundredths) -> CaseStatus {
        if sides.lines.is_empty() {
            return CaseStatus::MissingInOrders;
        }
        let early = sides.lines.iter().filter(|line| !self.is_due(line, merchant));
        let early: Hundredths = early.map(|line| self.line_counts(line)).sum();
        if orders - early == pg {
            CaseStatus::NotDue
        } else if sides.rows.is_empty() {
            CaseStatus::MissingAtPg
        } else {
            CaseStatus::AmountMismatch
        }
    }
}

/// The lines and rows of one case.
#[derive(Default)]
struct Sides<'s> {
    lines: Vec<&'s OrderLine>,
    rows: Vec<&'s Row>,
}

impl Sides<'_> {
    fn clear(&mut self) {
        self.lines.clear();
        self.rows.clear();
    }

    /// On which side duplicates have to be counted once for the sums to be equal.
    fn duplicate(&self, rules: &Rules, orders: Hundredths, pg: Hundredths) -> Option<DuplicateSide> {
        if self.lines.len() < 2 && self.rows.len() < 2 {
            return None;
        }
        let orders_once = once(self.lines.iter().map(|line| (line.content, rules.line_counts(line))).collect());
        let counted = self.rows.iter().filter(|row| rules.is_counted(row));
        let pg_once = once(counted.map(|row| (row.same, Hundredths::from(row.amount))).collect());
        [(orders_once, pg, DuplicateSide::Orders), (orders, pg_once, DuplicateSide::Pg), (orders_once, pg_once, DuplicateSide::Both)]
            .into_iter()
            .find(|(orders, pg, _)| orders == pg)
            .map(|(_, _, side)| side)
    }
}

/// The sum of amounts, of equal ones the first.
fn once<K: Ord>(mut amounts: Vec<(K, Hundredths)>) -> Hundredths {
    // stable: of lines that repeat an amount per order, the first has it
    amounts.sort_by(|a, b| a.0.cmp(&b.0));
    amounts.dedup_by(|a, b| a.0 == b.0);
    amounts.iter().map(|(_, amount)| amount).sum()
}
