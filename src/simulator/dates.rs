//! Dates as the API and people write them, and what day it is in Seoul.

use chrono::{Datelike, Days, NaiveDate, Utc};

const SEOUL_HOURS_AHEAD: i64 = 9;

/// The calendar's day in Seoul, which has had no summer time since 1988.
pub(super) fn seoul_today() -> NaiveDate {
    (Utc::now() + chrono::TimeDelta::hours(SEOUL_HOURS_AHEAD)).date_naive()
}

/// Reads `YYYYMMDD`, and nothing else.
pub(super) fn parse_compact(text: &str) -> Option<NaiveDate> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    NaiveDate::from_ymd_opt(text[..4].parse().ok()?, text[4..6].parse().ok()?, text[6..].parse().ok()?)
}

/// Reads `YYYY-MM-DD` or `YYYYMMDD`.
pub(super) fn parse(text: &str) -> Option<NaiveDate> {
    match text.as_bytes() {
        [y @ .., b'-', m1, m2, b'-', d1, d2] if y.len() == 4 => {
            let digits = [y, &[*m1, *m2, *d1, *d2]].concat();
            parse_compact(std::str::from_utf8(&digits).ok()?)
        }
        _ => parse_compact(text),
    }
}

/// `YYYYMMDD` as ASCII digits.
pub(super) fn compact(date: NaiveDate) -> [u8; 8] {
    let year = date.year().unsigned_abs();
    let [y1, y2] = two_digits(year / 100);
    let [y3, y4] = two_digits(year % 100);
    let [m1, m2] = two_digits(date.month());
    let [d1, d2] = two_digits(date.day());
    [y1, y2, y3, y4, m1, m2, d1, d2]
}

/// The last two decimal digits of a number, in ASCII.
pub(super) fn two_digits(number: u32) -> [u8; 2] {
    let digit = |n: u32| b"0123456789"[(n % 10) as usize];
    [digit(number / 10), digit(number)]
}

/// `date` less `days`; stays where it is at the calendar's end, which no four-digit year comes
/// near.
pub(super) fn before(date: NaiveDate, days: u64) -> NaiveDate {
    date.checked_sub_days(Days::new(days)).unwrap_or(date)
}

/// `date` and `days` more; stays where it is at the calendar's end.
pub(super) fn after(date: NaiveDate, days: u64) -> NaiveDate {
    date.checked_add_days(Days::new(days)).unwrap_or(date)
}

/// Whole days from `from` to `to`, 0 when `to` is not later.
pub(super) fn days_between(from: NaiveDate, to: NaiveDate) -> u64 {
    u64::try_from((to - from).num_days()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_notations_and_only_real_dates() {
        let date = NaiveDate::from_ymd_opt(2024, 2, 29).unwrap();
        assert_eq!(parse("2024-02-29"), Some(date));
        assert_eq!(parse("20240229"), Some(date));
        assert_eq!(parse_compact("20240229"), Some(date));
        for wrong in ["20230229", "2024-2-29", "2024-02-29 ", "+2240229", "2024022", "202402290", "", "２０２４", "2024/02/29"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
        assert_eq!(parse_compact("2024-02-29"), None);
        assert_eq!(&compact(date), b"20240229");
    }
}
