//! The digest of a day's rows: it shows whether the content changed. Computed from arrays, so that it can be computed again
//! from a file.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Decimal32Type, Decimal64Type, Int32Type, TimestampMillisecondType};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_buffer::NullBuffer;
use xxhash_rust::xxh3::xxh3_128;

use super::columns::{COLUMNS, Column, ColumnType};

/// The sum, modulo 2^128, of a hash of each row, with the row count. Ignores the order of rows and keeps duplicates.
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

/// Hashes rows from their values, each behind its length, so that none runs into the next.
#[derive(Debug, Default)]
pub struct RowHasher {
    scratch: Vec<u8>,
}

impl RowHasher {
    /// Hashes the content of each row of a batch of the table's schema.
    pub fn contents(&mut self, batch: &RecordBatch, each: impl FnMut(u128)) {
        self.rows(batch, |column| column.source.is_content(), each);
    }

    /// Hashes transaction and payment status: the nearest thing to an identity that rows have.
    pub fn identities(&mut self, batch: &RecordBatch, each: impl FnMut(u128)) {
        self.rows(batch, |column| column.identity, each);
    }

    fn rows(&mut self, batch: &RecordBatch, takes: impl Fn(&Column) -> bool, mut each: impl FnMut(u128)) {
        let values: Vec<Values<'_>> = COLUMNS
            .iter()
            .zip(batch.columns())
            .filter(|(column, _)| takes(column))
            .map(|(column, array)| Values::new(column.column_type, array))
            .collect();
        for row in 0..batch.num_rows() {
            let mut end = 0;
            for values in &values {
                end = values.write(row, &mut self.scratch, end);
            }
            each(xxh3_128(&self.scratch[..end]));
        }
    }
}

/// A column's values, looked up once per batch and not once per row.
struct Values<'a> {
    nulls: Option<&'a NullBuffer>,
    slice: Slice<'a>,
}

enum Slice<'a> {
    /// All texts, and the offsets of each.
    Text(&'a [u8], &'a [i32]),
    Wide(&'a [i64]),
    Narrow(&'a [i32]),
}

impl<'a> Values<'a> {
    fn new(column_type: ColumnType, array: &'a ArrayRef) -> Self {
        let slice = match column_type {
            ColumnType::Text => {
                let texts = array.as_string::<i32>();
                Slice::Text(texts.value_data(), texts.value_offsets())
            }
            ColumnType::Amount => Slice::Wide(array.as_primitive::<Decimal64Type>().values()),
            ColumnType::Timestamp => Slice::Wide(array.as_primitive::<TimestampMillisecondType>().values()),
            ColumnType::Rate => Slice::Narrow(array.as_primitive::<Decimal32Type>().values()),
            ColumnType::Date => Slice::Narrow(array.as_primitive::<Date32Type>().values()),
            ColumnType::Int32 => Slice::Narrow(array.as_primitive::<Int32Type>().values()),
        };
        Self { nulls: array.nulls(), slice }
    }

    /// Writes a row's value behind its length at `at`, and returns where it ends. NULL is a length that no value has, so that it
    /// differs from every text, including the empty one.
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
        let number = match self.slice {
            Slice::Text(texts, ends) => {
                let (from, to) = (ends[row] as usize, ends[row + 1] as usize);
                let length = to - from;
                out[at..at + 4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX - 1).to_le_bytes());
                let at = at + 4;
                match texts.get(from..from + SHORT) {
                    // the next value overwrites what stands behind the text
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
            Slice::Wide(values) => values[row],
            Slice::Narrow(values) => values[row].into(),
        };
        out[at..at + 4].copy_from_slice(&8u32.to_le_bytes());
        out[at + 4..at + 12].copy_from_slice(&number.to_le_bytes());
        at + 12
    }
}
