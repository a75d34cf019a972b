//! The contracted rates: a table in CSV or TOML.

use chrono::NaiveDate;
use serde::Deserialize;
use toml::Spanned;

use crate::settlement::values::{RATE, format_decimal, parse_date, parse_decimal};

/// The columns, as CSV has them in its header and TOML in its tables.
const COLUMNS: [&str; 4] = ["pay_type", "acquirer_code", "rate", "from"];

/// A rate of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rate {
    /// The payment method; `None` for any.
    pay_type: Option<String>,
    /// The acquirer; `None` for any.
    acquirer_code: Option<String>,
    /// In ten-thousandths of a percent.
    percent: i32,
    /// The first transaction date; `None` for any.
    from: Option<NaiveDate>,
    /// Where it is in the file.
    line: u64,
}

impl Rate {
    /// The more of them is stated, the more specific. An acquirer implies how was paid.
    fn specific(&self) -> (usize, bool) {
        (usize::from(self.pay_type.is_some()) + usize::from(self.acquirer_code.is_some()), self.acquirer_code.is_some())
    }

    fn applies(&self, pay_type: Option<&str>, acquirer_code: Option<&str>, date: NaiveDate) -> bool {
        let is = |stated: &Option<String>, found: Option<&str>| stated.is_none() || stated.as_deref() == found;
        is(&self.pay_type, pay_type) && is(&self.acquirer_code, acquirer_code) && self.from.is_none_or(|from| from <= date)
    }
}

/// The rates of the contract.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rates(Vec<Rate>);

/// A file of rates that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RatesError {
    /// A line that cannot be read.
    #[error("line {line}: {reason}")]
    Line {
        /// The line; the first is 1.
        line: u64,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The file as a whole.
    #[error("{0}")]
    File(String),
}

impl Rates {
    /// Reads a table of rates.
    ///
    /// # Errors
    /// Columns or values that cannot be read, and two rates for the same rows.
    pub(super) fn parse(text: &str) -> Result<Self, RatesError> {
        let text = text.trim_start_matches('\u{FEFF}');
        let rates = if is_toml(text) { from_toml(text)? } else { from_csv(text)? };
        for (index, rate) in rates.iter().enumerate() {
            let same =
                |other: &&Rate| (&other.pay_type, &other.acquirer_code, other.from) == (&rate.pay_type, &rate.acquirer_code, rate.from);
            if let Some(earlier) = rates[..index].iter().find(same) {
                return refuse(rate.line, format!("it states a rate for what line {} states one for: remove one of them", earlier.line));
            }
        }
        Ok(Self(rates))
    }

    /// The rate of a row: that of the most specific entry, of several the latest.
    pub(super) fn find(&self, pay_type: Option<&str>, acquirer_code: Option<&str>, date: NaiveDate) -> Option<i32> {
        let applying = self.0.iter().filter(|rate| rate.applies(pay_type, acquirer_code, date));
        applying.max_by_key(|rate| (rate.specific(), rate.from)).map(|rate| rate.percent)
    }
}

/// A rate for people: `2.3000`
pub(super) fn shown(rate: i32) -> String {
    format_decimal(rate.into(), RATE.decimals)
}

fn refuse<T>(line: u64, reason: impl Into<String>) -> Result<T, RatesError> {
    Err(RatesError::Line { line, reason: reason.into() })
}

/// Whether the first line that states something begins a table or sets a key.
fn is_toml(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| line.starts_with('[') || line.contains('='))
}

/// The cells of an entry, as written.
fn rate(line: u64, [pay_type, acquirer_code, rate, from]: [&str; 4]) -> Result<Rate, RatesError> {
    let code = |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
    let percent = match parse_decimal(rate, RATE) {
        Ok(Ok(percent)) => i32::try_from(percent).ok(),
        _ => None,
    };
    let Some(percent) = percent else {
        return refuse(line, format!("rate {rate:?} is not a rate in percent: write it as 2.30"));
    };
    let from = match from.trim() {
        "" => None,
        text => match parse_date(text) {
            Some(date) => Some(date),
            None => return refuse(line, format!("from {text:?} is not a date: write it as 2024-01-31")),
        },
    };
    Ok(Rate { pay_type: code(pay_type), acquirer_code: code(acquirer_code), percent, from, line })
}

