//! Reads amounts, rates, dates and text from source values. Exact, and without floats.

use chrono::NaiveDate;

use super::source::SourceValue;

/// Why a value cannot be read; continues `field F of row N: "value"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The key is not in the row, and its absence would hide money.
    #[error("is missing")]
    Missing,
    /// The field is blank, and every row must have it.
    #[error("must not be blank")]
    Blank,
    /// A boolean, an array or an object.
    #[error("is neither text nor a number")]
    NotScalar,
    /// Not the grammar of an amount.
    #[error("is not an amount")]
    Amount,
    /// Commas that do not group three digits each.
    #[error("does not group its digits by three")]
    Grouping,
    /// More decimals than the column keeps.
    #[error("has more than {0} decimals")]
    Decimals(u8),
    /// More digits before the point than the column keeps.
    #[error("has more than {0} digits before the point")]
    Digits(u8),
    /// Not a calendar date in a form that the API uses.
    #[error("is not a date (YYYYMMDD, YYYY-MM-DD or YYYYMMDDhhmmss)")]
    Date,
    /// The row belongs to another pay date than the requested one.
    #[error("is another pay date: {0} was requested")]
    OtherPayDate(NaiveDate),
}

/// How a value was absent; the day record counts each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// A bare `-`, the manual's mark on cancellations.
    Dash,
    /// An empty or blank string.
    Blank,
    /// JSON `null`.
    Null,
    /// The key is not in the row: text and dates only, because an amount must have its key.
    Missing,
}

impl Absent {
    /// Every kind, in the order of their discriminants.
    pub const ALL: [Absent; 4] = [Absent::Dash, Absent::Blank, Absent::Null, Absent::Missing];

    /// The kind's name in the day record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Absent::Dash => "dash",
            Absent::Blank => "blank",
            Absent::Null => "null",
            Absent::Missing => "missing",
        }
    }
}

/// A value, or how it was absent.
pub type Present<T> = Result<T, Absent>;

/// A text column's value: text, or a number as it is written, with its leading zeros.
///
/// # Errors
/// [`ValueError::NotScalar`] for a boolean, an array or an object.
pub(crate) fn text<'r>(value: &'r SourceValue<'_>) -> Result<Present<&'r str>, ValueError> {
    match value {
        SourceValue::Absent => Ok(Err(Absent::Missing)),
        SourceValue::Null => Ok(Err(Absent::Null)),
        SourceValue::Text(found) => {
            let found = found.as_str();
            // most texts begin with a letter or a digit, which settles it
            let blank = !found.as_bytes().first().is_some_and(u8::is_ascii_graphic) && found.trim().is_empty();
            Ok(if blank { Err(Absent::Blank) } else { Ok(found) })
        }
        SourceValue::Number(number) => Ok(Ok(number)),
        SourceValue::Other(_) => Err(ValueError::NotScalar),
    }
}

/// The shape of a decimal column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Digits before the point.
    pub integer_digits: u8,
    /// Digits after it.
    pub decimals: u8,
    /// Whether a `%` may follow.
    pub percent: bool,
}

/// decimal(18,2): amounts in won.
pub const AMOUNT: Scale = Scale { integer_digits: 16, decimals: 2, percent: false };
/// decimal(9,4): a rate in percent, as the API sends it.
pub const RATE: Scale = Scale { integer_digits: 5, decimals: 4, percent: true };

impl Scale {
    /// Digits in all.
    #[must_use]
    pub const fn precision(self) -> u8 {
        self.integer_digits + self.decimals
    }

    /// The decimals as Arrow has them.
    #[must_use]
    pub(super) const fn arrow_scale(self) -> i8 {
        self.decimals.cast_signed()
    }
}

/// Reads an amount or a rate into its unscaled integer (`"1,234.5"` at two decimals is `123450`).
///
/// # Errors
/// A missing key, and whatever is not an amount at `scale`.
pub(crate) fn decimal(value: &SourceValue<'_>, scale: Scale) -> Result<Present<i64>, ValueError> {
    match value {
        SourceValue::Absent => Err(ValueError::Missing),
        SourceValue::Null => Ok(Err(Absent::Null)),
        SourceValue::Number(number) => parse_decimal(number, scale),
        SourceValue::Text(found) => match found.short_number() {
            // eight digits fit every scale but that of rates
            Some(whole) if scale.integer_digits >= 8 => Ok(Ok(i64::from(whole) * POWERS[usize::from(scale.decimals)])),
            _ => parse_decimal(found.as_str(), scale),
        },
        SourceValue::Other(_) => Err(ValueError::NotScalar),
    }
}

