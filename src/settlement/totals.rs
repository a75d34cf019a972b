//! Counts, exact sums and the digest of a day's rows.
//!
//! Taken once while the answer is read and once from the arrays handed to the writer; the two must
//! agree before a day is published. Knows nothing of files.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Decimal32Type, Decimal64Type};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use serde_json::{Map, Value as Json, json};
use xxhash_rust::xxh3::xxh3_128;

use crate::cookiepay::wire::Field;

use super::columns::{COLUMNS, Column, Kind, Source, amounts};
use super::values::{AMOUNT, Absent, format_decimal};

/// How many amount columns there are.
pub const AMOUNTS: usize = 5;

/// Sums of the amount columns, in their order, in hundredths of a won. 2^63 rows of the largest
/// amount stay below an `i128`.
pub type Sums = [i128; AMOUNTS];

/// What is counted and summed over the rows of a day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Rows kept.
    pub rows: u64,
    /// Rows whose payout status is not `03`.
    pub pending_rows: u64,
    /// Rows with all four amounts for which `auth_amount - fee - vat = payment_amount` fails.
    pub unbalanced_rows: u64,
    /// Sums of the amount columns.
    pub sums: Sums,
    /// NULLs by column and kind of absence.
    pub nulls: [[u64; Absent::ALL.len()]; COLUMNS.len()],
}

impl Totals {
    /// Compares with what the writer's arrays say.
    ///
    /// # Errors
    /// The first difference, in words.
    pub fn reconcile(&self, arrays: &ArrayTotals) -> Result<(), String> {
        if self.rows != arrays.rows {
            return Err(format!("{} rows were read and {} handed to the writer", self.rows, arrays.rows));
        }
        if self.pending_rows != arrays.pending_rows {
            return Err(format!("{} pending rows were read and {} handed to the writer", self.pending_rows, arrays.pending_rows));
        }
        for ((index, column), (read, written)) in amounts().zip(self.sums.iter().zip(&arrays.sums)) {
            let nulls: u64 = self.nulls[index].iter().sum();
            if read != written || nulls != arrays.nulls[index] {
                return Err(format!(
                    "{}: {} with {nulls} NULLs was read, {} with {} NULLs handed to the writer",
                    column.name,
                    format_decimal(*read, 2),
                    format_decimal(*written, 2),
                    arrays.nulls[index],
                ));
            }
        }
        Ok(())
    }

    /// NULLs as the day record has them: `{"fee":{"dash":3}}`, columns without NULLs left out.
    #[must_use]
    pub fn nulls_json(&self) -> Json {
        let mut by_column = Map::new();
        for (column, kinds) in COLUMNS.iter().zip(&self.nulls) {
            let found: Map<String, Json> = Absent::ALL
                .iter()
                .zip(kinds)
                .filter(|(_, count)| **count > 0)
                .map(|(kind, count)| (kind.name().to_owned(), json!(count)))
                .collect();
            if !found.is_empty() {
                by_column.insert(column.name.to_owned(), found.into());
            }
        }
        by_column.into()
    }
}

/// Whether a payout status says that the row was paid out.
#[must_use]
pub fn is_paid(status: &str) -> bool {
    status.trim() == "03"
}

/// What the arrays handed to the writer say.
#[derive(Debug, Default)]
pub struct ArrayTotals {
    rows: u64,
    pending_rows: u64,
    sums: Sums,
    nulls: [u64; COLUMNS.len()],
    digest: Digest,
    hasher: RowHasher,
}

impl ArrayTotals {
    /// The digest of the rows.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The NULLs that a day record states, and those of columns that it did not know yet as missing.
    #[must_use]
    pub fn nulls_over(&self, stated: &Json) -> Json {
        let mut nulls = stated.as_object().cloned().unwrap_or_default();
        let from_fields = COLUMNS.iter().zip(self.nulls).filter(|(column, _)| matches!(column.source, Source::Field(_)));
        for (column, has) in from_fields {
            let unstated = has.saturating_sub(stated_nulls(stated, column));
            if unstated > 0 {
                nulls.insert(column.name.to_owned(), json!({ Absent::Missing.name(): unstated }));
            }
        }
        nulls.into()
    }

