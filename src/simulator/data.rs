//! The rows of a merchant's pay date as first paid out, each a function of its position: nothing is
//! stored. When rows show and how they change later is the lifecycle's.
//!
//! A payment is paid out a cycle's days (D+2, D+3 or D+5) after its approval, or on the next
//! working day where that day is closed: so a day after a holiday pays for several. A cancellation
//! (22) goes against a row that an earlier pay date did pay.

use chrono::NaiveDate;

use super::dates::{after, before, days_between};
use super::draw::{Draw, hash, mix};
use super::holidays::{is_working_day, previous_working_day};
use super::options::Volume;
use super::row::{OrderStyle, Row, Status, has_rows};

const DAY_SECONDS: u64 = 86_400;
/// Working days in a year, in thousandths of its days: what an average calendar day contributes to
/// a working day's payout.
const WORKING_SHARE: u64 = 677;
/// Out of a thousand rows.
const CANCELLED_SAME_DAY: u64 = 15;
const CANCELLED_LATER: u64 = 25;
/// Pay dates back that a cancellation may go against.
const REACH: usize = 5;

/// A settlement cycle and its part of a payout, in percent.
struct Cycle {
    code: &'static str,
    days: u64,
    percent: u64,
}

/// Oldest approvals first, so that a payout is nearly in order of time.
const CYCLES: [Cycle; 3] =
    [Cycle { code: "D5", days: 5, percent: 15 }, Cycle { code: "D3", days: 3, percent: 30 }, Cycle { code: "D2", days: 2, percent: 55 }];
const SHORTEST_CYCLE_DAYS: u64 = 2;

const DOMESTIC: [&str; 9] = ["CCLG", "CCBC", "CCKM", "CCSS", "CCDI", "CCLO", "CCKE", "CCHN", "CCNH"];
const FOREIGN: [&str; 4] = ["CCUF", "CVSF", "CMCF", "CJCF"];

/// What stands at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Approval,
    CancelledSameDay,
    CancelledLater,
    /// The second of two equal partial cancellations, the first of which stands before it.
    Twin,
}

/// The positions of a pay date, and the approvals behind them.
#[derive(Debug, Clone)]
struct Slots {
    pay_date: NaiveDate,
    base: u64,
    rows: u64,
    /// Calendar days of approvals paid out at once; 1 on an ordinary day.
    window: u64,
}

/// A merchant's pay date.
#[derive(Debug, Clone)]
pub(super) struct Day {
    own: Slots,
    earlier: Vec<Slots>,
    cpid: String,
}

impl Day {
    pub(super) fn new(seed: u64, merchant: &str, volume: Volume, pay_date: NaiveDate) -> Self {
        let mut earlier = Vec::with_capacity(REACH);
        let mut date = pay_date;
        while earlier.len() < REACH {
            date = match volume {
                Volume::Average(_) => previous_working_day(date),
                Volume::Exact(_) => before(date, 1),
            };
            earlier.push(Slots::new(seed, merchant, volume, date));
        }
        let number = hash(seed, "cpid", merchant, NaiveDate::default(), 0) % 100_000_000;
        Self { own: Slots::new(seed, merchant, volume, pay_date), earlier, cpid: format!("CT{number:08}") }
    }

    /// CPID, one for a merchant.
    pub(super) fn cpid(&self) -> &str {
        &self.cpid
    }

    /// How many rows were first paid out.
    pub(super) fn rows(&self) -> u64 {
        self.own.rows
    }

    /// The row at a position below [`rows`](Self::rows), as paid out.
    pub(super) fn row(&self, position: u64) -> Row {
        match self.own.entry(position) {
            Entry::Approval => self.own.approval(position),
            Entry::CancelledSameDay => self.own.voided(position),
            Entry::CancelledLater => self.cancellation(position, self.own.starts_twins(position)),
            Entry::Twin => self.cancellation(position - 1, true),
        }
    }

    /// An approved row's position, the first from `from` on and then round again; `None` when there
    /// is none.
    pub(super) fn approval_from(&self, from: u64) -> Option<u64> {
        let rows = self.own.rows;
        let positions = (0..rows).map(|step| from.wrapping_add(step) % rows);
        positions.into_iter().find(|position| self.own.entry(*position) == Entry::Approval)
    }

    /// The whole of a row taken back on `cancelled_on`, under this pay date.
    pub(super) fn taken_back(&self, position: u64, cancelled_on: NaiveDate) -> Row {
        let original = self.own.approval(position);
        Row { status: Status::CancelledLater, amount: -original.amount, auth_date: cancelled_on, ..original }
    }

