//! Encodes a file of the table as a stream: one row group is in memory.

use arrow_array::cast::AsArray as _;
use arrow_array::{RecordBatch, StringArray};
use arrow_select::coalesce::BatchCoalescer;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::lake::staged::StagingWriter;
use crate::lake::writer::{ROW_GROUP_ROWS, RowGroupWriter, set_column};
use crate::settlement::columns::COLUMNS;

use super::file::DAYS_KEY;
use super::schema::schema;
use super::stats::Stats;

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

/// Writes a part's file. Its bytes follow from the rows alone, wherever they are read and in whatever batches: the file's name states
/// its content, and another run may write the same one.
pub(super) struct PartWriter {
    rows: RowGroupWriter<StagingWriter>,
    /// Cuts what is added into batches of one size.
    batches: BatchCoalescer,
    stats: Stats,
}

impl PartWriter {
    /// Begins a file of so many rows.
    pub(super) fn new(out: StagingWriter, rows: u64) -> Result<Self, ParquetError> {
        const BATCH_ROWS: usize = 1024;
        let options = ArrowWriterOptions::new().with_properties(properties(rows)?).with_skip_arrow_metadata(true);
        let parquet = ArrowWriter::try_new_with_options(out, schema(), options)?;
        Ok(Self { rows: RowGroupWriter::new(parquet), batches: BatchCoalescer::new(schema(), BATCH_ROWS), stats: Stats::default() })
    }

    /// Adds rows of the Delta table.
    pub(super) fn add(&mut self, rows: RecordBatch) -> Result<(), ParquetError> {
        self.stats.add(&rows);
        self.batches.push_batch(rows)?;
        self.write()
    }

    fn write(&mut self) -> Result<(), ParquetError> {
        while let Some(batch) = self.batches.next_completed_batch() {
            self.rows.write(&batch, bytes_of(&batch))?;
        }
        Ok(())
    }

    /// Ends the file with its day list.
    pub(super) fn finish(mut self, days: String) -> Result<Stats, ParquetError> {
        self.batches.finish_buffered_batch()?;
        self.write()?;
        let mut parquet = self.rows.parquet;
        parquet.append_key_value_metadata(KeyValue::new(DAYS_KEY.to_owned(), days));
        let mut out = parquet.into_inner()?;
        std::io::Write::flush(&mut out)?;
        Ok(self.stats)
    }
}

/// Bytes of a batch's values. What its buffers hold besides depends on how it was read.
fn bytes_of(batch: &RecordBatch) -> usize {
    let of_texts =
        |texts: &StringArray| texts.value_offsets().last().zip(texts.value_offsets().first()).map_or(0, |(end, start)| end - start);
    let texts = batch.columns().iter().filter_map(|array| array.as_string_opt::<i32>());
    let text_bytes: usize = texts.map(|texts| usize::try_from(of_texts(texts)).unwrap_or_default()).sum();
    text_bytes + batch.num_rows() * batch.num_columns() * size_of::<i64>()
}
