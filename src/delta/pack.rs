//! Writes a file of the table from the day files of a part of a month, as a stream: one row group is in memory.

use std::fs::File;

use chrono::NaiveDate;
use futures::{StreamExt as _, TryStreamExt as _};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use tokio::sync::mpsc;

use crate::lake::backend::Fetched;
use crate::lake::error::LakeError;
use crate::lake::file::{read_end, read_rows};
use crate::lake::layout::{DayKey, delta_path};
use crate::lake::staged::StagingWriter;
use crate::lake::store::Lake;
use crate::lake::writer::{ROW_GROUP_BYTES, ROW_GROUP_ROWS, set_column};
use crate::settlement::columns::{COLUMNS, SchemaFit};

use super::error::DeltaError;
use super::file::{DAYS_KEY, HeldDay, PackedDay, TableFile};
use super::plan::Part;
use super::schema::{schema, to_delta};
use super::stats::Stats;

/// Day files that are opened ahead.
const AHEAD: usize = 8;

/// Why a part was not packed.
#[derive(Debug)]
pub(super) enum Unpacked {
    /// Another run has replaced or removed one of its days meanwhile.
    Moved(NaiveDate),
    Failed(DeltaError),
}

impl From<LakeError> for Unpacked {
    fn from(error: LakeError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<ParquetError> for Unpacked {
    fn from(error: ParquetError) -> Self {
        Self::Failed(error.into())
    }
}

/// Writes a part's file, where readers find it once a commit names it.
pub(super) async fn pack(lake: &Lake, part: &Part, run_id: &str, now_ms: i64) -> Result<TableFile, Unpacked> {
    let target = delta_path(&part.name);
    let days: Vec<&PackedDay> = part.days.iter().map(|held| &held.day).collect();
    let list = serde_json::to_string(&days).map_err(|error| ParquetError::External(Box::new(error)))?;
    let (send, receive) = mpsc::channel(1);
    let (writes, footer) = (part.clone(), list.clone());
    let written = lake.write_staged(target.clone(), run_id, move |out| write(&writes, footer, receive, out));
    // a reader that ends early drops the sender, and the writer then ends as well
    let (fetched, written) = tokio::join!(fetch(lake, part, send), written);
    let (staged, stats) = match (fetched, written) {
        (Ok(()), written) => written?,
        (Err(error), Ok((staged, _))) => {
            staged.discard().await;
            return Err(error);
        }
        (Err(error), Err(_)) => return Err(error),
    };
    let bytes = staged.bytes();
    lake.publish_by_name(&target, staged).await?;
    Ok(TableFile {
        name: part.name.clone(),
        merchant: part.merchant.clone(),
        month: part.month,
        bytes,
        modified_ms: now_ms,
        stats: stats.to_json(),
        days: list,
    })
}

/// Opens the day files that have rows, in their order.
async fn fetch(lake: &Lake, part: &Part, send: mpsc::Sender<(HeldDay, File)>) -> Result<(), Unpacked> {
    let with_rows = part.days.iter().filter(|held| held.day.rows > 0);
    let mut opened = futures::stream::iter(with_rows)
        .map(async |held| {
            let location = DayKey { pay_date: held.day.pay_date, merchant: part.merchant.clone() }.settlement();
            match lake.fetch(&location).await {
                Ok(Some(Fetched { file, .. })) => Ok((held.clone(), file)),
                Ok(None) => Err(Unpacked::Moved(held.day.pay_date)),
                Err(error) => Err(match error.of_one_object() {
                    Some(reason) => day_failed(part, held.day.pay_date, format!("it cannot be read: {reason}")).into(),
                    None => error.into(),
                }),
            }
        })
        .buffered(AHEAD);
    while let Some(opened) = opened.try_next().await? {
        if send.send(opened).await.is_err() {
            // the writer has failed, and says why
            break;
        }
    }
    Ok(())
}

impl From<DeltaError> for Unpacked {
    fn from(error: DeltaError) -> Self {
        Self::Failed(error)
    }
}

fn day_failed(part: &Part, pay_date: NaiveDate, reason: String) -> DeltaError {
    let object = DayKey { pay_date, merchant: part.merchant.clone() }.settlement().to_string();
    DeltaError::Day { month: part.month.to_string(), object, reason, is_guarded: false }
}

fn write(part: &Part, days: String, mut opened: mpsc::Receiver<(HeldDay, File)>, out: StagingWriter) -> Result<Stats, Unpacked> {
    let rows: u64 = part.days.iter().map(|held| held.day.rows).sum();
    let options = ArrowWriterOptions::new().with_properties(properties(rows)?).with_skip_arrow_metadata(true);
    let mut writer = PartWriter { parquet: ArrowWriter::try_new_with_options(out, schema(), options)?, held: 0, stats: Stats::default() };
    while let Some((held, file)) = opened.blocking_recv() {
        add_day(part, &held, file, &mut writer)?;
    }
    writer.parquet.append_key_value_metadata(KeyValue::new(DAYS_KEY.to_owned(), days));
    let mut out = writer.parquet.into_inner()?;
    std::io::Write::flush(&mut out).map_err(ParquetError::from)?;
    Ok(writer.stats)
}

/// How a file of so many rows is stored. The bloom filter finds a transaction that no minimum and maximum can exclude.
fn properties(rows: u64) -> Result<WriterProperties, ParquetError> {
    const TRANSACTION_ID: &str = "transaction_id";
    const FALSE_POSITIVES: f64 = 0.01;
    let transaction_id = || ColumnPath::from(TRANSACTION_ID);
    let in_a_group = rows.clamp(1, ROW_GROUP_ROWS as u64);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_column_bloom_filter_enabled(transaction_id(), rows > 0)
        .set_column_bloom_filter_fpp(transaction_id(), FALSE_POSITIVES)
        .set_column_bloom_filter_max_ndv(transaction_id(), in_a_group);
    Ok(COLUMNS.iter().fold(properties, set_column).build())
}

struct PartWriter {
    parquet: ArrowWriter<StagingWriter>,
    /// Bytes of the row group in memory.
    held: usize,
    stats: Stats,
}

impl PartWriter {
    fn add(&mut self, pay_date: NaiveDate, batch: &arrow_array::RecordBatch) -> Result<(), ParquetError> {
        let batch = to_delta(pay_date, batch)?;
        self.stats.add(&batch);
        self.parquet.write(&batch)?;
        self.held += batch.get_array_memory_size();
        if self.parquet.in_progress_rows() == 0 {
            self.held = 0;
        } else if self.held >= ROW_GROUP_BYTES {
            self.parquet.flush()?;
            self.held = 0;
        }
        Ok(())
    }
}

/// Adds a day's rows, if its file is the version that was meant.
fn add_day(part: &Part, held: &HeldDay, file: File, writer: &mut PartWriter) -> Result<(), Unpacked> {
    let pay_date = held.day.pay_date;
    let failed = |reason: String| day_failed(part, pay_date, reason);
    let guarded = |reason: String| match day_failed(part, pay_date, reason) {
        DeltaError::Day { month, object, reason, .. } => DeltaError::Day { month, object, reason, is_guarded: true },
        other => other,
    };
    let (record, fit) =
        read_end(&file).map_err(|reason| failed(format!("it has no readable day record: {reason}: fetch the day with backfill")))?;
    if fit == SchemaFit::Other {
        return Err(guarded("its columns are not the ones of this version's schema: rewrite it with rebuild".into()).into());
    }
    if (DayKey { pay_date, merchant: part.merchant.clone() }).misplaced(&record).is_some() {
        return Err(guarded("it is the file of another day: find out how it got that name, and remove it".into()).into());
    }
    if (record.extracted_at, &record.digest, &record.run_id) != (held.day.extracted_at, &held.day.digest, &held.run_id) {
        return Err(Unpacked::Moved(pay_date));
    }
    let (mut rows, mut unwritten) = (0, None);
    let read = read_rows(file, |batch| {
        rows += batch.num_rows() as u64;
        writer.add(pay_date, batch).map_err(|error| {
            let shown = ParquetError::General(error.to_string());
            unwritten = Some(error);
            shown
        })
    });
    match (read, unwritten) {
        (Err(_), Some(error)) => Err(error.into()),
        (Err(error), None) => Err(failed(format!("its rows cannot be read: {error}: fetch the day with backfill")).into()),
        (Ok(()), _) if rows != record.rows => {
            Err(failed(format!("it has {rows} rows, and its record states {}: fetch the day with backfill", record.rows)).into())
        }
        (Ok(()), _) => Ok(()),
    }
}
