//! Which days Korean banks pay out: weekends and public holidays in Seoul, moving ones by table for
//! 2020 to 2030. Outside the table only weekends and holidays of a fixed date are known: no lunar
//! days, substitutes or elections.

use chrono::{Datelike, NaiveDate, Weekday};

use super::dates::before;

/// Holidays of a fixed date, as (month, day), whatever the year.
const FIXED: [(u32, u32); 8] = [(1, 1), (3, 1), (5, 5), (6, 6), (8, 15), (10, 3), (10, 9), (12, 25)];

/// Labour Day and Constitution Day, public holidays by the law of 2026.
const FIXED_SINCE_2026: [(u32, u32); 2] = [(5, 1), (7, 17)];

/// A year and its further holidays, as (month, day).
type Year = (i32, &'static [(u32, u32)]);

/// Lunar New Year, Buddha's birthday, Chuseok, substitute and temporary holidays, elections; those
/// known in 2026.
#[rustfmt::skip]
const MOVING: [Year; 11] = [
    (2020, &[(1, 24), (1, 25), (1, 26), (1, 27), (4, 15), (4, 30), (8, 17), (9, 30), (10, 1), (10, 2)]),
    (2021, &[(2, 11), (2, 12), (2, 13), (5, 19), (8, 16), (9, 20), (9, 21), (9, 22), (10, 4), (10, 11)]),
    (2022, &[(1, 31), (2, 1), (2, 2), (3, 9), (5, 8), (6, 1), (9, 9), (9, 10), (9, 11), (9, 12), (10, 10)]),
    (2023, &[(1, 21), (1, 22), (1, 23), (1, 24), (5, 27), (5, 29), (9, 28), (9, 29), (9, 30), (10, 2)]),
    (2024, &[(2, 9), (2, 10), (2, 11), (2, 12), (4, 10), (5, 6), (5, 15), (9, 16), (9, 17), (9, 18), (10, 1)]),
    (2025, &[(1, 27), (1, 28), (1, 29), (1, 30), (3, 3), (5, 6), (6, 3), (10, 5), (10, 6), (10, 7), (10, 8)]),
    (2026, &[(2, 16), (2, 17), (2, 18), (3, 2), (5, 24), (5, 25), (6, 3), (8, 17), (9, 24), (9, 25), (9, 26), (10, 5)]),
    (2027, &[(2, 6), (2, 7), (2, 8), (2, 9), (5, 3), (5, 13), (7, 19), (8, 16), (9, 14), (9, 15), (9, 16), (10, 4),
             (10, 11), (12, 27)]),
    (2028, &[(1, 26), (1, 27), (1, 28), (4, 12), (5, 2), (10, 2), (10, 4), (10, 5)]),
    (2029, &[(2, 12), (2, 13), (2, 14), (5, 7), (5, 20), (5, 21), (9, 21), (9, 22), (9, 23), (9, 24)]),
    (2030, &[(2, 2), (2, 3), (2, 4), (2, 5), (3, 27), (5, 6), (5, 9), (6, 12), (9, 11), (9, 12), (9, 13)]),
];

/// Whether banks pay out on `date`.
pub(super) fn is_working_day(date: NaiveDate) -> bool {
    let day = (date.month(), date.day());
    let moving = MOVING.iter().any(|(year, days)| *year == date.year() && days.contains(&day));
    let by_new_law = date.year() >= 2026 && FIXED_SINCE_2026.contains(&day);
    !(matches!(date.weekday(), Weekday::Sat | Weekday::Sun) || FIXED.contains(&day) || by_new_law || moving)
}

/// The last working day before `date`.
pub(super) fn previous_working_day(date: NaiveDate) -> NaiveDate {
    let mut day = before(date, 1);
    while !is_working_day(day) {
        day = before(day, 1);
    }
    day
}

#[cfg(test)]
mod tests {
    use super::super::dates::{after, days_between, parse};
    use super::*;

    fn date(text: &str) -> NaiveDate {
        parse(text).unwrap()
    }

    #[test]
    fn knows_weekends_lunar_days_substitutes_and_elections() {
        let closed = "2024-01-06 2024-01-07 2024-02-12 2024-04-10 2024-09-17 2025-10-08 2026-07-17 2027-12-27 2030-02-05 \
                      2019-12-25 2031-03-01 2035-05-01";
        for text in closed.split_whitespace() {
            assert!(!is_working_day(date(text)), "{text}");
        }
        for text in "2024-01-05 2024-02-13 2024-05-01 2025-07-17 2019-02-05 2024-10-02".split_whitespace() {
            assert!(is_working_day(date(text)), "{text}");
        }
        assert_eq!(previous_working_day(date("2025-10-10")), date("2025-10-02"));
    }

    #[test]
    fn each_year_of_the_table_has_a_believable_number_of_working_days() {
        for year in 2020..=2030 {
            let first = NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
            let days = days_between(first, NaiveDate::from_ymd_opt(year + 1, 1, 1).unwrap());
            let working = (0..days).filter(|day| is_working_day(after(first, *day))).count();
            assert!((242..=252).contains(&working), "{year}: {working}");
        }
    }
}
