//! Builds record batches from wire rows. A row goes in whole or not at all.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{Date32Builder, Decimal32Builder, Decimal64Builder, Int32Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMillisecondArray};
use chrono::{DateTime, Datelike as _, NaiveDate, Utc};

use crate::cookiepay::json;
use crate::cookiepay::wire::{Field, Given, Malformed, WireRow};

use super::columns::{COLUMNS, Kind, Source, schema};
use super::totals::{Totals, is_paid};
use super::values::{self, AMOUNT, Absent, Present, RATE, ValueError};

/// Rows a batch holds before it should be taken.
const BATCH_ROWS: usize = 4096;

/// Bytes of text it holds before it should be taken: rows may be long, and few of them fill memory.
const BATCH_BYTES: usize = 4 << 20;

/// Days from 0001-01-01 to 1970-01-01: chrono counts from the one, Arrow from the other.
const EPOCH_FROM_CE: i32 = 719_163;

/// A row that cannot be taken into the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct RowError {
    /// 1-based position in the answer.
    pub position: u64,
    /// The field, as the manual or the answer names it; none where the whole row is at fault.
    pub field: Option<String>,
    /// The value as the answer has it (text in quotes); long until `RowError::shown`.
    pub value: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

impl RowError {
    /// The error as it may be shown: `clean` takes out what nobody should see, and only then is the row's own text
    /// cut to a readable length, so that no part of a secret is left.
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
    /// The API id asked for.
    pub merchant_id: String,
    /// The pay date asked for.
    pub pay_date: NaiveDate,
    /// When the answer's headers arrived.
    pub extracted_at: DateTime<Utc>,
    /// The run that fetched it.
    pub run_id: String,
}

enum Cell<'a> {
    Text(Cow<'a, str>),
    Number(i64),
    Null(Absent),
}

enum Builder {
    Text(StringBuilder),
    Amount(Decimal64Builder),
    Rate(Decimal32Builder),
    Date(Date32Builder),
}

/// Collects a day's rows into batches, and their totals on the way.
pub struct BatchBuilder {
    day: DayContext,
    /// One for each column that comes from a field, in the table's order.
    builders: Vec<Builder>,
    extra: StringBuilder,
    positions: Int32Builder,
    rows: usize,
    /// Bytes of text in them.
    text_bytes: usize,
    totals: Totals,
}

/// A column that comes from a field.
#[derive(Clone, Copy)]
struct FieldColumn {
    /// Its position in the table.
    index: usize,
    field: Field,
    kind: Kind,
    nullable: bool,
    /// Its position among the amounts, where it is one.
    amount: Option<usize>,
    /// What it counts in `auth_amount - fee - vat - payment_amount`.
    sign: i64,
}

const FIELDS: usize = Field::ALL.len();

/// The columns that come from fields, in the table's order; worked out once, as every row needs them.
const FIELD_COLUMNS: [FieldColumn; FIELDS] = {
    let none = FieldColumn { index: 0, field: Field::TrxId, kind: Kind::Text, nullable: true, amount: None, sign: 0 };
    let mut columns = [none; FIELDS];
    let (mut found, mut amounts, mut index) = (0, 0, 0);
    while index < COLUMNS.len() {
        let column = &COLUMNS[index];
        if let Source::Field(field) = column.source {
            let mut amount = None;
            if let Kind::Decimal(scale) = column.kind
                && scale.decimals == AMOUNT.decimals
            {
                amount = Some(amounts);
                amounts += 1;
            }
            let sign = match field {
                Field::AuthAmt => 1,
                Field::Fee | Field::Vat | Field::PaymentAmt => -1,
                _ => 0,
            };
            columns[found] = FieldColumn { index, field, kind: column.kind, nullable: column.nullable, amount, sign };
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
        let builders = FIELD_COLUMNS.iter().map(|column| Builder::new(column.kind)).collect();
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

    /// Takes a row in.
    ///
    /// # Errors
    /// The first thing wrong with the row; nothing of it is then taken.
    pub fn push(&mut self, position: u64, row: &WireRow<'_>) -> Result<(), RowError> {
        let mut cells = [const { Cell::Null(Absent::Missing) }; FIELDS];
        let extra = self.read(row, &mut cells).map_err(|fault| fault.at(position))?;
        let source_row = i32::try_from(position).map_err(|_| Fault::row("is beyond the 2,147,483,647 rows a day can hold").at(position))?;
        self.append(&cells);
        self.text_bytes += extra.as_ref().map_or(0, String::len);
        self.extra.append_option(extra);
        self.positions.append_value(source_row);
        self.rows += 1;
        Ok(())
    }

    /// Rows taken since the last batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row was taken since the last batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the batch should be taken before more rows come.
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
    /// Where the arrays do not fit the schema, which would be a defect.
    pub fn take(&mut self) -> Result<RecordBatch, arrow_schema::ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        self.text_bytes = 0;
        let constant = |text: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows))) };
        let mut built = self.builders.iter_mut().zip(&FIELD_COLUMNS).map(|(builder, column)| {
            // one that is finished has no room left, and would grow anew from nothing
            let finished = std::mem::replace(builder, Builder::new(column.kind));
            finished.finish()
        });
        let columns = COLUMNS
            .iter()
            .filter_map(|column| match (column.source, column.name) {
                (Source::Field(_), _) => built.next(),
                (_, "merchant_id") => Some(constant(&self.day.merchant_id)),
                (_, "run_id") => Some(constant(&self.day.run_id)),
                (_, "extra") => Some(Arc::new(self.extra.finish())),
                (_, "source_row") => Some(Arc::new(self.positions.finish())),
                _ => Some(Arc::new(
                    TimestampMillisecondArray::from_value(self.day.extracted_at.timestamp_millis(), rows).with_timezone("UTC"),
                )),
            })
            .collect();
        RecordBatch::try_new(schema(), columns)
    }

    fn read<'a>(&self, row: &WireRow<'a>, cells: &mut Cells<'a>) -> Result<Option<String>, Fault> {
        if let Some(malformed) = &row.malformed {
            return Err(match malformed {
                Malformed::NotAnObject => Fault::row("is not an object"),
                Malformed::TooManyFields => Fault::row("has more unknown fields than are kept"),
                Malformed::KeyTwice(key) => Fault { field: Some(short(key)), value: None, reason: "is given twice".into() },
            });
        }
        let pay_date = i64::from(epoch_days(self.day.pay_date));
        for (cell, column) in cells.iter_mut().zip(&FIELD_COLUMNS) {
            let given = row.get(column.field);
            let read = match read_cell(given, column.kind) {
                Ok(Cell::Null(Absent::Missing)) if !column.nullable => Err(ValueError::Missing),
                Ok(Cell::Null(_)) if !column.nullable => Err(ValueError::Blank),
                Ok(Cell::Number(day)) if column.field == Field::PayoffDt && day != pay_date => {
                    Err(ValueError::OtherPayDate(self.day.pay_date))
                }
                read => read,
            };
            *cell = read.map_err(|error| Fault::value(column.field, given, error))?;
        }
        canonical_extra(row)
    }

    /// Counts a row that was found good, and appends it.
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
                    if column.sign != 0 {
                        balance = None;
                    }
                }
                Cell::Number(value) => {
                    if let Some(amount) = column.amount {
                        totals.sums[amount] += i128::from(*value);
                    }
                    balance = balance.map(|sum| sum + column.sign * value);
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

#[inline]
fn read_cell(given: Given<'_>, kind: Kind) -> Result<Cell<'_>, ValueError> {
    fn cell<'a, T>(present: Present<T>, wrap: impl FnOnce(T) -> Cell<'a>) -> Cell<'a> {
        present.map_or_else(Cell::Null, wrap)
    }
    Ok(match kind {
        Kind::Decimal(scale) => cell(values::decimal(given, scale)?, Cell::Number),
        Kind::Date => cell(values::date(given)?, |date| Cell::Number(epoch_days(date).into())),
        _ => cell(values::text(given)?, Cell::Text),
    })
}

