//! Counts and exact sums of a day's rows.
//!
//! Computed once while the response is read and once from the arrays handed to the writer; the two must agree before a day is
//! published. Knows nothing about files.

use arrow_array::cast::AsArray as _;
use arrow_array::types::Decimal64Type;
use arrow_array::{Array as _, RecordBatch};
use serde_json::{Map, Value as Json, json};

use super::columns::{COLUMNS, Column, ColumnSource, amounts};
use super::digest::{Digest, RowHasher};
use super::groups::{Group, Grouping};
use super::source::Field;
use super::sums::{Sums, sums_json};
use super::values::{AMOUNT, Absent, format_decimal};

/// What is counted and summed over the rows of a day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Rows kept.
    pub rows: u64,
    /// Rows whose payout status is not `03`.
    pub pending_rows: u64,
    /// Rows with all four amounts for which `auth_amount - fee - vat = payment_amount` does not hold.
    pub unbalanced_rows: u64,
    /// Sums of the amount columns.
    pub sums: Sums,
    /// NULLs by column and kind of absence.
    pub nulls: [[u64; Absent::ALL.len()]; COLUMNS.len()],
}

impl Totals {
    /// Compares these totals with those of the writer's arrays.
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
                    format_decimal(*read, AMOUNT.decimals),
                    format_decimal(*written, AMOUNT.decimals),
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

/// Whether a payout status means that the row was paid out.
#[must_use]
pub fn is_paid(status: &str) -> bool {
    status.trim() == "03"
}

/// The figures of the arrays handed to the writer.
#[derive(Debug, Default)]
pub struct ArrayTotals {
    rows: u64,
    pending_rows: u64,
    sums: Sums,
    nulls: [u64; COLUMNS.len()],
    digest: Digest,
    hasher: RowHasher,
    grouping: Grouping,
}

impl ArrayTotals {
    /// Rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Sums of the amount columns.
    #[must_use]
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// The digest of the rows.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Rows and sums by code; `None` if there are too many codes to be listed.
    #[must_use]
    pub fn groups(&self) -> Option<Vec<Group>> {
        self.grouping.groups()
    }

    /// The NULLs that a day record states, and those of columns that it did not know yet, counted as missing.
    #[must_use]
    pub fn nulls_over(&self, stated: &Json) -> Json {
        let mut nulls = stated.as_object().cloned().unwrap_or_default();
        for (column, has) in self.nulls_of_fields() {
            let unstated = has.saturating_sub(stated_nulls(stated, column));
            if unstated > 0 {
                nulls.insert(column.name.to_owned(), json!({ Absent::Missing.name(): unstated }));
            }
        }
        nulls.into()
    }

    /// How these figures differ from those that a day record states.
    #[must_use]
    pub fn differences(&self, stated: &StatedTotals<'_>) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, has: String, states: String| {
            if has != states {
                found.push(format!("its {what} is {has}, and its record states {states}"));
            }
        };
        compare("number of rows", self.rows.to_string(), stated.rows.to_string());
        compare("number of pending rows", self.pending_rows.to_string(), stated.pending_rows.to_string());
        for (column, sum) in sums_json(&self.sums) {
            let stated = stated.sums.get(&column).cloned().unwrap_or_default();
            compare(&format!("sum of {column}"), sum.to_string(), stated.to_string());
        }
        for (column, has) in self.nulls_of_fields() {
            compare(&format!("number of NULLs in {}", column.name), has.to_string(), stated_nulls(stated.nulls, column).to_string());
        }
        compare("digest", self.digest.to_string(), stated.digest.to_owned());
        if stated.groups.is_some() && stated.groups != self.groups().as_deref() {
            found.push("its groups are not those that its record states".to_owned());
        }
        found
    }

    fn nulls_of_fields(&self) -> impl Iterator<Item = (&'static Column, u64)> {
        COLUMNS.iter().zip(self.nulls).filter(|(column, _)| matches!(column.source, ColumnSource::Field(_)))
    }

    /// Adds a batch of the table's schema.
    pub fn add(&mut self, batch: &RecordBatch) {
        let digest = &mut self.digest;
        self.hasher.contents(batch, |row| digest.add(row));
        self.grouping.add(batch);
        self.rows += batch.num_rows() as u64;
        let status = COLUMNS.iter().position(|column| column.source == ColumnSource::Field(Field::StatusCd));
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

/// The totals that a day record states.
#[derive(Debug, Clone, Copy)]
pub struct StatedTotals<'a> {
    /// Rows.
    pub rows: u64,
    /// Rows whose payout status is not `03`.
    pub pending_rows: u64,
    /// Exact sums by amount column.
    pub sums: &'a Map<String, Json>,
    /// NULLs by column and kind of absence.
    pub nulls: &'a Json,
    /// The digest of the rows.
    pub digest: &'a str,
    /// Rows and sums by code; older records have none.
    pub groups: Option<&'a [Group]>,
}

/// The NULLs of a column that a day record states, of every kind.
fn stated_nulls(nulls: &Json, column: &Column) -> u64 {
    let kinds = nulls.get(column.name).and_then(Json::as_object);
    kinds.into_iter().flat_map(Map::values).filter_map(Json::as_u64).sum()
}
