//! Numbers as people read them.

use crate::settlement::values::{AMOUNT, format_decimal};

/// `1,234,567`
pub(crate) fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// `1 day`, `2 days`
pub(crate) fn days(number: u64) -> String {
    counted(number, "day")
}

/// `1 row`, `2 rows`: the plural with an s.
pub(crate) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// An amount given in hundredths of a won: `-1,234,567.00`
pub(crate) fn amount(unscaled: i128) -> String {
    grouped(&format_decimal(unscaled, AMOUNT.decimals))
}

/// Puts commas between thousands.
pub(crate) fn grouped(decimal: &str) -> String {
    let (sign, rest) = decimal.strip_prefix('-').map_or(("", decimal), |rest| ("-", rest));
    let (whole, part) = rest.find('.').map_or((rest, ""), |point| rest.split_at(point));
    let mut text = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text + part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        for (plain, shown) in [("0.00", "0.00"), ("-123.50", "-123.50"), ("1234567.89", "1,234,567.89"), ("-100000", "-100,000")] {
            assert_eq!(grouped(plain), shown);
        }
        assert_eq!((days(1), counted(1000, "row")), ("1 day".into(), "1,000 rows".into()));
    }
}
