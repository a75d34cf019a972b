//! Reads every file of a lake back and holds it against its record. Changes nothing.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use serde::Serialize;

use crate::lake::error::LakeError;
use crate::lake::layout::{DayKey, is_damaged};
use crate::lake::record::Environment;
use crate::lake::store::Lake;
use crate::plan::Range;
use crate::status::Scope;

/// Something that is not as it should be.
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
    /// What is not as it should be, by day.
    pub differences: Vec<Difference>,
}

/// Verifies the days in scope, the versions of them in `history/` included; a day without a file between
/// the scope's ends is a difference.
///
/// # Errors
/// Where the lake cannot be read.
pub async fn verify(lake: &Lake, scope: &Scope) -> Result<Verified, LakeError> {
    /// Files at once: what S3 takes to answer is waited for together; a file is held on disk, not in memory.
    const AT_ONCE: usize = 16;
    let stored: BTreeSet<DayKey> = lake.days().await?.into_iter().collect();
    let mut history = lake.history().await?;
    let mut verified = Verified::default();
    let mut environment: Option<(Environment, Path)> = None;
    // a day of which only an earlier version is left is missing, too
    let known: Vec<DayKey> = stored.iter().chain(history.keys()).cloned().collect();
    for (merchant, range, _) in scope.of(known) {
        let mut files: Vec<(DayKey, Path)> = Vec::new();
        let mut found: Vec<Difference> = Vec::new();
        for pay_date in range.into_iter().flat_map(Range::days) {
            let key = DayKey { pay_date, merchant: merchant.clone() };
            let kept = history.remove(&key).unwrap_or_default();
            files.extend(kept.into_iter().filter(|at| !is_damaged(at)).map(|at| (key.clone(), at)));
            let at = key.settlement();
            if stored.contains(&key) {
                files.push((key, at));
            } else {
                found.extend(differences(pay_date, &at, vec!["it is missing".into()]));
            }
        }
        verified.checked += files.len() as u64;
        let mut audited = futures::stream::iter(files)
            .map(async |(key, at)| Ok::<_, LakeError>((key.pay_date, lake.audit(&key, &at).await?, at)))
            .buffered(AT_ONCE);
        while let Some((pay_date, audit, at)) = audited.try_next().await? {
            found.extend(differences(pay_date, &at, audit.found));
            let Some(record) = audit.record else { continue };
            let (first, witness) = environment.get_or_insert_with(|| (record.environment, at.clone()));
            if *first != record.environment {
                let what = format!("it is the {} API's day, and {witness} the {first} one's: a lake holds one", record.environment);
                found.extend(differences(pay_date, &at, vec![what]));
            }
        }
        found.sort_by(|a, b| (a.pay_date, &a.path).cmp(&(b.pay_date, &b.path)));
        verified.differences.append(&mut found);
    }
    Ok(verified)
}

fn differences(pay_date: NaiveDate, at: &Path, what: Vec<String>) -> Vec<Difference> {
    what.into_iter().map(|what| Difference { pay_date, path: at.to_string(), what }).collect()
}
