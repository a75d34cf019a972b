//! The Delta table's columns: `pay_date`, then the table's. Pure.

use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, TimestampMicrosecondType, TimestampMillisecondType};
use arrow_array::{ArrayRef, Date32Array, RecordBatch, TimestampMicrosecondArray, TimestampMillisecondArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::NaiveDate;
use serde_json::{Value as Json, json};

use crate::settlement::columns::{COLUMNS, Column, ColumnType, schema as settlement_schema};
use crate::settlement::values::{AMOUNT, RATE};

/// The column of the requested date, which the plain table has in its paths.
pub const PAY_DATE: &str = "pay_date";

/// Raised if files that are packed from the same days change.
const PACKING: u32 = 1;

/// What decides, beside the days, what a file holds.
pub(super) fn packing_fingerprint() -> String {
    format!("{PACKING}-{}", crate::settlement::columns::fingerprint())
}

/// The column's Arrow type: Delta's timestamps have microseconds.
fn data_type(column: &Column) -> DataType {
    match column.column_type {
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => column.data_type(),
    }
}

/// The Arrow schema of the table's files.
#[must_use]
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let columns = COLUMNS.iter().map(|column| Field::new(column.name, data_type(column), column.nullable));
        Arc::new(Schema::new([Field::new(PAY_DATE, DataType::Date32, false)].into_iter().chain(columns).collect::<Vec<_>>()))
    });
    Arc::clone(&SCHEMA)
}

/// The schema as the log states it.
pub(super) fn schema_string() -> String {
    let type_of = |column: &Column| match column.column_type {
        ColumnType::Text => "string".to_owned(),
        ColumnType::Amount => format!("decimal({},{})", AMOUNT.precision(), AMOUNT.decimals),
        ColumnType::Rate => format!("decimal({},{})", RATE.precision(), RATE.decimals),
        ColumnType::Date => "date".to_owned(),
        ColumnType::Int32 => "integer".to_owned(),
        ColumnType::Timestamp => "timestamp".to_owned(),
    };
    let field =
        |name: &str, type_name: String, nullable: bool| json!({ "name": name, "type": type_name, "nullable": nullable, "metadata": {} });
    let columns = COLUMNS.iter().map(|column| field(column.name, type_of(column), column.nullable));
    let fields: Vec<Json> = [field(PAY_DATE, "date".to_owned(), false)].into_iter().chain(columns).collect();
    json!({ "type": "struct", "fields": fields }).to_string()
}

/// Rows of a day, as rows of the Delta table.
pub(super) fn to_delta(pay_date: NaiveDate, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let dates: ArrayRef = Arc::new(Date32Array::from_value(Date32Type::from_naive_date(pay_date), batch.num_rows()));
    let columns = batch.columns().iter().map(|array| match array.as_primitive_opt::<TimestampMillisecondType>() {
        Some(times) => {
            let times: TimestampMicrosecondArray = times.unary(|milliseconds| milliseconds * 1000);
            Arc::new(times.with_timezone("UTC"))
        }
        None => Arc::clone(array),
    });
    RecordBatch::try_new(schema(), [dates].into_iter().chain(columns).collect())
}

/// Rows of the Delta table, as rows of the plain one.
///
/// # Errors
/// They have other columns.
pub(super) fn to_settlements(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = COLUMNS.iter().map(|column| {
        let array =
            batch.column_by_name(column.name).ok_or_else(|| ArrowError::SchemaError(format!("there is no column {}", column.name)))?;
        Ok(match array.as_primitive_opt::<TimestampMicrosecondType>() {
            Some(times) => {
                let times: TimestampMillisecondArray = times.unary(|microseconds| microseconds / 1000);
                Arc::new(times.with_timezone("UTC")) as ArrayRef
            }
            None => Arc::clone(array),
        })
    });
    RecordBatch::try_new(settlement_schema(), columns.collect::<Result<_, ArrowError>>()?)
}

/// The Arrow schema under which to read a file of the table: with the narrow decimals that the columns have.
///
/// # Errors
/// The file has other columns.
pub(super) fn reading_schema(found: &Schema) -> Result<SchemaRef, String> {
    use crate::settlement::columns::type_name;
    let ours = schema();
    let same = |(found, ours): (&Arc<Field>, &Arc<Field>)| {
        found.name() == ours.name() && type_name(found.data_type()) == type_name(ours.data_type())
    };
    if found.fields().len() != ours.fields().len() || !found.fields().iter().zip(ours.fields()).all(same) {
        return Err("its columns are not the table's".into());
    }
    Ok(ours)
}