    /// A draw for properties of a row other than its data.
    pub(super) fn draw(&self, position: u64) -> Draw {
        Draw::new(mix(!self.own.base, position))
    }

    /// A cancellation, in whole or in part, of a row that an earlier pay date paid.
    fn cancellation(&self, position: u64, in_two: bool) -> Row {
        let mut draw = Draw::new(mix(self.own.base.rotate_left(32), position));
        let slots = &self.earlier[usize::try_from(draw.below(REACH as u64)).unwrap_or(0)];
        let from = draw.below(slots.rows);
        let Some(original) = (from..slots.rows).take(8).find(|at| slots.entry(*at) == Entry::Approval) else {
            // nothing was paid that could be taken back
            return self.own.voided(position);
        };
        let original = slots.approval(original);
        let tens = original.amount / 10;
        let part = match (in_two, draw.below(6)) {
            (true, share) => tens / if share < 3 { 2 } else { 4 } * 10,
            (false, 0) => tens / 4 * 10,
            (false, 1) => tens / 2 * 10,
            (false, 2) => tens * 3 / 4 * 10,
            (false, _) => original.amount,
        };
        Row {
            status: Status::CancelledLater,
            amount: -part,
            // the newest day that this payout covers; any original is older
            auth_date: before(self.own.pay_date, SHORTEST_CYCLE_DAYS),
            payoff_date: Some(self.own.pay_date),
            ..original
        }
    }
}

impl Slots {
    fn new(seed: u64, merchant: &str, volume: Volume, pay_date: NaiveDate) -> Self {
        let base = hash(seed, "day", merchant, pay_date, 0);
        let mut draw = Draw::new(base);
        let (window, rows) = match volume {
            Volume::Exact(rows) => (1, rows),
            Volume::Average(_) if !is_working_day(pay_date) => (1, 0),
            Volume::Average(rows) => {
                let window = days_between(previous_working_day(pay_date), pay_date);
                // a quarter more or less, in millionths, rounded up or down by chance so that small
                // averages hold too
                let millionths = rows * window * WORKING_SHARE * (750 + draw.below(501));
                (window, (millionths + draw.below(1_000_000)) / 1_000_000)
            }
        };
        Self { pay_date, base, rows: if has_rows(pay_date) { rows } else { 0 }, window }
    }

    fn entry(&self, position: u64) -> Entry {
        if position % 2 == 1 && self.starts_twins(position - 1) {
            return Entry::Twin;
        }
        let thousandth = mix(self.base, position) % 1_000;
        if thousandth < CANCELLED_SAME_DAY {
            Entry::CancelledSameDay
        } else if thousandth < CANCELLED_SAME_DAY + CANCELLED_LATER {
            Entry::CancelledLater
        } else {
            Entry::Approval
        }
    }

    fn starts_twins(&self, position: u64) -> bool {
        let drawn = mix(self.base, position);
        let later = CANCELLED_SAME_DAY..CANCELLED_SAME_DAY + CANCELLED_LATER;
        position.is_multiple_of(2) && later.contains(&(drawn % 1_000)) && (drawn >> 32).is_multiple_of(4)
    }

    /// The approval at a position, whatever became of it.
    fn approval(&self, position: u64) -> Row {
        let mut draw = Draw::new(mix(self.base.rotate_left(16), position));
        let (class, cycle, index, count) = self.cycle(position);
        // evenly over the window and in order, so that time and serial together are never assigned
        // twice
        let span = self.window * DAY_SECONDS;
        let moment = (index * span + draw.below(span)) / count;
        let oldest = before(self.pay_date, cycle.days + self.window - 1);
        let approved_on = after(oldest, moment / DAY_SECONDS);
        let (pay_type, prefix) = pay_type(cycle, &mut draw);
        let (acquirer, rate) = match pay_type {
            "CARD" if draw.below(50) == 0 => (draw.pick(&FOREIGN), 340),
            "CARD" => (draw.pick(&DOMESTIC), 230),
            "BANK" => ("", 180),
            "VACCT" => ("", 50),
            _ => ("", 350),
        };
        Row {
            status: Status::Approved,
            cycle: cycle.code,
            pay_type,
            acquirer,
            amount: amount(pay_type, &mut draw),
            rate,
            prefix,
            approved_on,
            approved_at: time_of_day(moment % DAY_SECONDS),
            serial: u32::try_from((self.base % 33_333 + index) % 33_333 * 3 + class).unwrap_or(0),
            order_style: match draw.below(1_000) {
                0..5 => OrderStyle::Korean,
                5..8 => OrderStyle::Escaped,
                8..10 => OrderStyle::Quoted,
                _ => OrderStyle::Plain,
            },
            order_number: index * 3 + class + 1,
            auth_date: approved_on,
            payoff_date: Some(self.pay_date),
            paid: true,
        }
    }

