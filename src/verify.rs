//! Reads every file of a lake back and checks it against its day record. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use serde::Serialize;

use crate::calendar::DateRange;
use crate::lake::error::LakeError;
use crate::lake::layout::{DayKey, is_damaged};
use crate::lake::merchant::MerchantName;
use crate::lake::record::Environment;
use crate::lake::store::Lake;
use crate::scope::{Scope, ScopedMerchant};

/// A file that is missing or not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The pay date.
    pub pay_date: NaiveDate,
    /// The object.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
}

/// What a verification found.
#[derive(Debug, Clone, Default)]
pub struct Verified {
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
        self.merchants
            .iter()
            .flat_map(|merchant| merchant.range.into_iter().flat_map(DateRange::days).flat_map(|pay_date| merchant.of_day(pay_date)))
    }

    /// How many there are.
    #[must_use]
    pub fn different(&self) -> u64 {
        let of_merchant = |merchant: &MerchantVerified| {
            let missing = merchant.range.map_or(0, DateRange::len) - merchant.present.len() as u64;
            missing + merchant.found.values().map(|found| found.len() as u64).sum::<u64>()
        };
        self.merchants.iter().map(of_merchant).sum()
    }
}

impl MerchantVerified {
    fn of_day(&self, pay_date: NaiveDate) -> Vec<Difference> {
        let mut found = self.found.get(&pay_date).cloned().unwrap_or_default();
        if !self.present.contains(&pay_date) {
            let path = DayKey { pay_date, merchant: self.merchant.clone() }.settlement().to_string();
            found.push(Difference { pay_date, path, what: "it is missing".into() });
        }
        found
    }
}

/// Verifies the days in scope, including the versions of them in `history/`. A day without a file between the first and the
/// last is a difference.
///
/// # Errors
/// The lake cannot be read.
pub async fn verify(lake: &Lake, scope: &Scope) -> Result<Verified, LakeError> {
    /// Files checked in parallel. A file is held on disk, not in memory.
    const AT_ONCE: usize = 16;
    let stored: BTreeSet<DayKey> = lake.days().await?.into_iter().collect();
    let mut history = lake.history().await?;
    let mut verified = Verified::default();
    let mut environment: Option<(Environment, Path)> = None;
    // a day of which only an earlier version is left is missing, too
    let held: Vec<DayKey> = stored.iter().chain(history.keys()).cloned().collect();
    for ScopedMerchant { merchant, range, dates } in scope.merchants(held) {
        let mut files: Vec<(DayKey, Path)> = Vec::new();
        let (mut present, mut found) = (BTreeSet::new(), BTreeMap::<NaiveDate, Vec<Difference>>::new());
        for pay_date in dates {
            let key = DayKey { pay_date, merchant: merchant.clone() };
            let kept = history.remove(&key).unwrap_or_default();
            files.extend(kept.into_iter().filter(|at| !is_damaged(at)).map(|at| (key.clone(), at)));
            if stored.contains(&key) {
                present.insert(pay_date);
                let at = key.settlement();
                files.push((key, at));
            }
        }
        verified.checked += files.len() as u64;
        let mut audited = futures::stream::iter(files)
            .map(async |(key, at)| Ok::<_, LakeError>((key.pay_date, lake.audit(&key, &at).await?, at)))
            .buffered(AT_ONCE);
        while let Some((pay_date, audit, at)) = audited.try_next().await? {
            let mut what = audit.found;
            if let Some(record) = audit.record {
                let (first, witness) = environment.get_or_insert_with(|| (record.environment, at.clone()));
                if *first != record.environment {
                    what.push(format!(
                        "it is from the {} API, and {witness} from the {first} one: a lake holds days of one",
                        record.environment
                    ));
                }
            }
            for what in what {
                found.entry(pay_date).or_default().push(Difference { pay_date, path: at.to_string(), what });
            }
        }
        verified.merchants.push(MerchantVerified { merchant, range, present, found });
    }
    Ok(verified)
}
