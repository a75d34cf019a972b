//! Checks one published file against its own record: the seal, the schema, and every figure, computed again from its rows.

use std::fs::File;

use object_store::path::Path;
use parquet::errors::ParquetError;

use crate::settlement::columns::SchemaFit;
use crate::settlement::totals::{ArrayTotals, StatedTotals};

use super::backend::{Fetched, blocking, disk_error};
use super::error::LakeError;
use super::file::{read_end_bytes, read_footer, read_rows};
use super::layout::{DayKey, Misplaced};
use super::record::{DayRecord, Evidence};
use super::seal;
use super::store::Lake;

/// Its bytes changed after the run that wrote it, on disk, in transit or by another program.
const NOT_AS_WRITTEN: &str = "its seal differs: it is not as it was written; rewrite it with rebuild if its response was kept, else fetch the day with backfill --refetch all";

/// What an audit found.
pub(crate) struct Audit {
    /// What is wrong.
    pub(crate) found: Vec<String>,
    /// The file's record and size, if they can be relied on.
    pub(crate) record: Option<(DayRecord, u64)>,
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
        let file = match self.fetch(location).await {
            Ok(Some(Fetched { file, .. })) => file,
            Ok(None) => return Ok(Audit::unusable("it is missing".into())),
            Err(error) => return error.of_one_object().map(|reason| Audit::unusable(format!("it cannot be read: {reason}"))).ok_or(error),
        };
        let (of, at) = (key.clone(), location.clone());
        let audited = tokio::task::spawn_blocking(move || audit(&of, &at, file)).await;
        // a decoder that panics on one file does not keep the others from being checked
        let mut audit = audited.unwrap_or_else(|panic| Audit::unusable(format!("it cannot be read: {panic}")));
        if let Some(Evidence { name, sha256 }) = audit.record.as_ref().and_then(|(record, _)| record.raw.as_ref()) {
            let what = match self.sha256(&Path::parse(name).unwrap_or_default()).await {
                Ok(Some(hash)) if hash == *sha256 => None,
                Ok(Some(_)) => Some("has changed".to_owned()),
                Ok(None) => Some("is missing".to_owned()),
                Err(error) => Some(format!("cannot be read: {}", error.of_one_object().ok_or(error)?)),
            };
            audit.found.extend(what.map(|what| format!("the saved response from which it was built, {name}, {what}")));
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
        return Audit::unusable(NOT_AS_WRITTEN.into());
    }
    let bytes = match file.metadata() {
        Ok(metadata) => metadata.len(),
        Err(error) => return Audit::unusable(format!("it cannot be read: {error}")),
    };
    let mut found = Vec::new();
    match key.misplaced(&record) {
        None => {}
        Some(Misplaced::Merchant(merchant)) => found.push(format!("it is the file of merchant {merchant}")),
        Some(Misplaced::PayDate(pay_date)) => found.push(format!("it is the file of {pay_date}")),
    }
    let in_table = *at == key.settlement();
    if !in_table && *at != key.history(record.extracted_at, &record.run_id) {
        found.push(format!("it is the version of {} by run {}", record.extracted_at, record.run_id));
    }
    if fit.shares_a_table() {
        if let Err(error) = contents(file, &record, fit, &mut found) {
            found.push(format!("its rows cannot be read: {error}"));
        }
    } else if in_table {
        // an earlier version may well have an earlier schema
        found.push("its columns are not the ones of this version's schema: rewrite it with rebuild".into());
    }
    Audit { found, record: Some((record, bytes)) }
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
    if seal_holds { Ok(record) } else { Err(NOT_AS_WRITTEN.into()) }
}

/// Computes the figures of a file again and compares them with its record's.
fn contents(file: File, record: &DayRecord, fit: SchemaFit, found: &mut Vec<String>) -> Result<(), ParquetError> {
    let mut totals = ArrayTotals::default();
    read_rows(file, |batch| {
        totals.add(batch);
        Ok(())
    })?;
    let mut stated = record.stated_totals();
    // a record knows nothing of columns that a later version appended
    let (digest, nulls) = (totals.digest().to_string(), totals.nulls_over(&record.nulls));
    if fit == SchemaFit::Appended {
        stated = StatedTotals { digest: &digest, nulls: &nulls, ..stated };
    }
    found.extend(totals.differences(&stated));
    Ok(())
}
