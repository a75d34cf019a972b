//! Reads the table's files: for readers of the lake that take a snapshot instead of thousands of day files.

use std::fs::File;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Date32Type;
use chrono::NaiveDate;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use crate::lake::backend::Fetched;
use crate::lake::error::LakeError;
use crate::lake::store::Lake;

use super::file::TableFile;
use super::schema::{PAY_DATE, reading_schema, to_settlements};

/// Passes the rows of a file to `each`, in order of pay date: batches of one day each, as rows of the plain table. The outer
/// error is the store's, the inner one that of this file, or of `each`.
///
/// # Errors
/// The file cannot be fetched.
pub async fn rows<T: Send + 'static>(
    lake: &Lake,
    file: &TableFile,
    start: T,
    each: impl FnMut(&mut T, NaiveDate, &RecordBatch) -> Result<(), String> + Send + 'static,
) -> Result<Result<T, String>, LakeError> {
    let opened = match lake.fetch(&file.location()).await {
        Ok(Some(Fetched { file, .. })) => file,
        Ok(None) => return Ok(Err("it is missing".into())),
        Err(error) => return error.of_one_object().map(|reason| Err(format!("it cannot be read: {reason}"))).ok_or(error),
    };
    let read = tokio::task::spawn_blocking(move || read(opened, start, each)).await;
    // a decoder that panics on one file makes that file unreadable
    Ok(read.unwrap_or_else(|panic| Err(format!("it cannot be read: {panic}"))))
}

fn read<T>(file: File, mut into: T, mut each: impl FnMut(&mut T, NaiveDate, &RecordBatch) -> Result<(), String>) -> Result<T, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("it cannot be read: {error}");
    let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let found = ArrowReaderMetadata::load(&file, options()).map_err(|error| unreadable(&error))?;
    let narrow = options().with_schema(reading_schema(found.schema())?);
    let metadata = ArrowReaderMetadata::try_new(found.metadata().clone(), narrow).map_err(|error| unreadable(&error))?;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).build().map_err(|error| unreadable(&error))?;
    for batch in reader {
        let batch = batch.map_err(|error| unreadable(&error))?;
        let rows = to_settlements(&batch).map_err(|error| unreadable(&error))?;
        let dates = batch.column_by_name(PAY_DATE).and_then(|array| array.as_primitive_opt::<Date32Type>()).ok_or("it has no pay_date")?;
        let mut from = 0;
        for day in dates.values().chunk_by(|a, b| a == b) {
            let date = Date32Type::to_naive_date_opt(day[0]).ok_or("it has a pay_date that is no date")?;
            each(&mut into, date, &rows.slice(from, day.len()))?;
            from += day.len();
        }
    }
    Ok(into)
}
