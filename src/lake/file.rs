//! Reads a Parquet file of the lake: its footer, its record, and its rows as rows of this version's table.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, LazyLock};

use arrow_array::{RecordBatch, new_null_array};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowSchemaConverter, parquet_to_arrow_schema};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaDataOptions, ParquetMetaDataReader, ParquetStatisticsPolicy};
use parquet::schema::types::SchemaDescriptor;

use crate::settlement::columns::{COLUMNS, SCHEMA_VERSION, SchemaFit, fingerprint, schema, type_name};

use super::record::{DayRecord, RECORD_KEY};
use super::version::{StoredObject, Version};

/// What a day's file states about itself.
#[derive(Debug, Clone)]
pub struct DayFile {
    /// Its record.
    pub record: DayRecord,
    /// How its columns relate to this version's.
    pub fit: SchemaFit,
    /// The version of the object that was read.
    pub(crate) version: Version,
    /// The object that was read.
    pub(crate) object: StoredObject,
}

/// Bytes of a file's end that are read first: nearly every footer is smaller.
pub(super) const TAIL: u64 = 32 << 10;

/// This version's schema in the form in which files state it.
static OURS: LazyLock<Option<SchemaDescriptor>> = LazyLock::new(|| ArrowSchemaConverter::new().convert(&schema()).ok());

/// A record is read without the footer's statistics: a plan reads thousands of footers.
static NO_STATISTICS: LazyLock<ParquetMetaDataOptions> = LazyLock::new(|| {
    ParquetMetaDataOptions::new()
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
});

/// The length of a Parquet file's footer, from its last eight bytes.
pub(super) fn footer_length(tail: &[u8]) -> Option<u64> {
    let end = tail.last_chunk::<8>()?;
    let (length, magic) = end.split_at(4);
    (magic == b"PAR1").then(|| u64::from(u32::from_le_bytes(length.try_into().unwrap_or_default())))
}

/// The day record in a Parquet footer, and how the file's columns relate to this version's.
pub(super) fn read_footer(footer: &[u8]) -> Result<(DayRecord, SchemaFit), String> {
    let metadata = ParquetMetaDataReader::decode_metadata_with_options(footer, Some(&NO_STATISTICS)).map_err(|error| error.to_string())?;
    let file = metadata.file_metadata();
    let pairs = file.key_value_metadata();
    let record = pairs.into_iter().flatten().find(|pair| pair.key == RECORD_KEY).and_then(|pair| pair.value.as_deref());
    let record = record.ok_or_else(|| format!("its metadata has no {RECORD_KEY}"))?;
    let record: DayRecord = serde_json::from_str(record).map_err(|error| error.to_string())?;
    // nearly every file has this version's schema, and a plan reads thousands
    let ours = OURS.as_ref().is_some_and(|ours| ours.root_schema() == file.schema_descr().root_schema());
    let fit = if ours && (record.schema_version, record.schema_fingerprint.as_str()) == (SCHEMA_VERSION, fingerprint()) {
        SchemaFit::Same
    } else {
        let found = parquet_to_arrow_schema(file.schema_descr(), None).map_err(|error| error.to_string())?;
        SchemaFit::of(&found, record.schema_version, &record.schema_fingerprint)
    };
    Ok((record, fit))
}

/// A file's footer with its last eight bytes, and its offset.
pub(super) fn read_end_bytes(file: &File) -> Result<(Vec<u8>, u64), String> {
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let read = |length: u64| {
        let mut bytes = vec![0; usize::try_from(length).map_err(|error| error.to_string())?];
        file.read_exact_at(&mut bytes, size - length).map_err(|error| error.to_string())?;
        Ok::<_, String>(bytes)
    };
    // the first read contains most footers whole
    let mut end = read(size.min(TAIL))?;
    let footer = footer_length(&end).map(|length| length + 8).filter(|footer| *footer <= size).ok_or("it is not a Parquet file")?;
    match usize::try_from(footer) {
        Ok(footer) if footer <= end.len() => drop(end.drain(..end.len() - footer)),
        _ => end = read(footer)?,
    }
    Ok((end, size - footer))
}

/// A file's record, and how its columns relate to this version's.
pub(crate) fn read_end(file: &File) -> Result<(DayRecord, SchemaFit), String> {
    let (bytes, _) = read_end_bytes(file)?;
    read_footer(&bytes[..bytes.len() - 8])
}

/// Passes a file's rows to `each`, batch by batch, as rows of this version's table: columns that the file does not have are NULL.
pub(crate) fn read_rows(file: File, mut each: impl FnMut(&RecordBatch) -> Result<(), ParquetError>) -> Result<(), ParquetError> {
    let found = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let part = schema_of_part(found.schema()).ok_or_else(|| ParquetError::General("its columns are not the table's".into()))?;
    let options = ArrowReaderOptions::new().with_schema(part);
    let metadata = ArrowReaderMetadata::try_new(found.metadata().clone(), options)?;
    for batch in ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).build()? {
        each(&widen(&batch?)?)?;
    }
    Ok(())
}

/// The Arrow schema under which to read a file that has some of the table's columns; `None` if it also has others.
fn schema_of_part(found: &Schema) -> Option<SchemaRef> {
    let part: Option<Vec<_>> = found
        .fields()
        .iter()
        .map(|field| {
            let column = COLUMNS.iter().find(|column| column.name == field.name())?;
            (column.type_name() == type_name(field.data_type())).then(|| field.as_ref().clone().with_data_type(column.data_type()))
        })
        .collect();
    part.map(|fields| Arc::new(Schema::new(fields)))
}

/// A batch of a file that has some of the table's columns, as one of the table: the others are NULL.
fn widen(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let arrays = COLUMNS.iter().map(|column| {
        let found = batch.column_by_name(column.name).cloned();
        found.unwrap_or_else(|| new_null_array(&column.data_type(), batch.num_rows()))
    });
    RecordBatch::try_new(schema(), arrays.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::writer::DayWriter;

    #[test]
    fn a_file_of_this_version_is_recognized_by_its_schema() {
        let mut file = Vec::new();
        let written = DayWriter::new(&mut file).ok().and_then(|writer| writer.finish(DayRecord::sample()).ok());
        assert!(written.is_some());
        let metadata = footer_length(&file).and_then(|length| {
            let end = file.len() - 8;
            ParquetMetaDataReader::decode_metadata(&file[end - usize::try_from(length).ok()?..end]).ok()
        });
        let stated = metadata.map(|metadata| metadata.file_metadata().schema_descr().root_schema().clone());
        assert_eq!(stated.as_ref(), OURS.as_ref().map(SchemaDescriptor::root_schema));
    }
}
