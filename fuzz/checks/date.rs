//! Dates: those that chrono takes in the same form, and no others.

use chrono::{Datelike as _, NaiveDate, NaiveDateTime};
use cookiepay_etl::settlement::values::parse_date;

pub(crate) fn check(text: &str) {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let theirs = match (text.len(), digits) {
        (8, 8) => NaiveDate::parse_from_str(text, "%Y%m%d").ok(),
        (10, 8) if text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-' => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok(),
        // a leap second is no time of a settlement
        (14, 14) if !text.ends_with("60") => NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M%S").ok().map(|time| time.date()),
        _ => None,
    };
    assert_eq!(parse_date(text), theirs.filter(|date| date.year() > 0));
}
