//! Builds record batches from source rows. A row is added as a whole or not at all.

use std::sync::Arc;

use arrow_array::builder::{Date32Builder, Decimal32Builder, Decimal64Builder, Int32Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::ArrowError;
use chrono::{DateTime, Datelike as _, NaiveDate, Utc};

use super::columns::{COLUMNS, ColumnSource, ColumnType, schema};
use super::source::{Extra, Field, Malformed, SourceRow, SourceValue};
use super::totals::{Totals, is_paid};
use super::values::{self, AMOUNT, Absent, Present, RATE, ValueError};

/// Rows after which a batch is full.
const BATCH_ROWS: usize = 4096;

/// Bytes of text after which it is full: rows may be long, and few of them fill memory.
const BATCH_BYTES: usize = 4 << 20;

/// Days from 0001-01-01, from which chrono counts, to 1970-01-01, from which Arrow counts.
const EPOCH_FROM_CE: i32 = 719_163;

/// A row that cannot be added to the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct RowError {
    /// 1-based position in the response.
    pub position: u64,
    /// The field, as the manual or the response names it; `None` if the whole row is at fault.
    pub field: Option<String>,
    /// The value as the response has it (text in quotes); long until `RowError::shown`.
    pub value: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

impl RowError {
    /// The error as it may be shown: `clean` removes secrets, and only then is the row's text cut to a readable length, so that no
    /// part of a secret is left.
    #[must_use]
    pub(crate) fn shown(self, clean: impl Fn(&str) -> String) -> Self {
        let value = self.value.map(|value| match value.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(text) => format!("\"{}\"", cut(&clean(text), SHOWN)),
            None => cut(&clean(&value), SHOWN),
        });
        Self { field: self.field.map(|field| cut(&clean(&field), SHOWN)), value, ..self }
    }

    fn describe(&self) -> String {
        let Self { position, field, value, reason } = self;
        match (field, value) {
            (Some(field), Some(value)) => format!("field {field} of row {position}: {value} {reason}"),
            (Some(field), None) => format!("field {field} of row {position} {reason}"),
            (None, _) => format!("row {position} {reason}"),
        }
    }
}

/// What is the same for every row of a day.
#[derive(Debug, Clone)]
pub struct DayContext {
    /// The requested API id.
    pub merchant_id: String,
    /// The requested pay date.
    pub pay_date: NaiveDate,
    /// When the response headers arrived.
    pub extracted_at: DateTime<Utc>,
    /// The run that fetched it.
    pub run_id: String,
}

/// A value of a row on its way into the table.
enum Cell<'a> {
    Text(&'a str),
    Number(i64),
    Null(Absent),
}

/// Collects the values of one column that comes from a field.
enum Builder {
    Text(StringBuilder),
    Amount(Decimal64Builder),
    Rate(Decimal32Builder),
    Date(Date32Builder),
}

/// Collects a day's rows into batches, and adds up their totals.
pub struct BatchBuilder {
    day: DayContext,
    /// One per column that comes from a field, in the table's order.
    builders: Vec<Builder>,
    extra: StringBuilder,
    positions: Int32Builder,
    rows: usize,
    /// Bytes of text in them.
    text_bytes: usize,
    totals: Totals,
}

/// What a column that comes from a field holds.
#[derive(Clone, Copy)]
enum FieldType {
    Text,
    /// An amount, with its position among the amounts.
    Amount(usize),
    Rate,
    Date,
}

/// A column that comes from a field.
#[derive(Clone, Copy)]
struct FieldColumn {
    /// Its position in the table.
    index: usize,
    field: Field,
    field_type: FieldType,
    nullable: bool,
    /// See `Column::balance`.
    balance: i64,
}

const FIELDS: usize = Field::ALL.len();

/// The columns that come from fields, in the table's order; computed once, because every row needs them.
const FIELD_COLUMNS: [FieldColumn; FIELDS] = {
    let empty = FieldColumn { index: 0, field: Field::TrxId, field_type: FieldType::Text, nullable: true, balance: 0 };
    let mut columns = [empty; FIELDS];
    let (mut found, mut amounts, mut index) = (0, 0, 0);
    while index < COLUMNS.len() {
        let column = &COLUMNS[index];
        if let ColumnSource::Field(field) = column.source {
            let field_type = match column.column_type {
                ColumnType::Text => FieldType::Text,
                ColumnType::Amount => {
                    amounts += 1;
                    FieldType::Amount(amounts - 1)
                }
                ColumnType::Rate => FieldType::Rate,
                ColumnType::Date => FieldType::Date,
                ColumnType::Int32 | ColumnType::Timestamp => panic!("no field has this type"),
            };
            columns[found] = FieldColumn { index, field, field_type, nullable: column.nullable, balance: column.balance };
            found += 1;
        }
        index += 1;
    }
    assert!(found == FIELDS, "each of the manual's fields has a column");
    columns
};

type Cells<'a> = [Cell<'a>; FIELDS];

