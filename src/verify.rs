//! Reads every file of a lake back and holds it against its record. Changes nothing.

use chrono::NaiveDate;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use serde::Serialize;

use crate::lake::error::LakeError;
use crate::lake::layout::{DayKey, is_damaged};
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
    let stored = lake.days().await?.into_iter().map(|day| day.key);
    let mut history = lake.history().await?;
    let mut verified = Verified::default();
    for (merchant, range, dates) in scope.of(stored) {
        let key = |pay_date| DayKey { pay_date, merchant: merchant.clone() };
        let mut files: Vec<(DayKey, Path)> = Vec::new();
        let mut found: Vec<Difference> = Vec::new();
        for pay_date in range.into_iter().flat_map(Range::days) {
            let key = key(pay_date);
            let kept = history.remove(&key).unwrap_or_default();
            files.extend(kept.into_iter().filter(|at| !is_damaged(at)).map(|at| (key.clone(), at)));
            let at = key.settlement();
            if dates.contains(&pay_date) {
                files.push((key, at));
            } else {
                found.extend(differences(pay_date, &at, vec!["it is missing".into()]));
            }
        }
        verified.checked += files.len() as u64;
        let wrong: Vec<Difference> = futures::stream::iter(files)
            .map(async |(key, at)| Ok::<_, LakeError>(differences(key.pay_date, &at, lake.audit(&key, &at).await?)))
            .buffer_unordered(AT_ONCE)
            .try_concat()
            .await?;
        found.extend(wrong);
        found.sort_by(|a, b| (a.pay_date, &a.path).cmp(&(b.pay_date, &b.path)));
        verified.differences.append(&mut found);
    }
    Ok(verified)
}

fn differences(pay_date: NaiveDate, at: &Path, what: Vec<String>) -> Vec<Difference> {
    what.into_iter().map(|what| Difference { pay_date, path: at.to_string(), what }).collect()
}