fn from_csv(text: &str) -> Result<Vec<Rate>, RatesError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut places: Option<[Option<usize>; 4]> = None;
    let mut rates = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| RatesError::File(error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.iter().all(str::is_empty) {
            continue;
        }
        let Some(places) = places else {
            let place = |name: &str| record.iter().position(|header| header.eq_ignore_ascii_case(name));
            let found = COLUMNS.map(place);
            if found[2].is_none() {
                let headers = record.iter().collect::<Vec<_>>().join(", ");
                return refuse(line, format!("no column rate among {headers}: the header is {}", COLUMNS.join(",")));
            }
            if let Some(unknown) = record.iter().find(|header| !COLUMNS.iter().any(|name| header.eq_ignore_ascii_case(name))) {
                return refuse(line, format!("unknown column {unknown:?}: the columns are {}", COLUMNS.join(", ")));
            }
            places = Some(found);
            continue;
        };
        rates.push(rate(line, places.map(|place| place.and_then(|place| record.get(place)).unwrap_or_default()))?);
    }
    if places.is_none() {
        return Err(RatesError::File(format!("it is empty: its header is {}", COLUMNS.join(","))));
    }
    Ok(rates)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    pay_type: String,
    #[serde(default)]
    acquirer_code: String,
    rate: Spanned<toml::Value>,
    from: Option<Spanned<toml::Value>>,
}

fn from_toml(text: &str) -> Result<Vec<Rate>, RatesError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(alias = "rates")]
        rate: Vec<Spanned<Entry>>,
    }
    let line_of = |at: usize| 1 + text.get(..at).unwrap_or(text).matches('\n').count() as u64;
    let file: File = toml::from_str(text).map_err(|error| match error.span() {
        Some(span) => RatesError::Line { line: line_of(span.start), reason: error.message().to_owned() },
        None => RatesError::File(format!("{}: write each rate as a [[rate]] table", error.message())),
    })?;
    let mut rates = Vec::new();
    for entry in file.rate {
        let Entry { pay_type, acquirer_code, rate: percent, from } = entry.get_ref();
        // as written: a number must not become a float on the way
        let written = |value: &Spanned<toml::Value>| text[value.span()].trim_matches(['"', '\'']).to_owned();
        let (percent, from) = (written(percent), from.as_ref().map(written).unwrap_or_default());
        rates.push(rate(line_of(entry.span().start), [pay_type, acquirer_code, &percent, &from])?);
    }
    Ok(rates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        parse_date(text).unwrap_or_default()
    }

    const CSV: &str = "\u{FEFF}pay_type,acquirer_code,rate,from\nCARD,,2.30,\nCARD,,2.10,2024-02-01\nCARD,CCLG,1.9,20240101\n,,3,\n";

    #[test]
    fn the_most_specific_rate_counts_and_of_several_the_latest() {
        let toml = r#"
            [[rate]]
            pay_type = "CARD"
            rate = 2.30
            [[rate]]
            pay_type = "CARD"
            rate = "2.10"
            from = 2024-02-01
            [[rate]]
            pay_type = "CARD"
            acquirer_code = "CCLG"
            rate = 1.9
            from = "20240101"
            [[rate]]
            rate = 3
        "#;
        for text in [CSV, toml] {
            let rates = Rates::parse(text).unwrap();
            for (pay_type, acquirer, date, rate) in [
                ("CARD", "CCBC", "2024-01-31", 23_000),
                ("CARD", "CCBC", "2024-02-01", 21_000),
                ("CARD", "CCLG", "2024-03-01", 19_000),
                ("CARD", "CCLG", "2023-12-31", 23_000),
                ("VBANK", "", "2024-01-01", 30_000),
            ] {
                let found = rates.find(Some(pay_type), Some(acquirer).filter(|code| !code.is_empty()), day(date));
                assert_eq!(found, Some(rate), "{pay_type} {acquirer} {date}");
            }
        }
        assert_eq!(Rates::parse("rate,from\n2.3,2024-01-01\n").unwrap().find(None, None, day("2023-12-31")), None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, message) in [
            ("", "it is empty: its header is pay_type,acquirer_code,rate,from"),
            ("pay_type,from\nCARD,\n", "line 1: no column rate among pay_type, from: the header is pay_type,acquirer_code,rate,from"),
            ("rate,method\n2,CARD\n", "line 1: unknown column \"method\": the columns are pay_type, acquirer_code, rate, from"),
            ("rate\n2.3x\n", "line 2: rate \"2.3x\" is not a rate in percent: write it as 2.30"),
            ("rate,from\n2.3,2024-02-30\n", "line 2: from \"2024-02-30\" is not a date: write it as 2024-01-31"),
            ("pay_type,rate\nCARD,2\nCARD,3\n", "line 3: it states a rate for what line 2 states one for: remove one of them"),
        ] {
            assert_eq!(Rates::parse(text).unwrap_err().to_string(), message);
        }
        let unknown = Rates::parse("[[rate]]\nrate = 2\nmethod = \"CARD\"\n").unwrap_err().to_string();
        assert!(unknown.starts_with("line 3: unknown field `method`"), "{unknown}");
    }
}
