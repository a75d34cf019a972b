//! Parquet: the names of its columns are the header, and its rows are counted from 1.

use std::borrow::Cow;
use std::fs::File;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Date64Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type};
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::types::{TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, NaiveDate};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use crate::calendar::seoul_date;

use super::cell::{Cell, Value};
use super::error::BooksError;
use super::table::Sink;

/// Reads a Parquet file, and passes its rows on.
///
/// # Errors
/// A damaged file, and what `sink` refuses.
pub(super) fn read(name: &str, file: File, sink: &mut dyn Sink) -> Result<(), BooksError> {
    let damaged = |error: &dyn std::error::Error| BooksError::Content {
        file: name.into(),
        reason: format!(
            "it is Parquet, but cannot be read: {}: write it again, compressed with zstd, or as CSV",
            crate::errors::chain(error)
        ),
    };
    // without what the writer's library noted: dictionaries are read as what they stand for
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(|error| damaged(&error))?;
    let schema = builder.schema().clone();
    let header: Vec<Cell<'_>> = schema.fields().iter().map(|field| Cell::text(field.name())).collect();
    sink.are_fixed();
    sink.row(0, &header)?;
    let mut line = 1;
    for batch in builder.with_batch_size(4096).build().map_err(|error| damaged(&error))? {
        let batch: RecordBatch = batch.map_err(|error| damaged(&error))?;
        for row in 0..batch.num_rows() {
            let cells: Vec<Cell<'_>> = batch.columns().iter().map(|column| Cell::new(value(column.as_ref(), row))).collect();
            sink.row(line, &cells)?;
            line += 1;
        }
    }
    Ok(())
}

fn value(array: &dyn Array, row: usize) -> Value<'_> {
    if array.is_null(row) {
        return Value::Empty;
    }
    let text = |text| Value::Text(Cow::Borrowed(text));
    let whole = |unscaled: i128| Value::Decimal { unscaled, scale: 0 };
    let dated = |date: Option<NaiveDate>| date.map_or_else(|| Value::Other("a date that no calendar has".into()), Value::Date);
    macro_rules! integer {
        ($kind:ty) => {
            whole(i128::from(array.as_primitive::<$kind>().value(row)))
        };
    }
    match array.data_type() {
        DataType::Utf8 => text(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text(array.as_string::<i64>().value(row)),
        DataType::Utf8View => text(array.as_string_view().value(row)),
        DataType::Int8 => integer!(Int8Type),
        DataType::Int16 => integer!(Int16Type),
        DataType::Int32 => integer!(Int32Type),
        DataType::Int64 => integer!(Int64Type),
        DataType::UInt8 => integer!(UInt8Type),
        DataType::UInt16 => integer!(UInt16Type),
        DataType::UInt32 => integer!(UInt32Type),
        DataType::UInt64 => integer!(UInt64Type),
        // by its own shortest digits, and not by those of the wider type
        DataType::Float32 => Value::Number(array.as_primitive::<Float32Type>().value(row).to_string().parse().unwrap_or(f64::NAN)),
        DataType::Float64 => Value::Number(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => match u8::try_from(*scale) {
            Ok(scale) => Value::Decimal { unscaled: array.as_primitive::<Decimal128Type>().value(row), scale },
            Err(_) => Value::Other("a decimal of negative scale".into()),
        },
        DataType::Decimal256(_, scale) => match (u8::try_from(*scale), array.as_primitive::<Decimal256Type>().value(row).to_i128()) {
            (Ok(scale), Some(unscaled)) => Value::Decimal { unscaled, scale },
            _ => Value::Other("a decimal that is too large".into()),
        },
        // texts of writers that do not state what their bytes are
        DataType::Binary => bytes(array.as_binary::<i32>().value(row)),
        DataType::Date32 => dated(array.as_primitive::<Date32Type>().value_as_date(row)),
        DataType::Date64 => dated(array.as_primitive::<Date64Type>().value_as_date(row)),
        DataType::Timestamp(unit, zone) => {
            let micros = match unit {
                TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row).checked_mul(1_000_000),
                TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1000),
                TimeUnit::Microsecond => Some(array.as_primitive::<TimestampMicrosecondType>().value(row)),
                TimeUnit::Nanosecond => Some(array.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1000)),
            };
            let time = micros.and_then(DateTime::from_timestamp_micros);
            // a time with a zone is a point in time; one without is what a clock showed
            dated(time.map(|time| if zone.is_some() { seoul_date(time) } else { time.date_naive() }))
        }
        DataType::Boolean => Value::Other(array.as_boolean().value(row).to_string()),
        other => Value::Other(format!("a value of type {other}")),
    }
}

fn bytes(bytes: &[u8]) -> Value<'_> {
    std::str::from_utf8(bytes).map_or_else(|_| Value::Other("bytes that are no text".into()), |text| Value::Text(Cow::Borrowed(text)))
}