    /// How these figures differ from those that a day record states: its rows, pending rows, sums and
    /// digest, and its NULLs by column and kind.
    #[must_use]
    pub fn differences(&self, stated: (u64, u64, &Map<String, Json>, &str), nulls: &Json) -> Vec<String> {
        let (rows, pending_rows, sums, digest) = stated;
        let mut found = Vec::new();
        let mut compare = |what: &str, has: String, states: String| {
            if has != states {
                found.push(format!("its {what} is {has}, and its record states {states}"));
            }
        };
        compare("number of rows", self.rows.to_string(), rows.to_string());
        compare("number of pending rows", self.pending_rows.to_string(), pending_rows.to_string());
        for (column, sum) in sums_json(&self.sums) {
            let stated = sums.get(&column).cloned().unwrap_or_default();
            compare(&format!("sum of {column}"), sum.to_string(), stated.to_string());
        }
        let from_fields = COLUMNS.iter().zip(self.nulls).filter(|(column, _)| matches!(column.source, Source::Field(_)));
        for (column, has) in from_fields {
            compare(&format!("number of NULLs in {}", column.name), has.to_string(), stated_nulls(nulls, column).to_string());
        }
        compare("digest", self.digest.to_string(), digest.to_owned());
        found
    }

    /// Adds a batch of the table's schema.
    pub fn add(&mut self, batch: &RecordBatch) {
        let digest = &mut self.digest;
        self.hasher.contents(batch, |row| digest.add(row));
        self.rows += batch.num_rows() as u64;
        let status = COLUMNS.iter().position(|column| column.source == Source::Field(Field::StatusCd));
        if let Some(status) = status.and_then(|index| batch.column(index).as_string_opt::<i32>()) {
            self.pending_rows += status.iter().filter(|code| !code.is_some_and(is_paid)).count() as u64;
        }
        for (count, array) in self.nulls.iter_mut().zip(batch.columns()) {
            *count += array.null_count() as u64;
        }
        for ((index, _), sum) in amounts().zip(&mut self.sums) {
            if let Some(array) = batch.column(index).as_primitive_opt::<Decimal64Type>() {
                *sum += array.iter().flatten().map(i128::from).sum::<i128>();
            }
        }
    }
}

/// The NULLs of a column that a day record states, of whatever kind.
fn stated_nulls(nulls: &Json, column: &Column) -> u64 {
    let kinds = nulls.get(column.name).and_then(Json::as_object);
    kinds.into_iter().flat_map(Map::values).filter_map(Json::as_u64).sum()
}

/// A sum as day records have it, read back.
#[must_use]
pub fn parse_sum(text: &str) -> Option<i128> {
    let (whole, part) = text.split_once('.')?;
    (part.len() == 2).then(|| format!("{whole}{part}").parse().ok()).flatten()
}

/// Sums as results and day records have them: exact decimals in strings, keyed by column.
#[must_use]
pub fn sums_json(sums: &Sums) -> Map<String, Json> {
    amounts().zip(sums).map(|((_, column), sum)| (column.name.to_owned(), Json::String(format_decimal(*sum, 2)))).collect()
}

/// Tells whether a day's content changed: a sum, modulo 2^128, of a hash of each row, with the row
/// count. Ignores the order of rows and keeps duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    sum: u128,
    rows: u64,
}

impl Digest {
    /// Adds a row's hash.
    pub fn add(&mut self, row: u128) {
        self.sum = self.sum.wrapping_add(row);
        self.rows += 1;
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}-{}", self.sum, self.rows)
    }
}

/// Hashes rows from their values, each with its length before it so that none runs into the next.
#[derive(Debug, Default)]
pub struct RowHasher {
    scratch: Vec<u8>,
}

impl RowHasher {
    /// Hashes every value that the API gave, row by row, of a batch of the table's schema.
    pub fn contents(&mut self, batch: &RecordBatch, each: impl FnMut(u128)) {
        // what the extractor adds to a row tells nothing of its content
        self.rows(batch, |column| !matches!(column.name, "source_row" | "extracted_at" | "run_id"), each);
    }

