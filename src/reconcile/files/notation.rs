//! Keys, amounts and dates as files write them. Exact: what could mean two things is not read.

use std::borrow::Cow;

use chrono::{NaiveDate, TimeDelta};
use unicode_normalization::UnicodeNormalization as _;

use crate::settlement::values::{AMOUNT, parse_date, parse_decimal};

use super::cell::{Cell, Value};

/// A numeric cell of this size may have been rounded: a float holds 15 digits.
const ROUNDED_FROM: f64 = 1e15;

/// Reads an order number or a transaction number; `None` if the cell is blank or a lone dash.
///
/// # Errors
/// What is wrong with it; continues the value.
pub(super) fn key<'c>(cell: &'c Cell<'_>) -> Result<Option<Cow<'c, str>>, String> {
    const ROUNDED: &str = "may have been rounded by Excel: export the column as text";
    match &cell.value {
        Value::Empty => Ok(None),
        Value::Text(text) => {
            let key = stripped(text);
            if key.is_empty() || key == "-" {
                return Ok(None);
            }
            if is_exponent(key) {
                return Err(format!("is a number in exponent form, and {ROUNDED}"));
            }
            // a file written on a Mac may have its syllables in parts
            Ok(Some(if key.is_ascii() { Cow::Borrowed(key) } else { Cow::Owned(key.nfc().collect()) }))
        }
        Value::Number(number) if !number.is_finite() || number.abs() >= ROUNDED_FROM => {
            Err(format!("is a number of more than 15 digits, and {ROUNDED}"))
        }
        Value::Number(_) | Value::Decimal { .. } => Ok(Some(Cow::Owned(cell.shown().into_owned()))),
        Value::Date(_) => Err("is a date, not a number of an order or a transaction: export the column as text".into()),
        Value::Other(_) => Err("is not a number of an order or a transaction: export the column as text".into()),
    }
}

/// A key without what spreadsheets put around it.
fn stripped(text: &str) -> &str {
    let blank = |c: char| c.is_whitespace() || matches!(c, '\u{FEFF}' | '\u{200B}');
    let text = text.trim_matches(blank);
    let inner = match text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner,
        None => match text.strip_prefix('\'') {
            Some(rest) => rest.strip_suffix('\'').unwrap_or(rest),
            None => text,
        },
    };
    let inner = inner.trim_matches(blank);
    inner.strip_suffix(".0").unwrap_or(inner)
}

/// Whether a text is a number as Excel shortens it: `2.34E+17`.
fn is_exponent(key: &str) -> bool {
    let Some((mantissa, exponent)) = key.split_once(['E', 'e']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = exponent.strip_prefix(['+', '-']);
    let mantissa = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    match mantissa.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction) && digits(unsigned.unwrap_or(exponent)),
        // 2E17 without a sign may be somebody's number of an order
        None => digits(mantissa) && unsigned.is_some_and(digits),
    }
}

/// Reads an amount into hundredths of a won; `None` if the cell is blank or a lone dash.
///
/// # Errors
/// What is wrong with it; continues the value.
pub(super) fn amount(cell: &Cell<'_>) -> Result<Option<i64>, String> {
    match &cell.value {
        Value::Empty => Ok(None),
        Value::Text(text) => amount_text(text),
        Value::Number(_) | Value::Decimal { .. } => amount_text(&cell.shown()),
        Value::Date(_) | Value::Other(_) => Err(not_amount("is not an amount")),
    }
}

/// What is wrong with an amount, and what to do.
fn not_amount(what: &str) -> String {
    format!("{what}: correct it (such as 97,000 or -97000), or name the column of amounts with --column amount=HEADER")
}

/// Minus signs seen in Korean text.
const MINUS: [char; 5] = ['-', '\u{2212}', '\u{FF0D}', '\u{FE63}', '\u{2013}'];

/// What states the sign of an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
    /// A triangle or brackets, as accountants write what is negative.
    Negative,
}