/// Minus signs seen in Korean text: ASCII, U+2212, and the full-width and small forms; en dash.
const MINUS: [char; 5] = ['-', '\u{2212}', '\u{FF0D}', '\u{FE63}', '\u{2013}'];

/// Reads the text of an amount or a rate; into its unscaled integer.
///
/// # Errors
/// Whatever is not an amount at `scale`.
#[inline]
pub fn parse_decimal(text: &str, scale: Scale) -> Result<Present<i64>, ValueError> {
    match plain_decimal(text.as_bytes(), scale) {
        Some(value) => Ok(Ok(value)),
        None => parse_any_decimal(text, scale),
    }
}

/// Reads an amount in the plain form that nearly all have: digits, perhaps with decimals, perhaps after a `-`.
#[inline]
fn plain_decimal(text: &[u8], scale: Scale) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let point = digits.iter().position(|byte| *byte == b'.');
    let (integer, decimals) = match point {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &[][..]),
    };
    let fits = (1..=usize::from(scale.integer_digits)).contains(&integer.len()) && decimals.len() <= usize::from(scale.decimals);
    if !fits || (point.is_some() && decimals.is_empty()) {
        return None;
    }
    let unscaled = digits_value(digits_value(0, integer)?, decimals)?;
    // 16 + 2 digits at the most, which an i64 holds
    let value = unscaled * POWERS[usize::from(scale.decimals) - decimals.len()];
    Some(if negative { -value } else { value })
}

const POWERS: [i64; 5] = [1, 10, 100, 1000, 10_000];

/// `value` with more digits behind it; `None` if one is not a digit.
#[inline]
fn digits_value(value: i64, digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(value, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| value * 10 + i64::from(digit))
    })
}

/// Reads an amount in any tolerated form, and reports what is wrong with any other.
fn parse_any_decimal(text: &str, scale: Scale) -> Result<Present<i64>, ValueError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Ok(Err(Absent::Blank));
    }
    let unsigned = rest.strip_prefix(MINUS).map(str::trim_start);
    if unsigned == Some("") {
        return Ok(Err(Absent::Dash));
    }
    rest = unsigned.unwrap_or(rest);
    if scale.percent {
        rest = rest.strip_suffix('%').map_or(rest, str::trim_end);
    }
    let (integer, fraction) = match rest.split_once('.') {
        Some((integer, fraction)) => (integer, Some(fraction)),
        None => (rest, None),
    };
    let mut value = 0i64;
    let mut digits = 0u8;
    let mut push = |digit: u8| {
        // 16 + 2 digits at the most are ever pushed, which an i64 holds
        value = value * 10 + i64::from(digit - b'0');
    };

    let grouped = integer.contains(',');
    for (index, group) in integer.split(',').enumerate() {
        let bytes = group.as_bytes();
        if !bytes.iter().all(u8::is_ascii_digit) || integer.is_empty() {
            return Err(ValueError::Amount);
        }
        if grouped && (bytes.is_empty() || bytes.len() > 3 || (index > 0 && bytes.len() != 3)) {
            return Err(ValueError::Grouping);
        }
        for &digit in bytes {
            if digits == scale.integer_digits {
                return Err(ValueError::Digits(scale.integer_digits));
            }
            digits += 1;
            push(digit);
        }
    }
    let fraction = match fraction {
        None => &[],
        Some("") => return Err(ValueError::Amount),
        Some(found) => found.as_bytes(),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(ValueError::Amount);
    }
    if fraction.len() > usize::from(scale.decimals) {
        return Err(ValueError::Decimals(scale.decimals));
    }
    for place in 0..usize::from(scale.decimals) {
        push(fraction.get(place).copied().unwrap_or(b'0'));
    }
    Ok(Ok(if unsigned.is_some() { -value } else { value }))
}

/// Reads a date field.
///
/// # Errors
/// Whatever is neither absent nor a calendar date in a form that the API uses.
pub(crate) fn date(value: &SourceValue<'_>) -> Result<Present<NaiveDate>, ValueError> {
    if let SourceValue::Text(found) = value
        && found.is_eight_long()
        && let Some(day) = found.short_number()
        && let Ok(year @ 1..) = i32::try_from(day / 10_000)
        && let Some(date) = NaiveDate::from_ymd_opt(year, day / 100 % 100, day % 100)
    {
        return Ok(Ok(date));
    }
    match text(value)? {
        Err(absent) => Ok(Err(absent)),
        Ok(found) => parse_date(found.trim()).map(Ok).ok_or(ValueError::Date),
    }
}

