//! Reads every file of a lake back and holds it against its record. Changes nothing.

use chrono::NaiveDate;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use crate::lake::error::LakeError;
use crate::lake::layout::DayKey;
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

/// Verifies the days in scope; a day without a file between the scope's ends is a difference.
///
/// # Errors
/// Where the lake cannot be read.
pub async fn verify(lake: &Lake, scope: &Scope) -> Result<Verified, LakeError> {
    /// Files at once: reading and hashing keeps two cores busy, and a file is held on disk.
    const AT_ONCE: usize = 4;
    let stored = lake.days().await?.into_iter().map(|day| day.key);
    let mut verified = Verified::default();
    for (merchant, range, dates) in scope.of(stored) {
        let key = |pay_date| DayKey { pay_date, merchant: merchant.clone() };
        let mut found: Vec<Difference> = futures::stream::iter(dates.iter().map(|date| key(*date)))
            .map(|key| async move { Ok::<_, LakeError>(differences(&key, lake.audit(&key).await?)) })
            .buffer_unordered(AT_ONCE)
            .try_concat()
            .await?;
        let missing = range.into_iter().flat_map(Range::days).filter(|date| !dates.contains(date));
        found.extend(missing.flat_map(|date| differences(&key(date), vec!["it is missing".into()])));
        found.sort_by_key(|a| a.pay_date);
        verified.checked += dates.len() as u64;
        verified.differences.append(&mut found);
    }
    Ok(verified)
}

fn differences(key: &DayKey, what: Vec<String>) -> Vec<Difference> {
    let path = key.settlement().to_string();
    what.into_iter().map(|what| Difference { pay_date: key.pay_date, path: path.clone(), what }).collect()
}
