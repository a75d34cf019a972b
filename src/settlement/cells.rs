//! Single values of a batch as text, for people and for lines of JSON or CSV.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Decimal32Type, Decimal64Type, Int32Type, TimestampMillisecondType};
use arrow_array::{Array as _, ArrayRef};
use chrono::{DateTime, NaiveDate, SecondsFormat};

use super::columns::ColumnType;
use super::values::{AMOUNT, RATE, format_decimal};

/// The exact value of a column of this type in a row; `None` for NULL.
#[must_use]
pub fn cell(column_type: ColumnType, array: &ArrayRef, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    match column_type {
        ColumnType::Text => Some(array.as_string::<i32>().value(row).to_owned()),
        ColumnType::Int32 => Some(array.as_primitive::<Int32Type>().value(row).to_string()),
        ColumnType::Amount => Some(format_decimal(array.as_primitive::<Decimal64Type>().value(row).into(), AMOUNT.decimals)),
        ColumnType::Rate => Some(format_decimal(array.as_primitive::<Decimal32Type>().value(row).into(), RATE.decimals)),
        ColumnType::Date => NaiveDate::from_epoch_days(array.as_primitive::<Date32Type>().value(row)).map(|date| date.to_string()),
        ColumnType::Timestamp => {
            let time = DateTime::from_timestamp_millis(array.as_primitive::<TimestampMillisecondType>().value(row));
            time.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
        }
    }
}