fn amount_text(text: &str) -> Result<Option<i64>, String> {
    // nearly all amounts are plain digits, which the API's own reading takes; the rest is marks around such digits
    if let Ok(read) = parse_decimal(text, AMOUNT) {
        return Ok(read.ok());
    }
    let mut rest = text;
    let (mut sign, mut won): (Option<Sign>, bool) = (None, false);
    loop {
        rest = rest.trim_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}');
        let (found, inner) = if let Some(inner) = rest.strip_prefix(MINUS).or_else(|| rest.strip_suffix(MINUS)) {
            (Sign::Minus, inner)
        } else if let Some(inner) = rest.strip_prefix(['△', '▲']) {
            (Sign::Negative, inner)
        } else if let Some(inner) = rest.strip_prefix(['+', '＋']) {
            (Sign::Plus, inner)
        } else if let Some(inner) = rest.strip_prefix(['(', '（']).and_then(|inner| inner.strip_suffix([')', '）'])) {
            (Sign::Negative, inner)
        } else if let Some(inner) = without_won(rest) {
            if std::mem::replace(&mut won, true) {
                return Err(not_amount("names its currency twice"));
            }
            rest = inner;
            continue;
        } else {
            break;
        };
        if sign.replace(found).is_some() {
            return Err(not_amount("has more than one sign"));
        }
        rest = inner;
    }
    match parse_decimal(rest, AMOUNT) {
        Ok(Ok(value)) => Ok(Some(if matches!(sign, Some(Sign::Minus | Sign::Negative)) { -value } else { value })),
        // an accountant's zero, such as `₩ -`
        Ok(Err(_)) if sign == Some(Sign::Minus) => Ok(None),
        Ok(Err(_)) => Err(not_amount("is not an amount")),
        Err(error) => match narrow(text) {
            Some(text) => amount_text(&text),
            None => Err(not_amount(&error.to_string())),
        },
    }
}

/// A text whose digits are of full width, as Japanese and Korean keyboards type them, in those of usual width.
fn narrow(text: &str) -> Option<String> {
    text.chars().any(|c| matches!(c, '０'..='９')).then(|| text.nfkc().collect())
}

/// An amount without its currency, which may stand on either side.
fn without_won(text: &str) -> Option<&str> {
    const WON: [&str; 6] = ["원", "₩", "￦", "\\", "KRW", "krw"];
    WON.into_iter().find_map(|won| text.strip_prefix(won).or_else(|| text.strip_suffix(won)))
}

/// Reads a date in Seoul; `None` if the cell is blank, a lone dash, or the zeros by which databases write that there is none.
///
/// # Errors
/// What is wrong with it; continues the value.
pub(super) fn date(cell: &Cell<'_>) -> Result<Option<NaiveDate>, String> {
    const REASON: &str = "is not a date: write it as 2024-01-05, 2024.1.5, 2024년 1월 5일 or 20240105, with or without a time";
    match &cell.value {
        Value::Empty => Ok(None),
        Value::Date(date) => Ok(Some(*date)),
        Value::Text(_) | Value::Number(_) | Value::Decimal { .. } => {
            let shown = cell.shown();
            let text = shown.trim();
            if text.is_empty() || text == "-" || is_no_date(text) {
                return Ok(None);
            }
            let read = |text: &str| parse_date(text).or_else(|| date_and_time(text));
            read(text).or_else(|| read(&narrow(text)?)).map(Some).ok_or_else(|| REASON.into())
        }
        Value::Other(_) => Err(REASON.into()),
    }
}

/// `0000-00-00 00:00:00`
fn is_no_date(text: &str) -> bool {
    text.starts_with("0000") && text.bytes().all(|byte| b"0-./: ".contains(&byte))
}

/// What is left of a text while it is read.
struct Scan<'t>(&'t str);

impl Scan<'_> {
    /// A number of so many digits.
    fn number(&mut self, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
        let found = self.0.bytes().take(*digits.end()).take_while(u8::is_ascii_digit).count();
        if found < *digits.start() {
            return None;
        }
        let (number, rest) = self.0.split_at(found);
        self.0 = rest;
        number.parse().ok()
    }

    fn take(&mut self, text: &str) -> bool {
        match self.0.get(..text.len()) {
            Some(start) if start.eq_ignore_ascii_case(text) => {
                self.0 = &self.0[text.len()..];
                true
            }
            _ => false,
        }
    }

    /// Takes one of several texts, and returns which.
    fn one_of(&mut self, texts: &[&str]) -> Option<usize> {
        texts.iter().position(|text| self.take(text))
    }

    fn blanks(&mut self) -> bool {
        let trimmed = self.0.trim_start();
        let any = trimmed.len() < self.0.len();
        self.0 = trimmed;
        any
    }
}

