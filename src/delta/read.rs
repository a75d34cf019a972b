//! Reads the table's files: for readers of the lake that take a snapshot instead of thousands of day files.

use std::fs::File;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, TimestampMillisecondType};
use chrono::NaiveDate;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use crate::errors::guarded;
use crate::lake::backend::Fetched;
use crate::lake::error::LakeError;
use crate::lake::store::Lake;
use crate::settlement::digest::{Digest, RowHasher};

use super::file::{HeldDay, PackedDay, TableFile};
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
    let opened = match fetch(lake, file).await? {
        Ok(opened) => opened,
        Err(reason) => return Ok(Err(reason)),
    };
    let read = tokio::task::spawn_blocking(move || read(opened, start, each)).await;
    // a decoder that panics on one file makes that file unreadable
    Ok(read.unwrap_or_else(|panic| Err(format!("it cannot be read: {panic}"))))
}

/// Opens a file. The outer error is the store's, the inner one that of this file.
pub(super) async fn fetch(lake: &Lake, file: &TableFile) -> Result<Result<File, String>, LakeError> {
    match lake.fetch(&file.location()).await {
        Ok(Some(Fetched { file, .. })) => Ok(Ok(file)),
        Ok(None) => Ok(Err("it is missing".into())),
        Err(error) => error.of_one_object().map(|reason| Err(unreadable(&reason))).ok_or(error),
    }
}

fn read<T>(file: File, mut into: T, mut each: impl FnMut(&mut T, NaiveDate, &RecordBatch) -> Result<(), String>) -> Result<T, String> {
    for batch in open(file)? {
        let batch = batch.map_err(|error| unreadable(&error))?;
        let rows = to_settlements(&batch).map_err(|error| unreadable(&error))?;
        let mut from = 0;
        for day in dates(&batch)?.chunk_by(|a, b| a == b) {
            let date = Date32Type::to_naive_date_opt(day[0]).ok_or("it has a pay_date that is no date")?;
            each(&mut into, date, &rows.slice(from, day.len()))?;
            from += day.len();
        }
    }
    Ok(into)
}

fn unreadable(error: &dyn std::fmt::Display) -> String {
    format!("it cannot be read: {error}")
}

fn open(file: File) -> Result<ParquetRecordBatchReader, String> {
    let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let found = ArrowReaderMetadata::load(&file, options()).map_err(|error| unreadable(&error))?;
    let narrow = options().with_schema(reading_schema(found.schema())?);
    let metadata = ArrowReaderMetadata::try_new(found.metadata().clone(), narrow).map_err(|error| unreadable(&error))?;
    ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).build().map_err(|error| unreadable(&error))
}

/// The pay dates of a batch, in days since 1970.
fn dates(batch: &RecordBatch) -> Result<&[i32], String> {
    let dates = batch.column_by_name(PAY_DATE).and_then(|array| array.as_primitive_opt::<Date32Type>());
    Ok(dates.ok_or("it has no pay_date")?.values())
}

/// A file of the table from which days are taken as they are, in order of pay date.
pub(super) struct DaysOfFile {
    reader: ParquetRecordBatchReader,
    listed: std::vec::IntoIter<PackedDay>,
    /// Rows that were read and not passed on yet.
    ahead: Option<RecordBatch>,
}

impl DaysOfFile {
    /// Opens a file that lists these days.
    ///
    /// # Errors
    /// It cannot be read, or is not one of this version.
    pub(super) fn open(file: File, listed: Vec<PackedDay>) -> Result<Self, String> {
        let reader = guarded(|| open(file)).map_err(|panic| unreadable(&panic))??;
        Ok(Self { reader, listed: listed.into_iter(), ahead: None })
    }

    /// Passes the rows of a version of a day to `each`, as rows of the Delta table, and passes over the days before it.
    ///
    /// # Errors
    /// The rows are not those of this version, some of which may have been passed on, or `each` failed.
    pub(super) fn take(
        &mut self,
        version: &HeldDay,
        mut each: impl FnMut(RecordBatch) -> Result<(), ParquetError>,
    ) -> Result<(), NotTaken> {
        let pay_date = version.day.pay_date;
        while let Some(day) = self.listed.next() {
            if day.pay_date != pay_date {
                self.rows(day.rows, |_| Ok(()))?;
                continue;
            }
            let (mut hasher, mut digest) = (RowHasher::default(), Digest::default());
            self.rows(day.rows, |rows| {
                let settlements = of_version(&rows, version).map_err(NotTaken::Unlike)?;
                hasher.contents(&settlements, |row| digest.add(row));
                each(rows).map_err(NotTaken::Unwritten)
            })?;
            if digest.to_string() != version.day.digest {
                return Err(NotTaken::Unlike(format!("its rows of {pay_date} are not those that its day list states")));
            }
            return Ok(());
        }
        Err(NotTaken::Unlike(format!("it does not hold {pay_date}")))
    }

    /// Passes the next rows to `each`.
    fn rows(&mut self, count: u64, mut each: impl FnMut(RecordBatch) -> Result<(), NotTaken>) -> Result<(), NotTaken> {
        let mut left = usize::try_from(count).unwrap_or(usize::MAX);
        while left > 0 {
            let batch = match self.ahead.take() {
                Some(batch) => batch,
                None => self.next().map_err(NotTaken::Unlike)?,
            };
            let taken = left.min(batch.num_rows());
            each(batch.slice(0, taken))?;
            self.ahead = (taken < batch.num_rows()).then(|| batch.slice(taken, batch.num_rows() - taken));
            left -= taken;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<RecordBatch, String> {
        let batch = guarded(|| self.reader.next()).map_err(|panic| unreadable(&panic))?;
        batch.ok_or("it has fewer rows than its day list states")?.map_err(|error| unreadable(&error))
    }
}

/// Why a day's rows were not taken from a file of the table.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// The file is not what its day list states.
    Unlike(String),
    /// The rows could not be written.
    Unwritten(ParquetError),
}

/// Rows of the plain table, if these are all of one version of a day.
fn of_version(rows: &RecordBatch, version: &HeldDay) -> Result<RecordBatch, String> {
    let HeldDay { day, run_id, .. } = version;
    let settlements = to_settlements(rows).map_err(|error| unreadable(&error))?;
    let is_of_day = dates(rows)?.iter().all(|date| *date == Date32Type::from_naive_date(day.pay_date));
    let run_ids = settlements.column_by_name("run_id").and_then(|array| array.as_string_opt::<i32>());
    let is_of_run = run_ids.is_some_and(|run_ids| run_ids.iter().all(|found| found == Some(run_id)));
    let times = settlements.column_by_name("extracted_at").and_then(|array| array.as_primitive_opt::<TimestampMillisecondType>());
    let is_of_time = times.is_some_and(|times| times.values().iter().all(|time| *time == day.extracted_at.timestamp_millis()));
    if is_of_day && is_of_run && is_of_time { Ok(settlements) } else { Err(format!("its rows of {} are of another version", day.pay_date)) }
}