/// The unknown fields as JSON with sorted keys, so that equal contents have equal text.
fn canonical_extra(row: &WireRow<'_>) -> Result<Option<String>, Fault> {
    if row.extra.is_empty() {
        return Ok(None);
    }
    let mut pairs = Vec::with_capacity(row.extra.len());
    for (key, text) in &row.extra {
        // a number ends only where something follows it
        let mut value = String::with_capacity(text.len());
        json::canonical(&format!("{text} "), 0, &mut value).map_err(|_| Fault {
            field: Some(short(key)),
            value: None,
            reason: "has a key twice inside".into(),
        })?;
        pairs.push((key.as_ref(), value));
    }
    pairs.sort_unstable();
    let mut out = String::new();
    json::write_object(&pairs, &mut out);
    Ok(Some(out))
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
    // the ranges were checked where the value was read
    let narrow = number.and_then(|value| i32::try_from(value).ok());
    match builder {
        Builder::Text(builder) => builder.append_null(),
        Builder::Amount(builder) => builder.append_option(number),
        Builder::Rate(builder) => builder.append_option(narrow),
        Builder::Date(builder) => builder.append_option(narrow),
    }
}

impl Builder {
    /// With room for a batch: what is not used costs no memory.
    fn new(kind: Kind) -> Self {
        /// Bytes that a text takes, about.
        const TEXT: usize = 24;
        match kind {
            Kind::Decimal(RATE) => {
                Self::Rate(Decimal32Builder::with_capacity(BATCH_ROWS).with_data_type(arrow_schema::DataType::Decimal32(9, 4)))
            }
            Kind::Decimal(_) => {
                Self::Amount(Decimal64Builder::with_capacity(BATCH_ROWS).with_data_type(arrow_schema::DataType::Decimal64(18, 2)))
            }
            Kind::Date => Self::Date(Date32Builder::with_capacity(BATCH_ROWS)),
            _ => Self::Text(StringBuilder::with_capacity(BATCH_ROWS, BATCH_ROWS * TEXT)),
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

struct Fault {
    field: Option<String>,
    value: Option<String>,
    reason: String,
}

impl Fault {
    fn row(reason: &str) -> Self {
        Self { field: None, value: None, reason: reason.into() }
    }

    fn value(field: Field, given: Given<'_>, error: ValueError) -> Self {
        use crate::cookiepay::json::Value;
        let value = match given {
            Given::Missing => None,
            Given::Value(Value::Null) => Some("null".to_owned()),
            Given::Value(Value::Str(found)) => Some(format!("{:?}", short(&found.decode()))),
            Given::Value(Value::Number(text) | Value::Other(text)) => Some(short(text)),
        };
        Self { field: Some(field.name().into()), value, reason: error.to_string() }
    }

    fn at(self, position: u64) -> RowError {
        RowError { position, field: self.field, value: self.value, reason: self.reason }
    }
}
