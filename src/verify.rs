//! Reads every file of a lake back and checks it against its day record. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use serde::Serialize;

use crate::calendar::DateRange;
use crate::delta::audit::audit;
use crate::delta::error::DeltaError;
use crate::delta::snapshot::Snapshot;
use crate::errors::chain;
use crate::lake::error::LakeError;
use crate::lake::holdings::Holdings;
use crate::lake::index::IndexRow;
use crate::lake::layout::{DELTA, DayKey, SETTLEMENTS, is_damaged, ledger_path};
use crate::lake::ledger;
use crate::lake::merchant::MerchantName;
use crate::lake::record::{DayRecord, Environment};
use crate::lake::store::Lake;
use crate::scope::{Scope, ScopedMerchant};

/// A file that is missing or not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The pay date; `None` if it concerns no single day.
    pub pay_date: Option<NaiveDate>,
    /// The object.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
}

/// What a verification found.
#[derive(Debug, Clone, Default)]
pub struct Verified {
    /// What is wrong with the Delta table as a whole.
    table: Option<Difference>,
    /// Files read.
    pub checked: u64,
    merchants: Vec<MerchantVerified>,
}

/// What was found of one merchant's days.
#[derive(Debug, Clone)]
struct MerchantVerified {
    merchant: MerchantName,
    range: Option<DateRange>,
    /// The days of the range that have a file.
    present: BTreeSet<NaiveDate>,
    /// What is wrong with files.
    found: BTreeMap<NaiveDate, Vec<Difference>>,
}

impl Verified {
    /// The differences, by merchant and day.
    pub fn differences(&self) -> impl Iterator<Item = Difference> + '_ {
        let of_days = self
            .merchants
            .iter()
            .flat_map(|merchant| merchant.range.into_iter().flat_map(DateRange::days).flat_map(|pay_date| merchant.of_day(pay_date)));
        self.table.iter().cloned().chain(of_days)
    }

    /// How many there are.
    #[must_use]
    pub fn different(&self) -> u64 {
        let of_merchant = |merchant: &MerchantVerified| {
            let missing = merchant.range.map_or(0, DateRange::len) - merchant.present.len() as u64;
            missing + merchant.found.values().map(|found| found.len() as u64).sum::<u64>()
        };
        self.table.iter().count() as u64 + self.merchants.iter().map(of_merchant).sum::<u64>()
    }
}

impl MerchantVerified {
    fn of_day(&self, pay_date: NaiveDate) -> Vec<Difference> {
        let mut found = self.found.get(&pay_date).cloned().unwrap_or_default();
        if !self.present.contains(&pay_date) {
            let path = DayKey { pay_date, merchant: self.merchant.clone() }.settlement().to_string();
            found.push(Difference { pay_date: Some(pay_date), path, what: "it is missing".into() });
        }
        found
    }
}

/// Files that were verified: what is stated in them, and their sizes.
type Records = BTreeMap<Path, (DayRecord, u64)>;

/// The rows of a merchant's ledger index that runs would trust, and that are not what the files state, once each. A row that is out of date is
/// none of them, nor is an index that cannot be read: both cost only time.
async fn wrong_rows(lake: &Lake, of: &ScopedDays<'_>, holdings: &Holdings, records: &Records) -> Result<Vec<Difference>, LakeError> {
    let merchant = of.merchant;
    let rows = match ledger::read(lake, merchant).await {
        Ok(index) => index.map(|(index, _)| index.rows).unwrap_or_default(),
        Err(reason) => {
            tracing::warn!(
                merchant_id = merchant.api_id(),
                "the ledger index cannot be used, and is written again by the next run: {reason}"
            );
            Vec::new()
        }
    };
    let is_in_table = |row: &IndexRow| row.path.parts().next().is_some_and(|folder| folder.as_ref() == SETTLEMENTS);
    let is_trusted = |row: &IndexRow| !is_in_table(row) || (row.etag.is_some() && holdings.etag(&row.path) == row.etag);
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for row in rows.into_iter().filter(is_trusted) {
        let is_first = seen.insert(row.path.clone());
        let what = match records.get(&row.path) {
            Some((record, bytes)) => {
                let right = IndexRow::of(record, row.path.clone(), is_in_table(&row), *bytes, row.etag.clone());
                let is_wrong = !is_first || row.record().as_ref() != Ok(record) || IndexRow { record: row.record.clone(), ..right } != row;
                is_wrong.then_some("is not what that file states")
            }
            // a run that goes on meanwhile may have kept a version since the listing
            None if !is_in_table(&row) && of.lack(&row) && lake.found(&row.path).await?.is_none() => Some("has no such file"),
            None => None,
        };
        wrong.extend(what.map(|what| Difference {
            pay_date: Some(row.pay_date),
            path: ledger_path(merchant).to_string(),
            what: format!("its row of {} {what}: remove the index, which the next run writes again", row.path),
        }));
    }
    Ok(wrong)
}

