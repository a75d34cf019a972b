//! Reads a Parquet file of the lake: its footer, its record, its rows as rows of this version's table.

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

/// Bytes of a file's end that are read first: more than nearly every footer has.
pub(super) const TAIL: u64 = 32 << 10;

/// This version's schema as its files state it.
static OURS: LazyLock<Option<SchemaDescriptor>> = LazyLock::new(|| ArrowSchemaConverter::new().convert(&schema()).ok());

/// A record is read without what the footer says of values: a plan looks at thousands of footers.
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

/// The day record in a Parquet footer, and how the file's columns fit this version's.
pub(super) fn read_footer(footer: &[u8]) -> Result<(DayRecord, SchemaFit), String> {
    let metadata = ParquetMetaDataReader::decode_metadata_with_options(footer, Some(&NO_STATISTICS)).map_err(|error| error.to_string())?;
    let file = metadata.file_metadata();
    let pairs = file.key_value_metadata();
    let record = pairs.into_iter().flatten().find(|pair| pair.key == RECORD_KEY).and_then(|pair| pair.value.as_deref());
    let record = record.ok_or_else(|| format!("its metadata has no {RECORD_KEY}"))?;
    let record: DayRecord = serde_json::from_str(record).map_err(|error| error.to_string())?;
    // nearly every file is one of this version's, and a plan looks at thousands
    let ours = OURS.as_ref().is_some_and(|ours| ours.root_schema() == file.schema_descr().root_schema());
    let fit = if ours && (record.schema_version, record.schema_fingerprint.as_str()) == (SCHEMA_VERSION, fingerprint()) {
        SchemaFit::Same
    } else {
        let found = parquet_to_arrow_schema(file.schema_descr(), None).map_err(|error| error.to_string())?;
        SchemaFit::of(&found, record.schema_version, &record.schema_fingerprint)
    };
    Ok((record, fit))
}

/// A file's footer with its last eight bytes, and where it begins.
pub(super) fn read_end_bytes(file: &File) -> Result<(Vec<u8>, u64), String> {
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let read = |length: u64| {
        let mut bytes = vec![0; usize::try_from(length).map_err(|error| error.to_string())?];
        file.read_exact_at(&mut bytes, size - length).map_err(|error| error.to_string())?;
        Ok::<_, String>(bytes)
    };
    // most footers come whole with the first read
    let mut end = read(size.min(TAIL))?;
    let footer = footer_length(&end).map(|length| length + 8).filter(|footer| *footer <= size).ok_or("it is not a Parquet file")?;
    match usize::try_from(footer) {
        Ok(footer) if footer <= end.len() => drop(end.drain(..end.len() - footer)),
        _ => end = read(footer)?,
    }
    Ok((end, size - footer))
}

/// A whole file's record, and how its columns fit this version's.
pub(crate) fn read_end(file: &File) -> Result<(DayRecord, SchemaFit), String> {
    let (bytes, _) = read_end_bytes(file)?;
    read_footer(&bytes[..bytes.len() - 8])
}

/// Hands a file's rows to `each`, batch by batch, as rows of this version's table: columns that the
/// file has not are NULL.
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

/// The Arrow schema under which to read a file that has some of the table's columns; none where it
/// has others, too.
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

/// A batch of a file that has some of the table's columns as one of the table: NULL where it has none.
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
    fn a_file_of_this_version_is_known_by_its_schema_alone() {
        let mut file = Vec::new();
        let record = serde_json::json!({
            "schema_version": SCHEMA_VERSION, "schema_fingerprint": fingerprint(), "tool_version": "", "environment": "live",
            "source_url": "", "merchant_id": "m", "pay_date": "2024-01-05", "run_id": "", "extracted_at": "2024-01-05T00:00:00Z",
            "result_code": "0000", "result_message": null, "state": "closed", "open_because": [], "rows": 0, "pending_rows": 0,
            "rejected_rows": 0, "sums": {}, "nulls": {}, "unbalanced_rows": 0, "digest": "", "seal": "",
        });
        let record: Option<DayRecord> = serde_json::from_value(record).ok();
        let written = record.and_then(|record| DayWriter::new(&mut file).ok()?.finish(record).ok());
        assert!(written.is_some());
        let metadata = footer_length(&file).and_then(|length| {
            let end = file.len() - 8;
            ParquetMetaDataReader::decode_metadata(&file[end - usize::try_from(length).ok()?..end]).ok()
        });
        let stated = metadata.map(|metadata| metadata.file_metadata().schema_descr().root_schema().clone());
        assert_eq!(stated.as_ref(), OURS.as_ref().map(SchemaDescriptor::root_schema));
    }
}
