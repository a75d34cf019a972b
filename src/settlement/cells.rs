//! Single values of a batch as text, for people and for lines of JSON or CSV.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Decimal32Type, Decimal64Type, Int32Type, TimestampMillisecondType};
use arrow_array::{Array as _, ArrayRef};
use arrow_schema::DataType;
use chrono::{DateTime, NaiveDate, SecondsFormat};

use super::values::format_decimal;

/// A value of the table's types, exactly; `None` for NULL.
#[must_use]
pub fn cell(array: &ArrayRef, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row).to_owned()),
        DataType::Int32 => Some(array.as_primitive::<Int32Type>().value(row).to_string()),
        DataType::Decimal64(_, _) => Some(format_decimal(array.as_primitive::<Decimal64Type>().value(row).into(), 2)),
        DataType::Decimal32(_, _) => Some(format_decimal(array.as_primitive::<Decimal32Type>().value(row).into(), 4)),
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().value(row);
            NaiveDate::from_epoch_days(days).map(|date| date.to_string())
        }
        _ => {
            let millis = array.as_primitive::<TimestampMillisecondType>().value(row);
            DateTime::from_timestamp_millis(millis).map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
        }
    }
}
