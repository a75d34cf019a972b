//! Where the lake's rows are read from: the day files, or for a merchant of whom the Delta table is current its few large files. Both
//! hold the same rows.

use std::sync::Arc;

use crate::delta::file::Month;
use crate::delta::snapshot::Snapshot;
use crate::errors::chain;
use crate::lake::error::LakeError;
use crate::lake::holdings::Holdings;
use crate::lake::index::IndexRow;
use crate::lake::ledger::MerchantLedger;
use crate::lake::merchant::MerchantName;
use crate::lake::store::{Lake, StoredDay};

use super::join::MerchantIndex;
use super::period::Period;
use super::reading::{LakeFile, LakeSide, Wanted};

/// Reads the rows of merchants that are paid in a period.
///
/// # Errors
/// A day's file cannot be read.
pub(super) async fn read(
    lake: &Lake,
    holdings: &Holdings,
    merchants: &[MerchantName],
    reach: Period,
    wanted: Wanted,
) -> Result<LakeSide, LakeError> {
    let wanted = Arc::new(wanted);
    let files = day_files(&holdings.days, merchants, reach);
    let packed = packed_files(lake, holdings, merchants, reach).await;
    if !packed.is_empty() {
        let mut fewer = files.clone();
        fewer.retain(|day| packed.binary_search_by_key(&day.merchant, |file| file.merchant).is_err());
        fewer.extend(packed);
        match LakeSide::read(lake, fewer, &wanted).await {
            Ok(side) => return Ok(side),
            Err(error) => {
                let reason = error.to_string_with_causes();
                tracing::warn!("the Delta table cannot be used, and the rows are read from the day files: {reason}");
            }
        }
    }
    LakeSide::read(lake, files, &wanted).await
}

/// The day files of merchants.
fn day_files(days: &[StoredDay], merchants: &[MerchantName], reach: Period) -> Vec<LakeFile> {
    let of_day = |day: &StoredDay| {
        let merchant = MerchantIndex::try_from(merchants.binary_search(&day.key.merchant).ok()?).ok()?;
        Some(LakeFile { location: day.key.settlement(), merchant, pay_date: Some(day.key.pay_date) })
    };
    days.iter().filter(|day| reach.contains(day.key.pay_date)).filter_map(of_day).collect()
}

/// The Delta table's files of the merchants of whom it is current, by merchant. Only merchants whose ledger index is current are
/// considered: for the others, finding out costs as much as reading the day files.
async fn packed_files(lake: &Lake, holdings: &Holdings, merchants: &[MerchantName], reach: Period) -> Vec<LakeFile> {
    let ledgers = || merchants.iter().map(|merchant| holdings.ledgers.get(merchant).filter(|ledger| ledger.is_current()));
    if ledgers().all(|ledger| ledger.is_none()) {
        return Vec::new();
    }
    let snapshot = match Snapshot::read(lake).await {
        Ok(Some(snapshot)) => snapshot,
        Ok(None) => return Vec::new(),
        Err(error) => {
            tracing::warn!("the Delta table cannot be used, and the rows are read from the day files: {}", chain(&error));
            return Vec::new();
        }
    };
    let is_within =
        |month: Month| reach.from.is_none_or(|from| Month::of(from) <= month) && reach.to.is_none_or(|to| month <= Month::of(to));
    let mut files = Vec::new();
    for (merchant, ledger) in (0..).zip(ledgers()) {
        let Some(ledger) = ledger.filter(|ledger| is_current(&snapshot, ledger)) else { continue };
        let of_merchant = snapshot.files_of(ledger.merchant()).filter(|file| is_within(file.month));
        files.extend(of_merchant.map(|file| LakeFile { location: file.location(), merchant, pay_date: None }));
    }
    files
}

/// Whether the table holds the versions of a merchant's days that the lake holds, and no other days.
fn is_current(snapshot: &Snapshot, ledger: &MerchantLedger) -> bool {
    let Ok(mut packed) = snapshot.days_of(ledger.merchant()) else { return false };
    let mut is_current = true;
    ledger.each_current(|pay_date, row| {
        let is_same = |row: &IndexRow| {
            packed.get(&pay_date).is_some_and(|day| (day.extracted_at, &day.digest, day.rows) == (row.extracted_at, &row.digest, row.rows))
        };
        is_current &= row.is_some_and(is_same);
        packed.remove(&pay_date);
    });
    is_current && packed.is_empty()
}