/// The days of a merchant that are verified.
struct ScopedDays<'a> {
    merchant: &'a MerchantName,
    range: Option<DateRange>,
    /// Their files.
    files: &'a BTreeSet<Path>,
}

impl ScopedDays<'_> {
    /// Whether a row is about one of these days, and about none of their files.
    fn lack(&self, row: &IndexRow) -> bool {
        self.range.is_some_and(|range| range.from <= row.pay_date && row.pay_date <= range.to) && !self.files.contains(&row.path)
    }

    /// The day among these at which to state a difference.
    fn place(&self, pay_date: NaiveDate) -> NaiveDate {
        self.range.map_or(pay_date, |range| pay_date.clamp(range.from, range.to))
    }
}

/// Verifies the days in scope, including the versions of them in `history/`. A day without a file between the first and the
/// last is a difference.
///
/// # Errors
/// The lake cannot be read.
pub(crate) async fn verify(lake: &Lake, scope: &Scope, mut holdings: Holdings) -> Result<Verified, LakeError> {
    /// Files checked in parallel. A file is held on disk, not in memory.
    const AT_ONCE: usize = 16;
    let mut verified = Verified::default();
    let snapshot = match Snapshot::read(lake).await {
        Ok(snapshot) => snapshot,
        Err(DeltaError::Lake(error)) => return Err(error),
        Err(error) => {
            verified.table = Some(Difference { pay_date: None, path: DELTA.to_owned(), what: chain(&error) });
            None
        }
    };
    let mut environment: Option<(Environment, Path)> = None;
    for ScopedMerchant { merchant, range, dates } in scope.merchants(&holdings) {
        let mut files: Vec<(DayKey, Path)> = Vec::new();
        let (mut present, mut found) = (BTreeSet::new(), BTreeMap::<NaiveDate, Vec<Difference>>::new());
        for pay_date in dates {
            let key = DayKey { pay_date, merchant: merchant.clone() };
            let kept = holdings.history.remove(&key).unwrap_or_default();
            files.extend(kept.into_iter().filter(|at| !is_damaged(at)).map(|at| (key.clone(), at)));
            if holdings.has_day(&key) {
                present.insert(pay_date);
                let at = key.settlement();
                files.push((key, at));
            }
        }
        verified.checked += files.len() as u64;
        let listed: BTreeSet<Path> = files.iter().map(|(_, at)| at.clone()).collect();
        let days = ScopedDays { merchant: &merchant, range, files: &listed };
        let mut records = Records::new();
        let mut audited = futures::stream::iter(files)
            .map(async |(key, at)| Ok::<_, LakeError>((key.pay_date, lake.audit(&key, &at).await?, at)))
            .buffered(AT_ONCE);
        while let Some((pay_date, audit, at)) = audited.try_next().await? {
            let mut what = audit.found;
            if let Some((record, bytes)) = audit.record {
                let (first, witness) = environment.get_or_insert_with(|| (record.environment, at.clone()));
                if *first != record.environment {
                    what.push(format!(
                        "it is from the {} API, and {witness} from the {first} one: a lake holds days of one",
                        record.environment
                    ));
                }
                records.insert(at.clone(), (record, bytes));
            }
            for what in what {
                found.entry(pay_date).or_default().push(Difference { pay_date: Some(pay_date), path: at.to_string(), what });
            }
        }
        for difference in wrong_rows(lake, &days, &holdings, &records).await? {
            let pay_date = days.place(difference.pay_date.unwrap_or_default());
            found.entry(pay_date).or_default().push(difference);
        }
        if let Some(snapshot) = &snapshot {
            let current = |at: &Path| DayKey::of_settlement(at).map(|key| key.pay_date);
            let records: BTreeMap<NaiveDate, &DayRecord> =
                records.iter().filter_map(|(at, (record, _))| Some((current(at)?, record))).collect();
            for file in snapshot.files_of(&merchant).filter(|file| range.is_some_and(|range| file.month.overlaps(range))) {
                verified.checked += 1;
                for (pay_date, what) in audit(lake, file, &records).await? {
                    let difference = Difference { pay_date: Some(pay_date), path: file.location().to_string(), what };
                    found.entry(days.place(pay_date)).or_default().push(difference);
                }
            }
        }
        verified.merchants.push(MerchantVerified { merchant, range, present, found });
    }
    Ok(verified)
}