    /// The approval at a position, cancelled on its own day.
    fn voided(&self, position: u64) -> Row {
        Row { status: Status::CancelledSameDay, ..self.approval(position) }
    }

    /// Of a position: its cycle's number and cycle, its index among the cycle's rows, and how many
    /// those are.
    fn cycle(&self, position: u64) -> (u64, &'static Cycle, u64, u64) {
        let [oldest, middle, newest] = &CYCLES;
        let first = self.rows * oldest.percent / 100;
        let second = first + self.rows * middle.percent / 100;
        if position < first {
            (0, oldest, position, first)
        } else if position < second {
            (1, middle, position - first, second - first)
        } else {
            (2, newest, position - second, self.rows - second)
        }
    }
}

/// PAYTYPE and the prefix of TRXID: carriers are slow, transfers are quick.
fn pay_type(cycle: &Cycle, draw: &mut Draw) -> (&'static str, &'static str) {
    match (cycle.days, draw.below(100)) {
        (5, 0..60) => ("MOBILE", "MTS"),
        (2, 0..18) => ("BANK", "RTS"),
        (2, 18..30) => ("VACCT", "VTS"),
        _ => ("CARD", "CTS"),
    }
}

/// AUTHAMT in won: mostly small, in the steps of price tags.
fn amount(pay_type: &str, draw: &mut Draw) -> i64 {
    let won = match draw.below(1_000) {
        0..450 => 1_000 + 100 * draw.below(291),
        450..800 => 1_000 * (30 + draw.below(71)) - 100 * draw.below(2),
        // a phone bill has a limit
        _ if pay_type == "MOBILE" => 100_000 + 1_000 * draw.below(201),
        800..990 => 100_000 + 1_000 * draw.below(401),
        _ => 1_000_000 + 10_000 * draw.below(2_901),
    };
    won.try_into().unwrap_or(i64::MAX)
}