/// A date, and perhaps a time, and perhaps its offset from UTC.
fn date_and_time(text: &str) -> Option<NaiveDate> {
    const SEOUL: i64 = 9 * 3600;
    let mut scan = Scan(text);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let date = match digits {
        8 | 14 => {
            let date = parse_date(&text[..digits])?;
            scan.0 = if digits == 8 { &text[8..] } else { text };
            if digits == 14 {
                scan.0 = &text[8..];
            }
            date
        }
        4 => calendar_date(&mut scan)?,
        _ => return None,
    };
    weekday(&mut scan)?;
    let compact = digits == 14;
    let apart = scan.blanks() | scan.take("T");
    if scan.0.is_empty() {
        return Some(date);
    }
    if !apart && !compact {
        return None;
    }
    scan.blanks();
    let seconds = time(&mut scan)?;
    scan.blanks();
    let offset = offset(&mut scan)?;
    if !scan.0.is_empty() {
        return None;
    }
    let Some(offset) = offset else { return Some(date) };
    let midnight = date.and_hms_opt(0, 0, 0)?;
    Some(midnight.checked_add_signed(TimeDelta::seconds(i64::from(seconds) - offset + SEOUL))?.date())
}

/// `2024-01-05`, `2024.1.5`, `2024. 1. 5.`, `2024/1/5`, `2024년 1월 5일`
fn calendar_date(scan: &mut Scan<'_>) -> Option<NaiveDate> {
    let year = scan.number(4..=4)?;
    let separator = ["-", ".", "/", "년"][scan.one_of(&["-", ".", "/", "년"])?];
    scan.blanks();
    let month = scan.number(1..=2)?;
    if !scan.take(if separator == "년" { "월" } else { separator }) {
        return None;
    }
    scan.blanks();
    let day = scan.number(1..=2)?;
    match separator {
        "년" if !scan.take("일") => return None,
        "." => drop(scan.take(".")),
        _ => {}
    }
    let year = i32::try_from(year).ok().filter(|year| *year > 0)?;
    NaiveDate::from_ymd_opt(year, month, day)
}

/// A day of the week after the date: `(금)`, ` 금요일`, `(Fri)`.
fn weekday(scan: &mut Scan<'_>) -> Option<()> {
    const DAYS: [&str; 14] =
        ["월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일", "월", "화", "수", "목", "금", "토", "일"];
    const ENGLISH: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let before = scan.0;
    scan.blanks();
    if scan.take("(") {
        scan.one_of(&DAYS).or_else(|| scan.one_of(&ENGLISH))?;
        return scan.take(")").then_some(());
    }
    if scan.one_of(&DAYS[..7]).is_none() {
        scan.0 = before;
    }
    Some(())
}

/// A time of day, in seconds.
fn time(scan: &mut Scan<'_>) -> Option<u32> {
    const HALVES: [&str; 4] = ["오전", "AM", "오후", "PM"];
    let mut half = scan.one_of(&HALVES);
    scan.blanks();
    let digits = scan.0.bytes().take_while(u8::is_ascii_digit).count();
    let (hour, minute, second) = if digits == 6 || digits == 4 {
        (scan.number(2..=2)?, scan.number(2..=2)?, if digits == 6 { scan.number(2..=2)? } else { 0 })
    } else {
        let hour = scan.number(1..=2)?;
        let korean = ["시", ":"].get(scan.one_of(&["시", ":"])?) == Some(&"시");
        scan.blanks();
        let minute = if korean && !scan.0.starts_with(|c: char| c.is_ascii_digit()) { 0 } else { scan.number(1..=2)? };
        let more = if korean {
            scan.take("분") && {
                scan.blanks();
                scan.0.starts_with(|c: char| c.is_ascii_digit())
            }
        } else {
            scan.take(":")
        };
        let second = if more { scan.number(1..=2)? } else { 0 };
        if korean && more && !scan.take("초") {
            return None;
        }
        (hour, minute, second)
    };
    if scan.take(".") {
        scan.number(1..=9)?;
    }
    if half.is_none() {
        let before = scan.0;
        scan.blanks();
        half = scan.one_of(&HALVES);
        if half.is_none() {
            scan.0 = before;
        }
    }
    let hour = match half {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(half) => hour % 12 + if half < 2 { 0 } else { 12 },
    };
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}

