//! What a pay date shows on a given day: pending, then paid, sometimes paid late, sometimes
//! restated. A pure function of its arguments; today is passed in.

use chrono::NaiveDate;

use super::data::Day;
use super::dates::{after, before};
use super::draw::{Draw, hash};
use super::holidays::is_working_day;
use super::options::Volume;
use super::row::Row;

/// How far ahead payouts are announced, in days.
const HORIZON_DAYS: u64 = 10;
const RESTATED_PERCENT: u64 = 2;
const LATE_PERCENT: u64 = 3;
const MAX_RESTATED_AFTER_DAYS: u64 = 20;
const MAX_LATE_DAYS: u64 = 5;
const MAX_LATE_ROWS: usize = 3;
/// In hundredths of a percent, below every rate there is.
const FEE_CORRECTION: i64 = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// A cancellation of one of the day's rows comes at the end.
    Cancellation,
    /// One row's fee is lowered, and what follows from it.
    Fee,
    /// One row is gone.
    Removal,
}

/// A change of a past pay date, once.
#[derive(Debug, Clone, Copy)]
struct Restatement {
    on: NaiveDate,
    change: Change,
    /// Where to look for the row concerned.
    from: u64,
}

/// The first day on which the response for a merchant's pay date differs from what was first paid,
/// `None` for most.
///
/// Holds for `--sim-rows N`, on days with at least one approved row; with `=N` nothing is restated.
#[must_use]
pub fn restated_on(seed: u64, merchant: &str, pay_date: NaiveDate) -> Option<NaiveDate> {
    restatement(seed, merchant, pay_date).map(|restatement| restatement.on)
}

fn restatement(seed: u64, merchant: &str, pay_date: NaiveDate) -> Option<Restatement> {
    let mut draw = Draw::new(hash(seed, "restatement", merchant, pay_date, 0));
    if draw.below(100) >= RESTATED_PERCENT || !is_working_day(pay_date) {
        return None;
    }
    let on = after(pay_date, 1 + draw.below(MAX_RESTATED_AFTER_DAYS));
    let change = draw.pick(&[Change::Cancellation, Change::Fee, Change::Removal]);
    Some(Restatement { on, change, from: draw.below(u64::MAX) })
}

/// Rows of a pay date that are paid late: the last day on which they wait, and their positions.
#[derive(Debug, Clone, Copy)]
struct Late {
    until: NaiveDate,
    positions: [Option<u64>; MAX_LATE_ROWS],
}

fn late(seed: u64, merchant: &str, pay_date: NaiveDate, rows: u64) -> Option<Late> {
    let mut draw = Draw::new(hash(seed, "late", merchant, pay_date, 0));
    if draw.below(100) >= LATE_PERCENT {
        return None;
    }
    let until = after(pay_date, 1 + draw.below(MAX_LATE_DAYS));
    let mut positions = [None; MAX_LATE_ROWS];
    let count = usize::try_from(1 + draw.below(MAX_LATE_ROWS as u64)).unwrap_or(1);
    positions.iter_mut().take(count).for_each(|position| *position = Some(draw.below(rows)));
    Some(Late { until, positions })
}

/// A merchant's pay date as it shows on one day, row by row.
#[derive(Debug)]
pub(super) struct Shown {
    day: Day,
    today: NaiveDate,
    slots: u64,
    pending: bool,
    late: Option<Late>,
    /// The change in force, the position concerned, and the day before it.
    change: Option<(Change, u64, NaiveDate)>,
}

impl Shown {
    pub(super) fn new(seed: u64, merchant: &str, volume: Volume, pay_date: NaiveDate, today: NaiveDate) -> Self {
        let day = Day::new(seed, merchant, volume, pay_date);
        let exact = matches!(volume, Volume::Exact(_));
        let rows = if pay_date > after(today, HORIZON_DAYS) { 0 } else { day.rows() };
        let pending = if exact { pay_date > today } else { pay_date >= today };
        let mut shown = Self { day, today, slots: rows, pending, late: None, change: None };
        if exact || pending {
            return shown;
        }
        match restatement(seed, merchant, pay_date) {
            Some(restatement) if restatement.on <= today => shown.restate(restatement),
            Some(_) => {}
            // a restated day is never late, so that it changes on the one day it is said to
            None => shown.late = late(seed, merchant, pay_date, rows).filter(|late| today <= late.until),
        }
        shown
    }

