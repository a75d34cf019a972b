//! The ledger of a merchant: what the records of its days state, from the index where that can be trusted and from the files
//! otherwise.
//!
//! The index is a copy that can be deleted at any time. A row of it counts only if the listing has its object with the ETag of the
//! very PUT or GET by which the record is known; otherwise the file is read. Whatever is found out on the way goes into the
//! index at the end of the run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::NaiveDate;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::path::Path;

use crate::settlement::columns::SchemaFit;

use super::backend::Fetched;
use super::error::LakeError;
use super::file::DayFile;
use super::index::{self, Index, IndexRow, PackedRows};
use super::layout::{DayKey, is_damaged, ledger_path};
use super::merchant::MerchantName;
use super::record::DayRecord;
use super::staged::Published;
use super::store::{Lake, StoredDay};
use super::version::StoredObject;
use super::version::{Over, Version};

/// Files read in parallel.
const PARALLEL: usize = 32;

/// The ledger of one merchant, as of a listing.
pub struct MerchantLedger {
    merchant: MerchantName,
    /// The days of the listing.
    listed: BTreeMap<NaiveDate, StoredDay>,
    /// The index's rows for the table, by day; empty if there is no usable index.
    current: BTreeMap<NaiveDate, IndexRow>,
    /// The index's rows for `history/`, oldest first; `None` if there is no usable index.
    history: Option<Vec<IndexRow>>,
    /// Whether the index states that a run has written the lake's Delta table.
    has_delta: bool,
    learned: Mutex<Learned>,
}

/// What became known since the index was read.
#[derive(Default)]
struct Learned {
    /// Rows that the index lacks; of two for an object the newer counts.
    rows: PackedRows,
    /// The days of the table that have one.
    days: BTreeSet<NaiveDate>,
    /// The versions in `history/` that have one.
    kept: BTreeSet<Path>,
    /// Days whose file cannot be read.
    unreadable: BTreeSet<NaiveDate>,
    /// Whether a record that was seen has rows.
    has_rows: bool,
}

impl MerchantLedger {
    /// The ledgers of several merchants, in their order, as by [`load`](Self::load).
    pub(crate) async fn load_all(lake: &Lake, merchants: impl IntoIterator<Item = &MerchantName>, days: &[StoredDay]) -> Vec<Self> {
        let loaded = futures::stream::iter(merchants).map(|merchant| Self::load(lake, merchant, days));
        loaded.buffered(PARALLEL).collect().await
    }

    /// Reads a merchant's index, if there is one that can be read. `days` are all that the lake holds, in their order.
    pub(crate) async fn load(lake: &Lake, merchant: &MerchantName, days: &[StoredDay]) -> Self {
        let listed: BTreeMap<NaiveDate, StoredDay> =
            days.iter().filter(|day| day.key.merchant == *merchant).map(|day| (day.key.pay_date, day.clone())).collect();
        let mut ledger = Self { listed, ..Self::empty(merchant) };
        match read(lake, merchant).await {
            Ok(Some((Index { rows, has_delta }, _))) => {
                ledger.has_delta = has_delta;
                let (current, history) = rows.into_iter().partition(|row| row.current);
                let current: Vec<IndexRow> = current;
                ledger.current = current.into_iter().map(|row| (row.pay_date, row)).collect();
                ledger.history = Some(history);
            }
            Ok(None) if ledger.listed.is_empty() => {}
            Ok(None) => tracing::info!(merchant_id = merchant.api_id(), "there is no ledger index: the records are read from the files"),
            Err(reason) => tracing::warn!(
                merchant_id = merchant.api_id(),
                "the ledger index cannot be used, and the records are read from the files: {reason}"
            ),
        }
        let has_rows = ledger.listed.keys().any(|pay_date| ledger.trusted(*pay_date).is_some_and(|row| row.rows > 0));
        ledger.learned().has_rows = has_rows;
        ledger
    }

    /// The ledger of a merchant without days.
    pub(crate) fn empty(merchant: &MerchantName) -> Self {
        Self {
            merchant: merchant.clone(),
            listed: BTreeMap::new(),
            current: BTreeMap::new(),
            history: None,
            has_delta: false,
            learned: Mutex::default(),
        }
    }

    /// Whose it is.
    pub(crate) fn merchant(&self) -> &MerchantName {
        &self.merchant
    }