impl BatchBuilder {
    /// A builder for one day's rows.
    #[must_use]
    pub fn new(day: DayContext) -> Self {
        // most days are small, and there are many at the same time
        const FIRST: usize = 64;
        let builders = FIELD_COLUMNS.iter().map(|column| Builder::new(column.field_type, FIRST)).collect();
        Self {
            day,
            builders,
            extra: StringBuilder::new(),
            positions: Int32Builder::new(),
            rows: 0,
            text_bytes: 0,
            totals: Totals::default(),
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// The first thing wrong with the row; nothing of it is then added.
    pub fn push(&mut self, position: u64, row: &SourceRow<'_>) -> Result<(), RowError> {
        let mut cells = [const { Cell::Null(Absent::Missing) }; FIELDS];
        let extra = self.read(row, &mut cells).map_err(|problem| problem.at(position))?;
        let source_row =
            i32::try_from(position).map_err(|_| Problem::of_row("is beyond the 2,147,483,647 rows that a day can hold").at(position))?;
        self.append(&cells);
        self.text_bytes += extra.map_or(0, str::len);
        self.extra.append_option(extra);
        self.positions.append_value(source_row);
        self.rows += 1;
        Ok(())
    }

    /// Rows added since the last batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row was added since the last batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the batch should be taken before more rows are added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.text_bytes >= BATCH_BYTES
    }

    /// What was counted and summed while reading.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Takes the rows so far as a batch of the table's schema.
    ///
    /// # Errors
    /// The arrays do not fit the schema, which would be a defect.
    pub fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        // after one that is not full comes none
        let next = if self.is_full() { self.rows } else { 0 };
        let rows = std::mem::take(&mut self.rows);
        self.text_bytes = 0;
        let Self { day, builders, extra, positions, .. } = self;
        let mut fields = builders.iter_mut().zip(&FIELD_COLUMNS).map(|(builder, column)| {
            // a builder that is finished has no capacity left, and would grow from nothing
            std::mem::replace(builder, Builder::new(column.field_type, next)).finish()
        });
        let columns = COLUMNS.iter().filter_map(|column| match column.source {
            ColumnSource::Field(_) => fields.next(),
            ColumnSource::MerchantId => Some(constant(&day.merchant_id, rows)),
            ColumnSource::Extra => Some(Arc::new(extra.finish())),
            ColumnSource::Position => Some(Arc::new(positions.finish())),
            ColumnSource::ExtractedAt => {
                let times = TimestampMillisecondArray::from_value(day.extracted_at.timestamp_millis(), rows);
                Some(Arc::new(times.with_timezone("UTC")))
            }
            ColumnSource::RunId => Some(constant(&day.run_id, rows)),
        });
        RecordBatch::try_new(schema(), columns.collect())
    }

    fn read<'r>(&self, row: &'r SourceRow<'_>, cells: &mut Cells<'r>) -> Result<Option<&'r str>, Problem> {
        match &row.malformed {
            None => {}
            Some(Malformed::NotAnObject) => return Err(Problem::of_row("is not an object")),
            Some(Malformed::TooManyFields) => return Err(Problem::of_row("has more unknown fields than are kept")),
            Some(Malformed::KeyTwice(key)) => return Err(Problem::of_key(key, "occurs twice")),
            Some(Malformed::Undecodable { field, text }) => {
                let reason = "has bytes that the response's charset does not have".to_owned();
                return Err(Problem { field: field.map(str::to_owned), value: field.map(|_| format!("{:?}", short(text))), reason });
            }
        }
        let pay_date = i64::from(epoch_days(self.day.pay_date));
        for (cell, column) in cells.iter_mut().zip(&FIELD_COLUMNS) {
            let value = row.get(column.field);
            let read = match read_cell(value, column.field_type) {
                Ok(Cell::Null(Absent::Missing)) if !column.nullable => Err(ValueError::Missing),
                Ok(Cell::Null(_)) if !column.nullable => Err(ValueError::Blank),
                Ok(Cell::Number(day)) if column.field == Field::PayoffDt && day != pay_date => {
                    Err(ValueError::OtherPayDate(self.day.pay_date))
                }
                read => read,
            };
            *cell = read.map_err(|error| Problem::of_value(column.field, value, error))?;
        }
        match &row.extra {
            Extra::None => Ok(None),
            Extra::Json(text) => Ok(Some(text)),
            Extra::KeyTwice(key) => Err(Problem::of_key(key, "has a key that occurs twice")),
        }
    }

    /// Counts a row whose values could all be read, and appends it.
    fn append(&mut self, cells: &Cells<'_>) {
        let totals = &mut self.totals;
        totals.rows += 1;
        // four amounts of 18 digits stay below an i64
        let mut balance = Some(0i64);
        for ((cell, column), builder) in cells.iter().zip(&FIELD_COLUMNS).zip(&mut self.builders) {
            append(builder, cell);
            match cell {
                Cell::Null(absent) => {
                    totals.nulls[column.index][*absent as usize] += 1;
                    if column.balance != 0 {
                        balance = None;
                    }
                }
                Cell::Number(value) => {
                    if let FieldType::Amount(amount) = column.field_type {
                        totals.sums[amount] += i128::from(*value);
                    }
                    balance = balance.map(|sum| sum + column.balance * value);
                }
                Cell::Text(text) => self.text_bytes += text.len(),
            }
            if column.field == Field::StatusCd {
                let paid = matches!(cell, Cell::Text(code) if is_paid(code));
                totals.pending_rows += u64::from(!paid);
            }
        }
        totals.unbalanced_rows += u64::from(balance.is_some_and(|sum| sum != 0));
    }
}

