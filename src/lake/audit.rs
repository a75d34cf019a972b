//! Holds one published file against its own record: the seal, the schema, and every figure, taken
//! again from its rows.

use std::fs::File;

use object_store::path::Path;
use parquet::errors::ParquetError;

use crate::settlement::columns::SchemaFit;
use crate::settlement::totals::ArrayTotals;

use super::file::{read_end_bytes, read_footer, read_rows};
use super::layout::{DayKey, MerchantName};
use super::record::DayRecord;
use super::seal;

/// What an audit found.
pub(crate) struct Audit {
    /// What is wrong.
    pub(crate) found: Vec<String>,
    /// What the file says of itself, where that can be relied on.
    pub(crate) record: Option<DayRecord>,
}

impl Audit {
    pub(super) fn unusable(why: String) -> Self {
        Self { found: vec![why], record: None }
    }
}

/// What is wrong with a day's file, or with an earlier version of it, that lies at `at`; nothing where
/// it is as it was written. A file that is not even that is not looked into further.
pub(super) fn audit(key: &DayKey, at: &Path, mut file: File) -> Audit {
    let Footer { record, fit, seal_holds } = match footer(&mut file) {
        Ok(found) => found,
        Err(reason) => return Audit::unusable(format!("it has no readable day record: {reason}")),
    };
    if !seal_holds {
        return Audit::unusable("it is not as it was written: its seal differs".into());
    }
    let mut found = Vec::new();
    if record.pay_date != key.pay_date {
        found.push(format!("it is the file of {}", record.pay_date));
    }
    if MerchantName::new(&record.merchant_id).as_ref() != Ok(&key.merchant) {
        found.push(format!("it is the file of merchant {}", record.merchant_id));
    }
    let in_table = *at == key.settlement();
    if !in_table && *at != key.history(record.extracted_at, &record.run_id) {
        found.push(format!("it is the version of {} by run {}", record.extracted_at, record.run_id));
    }
    if fit == SchemaFit::Same {
        if let Err(error) = contents(file, &record, &mut found) {
            found.push(format!("its rows cannot be read: {error}"));
        }
    } else if in_table {
        // an earlier version may well have an earlier schema
        found.push("its columns are not the ones of this version's schema: see the command rebuild".into());
    }
    Audit { found, record: Some(record) }
}

struct Footer {
    record: DayRecord,
    fit: SchemaFit,
    seal_holds: bool,
}

/// What a file says of itself, and whether its seal holds.
fn footer(file: &mut File) -> Result<Footer, String> {
    let (bytes, start) = read_end_bytes(file)?;
    let (record, fit) = read_footer(&bytes[..bytes.len() - 8])?;
    let Some(at) = seal::position(&bytes, &record.seal) else { return Ok(Footer { record, fit, seal_holds: false }) };
    let seal = seal::of_file(file, start + at as u64).map_err(|error| error.to_string())?;
    let seal_holds = seal == record.seal;
    Ok(Footer { record, fit, seal_holds })
}

/// A file's record, where its seal holds.
///
/// # Errors
/// Why the file is not to be trusted.
pub(crate) fn sealed(file: &mut File) -> Result<DayRecord, String> {
    let Footer { record, seal_holds, .. } = footer(file)?;
    if seal_holds { Ok(record) } else { Err("it is not as it was written: its seal differs".into()) }
}

/// Takes the figures of a file again and compares them with its record's.
fn contents(file: File, record: &DayRecord, found: &mut Vec<String>) -> Result<(), ParquetError> {
    let mut totals = ArrayTotals::default();
    read_rows(file, |batch| {
        totals.add(batch);
        Ok(())
    })?;
    found.extend(totals.differences(&record.stated_totals()));
    Ok(())
}