    fn restate(&mut self, restatement: Restatement) {
        let Some(position) = self.day.approval_from(restatement.from) else {
            return;
        };
        let change = match restatement.change {
            // a day does not lose its only row: it would look as if nothing had ever been paid
            Change::Removal if self.slots == 1 => Change::Fee,
            change => change,
        };
        if change == Change::Cancellation {
            self.slots += 1;
        }
        self.change = Some((change, position, before(restatement.on, 1)));
    }

    /// CPID, one for a merchant.
    pub(super) fn cpid(&self) -> &str {
        self.day.cpid()
    }

    /// Positions to ask for; not every one has a row.
    pub(super) fn slots(&self) -> u64 {
        self.slots
    }

    /// The row at a position, `None` when it does not show.
    pub(super) fn row(&self, position: u64) -> Option<Row> {
        let mut row = match self.change {
            Some((Change::Removal, gone, _)) if gone == position => return None,
            Some((Change::Cancellation, of, eve)) if position == self.day.rows() => self.day.taken_back(of, eve),
            _ => self.day.row(position),
        };
        if let Some((Change::Fee, of, _)) = self.change
            && of == position
        {
            row.rate -= FEE_CORRECTION;
        }
        // what is made after today cannot be known today
        if row.auth_date > self.today {
            return None;
        }
        let late = self.late.is_some_and(|late| late.positions.contains(&Some(position)));
        if self.pending || late {
            row.paid = false;
            if self.day.draw(position).below(10) == 0 {
                row.payoff_date = None;
            }
        }
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::super::dates::{days_between, parse};
    use super::super::json::whole;
    use super::*;

    const VOLUME: Volume = Volume::Average(40);

    fn date(text: &str) -> NaiveDate {
        parse(text).unwrap()
    }

    fn json(pay_date: NaiveDate, today: NaiveDate) -> serde_json::Value {
        whole(Shown::new(1, "m", VOLUME, pay_date, today))
    }

    fn rows(pay_date: NaiveDate, today: NaiveDate) -> Vec<serde_json::Value> {
        json(pay_date, today)["DATA"].as_array().cloned().unwrap_or_default()
    }

    fn days(count: u64) -> impl Iterator<Item = NaiveDate> {
        (0..count).map(|n| after(date("2021-01-01"), n))
    }

    #[test]
    fn a_payout_is_announced_then_pending_then_paid() {
        let pay_date = date("2024-01-08");
        assert_eq!(json(pay_date, before(pay_date, 11))["RESULTCODE"], "E008");
        let announced: Vec<_> = (0..=10).map(|ahead| rows(pay_date, before(pay_date, ahead))).collect();
        assert!(announced.iter().flatten().all(|row| row["STATUS_CD"] == "01"));
        // what is not made yet does not show; two days before, the newest payment is made
        assert_eq!(announced[10].len(), 0);
        assert!((1..announced[2].len()).contains(&announced[4].len()));
        assert_eq!(announced[0].len(), announced[2].len());
        let newest = announced[4].iter().map(|row| row["AUTHDT"].as_str().unwrap()).max();
        assert!(newest <= Some("20240104"), "{newest:?}");
        let blank = announced.iter().flatten().filter(|row| row["PAYOFFDT"] == "").count();
        assert!(blank > 0 && blank * 4 < announced.iter().flatten().count(), "{blank}");

        // after a long holiday some of a payout is made more than ten days ahead, and still not announced
        let after_chuseok = date("2025-10-10");
        assert_ne!(rows(after_chuseok, before(after_chuseok, 10)).len(), 0);
        assert_eq!(rows(after_chuseok, before(after_chuseok, 11)).len(), 0);

        let paid = rows(pay_date, after(pay_date, 1));
        assert_eq!(paid.len(), announced[0].len());
        assert!(paid.iter().all(|row| row["STATUS_CD"] == "03" && row["PAYOFFDT"] == "20240108"));
    }

    #[test]
    fn a_few_days_are_paid_late_and_then_for_good() {
        let pending = |pay_date, today| rows(pay_date, today).iter().filter(|row| row["STATUS_CD"] == "01").count();
        let late: Vec<_> = days(2 * 365).filter(|day| pending(*day, after(*day, 1)) > 0).collect();
        assert!((6..=28).contains(&late.len()), "{}", late.len());
        for day in late {
            assert!((1..=3).contains(&pending(day, after(day, 1))), "{day}");
            assert_eq!(pending(day, after(day, 6)), 0, "{day}");
            assert_eq!(restated_on(1, "m", day), None, "{day}");
        }
    }

    #[test]
    fn a_restatement_changes_the_response_on_its_day_and_only_then() {
        let mut seen = [0; 3];
        for (pay_date, on) in days(5 * 365).filter_map(|day| Some((day, restated_on(1, "m", day)?))) {
            assert!((1..=20).contains(&days_between(pay_date, on)), "{pay_date} {on}");
            let first = rows(pay_date, after(pay_date, 1).min(before(on, 1)));
            let eve = rows(pay_date, before(on, 1));
            let restated = rows(pay_date, on);
            if before(on, 1) > pay_date {
                assert_eq!(first, eve, "{pay_date}");
            }
            assert_ne!(eve, restated, "{pay_date}");
            assert_eq!(restated, rows(pay_date, after(on, 400)), "{pay_date}");
            let settled = restatement(1, "m", pay_date).unwrap();
            seen[settled.change as usize] += 1;
            match settled.change {
                Change::Cancellation => {
                    assert_eq!(restated.len(), eve.len() + 1);
                    let last = restated.last().unwrap();
                    assert_eq!(last["PAYMENTSTATUS"], "22");
                    let original = eve.iter().find(|row| row["TRXID"] == last["TRXID"]).unwrap();
                    assert_eq!(last["AUTHAMT"], format!("-{}", original["AUTHAMT"].as_str().unwrap()));
                }
                Change::Removal => assert_eq!(restated.len(), eve.len() - 1),
                Change::Fee if before(on, 1) > pay_date => {
                    let changed: Vec<_> = restated.iter().zip(&eve).filter(|(new, old)| new != old).collect();
                    let [(new, old)] = changed[..] else { panic!("{pay_date}: {changed:?}") };
                    assert_eq!(new["AUTHAMT"], old["AUTHAMT"]);
                    assert!(new["FEE"] != old["FEE"] && new["FINALAMT"] != old["FINALAMT"]);
                }
                Change::Fee => {}
            }
        }
        assert!(seen.iter().all(|count| *count > 2) && (12..=45).contains(&seen.iter().sum::<i32>()), "{seen:?}");
    }

    #[test]
    fn exactly_so_many_rows_are_there_every_day_for_good() {
        let today = date("2024-03-01");
        for day in (0..120).map(|n| before(today, n)) {
            let response = whole(Shown::new(1, "m", Volume::Exact(7), day, today));
            let rows = response["DATA"].as_array().unwrap();
            assert_eq!(rows.len(), 7, "{day}");
            assert!(rows.iter().all(|row| row["STATUS_CD"] == "03"), "{day}");
            assert_eq!(response, whole(Shown::new(1, "m", Volume::Exact(7), day, after(today, 40))), "{day}");
        }
        let tomorrow = whole(Shown::new(1, "m", Volume::Exact(100), after(today, 1), today));
        assert!(tomorrow["DATA"].as_array().unwrap().iter().all(|row| row["STATUS_CD"] == "01"));
    }
}