fn epoch_days(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - EPOCH_FROM_CE
}

/// A column with the same text in every row.
fn constant(text: &str, rows: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows)))
}

/// A batch of the table with another run's id in it.
///
/// # Errors
/// As for [`BatchBuilder::take`].
pub(crate) fn with_run_id(batch: &RecordBatch, run_id: &str) -> Result<RecordBatch, ArrowError> {
    let run_ids = constant(run_id, batch.num_rows());
    let arrays = COLUMNS.iter().zip(batch.columns()).map(|(column, array)| {
        let array = if column.source == ColumnSource::RunId { &run_ids } else { array };
        Arc::clone(array)
    });
    RecordBatch::try_new(batch.schema(), arrays.collect())
}

#[inline]
fn read_cell<'r>(value: &'r SourceValue<'_>, field_type: FieldType) -> Result<Cell<'r>, ValueError> {
    fn cell<'r, T>(present: Present<T>, wrap: impl FnOnce(T) -> Cell<'r>) -> Cell<'r> {
        present.map_or_else(Cell::Null, wrap)
    }
    Ok(match field_type {
        FieldType::Text => cell(values::text(value)?, Cell::Text),
        FieldType::Amount(_) => cell(values::decimal(value, AMOUNT)?, Cell::Number),
        FieldType::Rate => cell(values::decimal(value, RATE)?, Cell::Number),
        FieldType::Date => cell(values::date(value)?, |date| Cell::Number(epoch_days(date).into())),
    })
}

#[inline]
fn append(builder: &mut Builder, cell: &Cell<'_>) {
    let number = match cell {
        Cell::Text(text) => {
            if let Builder::Text(builder) = builder {
                builder.append_value(text);
            }
            return;
        }
        Cell::Number(value) => Some(*value),
        Cell::Null(_) => None,
    };
    // the ranges were checked when the value was read
    let narrow = number.and_then(|value| i32::try_from(value).ok());
    match builder {
        Builder::Text(builder) => builder.append_null(),
        Builder::Amount(builder) => builder.append_option(number),
        Builder::Rate(builder) => builder.append_option(narrow),
        Builder::Date(builder) => builder.append_option(narrow),
    }
}

impl Builder {
    /// With capacity for so many rows.
    fn new(field_type: FieldType, rows: usize) -> Self {
        /// Bytes that a text takes, about.
        const TEXT: usize = 24;
        match field_type {
            FieldType::Text => Self::Text(StringBuilder::with_capacity(rows, rows * TEXT)),
            FieldType::Amount(_) => Self::Amount(Decimal64Builder::with_capacity(rows).with_data_type(ColumnType::Amount.data_type())),
            FieldType::Rate => Self::Rate(Decimal32Builder::with_capacity(rows).with_data_type(ColumnType::Rate.data_type())),
            FieldType::Date => Self::Date(Date32Builder::with_capacity(rows)),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Amount(mut builder) => Arc::new(builder.finish()),
            Self::Rate(mut builder) => Arc::new(builder.finish()),
            Self::Date(mut builder) => Arc::new(builder.finish()),
        }
    }
}

/// Characters of a value that are shown.
const SHOWN: usize = 80;

/// Much more than is shown, so that a secret in it can be found before it is cut.
fn short(text: &str) -> String {
    cut(text, 4096)
}

fn cut(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What is wrong with a row whose position is not known yet.
struct Problem {
    field: Option<String>,
    value: Option<String>,
    reason: String,
}

impl Problem {
    fn of_row(reason: &str) -> Self {
        Self { field: None, value: None, reason: reason.into() }
    }

    fn of_key(key: &str, reason: &str) -> Self {
        Self { field: Some(short(key)), value: None, reason: reason.into() }
    }

    fn of_value(field: Field, value: &SourceValue<'_>, error: ValueError) -> Self {
        let value = match value {
            SourceValue::Absent => None,
            SourceValue::Null => Some("null".to_owned()),
            SourceValue::Text(text) => Some(format!("{:?}", short(text.as_str()))),
            SourceValue::Number(text) | SourceValue::Other(text) => Some(short(text)),
        };
        Self { field: Some(field.name().into()), value, reason: error.to_string() }
    }

    fn at(self, position: u64) -> RowError {
        RowError { position, field: self.field, value: self.value, reason: self.reason }
    }
}
