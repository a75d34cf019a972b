//! Exact sums of the amount columns, as numbers and as records and results write them.

use serde_json::{Map, Value as Json};

use super::columns::{AMOUNTS, amounts};
use super::values::{AMOUNT, format_decimal};

/// Sums of the amount columns, in their order, in hundredths of a won. The sum of 2^63 rows with the largest amount fits an
/// `i128`.
pub type Sums = [i128; AMOUNTS];

/// Reads a sum as day records have it.
#[must_use]
pub fn parse_sum(text: &str) -> Option<i128> {
    let (whole, part) = text.split_once('.')?;
    (part.len() == usize::from(AMOUNT.decimals)).then(|| format!("{whole}{part}").parse().ok()).flatten()
}

/// Sums as results and day records have them: exact decimals in strings, keyed by column.
#[must_use]
pub fn sums_json(sums: &Sums) -> Map<String, Json> {
    amounts().zip(sums).map(|((_, column), sum)| (column.name.to_owned(), Json::String(format_decimal(*sum, AMOUNT.decimals)))).collect()
}
