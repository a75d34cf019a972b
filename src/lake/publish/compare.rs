//! Finds out how a published day differs from the version that it replaced.

use std::fs::File;

use chrono::NaiveDate;
use object_store::path::Path;
use parquet::errors::ParquetError;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::lake::backend::Fetched;
use crate::lake::error::LakeError;
use crate::lake::file::{read_end, read_rows};
use crate::lake::layout::DayKey;
use crate::lake::record::{DayRecord, State};
use crate::lake::store::Lake;
use crate::settlement::columns::amounts;
use crate::settlement::diff::{Changes, Diff};
use crate::settlement::sums::{Sums, parse_sum};
use crate::settlement::values::format_decimal;

use super::admission::Previous;

/// How the content of a published day differs from that of the version it replaced.
#[derive(Debug, Clone, PartialEq)]
pub enum ContentChange {
    /// The version was closed: nothing more was expected of it.
    Restated(Restated),
    /// The version was open: announced rows have arrived, or pending ones were paid.
    Updated(Updated),
}

/// A day whose stored version was open and has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Updated {
    /// The API id.
    pub merchant_id: String,
    /// The pay date.
    pub pay_date: NaiveDate,
    /// Rows of the version replaced.
    pub rows_before: u64,
    /// Rows now.
    pub rows_after: u64,
}

/// A day whose stored version was closed and has changed all the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Restated {
    /// The API id.
    pub merchant_id: String,
    /// The pay date.
    pub pay_date: NaiveDate,
    /// Rows of the version replaced.
    pub rows_before: u64,
    /// Rows now.
    pub rows_after: u64,
    /// Rows that are new.
    pub added: u64,
    /// Rows that are gone.
    pub removed: u64,
    /// Pairs of a row that is gone and one that is new which share transaction and payment status.
    pub changed: u64,
    /// The change of each sum that changed, in won: exact decimals in strings.
    pub delta: Map<String, Json>,
}

/// The file of a day that was just published, wherever another run may have put it by now.
///
/// # Errors
/// The lake's, or that another run has replaced the day.
pub(super) async fn published_file(lake: &Lake, key: &DayKey, record: &DayRecord) -> Result<File, LakeError> {
    for place in [key.settlement(), key.history(record.extracted_at, &record.run_id)] {
        if let Some(Fetched { file, .. }) = lake.fetch(&place).await?
            && read_end(&file).is_ok_and(|(found, _)| found.seal == record.seal)
        {
            return Ok(file);
        }
    }
    Err(LakeError::Record { object: key.settlement().to_string(), reason: "another run has replaced it".into() })
}

/// Compares a published day with the version it replaced; `None` if the rows are the same.
///
/// # Errors
/// A file whose rows cannot be read.
pub(super) async fn compare(key: &DayKey, previous: Previous, record: &DayRecord, now: File) -> Result<Option<ContentChange>, LakeError> {
    let Previous { stored, at, file } = previous;
    let diff = Diff::with_rows(stored.record.rows, record.rows);
    let unreadable = |reason: String| LakeError::Record { object: key.settlement().to_string(), reason };
    let compared = tokio::task::spawn_blocking(move || changes(diff, file, now)).await;
    let changes = compared.map_err(|error| unreadable(error.to_string()))?.map_err(|error| unreadable(error.to_string()))?;
    Ok(change(&stored.record, record, changes, &at))
}

fn changes(mut diff: Diff, before: File, now: File) -> Result<Changes, ParquetError> {
    read_rows(before, |batch| {
        diff.before(batch);
        Ok(())
    })?;
    read_rows(now, |batch| {
        diff.after(batch);
        Ok(())
    })?;
    Ok(diff.changes())
}

fn change(before: &DayRecord, now: &DayRecord, changes: Changes, at: &Path) -> Option<ContentChange> {
    if changes == Changes::default() {
        return None;
    }
    let (merchant_id, pay_date, rows_before, rows_after) = (now.merchant_id.clone(), now.pay_date, before.rows, now.rows);
    let Changes { added, removed, changed } = changes;
    if before.state == State::Open {
        tracing::info!(%pay_date, added, removed, changed, before = %at, "updated");
        return Some(ContentChange::Updated(Updated { merchant_id, pay_date, rows_before, rows_after }));
    }
    tracing::warn!(%pay_date, added, removed, changed, before = %at, "restated");
    let delta = amounts()
        .map(|(_, column)| column.name)
        .zip(sums_of(now).into_iter().zip(sums_of(before)).map(|(now, before)| now - before))
        .filter(|(_, change)| *change != 0)
        .map(|(column, change)| (column.to_owned(), format_decimal(change, 2).into()))
        .collect();
    Some(ContentChange::Restated(Restated { merchant_id, pay_date, rows_before, rows_after, added, removed, changed, delta }))
}

/// A record's sums as numbers.
pub(super) fn sums_of(record: &DayRecord) -> Sums {
    let mut sums = Sums::default();
    for (sum, (_, column)) in sums.iter_mut().zip(amounts()) {
        *sum = record.sums.get(column.name).and_then(|text| parse_sum(text.as_str()?)).unwrap_or_default();
    }
    sums
}