    /// Hashes transaction and payment status: the nearest thing to an identity that rows have.
    pub fn identities(&mut self, batch: &RecordBatch, each: impl FnMut(u128)) {
        self.rows(batch, |column| matches!(column.name, "transaction_id" | "payment_status"), each);
    }

    fn rows(&mut self, batch: &RecordBatch, takes: impl Fn(&Column) -> bool, mut each: impl FnMut(u128)) {
        let values: Vec<Values<'_>> =
            COLUMNS.iter().zip(batch.columns()).filter(|(column, _)| takes(column)).map(|(_, array)| Values::of(array)).collect();
        for row in 0..batch.num_rows() {
            let mut end = 0;
            for values in &values {
                end = values.write(row, &mut self.scratch, end);
            }
            each(xxh3_128(&self.scratch[..end]));
        }
    }
}

/// A column's values, found out once a batch and not once a row.
struct Values<'a> {
    nulls: Option<&'a NullBuffer>,
    kind: ValueKind<'a>,
}

enum ValueKind<'a> {
    /// All texts, and where each begins and ends.
    Text(&'a [u8], &'a [i32]),
    Amount(&'a [i64]),
    /// Rates, and days since 1970.
    Narrow(&'a [i32]),
}

impl<'a> Values<'a> {
    fn of(array: &'a ArrayRef) -> Self {
        let kind = match array.data_type() {
            DataType::Utf8 => {
                let texts = array.as_string::<i32>();
                ValueKind::Text(texts.value_data(), texts.value_offsets())
            }
            DataType::Decimal64(..) => ValueKind::Amount(array.as_primitive::<Decimal64Type>().values()),
            DataType::Decimal32(..) => ValueKind::Narrow(array.as_primitive::<Decimal32Type>().values()),
            _ => ValueKind::Narrow(array.as_primitive::<Date32Type>().values()),
        };
        Self { nulls: array.nulls(), kind }
    }

    /// Writes a row's value with its length before it at `at`, and returns where it ends; NULL as a length
    /// that no value has, so that it is told from every text, the empty one included.
    #[inline]
    #[expect(clippy::cast_sign_loss, reason = "an array's offsets are never negative")]
    fn write(&self, row: usize, out: &mut Vec<u8>, at: usize) -> usize {
        /// Most texts are no longer, and a copy of a fixed length is one instruction.
        const SHORT: usize = 32;
        if out.len() < at + 4 + SHORT {
            out.resize(2 * (at + 4 + SHORT), 0);
        }
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            out[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
            return at + 4;
        }
        let number = match self.kind {
            ValueKind::Text(texts, ends) => {
                let (from, to) = (ends[row] as usize, ends[row + 1] as usize);
                let length = to - from;
                out[at..at + 4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX - 1).to_le_bytes());
                let at = at + 4;
                match texts.get(from..from + SHORT) {
                    // what stands behind the text is written over by the next value
                    Some(window) if length <= SHORT => out[at..at + SHORT].copy_from_slice(window),
                    _ => {
                        if out.len() < at + length {
                            out.resize(at + length, 0);
                        }
                        out[at..at + length].copy_from_slice(&texts[from..to]);
                    }
                }
                return at + length;
            }
            ValueKind::Amount(values) => values[row],
            ValueKind::Narrow(values) => values[row].into(),
        };
        out[at..at + 4].copy_from_slice(&8u32.to_le_bytes());
        out[at + 4..at + 12].copy_from_slice(&number.to_le_bytes());
        at + 12
    }
}

const _: () = {
    let mut found = 0;
    let mut index = 0;
    while index < COLUMNS.len() {
        if let Kind::Decimal(scale) = COLUMNS[index].kind
            && scale.decimals == AMOUNT.decimals
        {
            found += 1;
        }
        index += 1;
    }
    assert!(found == AMOUNTS, "AMOUNTS counts the amount columns");
};
