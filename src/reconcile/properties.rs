//! Random books and lakes with injected faults: each fault is found as what it is, and nothing else is found.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use proptest::prelude::*;

use super::books::{Meaning, OrderLine, Place};
use super::cases::{CaseStatus, Cases, DuplicateSide, Rules};
use super::days::LakeDays;
use super::join::join;
use super::period::Period;
use super::rows::{Kind, Row, Rows};

/// What is wrong with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Nothing,
    /// No line.
    MissingLine,
    /// No row.
    MissingRow,
    /// The same, and it may still come.
    Late,
    DoubledLine,
    DoubledRow,
    /// A line is off by the smallest amount.
    Mispriced,
}

/// An order: how it was paid, and what became of it. Amounts are won.
#[derive(Debug, Clone)]
struct Order {
    merchant: u32,
    amount: i64,
    /// Whether it was paid in two transactions, which only its number joins.
    is_split: bool,
    /// What was cancelled, part by part.
    cancelled: Vec<i64>,
    /// Whether cancellations have an order number of their own: the transaction joins them.
    has_own_numbers: bool,
    /// Whether a further payment was voided on its day: the lake has the cancellation alone.
    has_void: bool,
    fault: Fault,
}

fn order() -> impl Strategy<Value = Order> {
    let fault = prop_oneof![
        6 => Just(Fault::Nothing),
        1 => Just(Fault::MissingLine),
        1 => Just(Fault::MissingRow),
        1 => Just(Fault::Late),
        1 => Just(Fault::DoubledLine),
        1 => Just(Fault::DoubledRow),
        1 => Just(Fault::Mispriced),
    ];
    let cancelled = prop::collection::vec(1i64..200, 0..4);
    (0u32..2, 1000i64..1_000_000, any::<bool>(), cancelled, any::<bool>(), any::<bool>(), fault).prop_map(
        |(merchant, amount, is_split, mut cancelled, has_own_numbers, has_void, fault)| {
            if fault == Fault::DoubledRow {
                // two equal cancellations are both money: then nobody can tell that a further row is one too many
                cancelled.sort_unstable();
                cancelled.dedup();
            }
            Order { merchant, amount, is_split, cancelled, has_own_numbers, has_void, fault }
        },
    )
}

/// The last closed day of the lake is the 40th, and something is due after 5 days.
fn day(number: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or_default() + Days::new(number - 1)
}
const LAST: u64 = 40;
const SETTLE_DAYS: u32 = 5;

/// A row with its numbers.
type Numbered = (Row, String, String);

/// The lines and rows of orders. If they name no merchant, no two merchants share a number.
fn sides(orders: &[Order], are_named: bool) -> (Vec<(OrderLine, Option<u32>)>, Vec<Numbered>) {
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for (index, order) in orders.iter().enumerate() {
        // merchants take turns in using a number
        let number = if are_named { format!("{:06}", index / 2) } else { format!("{index:06}") };
        let merchant = if are_named { u32::try_from(index % 2).unwrap_or_default() } else { order.merchant };
        let date = day(if order.fault == Fault::Late { LAST - 2 } else { 1 + index as u64 % 20 });
        let mut line = |transaction: &str, won: i64, off: i64| {
            let content = (lines.len() as u128 + 1) << 8;
            let line = OrderLine {
                place: Place { file: 0, line: lines.len() as u64 + 2 },
                merchant: None,
                order_no: Some(number.as_str().into()),
                transaction_id: (lines.len() % 3 == 0).then(|| transaction.into()),
                amount: i128::from(won) * 100 + i128::from(off),
                date: Some(date),
                content,
            };
            lines.push((line, are_named.then_some(merchant)));
        };
        let mut row = |transaction: &str, kind: Kind, won: i64, order_no: &str| {
            let same = [transaction.len() as u64, kind as u64, won.unsigned_abs()];
            let row = Row {
                amount: kind.counts(won * 100),
                same: same.into_iter().fold(index as u64, |hash, part| hash.wrapping_mul(1_000_003).wrapping_add(part)),
                merchant,
                pay_date: date + Days::new(3),
                auth_date: Some(date),
                kind,
                unstated: false,
            };
            rows.push((row, order_no.to_owned(), transaction.to_owned()));
        };
        let first = format!("T{number}");
        let parts = if order.is_split {
            vec![(first.clone(), order.amount - 300), (first.clone() + "-2", 300)]
        } else {
            vec![(first.clone(), order.amount)]
        };
        let off = i64::from(order.fault == Fault::Mispriced);
        let (has_lines, has_rows) = (order.fault != Fault::MissingLine, !matches!(order.fault, Fault::MissingRow | Fault::Late));
        for (part, (transaction, won)) in parts.iter().enumerate() {
            if has_lines {
                line(transaction, *won, if part == 0 { off } else { 0 });
            }
            if has_rows {
                row(transaction, Kind::Approved, *won, &number);
            }
        }
        for won in &order.cancelled {
            if has_lines {
                line(&first, -won, 0);
            }
            if has_rows {
                row(&first, Kind::CancelledLater, *won, if order.has_own_numbers { "" } else { &number });
            }
        }
        if order.has_void {
            if has_lines {
                line(&(first.clone() + "-v"), 500, 0);
                line(&(first.clone() + "-v"), -500, 0);
            }
            if has_rows {
                row(&(first.clone() + "-v"), Kind::CancelledSameDay, 500, &number);
            }
        }
        if order.fault == Fault::DoubledRow {
            row(&first, Kind::Approved, parts[0].1, &number);
        }
        if order.fault == Fault::DoubledLine {
            let (last, named) = lines[lines.len() - 1].clone();
            lines.push((OrderLine { place: Place { file: 1, line: last.place.line }, ..last }, named));
        }
    }
    (lines, rows)
}

fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for last in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(last, usize::try_from(seed >> 33).unwrap_or_default() % (last + 1));
    }
}

/// What was found of each merchant's number, with its sums: status, side of duplicates, merchant, both sides.
type Found = BTreeMap<(Option<u32>, String), (CaseStatus, Option<DuplicateSide>, i128, i128)>;

fn found(lines: Vec<(OrderLine, Option<u32>)>, numbered: Vec<Numbered>) -> Found {
    let (lines, named): (Vec<OrderLine>, Vec<Option<u32>>) = lines.into_iter().unzip();
    let mut rows = Rows::default();
    for (row, order_no, transaction_id) in numbered {
        rows.push(row, &order_no, &transaction_id);
    }
    let days = LakeDays::closed_until(&[day(LAST), day(LAST)]);
    let period = Period { from: Some(day(1)), to: Some(day(LAST)) };
    let rules = Rules { meaning: Meaning::Events, period, settle_days: SETTLE_DAYS, days: &days };
    let joined = join(&lines, named, &mut rows);
    // this also compares the cases' sums with those of lines and rows
    let Cases { examined, members, .. } = rules.compare(&lines, &rows, joined).unwrap();
    let mut found = Found::new();
    for case in examined {
        let mut numbers = members.of(case.set as usize).iter().filter_map(|node| match lines.get(*node as usize) {
            Some(line) => line.order_no.as_deref(),
            None => rows.order_numbers.get(*node as usize - lines.len()),
        });
        let number = numbers.next().unwrap_or_default().to_owned();
        assert!(numbers.all(|other| other == number), "a case has one number");
        let merchant = case.merchant;
        let earlier = found.insert((merchant, number), (case.status, case.duplicate, case.order_amount, case.pg_amount));
        assert_eq!(earlier, None, "a number has one case");
    }
    found
}

fn expected(order: &Order) -> (CaseStatus, Option<DuplicateSide>) {
    match order.fault {
        Fault::Nothing => (CaseStatus::Matched, None),
        Fault::MissingLine => (CaseStatus::MissingInOrders, None),
        Fault::MissingRow => (CaseStatus::MissingAtPg, None),
        Fault::Late => (CaseStatus::NotDue, None),
        Fault::DoubledLine => (CaseStatus::Duplicate, Some(DuplicateSide::Orders)),
        Fault::DoubledRow => (CaseStatus::Duplicate, Some(DuplicateSide::Pg)),
        Fault::Mispriced => (CaseStatus::AmountMismatch, None),
    }
}

proptest! {
    #[test]
    fn each_fault_is_found_and_nothing_else(
        orders in prop::collection::vec(order(), 1..30),
        are_named in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let (lines, rows) = sides(&orders, are_named);
        let first = found(lines.clone(), rows.clone());
        prop_assert_eq!(first.len(), orders.len());
        for (index, order) in orders.iter().enumerate() {
            let key = if are_named { format!("{:06}", index / 2) } else { format!("{index:06}") };
            let merchant = if are_named { u32::try_from(index % 2).unwrap_or_default() } else { order.merchant };
            // without any row, nothing shows whose an unnamed line is
            let of = first.get(&(Some(merchant), key.clone())).or_else(|| first.get(&(None, key)));
            prop_assert_eq!(of.map(|(status, side, ..)| (*status, *side)), Some(expected(order)), "{:?}", order);
        }
        let (mut lines, mut rows) = (lines, rows);
        shuffle(&mut lines, seed);
        shuffle(&mut rows, seed ^ 1);
        prop_assert_eq!(found(lines, rows), first);
    }
}
