//! Amounts and rates: what is read is what its digits say, and writes back as what was read.

use cookiepay_etl::settlement::values::{AMOUNT, RATE, Scale, format_decimal, parse_decimal};

pub(crate) fn check(text: &str) {
    for scale in [AMOUNT, RATE] {
        let read = parse_decimal(text, scale);
        assert!(parse_decimal(&format!(" {text}\t"), scale) == read, "white space around it matters");
        let Ok(Ok(value)) = read else { continue };
        assert!(i128::from(value).abs() < 10i128.pow(u32::from(scale.integer_digits + scale.decimals)));
        assert_eq!(parse_decimal(&format_decimal(i128::from(value), scale.decimals), scale), Ok(Ok(value)));
        assert_eq!(i128::from(value), by_its_digits(text, scale));
    }
}

/// The value of a text that is an amount.
fn by_its_digits(text: &str, scale: Scale) -> i128 {
    let mut value = 0;
    let (mut negative, mut decimals) = (false, None);
    for character in text.chars() {
        match character {
            '0'..='9' => {
                value = value * 10 + i128::from(u32::from(character) - u32::from('0'));
                decimals = decimals.map(|count: u32| count + 1);
            }
            '.' => decimals = Some(0),
            '-' | '\u{2212}' | '\u{FF0D}' | '\u{FE63}' | '\u{2013}' => negative = true,
            '%' => assert!(scale.percent),
            ',' => assert!(decimals.is_none()),
            other => assert!(other.is_whitespace(), "{other:?} is in no amount"),
        }
    }
    value *= 10i128.pow(u32::from(scale.decimals) - decimals.unwrap_or(0));
    if negative { -value } else { value }
}
