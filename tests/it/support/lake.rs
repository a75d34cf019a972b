//! Reads what landed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use cookiepay_etl::settlement::cells::cell;
use cookiepay_etl::settlement::columns::{COLUMNS, hex};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::KeyValue;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

/// A row as text by column; NULLs are left out.
pub type Row = BTreeMap<String, String>;

/// Every file below a folder, relative to it, apart from the ledger indexes, which are copies.
pub fn files(root: &Path) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(root, &mut found);
    let mut names: Vec<String> = found.iter().map(|path| path.strip_prefix(root).unwrap().to_string_lossy().into_owned()).collect();
    names.retain(|name| !format!("/{name}").contains("/ledger/"));
    names.sort();
    names
}

/// The day's file of merchant `m1`.
pub fn day_file(root: &Path, pay_date: &str) -> PathBuf {
    root.join(format!("settlements/pay_date={pay_date}/m1.parquet"))
}

fn open(bytes: Vec<u8>) -> ParquetRecordBatchReaderBuilder<Bytes> {
    // with the extractor's own schema, so that decimals come back in their narrow form
    let options = ArrowReaderOptions::new().with_schema(cookiepay_etl::settlement::columns::schema());
    ParquetRecordBatchReaderBuilder::try_new_with_options(Bytes::from(bytes), options).unwrap()
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file's rows.
pub fn rows(path: &Path) -> Vec<Row> {
    rows_of(read(path))
}

/// The rows of a file's bytes.
pub fn rows_of(bytes: Vec<u8>) -> Vec<Row> {
    let reader = open(bytes).build().unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let cells = COLUMNS.iter().zip(batch.columns());
            rows.push(cells.filter_map(|(column, array)| Some((column.name.to_owned(), cell(column.column_type, array, row)?))).collect());
        }
    }
    rows
}

/// A file's day record.
pub fn record(path: &Path) -> Json {
    record_of(read(path))
}

/// The day record in a file's bytes.
pub fn record_of(bytes: Vec<u8>) -> Json {
    let reader = open(bytes);
    let pairs: Vec<KeyValue> = reader.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let record = pairs.into_iter().find(|pair| pair.key == "cookiepay_etl.day").and_then(|pair| pair.value).unwrap();
    serde_json::from_str(&record).unwrap()
}

/// Changes the time at which a stored day's response was received, to the second, and seals the file again.
pub fn redate(file: &Path, at: DateTime<Utc>) -> Vec<u8> {
    let mut bytes = fs::read(file).unwrap();
    let from = memchr::memmem::find(&bytes, b"\"extracted_at\":\"").unwrap() + "\"extracted_at\":\"".len();
    bytes[from..from + 19].copy_from_slice(at.format("%Y-%m-%dT%H:%M:%S").to_string().as_bytes());
    let seal = memchr::memmem::rfind(&bytes, b"\"seal\":\"").unwrap() + "\"seal\":\"".len();
    bytes[seal..seal + 64].fill(b'0');
    let sealed = hex(&Sha256::digest(&bytes));
    bytes[seal..seal + 64].copy_from_slice(sealed.as_bytes());
    fs::write(file, &bytes).unwrap();
    bytes
}