    fn key(&self, pay_date: NaiveDate) -> DayKey {
        DayKey { pay_date, merchant: self.merchant.clone() }
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index's row for a day, if the listing has its object unchanged.
    pub(crate) fn trusted(&self, pay_date: NaiveDate) -> Option<&IndexRow> {
        let (row, listed) = (self.current.get(&pay_date)?, self.listed.get(&pay_date)?);
        let is_same = row.etag.is_some() && row.etag == listed.etag && row.path == listed.key.settlement();
        is_same.then_some(row)
    }

    /// Whether every day of the listing is known from the index.
    pub(crate) fn is_current(&self) -> bool {
        self.history.is_some() && self.listed.keys().all(|pay_date| self.trusted(*pay_date).is_some())
    }

    /// Whether the index states that a run has written the lake's Delta table.
    pub(crate) fn has_delta(&self) -> bool {
        self.has_delta
    }

    /// The newest day that is known from the index.
    pub(crate) fn indexed(&self) -> Option<(DayKey, DayFile)> {
        self.listed.keys().rev().find_map(|pay_date| Some((self.key(*pay_date), from_index(self.trusted(*pay_date)?)?)))
    }

    /// Passes what is known of each day of the table to `each`, with what this run published: `None` if it is not known yet. The days
    /// come in no order.
    pub(crate) fn each_current(&self, mut each: impl FnMut(NaiveDate, Option<&IndexRow>)) {
        let learned = self.learned();
        let mut left = learned.days.clone();
        for row in learned.rows.newest_first().filter(|row| row.current) {
            if left.remove(&row.pay_date) {
                each(row.pay_date, Some(&row));
            }
        }
        for pay_date in self.listed.keys().filter(|pay_date| !learned.days.contains(pay_date)) {
            each(*pay_date, self.trusted(*pay_date));
        }
    }

    /// The days of the listing.
    pub(crate) fn days(&self) -> impl Iterator<Item = NaiveDate> + '_ {
        self.listed.keys().copied()
    }

    /// The index's rows for `history/`, oldest first.
    pub(crate) fn history(&self) -> Option<&[IndexRow]> {
        self.history.as_deref()
    }

    /// The versions in `history/` by day, oldest first: from the index if it is current, otherwise by a listing that all merchants
    /// share.
    ///
    /// # Errors
    /// The lake cannot be listed.
    pub(crate) async fn versions(&self, lake: &Lake) -> Result<BTreeMap<DayKey, Vec<Path>>, LakeError> {
        let mut versions: BTreeMap<DayKey, Vec<Path>> = BTreeMap::new();
        if self.is_current() {
            for row in self.history.iter().flatten() {
                versions.entry(self.key(row.pay_date)).or_default().push(row.path.clone());
            }
        } else {
            let kept = lake.history_once().await?.iter().filter(|(key, _)| key.merchant == self.merchant);
            versions.extend(kept.map(|(key, versions)| (key.clone(), versions.clone())));
        }
        Ok(versions)
    }