/// Reads `YYYYMMDD`, `YYYY-MM-DD`, or `YYYYMMDDhhmmss` (the time is checked and dropped).
#[must_use]
pub fn parse_date(text: &str) -> Option<NaiveDate> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u32> {
        bytes[from..to].iter().try_fold(0u32, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0')))
    };
    let (month, day) = match bytes.len() {
        8 => (4, 6),
        10 if bytes[4] == b'-' && bytes[7] == b'-' => (5, 8),
        14 if number(8, 10)? < 24 && number(10, 12)? < 60 && number(12, 14)? < 60 => (4, 6),
        _ => return None,
    };
    let year = number(0, 4)?;
    if year == 0 {
        return None;
    }
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, number(month, month + 2)?, number(day, day + 2)?)
}

/// Writes an unscaled integer with its decimals: `-123450` at two is `-1234.50`.
#[must_use]
pub fn format_decimal(unscaled: i128, decimals: u8) -> String {
    let one = 10i128.pow(u32::from(decimals));
    let sign = if unscaled < 0 { "-" } else { "" };
    let (whole, part) = (unscaled.unsigned_abs() / one.unsigned_abs(), unscaled.unsigned_abs() % one.unsigned_abs());
    if decimals == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{part:0width$}", width = usize::from(decimals))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amount(text: &str) -> Result<Present<i64>, ValueError> {
        parse_decimal(text, AMOUNT)
    }

    #[test]
    fn amounts_in_every_tolerated_form() {
        for (text, unscaled) in [
            ("1000", 100_000),
            ("-1000", -100_000),
            ("- 1,000", -100_000),
            ("\u{2212}1000", -100_000),
            ("\u{FF0D}1,000.5", -100_050),
            ("  12.34\t", 1234),
            ("1,234,567.89", 123_456_789),
            ("0", 0),
            ("-0", 0),
            ("0012", 1200),
            ("9999999999999999.99", 999_999_999_999_999_999),
        ] {
            assert_eq!(amount(text), Ok(Ok(unscaled)), "{text:?}");
        }
        assert_eq!(amount("-"), Ok(Err(Absent::Dash)));
        assert_eq!(amount(" - "), Ok(Err(Absent::Dash)));
        assert_eq!(amount(" "), Ok(Err(Absent::Blank)));
        assert_eq!(parse_decimal("2.5 %", RATE), Ok(Ok(25_000)));
        assert_eq!(parse_decimal("3.3000", RATE), Ok(Ok(33_000)));
    }

    #[test]
    fn amounts_that_are_refused() {
        for (text, why) in [
            ("12x4", ValueError::Amount),
            ("1,23", ValueError::Grouping),
            ("1234,567", ValueError::Grouping),
            (",123", ValueError::Grouping),
            ("1e5", ValueError::Amount),
            ("+5", ValueError::Amount),
            ("--5", ValueError::Amount),
            ("5-", ValueError::Amount),
            (".5", ValueError::Amount),
            ("5.", ValueError::Amount),
            ("1.2.3", ValueError::Amount),
            ("1.234", ValueError::Decimals(2)),
            ("12345678901234567", ValueError::Digits(16)),
            ("5%", ValueError::Amount),
            ("\u{0661}", ValueError::Amount),
            ("- -", ValueError::Amount),
        ] {
            assert_eq!(amount(text), Err(why), "{text:?}");
        }
        assert_eq!(parse_decimal("1.23456", RATE), Err(ValueError::Decimals(4)));
        assert_eq!(parse_decimal("123456", RATE), Err(ValueError::Digits(5)));
    }

    #[test]
    fn dates() {
        let day = NaiveDate::from_ymd_opt(2024, 2, 29);
        assert_eq!(parse_date("20240229"), day);
        assert_eq!(parse_date("2024-02-29"), day);
        assert_eq!(parse_date("20240229235959"), day);
        for bad in ["20240230", "2024-2-29", "20240229240000", "2024/02/29", "00000000", "", "2024022", "２０２４"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_plain_form_is_read_like_any_other(text in "-?[0-9]{0,17}([.][0-9]{0,5})?", noise in "[-0-9,. %]{0,24}") {
            for scale in [AMOUNT, RATE] {
                for text in [&text, &noise] {
                    if let Some(value) = plain_decimal(text.as_bytes(), scale) {
                        prop_assert_eq!(parse_any_decimal(text, scale), Ok(Ok(value)), "{:?}", text);
                    }
                }
            }
        }

        #[test]
        fn what_is_written_reads_back(unscaled in -999_999_999_999_999_999i64..=999_999_999_999_999_999) {
            let text = format_decimal(i128::from(unscaled), 2);
            prop_assert_eq!(amount(&text), Ok(Ok(unscaled)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,30}", digits in "[-0-9,. %]{0,24}") {
            let _ = (amount(&text), amount(&digits), parse_decimal(&digits, RATE), parse_date(&text), parse_date(&digits));
        }
    }
}