/// A stated offset from UTC, in seconds; `None` within if there is none.
#[expect(clippy::option_option, reason = "an offset that cannot be read differs from none")]
fn offset(scan: &mut Scan<'_>) -> Option<Option<i64>> {
    let named = scan.one_of(&["UTC", "GMT", "Z", "KST"]);
    let Some(sign) = scan.one_of(&["+", "-", "\u{2212}"]) else {
        return Some(named.map(|name| if name == 3 { 9 * 3600 } else { 0 }));
    };
    // UTC+9 is an offset; Z+9 is none
    if named.is_some_and(|name| name > 1) {
        return None;
    }
    let hours = scan.number(1..=2)?;
    scan.take(":");
    let minutes = if scan.0.is_empty() { 0 } else { scan.number(2..=2)? };
    if hours > 14 || minutes > 59 {
        return None;
    }
    let seconds = i64::from(hours * 3600 + minutes * 60);
    Some(Some(if sign == 0 { seconds } else { -seconds }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Cell<'_> {
        Cell::text(text)
    }

    #[test]
    fn keys_without_what_spreadsheets_put_around_them() {
        for (written, read) in [
            ("20240105-01", Some("20240105-01")),
            (" \t00123 ", Some("00123")),
            ("'00123", Some("00123")),
            ("'00123'", Some("00123")),
            ("=\"00123\"", Some("00123")),
            ("\t=\"00123\" ", Some("00123")),
            ("20240105.0", Some("20240105")),
            ("=\"123.0\"", Some("123")),
            ("12E4", Some("12E4")),
            ("E+17", Some("E+17")),
            ("A1.5E+3", Some("A1.5E+3")),
            ("2024010500000001", Some("2024010500000001")),
            ("\u{110C}\u{116E}\u{1106}\u{116E}\u{11AB}-1", Some("주문-1")),
            ("", None),
            (" ", None),
            ("'", None),
            ("-", None),
            ("\u{A0}", None),
        ] {
            assert_eq!(key(&text(written)).as_ref().map(Option::as_deref), Ok(read), "{written:?}");
        }
        for written in ["2.34E+17", "2.34e17", "2E+17", "'2.34E+17", "-1.5e-3"] {
            assert!(key(&text(written)).is_err(), "{written}");
        }
    }

    #[test]
    fn keys_in_numeric_cells() {
        let number = |number: f64| Cell::new(Value::Number(number));
        assert_eq!(key(&number(123.0)).unwrap().as_deref(), Some("123"));
        assert_eq!(key(&number(999_999_999_999_999.0)).unwrap().as_deref(), Some("999999999999999"));
        assert!(key(&number(1e15)).is_err());
        assert!(key(&number(2.024_010_510_000_001e15)).is_err());
        let exact = Cell::new(Value::Decimal { unscaled: 2_024_010_510_000_001, scale: 0 });
        assert_eq!(key(&exact).unwrap().as_deref(), Some("2024010510000001"));
        assert!(key(&Cell::new(Value::Date(NaiveDate::MIN))).is_err());
    }

    #[test]
    fn amounts_in_every_notation() {
        for (written, hundredths) in [
            ("10000", 1_000_000),
            ("97,000", 9_700_000),
            ("97,000원", 9_700_000),
            ("97,000 원", 9_700_000),
            ("₩97,000", 9_700_000),
            ("￦ 97,000", 9_700_000),
            ("\\97,000", 9_700_000),
            ("KRW 97,000", 9_700_000),
            ("97,000 KRW", 9_700_000),
            ("+97,000", 9_700_000),
            ("(97,000)", -9_700_000),
            ("（97,000）", -9_700_000),
            ("(₩97,000)", -9_700_000),
            ("₩(97,000)", -9_700_000),
            ("△97,000", -9_700_000),
            ("▲ 97,000원", -9_700_000),
            ("97,000-", -9_700_000),
            ("97,000원-", -9_700_000),
            ("-₩97,000", -9_700_000),
            ("₩-97,000", -9_700_000),
            ("-97,000원", -9_700_000),
            ("\u{2212}1,234.5", -123_450),
            ("0", 0),
            ("0원", 0),
        ] {
            assert_eq!(amount(&text(written)), Ok(Some(hundredths)), "{written:?}");
        }
        for blank in ["", "  ", "-", " - ", "₩ -", "-원"] {
            assert_eq!(amount(&text(blank)), Ok(None), "{blank:?}");
        }
        for wrong in [
            "12x4", "1,23", "--5", "-(5)", "(-5)", "-5-", "+-5", "△-5", "5%", "$5", "원", "()", "(", "+", "△", "1.234", "5.", "₩₩5", "1e5",
            "5 000",
        ] {
            assert!(amount(&text(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn amounts_in_numeric_cells() {
        let number = |number: f64| amount(&Cell::new(Value::Number(number)));
        assert_eq!(number(1234.5), Ok(Some(123_450)));
        assert_eq!(number(-97_000.0), Ok(Some(-9_700_000)));
        assert_eq!(number(-0.0), Ok(Some(0)));
        for wrong in [0.1 + 0.2, 1.234, 1e17, f64::NAN, f64::INFINITY] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
        assert_eq!(amount(&Cell::new(Value::Decimal { unscaled: 1_234_500, scale: 4 })), Ok(Some(12_345)));
        assert!(amount(&Cell::new(Value::Other("#N/A".into()))).is_err());
    }

    #[test]
    fn dates_in_every_notation() {
        let day = NaiveDate::from_ymd_opt(2024, 1, 5);
        for written in [
            "2024-01-05",
            "20240105",
            "20240105235959",
            "2024.01.05",
            "2024/1/5",
            "2024-1-5",
            "2024. 1. 5.",
            "2024년 1월 5일",
            "2024년1월5일",
            "2024.01.05 10:00",
            "2024-01-05T10:00:00",
            "2024-01-05 10:00:00.123",
            "2024/1/5 오후 3:05:10",
            "2024-01-05 오전 12:05",
            "2024-01-05 3:05 PM",
            "2024년 1월 5일 10시 5분",
            "2024년 1월 5일 10시 5분 3초",
            "2024-01-05(금) 10:00",
            "2024년 1월 5일 금요일",
            "20240105 100000",
            "20240105 10:00",
            "2024-01-05 10:00:00 +0900",
            "2024-01-05T00:00:00+09:00",
            "2024-01-04T15:00:00Z",
            "2024-01-05T14:59:59Z",
            "2024-01-04 15:00:00 UTC",
            "2024-01-04T20:00:00-05:00",
            "2024-01-05 00:30 KST",
            "20240104150000Z",
            " 2024-01-05 ",
        ] {
            assert_eq!(date(&text(written)), Ok(day), "{written:?}");
        }
        assert_eq!(date(&text("2024-01-05T15:00:00Z")), Ok(NaiveDate::from_ymd_opt(2024, 1, 6)));
        assert_eq!(date(&text("2024-12-31T15:00:00Z")), Ok(NaiveDate::from_ymd_opt(2025, 1, 1)));
        assert_eq!(date(&Cell::new(Value::Number(20_240_105.0))), Ok(day));
        for blank in ["", "-", " ", "0000-00-00 00:00:00"] {
            assert_eq!(date(&text(blank)), Ok(None), "{blank:?}");
        }
        for wrong in [
            "24.01.05",
            "01/05/2024",
            "2024-13-05",
            "2024.02.30",
            "202401",
            "2024-01",
            "202401051000",
            "45296",
            "2024-01/05",
            "2024-01-05 25:00",
            "2024-01-05x",
            "2024-01-0510:00",
            "2024-01-05 10:00 +99:00",
            "2024-01-05 13:00 PM",
            "어제",
            "2024년 1월 5",
        ] {
            assert!(date(&text(wrong)).is_err(), "{wrong:?}");
        }
    }
}
