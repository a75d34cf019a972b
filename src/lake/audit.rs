//! Checks one published file against its own record: the seal, the schema, and every figure, computed again from its rows.

use std::fs::File;

use object_store::path::Path;
use parquet::errors::ParquetError;

use crate::settlement::columns::SchemaFit;
use crate::settlement::totals::ArrayTotals;

use super::backend::{Fetched, blocking, disk_error};
use super::error::LakeError;
use super::file::{read_end_bytes, read_footer, read_rows};
use super::layout::DayKey;
use super::merchant::MerchantName;
use super::record::{DayRecord, Evidence};
use super::seal;
use super::store::Lake;

/// What an audit found.
pub(crate) struct Audit {
    /// What is wrong.
    pub(crate) found: Vec<String>,
    /// The file's record, if it can be relied on.
    pub(crate) record: Option<DayRecord>,
}

impl Audit {
    fn unusable(reason: String) -> Self {
        Self { found: vec![reason], record: None }
    }
}

impl Lake {
    /// What is wrong with a day's file, or with an earlier version of it, compared with its own record.
    ///
    /// # Errors
    /// The file cannot be fetched.
    pub(crate) async fn audit(&self, key: &DayKey, location: &Path) -> Result<Audit, LakeError> {
        let Some(Fetched { file, .. }) = self.fetch(location).await? else { return Ok(Audit::unusable("it is missing".into())) };
        let (of, at) = (key.clone(), location.clone());
        let audited = tokio::task::spawn_blocking(move || audit(&of, &at, file)).await;
        // a decoder that panics on one file does not keep the others from being checked
        let mut audit = audited.unwrap_or_else(|panic| Audit::unusable(format!("it cannot be read: {panic}")));
        if let Some(Evidence { name, sha256 }) = audit.record.as_ref().and_then(|record| record.raw.as_ref()) {
            match self.sha256(&Path::parse(name).unwrap_or_default()).await? {
                Some(hash) if hash == *sha256 => {}
                Some(_) => audit.found.push(format!("the saved response from which it was built, {name}, has changed")),
                None => audit.found.push(format!("the saved response from which it was built, {name}, is missing")),
            }
        }
        Ok(audit)
    }

    /// The SHA-256 of an object; `None` if there is no such object.
    async fn sha256(&self, location: &Path) -> Result<Option<String>, LakeError> {
        let Some(Fetched { mut file, .. }) = self.fetch(location).await? else { return Ok(None) };
        let hashed = blocking(move || seal::sha256(&mut file)).await;
        hashed.map(Some).map_err(|error| LakeError::object("read", location)(disk_error(error)))
    }
}

/// What is wrong with a day's file, or with an earlier version of it, at `at`; nothing if it is as it was written. A file that is
/// not sealed is not examined further.
fn audit(key: &DayKey, at: &Path, mut file: File) -> Audit {
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

/// A file's record, and whether its seal is right.
fn footer(file: &mut File) -> Result<Footer, String> {
    let (bytes, start) = read_end_bytes(file)?;
    let (record, fit) = read_footer(&bytes[..bytes.len() - 8])?;
    let Some(at) = seal::position(&bytes, &record.seal) else { return Ok(Footer { record, fit, seal_holds: false }) };
    let seal = seal::of_file(file, start + at as u64).map_err(|error| error.to_string())?;
    let seal_holds = seal == record.seal;
    Ok(Footer { record, fit, seal_holds })
}

/// A file's record, if its seal is right.
///
/// # Errors
/// Why the file cannot be trusted.
pub(crate) fn sealed(file: &mut File) -> Result<DayRecord, String> {
    let Footer { record, seal_holds, .. } = footer(file)?;
    if seal_holds { Ok(record) } else { Err("it is not as it was written: its seal differs".into()) }
}

/// Computes the figures of a file again and compares them with its record's.
fn contents(file: File, record: &DayRecord, found: &mut Vec<String>) -> Result<(), ParquetError> {
    let mut totals = ArrayTotals::default();
    read_rows(file, |batch| {
        totals.add(batch);
        Ok(())
    })?;
    found.extend(totals.differences(&record.stated_totals()));
    Ok(())
}