    /// What the files of these days state about themselves, in their order: the reason if one cannot be read, and nothing for a day
    /// without a file. An error if the lake cannot be read.
    pub(crate) fn files<'l>(
        &'l self,
        lake: &'l Lake,
        days: impl IntoIterator<Item = NaiveDate> + 'l,
    ) -> impl Stream<Item = Result<(DayKey, Result<DayFile, String>), LakeError>> + 'l {
        let found = futures::stream::iter(days).map(async |pay_date| self.file(lake, pay_date).await);
        found.buffered(PARALLEL).try_filter_map(async |found| Ok(found))
    }

    async fn file(&self, lake: &Lake, pay_date: NaiveDate) -> Result<Option<(DayKey, Result<DayFile, String>)>, LakeError> {
        let key = self.key(pay_date);
        if let Some(file) = self.trusted(pay_date).and_then(from_index) {
            return Ok(Some((key, Ok(file))));
        }
        match lake.day(&key).await {
            Ok(None) => Ok(None),
            Ok(Some(file)) => {
                self.learn(&file, key.settlement(), true);
                Ok(Some((key, Ok(file))))
            }
            Err(error) => match error.of_one_object() {
                Some(reason) => {
                    self.learned().unreadable.insert(pay_date);
                    Ok(Some((key, Err(reason))))
                }
                None => Err(error),
            },
        }
    }

    fn learn(&self, file: &DayFile, at: Path, current: bool) {
        // engines and this tool need not agree about a file of other columns: it is read each time
        let etag = file.object.etag.clone().filter(|_| file.fit == SchemaFit::Same);
        let row = IndexRow::of(&file.record, at, current, file.object.bytes, etag);
        self.insert(row);
    }

    fn insert(&self, row: IndexRow) {
        let mut learned = self.learned();
        learned.has_rows |= row.rows > 0;
        if row.current {
            learned.days.insert(row.pay_date);
        } else {
            learned.kept.insert(row.path.clone());
        }
        learned.rows.push(row);
    }

    /// A day was published.
    pub(super) fn published(&self, record: &DayRecord, object: &StoredObject) {
        let at = self.key(record.pay_date).settlement();
        self.insert(IndexRow::of(record, at, true, object.bytes, object.etag.clone()));
    }

    /// A version that was replaced is kept.
    pub(super) fn kept(&self, record: &DayRecord, at: &Path, object: &StoredObject) {
        self.insert(IndexRow::of(record, at.clone(), false, object.bytes, object.etag.clone()));
    }

    /// Whether the lake holds a day that has rows. Reads further records, newest first, only if those seen do not decide.
    pub(crate) async fn find_rows(&self, lake: &Lake) -> Result<bool, LakeError> {
        const AT_ONCE: usize = 64;
        let unseen = |pay_date: &NaiveDate| self.trusted(*pay_date).is_none() && !self.learned().days.contains(pay_date);
        let newest_first: Vec<NaiveDate> = self.listed.keys().rev().copied().filter(unseen).collect();
        for days in newest_first.chunks(AT_ONCE) {
            if self.has_rows() {
                break;
            }
            self.files(lake, days.iter().copied()).try_for_each(async |_| Ok(())).await?;
        }
        Ok(self.has_rows())
    }

    /// Whether a record that was seen has rows.
    pub(crate) fn has_rows(&self) -> bool {
        self.learned().has_rows
    }

    /// Brings the index up to date, if this run changed a day or found the index stale, or if it writes the Delta table (`delta`) and the
    /// index does not state that there is one. What fails is logged: the index is only a
    /// copy, and costs time where it is missing.
    pub(crate) async fn save(&self, lake: &Lake, run_id: &str, delta: bool) {
        let (changed, unreadable) = {
            let learned = self.learned();
            (!learned.days.is_empty() || !learned.kept.is_empty(), learned.unreadable.clone())
        };
        let gone = self.current.keys().any(|pay_date| !self.listed.contains_key(pay_date) || unreadable.contains(pay_date));
        let is_stale = self.listed.keys().any(|pay_date| self.trusted(*pay_date).is_none() && !unreadable.contains(pay_date));
        if !changed && !gone && !is_stale && (self.has_delta || !delta) {
            return;
        }
        if let Err(error) = self.write(lake, run_id, is_stale, delta).await {
            let reason = error.at(&lake.dest().to_string());
            tracing::warn!(
                merchant_id = self.merchant.api_id(),
                "the ledger index could not be written, so that later runs read more files: {reason}"
            );
        }
    }

    async fn write(&self, lake: &Lake, run_id: &str, is_stale: bool, delta: bool) -> Result<(), LakeError> {
        const ROUNDS: u32 = 5;
        const PAUSE: Duration = Duration::from_millis(50);
        // a run that died, or an older version of this tool, has left days and versions that the index does not know
        let kept = if is_stale || self.history.is_none() { Some(self.read_rest(lake).await?) } else { None };
        let target = ledger_path(&self.merchant);
        let _lock = lake.lock(&target).await?;
        for round in 0..ROUNDS {
            tokio::time::sleep(PAUSE * round).await;
            // another run may have written it meanwhile: what it knows stays
            let (stored, over) = match read(lake, &self.merchant).await {
                Ok(Some((stored, version))) => (stored, Over::Version(version)),
                Ok(None) => (Index::default(), Over::Nothing),
                Err(_) => (Index::default(), Over::Anything),
            };
            let has_delta = stored.has_delta || self.has_delta || delta;
            let merged = Index { rows: self.merged(stored.rows, kept.as_ref()), has_delta };
            let written = lake.write_staged(target.clone(), run_id, move |mut out| {
                let bytes = index::encode(&merged)?;
                let written = std::io::Write::write_all(&mut out, &bytes).and_then(|()| std::io::Write::flush(&mut out));
                written.map_err(parquet::errors::ParquetError::from)?;
                Ok::<_, LakeError>(())
            });
            let (mut staged, ()) = written.await?;
            match staged.publish(&over).await? {
                Published::Done(_) => return Ok(()),
                Published::Changed => staged.discard().await,
            }
        }
        tracing::info!(merchant_id = self.merchant.api_id(), "other runs keep writing the ledger index: it is left to them");
        Ok(())
    }

    /// Reads the records that are not known yet: of days, and of versions in `history/`. Returns the versions that there are.
    async fn read_rest(&self, lake: &Lake) -> Result<BTreeSet<Path>, LakeError> {
        let unseen = |pay_date: &NaiveDate| self.trusted(*pay_date).is_none() && !self.learned().days.contains(pay_date);
        let days: Vec<NaiveDate> = self.listed.keys().copied().filter(unseen).collect();
        self.files(lake, days).try_for_each(async |_| Ok(())).await?;
        let kept: BTreeSet<Path> = lake
            .history_once()
            .await?
            .iter()
            .filter(|(key, _)| key.merchant == self.merchant)
            .flat_map(|(_, versions)| versions.iter().filter(|at| !is_damaged(at)).cloned())
            .collect();
        let known: BTreeSet<&Path> = self.history.iter().flatten().map(|row| &row.path).collect();
        let unseen = kept.iter().filter(|at| !known.contains(at) && !self.learned().kept.contains(*at)).cloned().collect::<Vec<_>>();
        let read = futures::stream::iter(unseen).map(async |at| match lake.file(&at).await {
            Ok(Some(file)) => {
                self.learn(&file, at, false);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) if error.of_one_object().is_some() => Ok(()),
            Err(error) => Err(error),
        });
        read.buffered(PARALLEL).try_for_each(async |()| Ok(())).await?;
        Ok(kept)
    }

    /// The index's rows with what became known; `kept` are the versions in `history/`, if they were listed.
    fn merged(&self, rows: Vec<IndexRow>, kept: Option<&BTreeSet<Path>>) -> Vec<IndexRow> {
        let learned = self.learned();
        let mut merged: BTreeMap<Path, IndexRow> = rows.into_iter().map(|row| (row.path.clone(), row)).collect();
        for row in self.current.values() {
            if !self.listed.contains_key(&row.pay_date) || learned.unreadable.contains(&row.pay_date) {
                merged.remove(&row.path);
            }
        }
        if let Some(kept) = kept {
            merged.retain(|at, row| row.current || kept.contains(at));
        }
        let mut newest = BTreeMap::new();
        for row in learned.rows.newest_first() {
            newest.entry(row.path.clone()).or_insert(row);
        }
        merged.extend(newest);
        let mut rows: Vec<IndexRow> = merged.into_values().collect();
        rows.sort_by(|a, b| (a.pay_date, a.current, &a.path).cmp(&(b.pay_date, b.current, &b.path)));
        rows
    }
}

/// A day whose file need not be read.
fn from_index(row: &IndexRow) -> Option<DayFile> {
    let record = row.record().ok()?;
    let object = StoredObject { etag: row.etag.clone(), bytes: row.bytes };
    Some(DayFile { record, fit: SchemaFit::Same, version: Version::Untagged, object })
}

/// A merchant's index, and its version; `None` if there is no index.
///
/// # Errors
/// Why it cannot be used.
pub(crate) async fn read(lake: &Lake, merchant: &MerchantName) -> Result<Option<(Index, Version)>, String> {
    let at = ledger_path(merchant);
    let Some(Fetched { file, version, .. }) = lake.fetch(&at).await.map_err(|error| error.to_string_with_causes())? else {
        return Ok(None);
    };
    let decoded = tokio::task::spawn_blocking(move || index::decode(file)).await;
    let index = decoded.map_err(|panic| panic.to_string())??;
    match index.rows.iter().find(|row| MerchantName::new(&row.merchant_id).as_ref() != Ok(merchant)) {
        Some(row) => Err(format!("{at} has a row of merchant {}", row.merchant_id)),
        None => Ok(Some((index, version))),
    }
}