/// Seconds after midnight, from seconds of a day in which people buy evenly: nights are slow,
/// afternoons busy.
fn time_of_day(even: u64) -> u32 {
    let (from, to, start, end) = match even {
        0..6_912 => (0, 6_912, 0, 28_800),
        6_912..30_240 => (6_912, 30_240, 28_800, 43_200),
        30_240..60_480 => (30_240, 60_480, 43_200, 64_800),
        _ => (60_480, DAY_SECONDS, 64_800, DAY_SECONDS),
    };
    u32::try_from(start + (even - from) * (end - start) / (to - from)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use chrono::Datelike;

    use super::super::dates::parse;
    use super::*;

    fn day(rows: u64, pay_date: NaiveDate) -> Day {
        Day::new(1, "m", Volume::Average(rows), pay_date)
    }

    fn rows(day: &Day) -> Vec<Row> {
        (0..day.rows()).map(|position| day.row(position)).collect()
    }

    /// Every day of 2021 to 2023.
    fn years() -> impl Iterator<Item = NaiveDate> {
        let first = parse("2021-01-01").unwrap();
        (0..3 * 365).map(move |n| after(first, n))
    }

    #[test]
    fn amounts_add_up() {
        for row in years().take(400).flat_map(|date| rows(&day(40, date))) {
            let (amount, rate) = (row.amount.abs(), row.rate);
            assert!(row.fee().abs() * 10_000 <= amount * rate && amount * rate < (row.fee().abs() + 1) * 10_000);
            assert_eq!(row.vat().abs(), row.fee().abs() / 10);
            assert_eq!(row.payment() + row.fee() + row.vat(), row.amount);
            assert_eq!(row.amount < 0, row.status == Status::CancelledLater, "{row:?}");
            assert_eq!(row.acquirer.is_empty(), row.pay_type != "CARD", "{row:?}");
            assert!(amount >= 250 && amount % 10 == 0, "{row:?}");
        }
    }

    #[test]
    fn closed_days_are_empty_and_working_days_have_the_requested_average() {
        for requested in [1, 40, 300] {
            let closed = years().filter(|date| !is_working_day(*date));
            assert_eq!(closed.map(|date| day(requested, date).rows()).sum::<u64>(), 0);
            let working: Vec<_> = years().filter(|date| is_working_day(*date)).collect();
            let rows: u64 = working.iter().map(|date| day(requested, *date).rows()).sum();
            let expected = requested * working.len() as u64;
            assert!((expected * 93 / 100..expected * 107 / 100).contains(&rows), "{requested}: {rows} of {expected}");
        }
        assert_eq!(day(40, parse("1999-12-30").unwrap()).rows(), 0);
    }

    #[test]
    fn a_day_after_closed_days_is_larger() {
        let count = |text| day(1_000, parse(text).unwrap()).rows();
        assert!(count("2024-02-13") > 2 * count("2024-02-15"), "after the lunar new year");
        assert!(count("2024-01-08") > count("2024-01-05"), "a Monday");
    }

    #[test]
    fn approvals_are_paid_after_their_cycle_on_the_first_working_day() {
        for date in years().take(400) {
            for row in rows(&day(40, date)).iter().filter(|row| row.status == Status::Approved) {
                let mut due = after(row.auth_date, row.cycle[1..].parse().unwrap());
                while !is_working_day(due) {
                    due = after(due, 1);
                }
                assert_eq!((due, row.payoff_date), (date, Some(date)), "{row:?}");
            }
        }
    }

    #[test]
    fn a_transaction_id_is_given_once() {
        for volume in [Volume::Average(3_000), Volume::Exact(20_000)] {
            let mut ids = HashSet::new();
            let mut orders = HashSet::new();
            for date in years().take(14) {
                let slots = Slots::new(1, "m", volume, date);
                for row in (0..slots.rows).map(|position| slots.approval(position)) {
                    assert!(ids.insert(row.transaction_id()), "{date} {row:?}");
                    assert!(orders.insert((row.approved_on, row.order_number)), "{date} {row:?}");
                    assert_eq!(row.approved_on.year() % 100, 20 + i32::from(row.transaction_id()[4] - b'0'));
                }
            }
            assert!(ids.len() > 20_000, "{}", ids.len());
        }
    }

    #[test]
    fn cancellations_take_back_no_more_than_an_earlier_day_paid() {
        let mut paid = HashMap::new();
        let (mut all, mut voided, mut taken_back, mut twins) = (0, 0, 0, 0);
        for date in years() {
            let rows = rows(&day(40, date));
            all += rows.len();
            for (position, row) in rows.iter().enumerate() {
                match row.status {
                    Status::Approved => {
                        paid.insert(row.transaction_id(), *row);
                    }
                    Status::CancelledSameDay => {
                        voided += 1;
                        assert!(
                            !rows
                                .iter()
                                .any(|other| { other.status == Status::Approved && other.transaction_id() == row.transaction_id() })
                        );
                    }
                    Status::CancelledLater => {
                        taken_back += 1;
                        twins += usize::from(position > 0 && rows[position - 1] == *row);
                        // the first days' originals were paid before these years
                        if date >= parse("2021-02-01").unwrap() {
                            let original = paid[&row.transaction_id()];
                            assert!(-row.amount <= original.amount && row.auth_date > original.auth_date);
                            assert!(original.payoff_date < row.payoff_date);
                        }
                    }
                }
            }
        }
        let percent = 100.0 * f64::from(voided + taken_back) / f64::from(u32::try_from(all).unwrap());
        assert!((3.5..5.0).contains(&percent), "{percent} % are cancelled");
        assert!(voided > 300 && taken_back > 500 && twins > 20, "{voided} {taken_back} {twins}");
    }

    #[test]
    fn rows_vary_as_they_do_in_life() {
        let rows: Vec<_> = years().flat_map(|date| rows(&day(40, date))).collect();
        let share = |some: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| some(row)).count() * 1_000 / rows.len();
        for (pay_type, least) in [("CARD", 600), ("BANK", 50), ("VACCT", 30), ("MOBILE", 50)] {
            assert!(share(&|row| row.pay_type == pay_type) >= least, "{pay_type}");
        }
        let acquirers: HashSet<_> = rows.iter().map(|row| row.acquirer).collect();
        assert_eq!(acquirers.len(), DOMESTIC.len() + FOREIGN.len() + 1);
        assert!((700..=1_000).contains(&share(&|row| row.amount.abs() < 100_000)));
        assert!((1..=20).contains(&share(&|row| row.amount > 500_000)));
        assert!((1..=20).contains(&share(&|row| row.order_style != OrderStyle::Plain)));
    }

    #[test]
    fn seed_and_merchant_make_the_rows_and_nothing_else_does() {
        let date = parse("2024-01-05").unwrap();
        let of = |seed, merchant| rows(&Day::new(seed, merchant, Volume::Exact(50), date));
        assert_eq!(of(1, "m"), of(1, "m"));
        assert_ne!(of(1, "m"), of(2, "m"));
        assert_ne!(of(1, "m"), of(1, "n"));
    }
}
