//! Reads some columns of a day's file, row group by row group, so that several threads can share a large file.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use arrow_array::{RecordBatch, new_null_array};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetStatisticsPolicy;
use parquet::file::reader::{ChunkReader, Length};

use crate::settlement::columns::{COLUMNS, Column, type_name};

/// Rows of a batch: enough that a batch costs little, few enough to stay in the processor's caches.
const BATCH: usize = 8192;

/// The day of a row, in a file that holds several days.
pub(crate) const PAY_DATE: &str = "pay_date";

/// The Arrow type of a column of the table.
fn data_type(name: &str) -> Option<DataType> {
    let column = COLUMNS.iter().find(|column| column.name == name);
    column.map(Column::data_type).or_else(|| (name == PAY_DATE).then_some(DataType::Date32))
}

/// Some columns of a Parquet file.
pub(crate) struct Scan {
    file: SharedFile,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    columns: SchemaRef,
}

impl Scan {
    /// Opens a file to read these of the table's columns; each batch has them in this order. `pay_date` may be one of them: files that
    /// hold several days have it. A column that the file does not have, as it was written by an earlier version, is NULL.
    ///
    /// # Errors
    /// It is not a Parquet file, or a column has another type.
    pub(crate) fn open(file: File, columns: &[&str]) -> Result<Self, ParquetError> {
        let file = SharedFile { bytes: file.metadata()?.len(), file: Arc::new(file) };
        let options = || {
            ArrowReaderOptions::new()
                .with_skip_arrow_metadata(true)
                .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
                .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
                .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
        };
        let found = ArrowReaderMetadata::load(&file, options())?;
        let fields = found.schema().fields().iter().map(|field| {
            let wanted = columns.iter().find(|name| *name == field.name()).and_then(|name| data_type(name));
            let Some(wanted) = wanted else { return Ok(field.as_ref().clone()) };
            if type_name(&wanted) == type_name(field.data_type()) {
                return Ok(field.as_ref().clone().with_data_type(wanted));
            }
            let (name, found, wanted) = (field.name(), type_name(field.data_type()), type_name(&wanted));
            Err(ParquetError::General(format!("its column {name} is {found} and not {wanted}: rewrite it with rebuild")))
        });
        let schema = Arc::new(Schema::new(fields.collect::<Result<Vec<_>, _>>()?));
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), options().with_schema(schema))?;
        let mask = ProjectionMask::columns(metadata.parquet_schema(), columns.iter().copied());
        let fields = columns.iter().filter_map(|name| Some(Field::new(*name, data_type(name)?, true)));
        Ok(Self { file, metadata, mask, columns: Arc::new(Schema::new(fields.collect::<Vec<_>>())) })
    }

    /// How many row groups the file has.
    pub(crate) fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Passes the rows of a row group to `each`, batch by batch.
    ///
    /// # Errors
    /// The row group cannot be read, or `each` fails.
    pub(crate) fn read(
        &self,
        row_group: usize,
        mut each: impl FnMut(&RecordBatch) -> Result<(), ParquetError>,
    ) -> Result<(), ParquetError> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.metadata.clone());
        let reader = builder.with_projection(self.mask.clone()).with_row_groups(vec![row_group]).with_batch_size(BATCH).build()?;
        for batch in reader {
            each(&self.arrange(&batch?)?)?;
        }
        Ok(())
    }

    /// A batch with the wanted columns, in their order.
    fn arrange(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let arrays = self.columns.fields().iter().map(|field| {
            let found = batch.column_by_name(field.name()).cloned();
            found.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
        });
        RecordBatch::try_new(Arc::clone(&self.columns), arrays.collect())
    }
}

/// A file that several threads read, each at its own position.
#[derive(Clone)]
struct SharedFile {
    file: Arc<File>,
    bytes: u64,
}

impl Length for SharedFile {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for SharedFile {
    type T = BufReader<ReadAt>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(ReadAt { file: Arc::clone(&self.file), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

struct ReadAt {
    file: Arc<File>,
    at: u64,
}

impl Read for ReadAt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
