//! Holds one published file against its own record: the seal, the schema, and every figure, taken
//! again from its rows.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use crate::settlement::columns::{COLUMNS, schema, type_name};
use crate::settlement::totals::ArrayTotals;

use super::layout::{DayKey, MerchantName};
use super::raw::Evidence;
use super::record::DayRecord;
use super::seal;
use super::store::{footer_length, read_record};

/// What an audit found.
pub(super) struct Audit {
    /// What is wrong.
    pub(super) found: Vec<String>,
    /// The answer that the file was made from, where it was kept.
    pub(super) raw: Option<Evidence>,
}

impl Audit {
    pub(super) fn unusable(why: String) -> Self {
        Self { found: vec![why], raw: None }
    }
}

/// What is wrong with a day's file; nothing where it is as it was written. A file that is not even
/// that is not looked into further.
pub(super) fn audit(key: &DayKey, mut file: File) -> Audit {
    let (record, sealed) = match sealed(&mut file) {
        Ok(found) => found,
        Err(reason) => return Audit::unusable(format!("it has no readable day record: {reason}")),
    };
    if !sealed {
        return Audit::unusable("it is not as it was written: its seal differs".into());
    }
    let mut found = Vec::new();
    if record.pay_date != key.pay_date {
        found.push(format!("it is the file of {}", record.pay_date));
    }
    if MerchantName::new(&record.merchant_id).as_ref() != Ok(&key.merchant) {
        found.push(format!("it is the file of merchant {}", record.merchant_id));
    }
    if let Err(error) = contents(file, &record, &mut found) {
        found.push(format!("its rows cannot be read: {error}"));
    }
    Audit { found, raw: record.raw }
}

/// A file's record, and whether its seal holds.
fn sealed(file: &mut File) -> Result<(DayRecord, bool), String> {
    let fail = |error: io::Error| error.to_string();
    let size = file.metadata().map_err(fail)?.len();
    let read = |file: &mut File, from: u64| -> io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map(|_| bytes)
    };
    let end = read(file, size.saturating_sub(8)).map_err(fail)?;
    let footer = footer_length(&end).map(|length| length + 8).filter(|footer| *footer <= size).ok_or("it is not a Parquet file")?;
    let start = size - footer;
    let bytes = read(file, start).map_err(fail)?;
    let record = read_record(&bytes[..bytes.len() - 8])?;
    let Some(at) = seal::position(&bytes, &record.seal) else { return Ok((record, false)) };
    let seal = seal::of_file(file, start + at as u64).map_err(fail)?;
    let holds = seal == record.seal;
    Ok((record, holds))
}

fn contents(file: File, record: &DayRecord, found: &mut Vec<String>) -> Result<(), ParquetError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.try_clone()?)?;
    let words = |name: &str, kind: &str, nullable: bool| format!("{name} {kind}{}", if nullable { "" } else { " not null" });
    let has = reader.schema().fields().iter().map(|field| words(field.name(), &type_name(field.data_type()), field.is_nullable()));
    let wants = COLUMNS.iter().map(|column| words(column.name, &column.type_name(), column.nullable));
    if !has.eq(wants) {
        found.push("its columns are not the ones of this version's schema".into());
        return Ok(());
    }
    let options = ArrowReaderOptions::new().with_schema(schema());
    let mut totals = ArrayTotals::default();
    for batch in ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?.build()? {
        totals.add(&batch?);
    }
    let stated = (record.rows, record.pending_rows, &record.sums, record.digest.as_str());
    found.extend(totals.differences(stated, &record.nulls));
    Ok(())
}
