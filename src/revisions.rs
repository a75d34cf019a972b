//! The versions of a day in the order in which they replaced each other, and which of them restated the one before.

use std::collections::BTreeMap;
use std::pin::pin;

use chrono::{DateTime, NaiveDate, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;

use crate::lake::error::LakeError;
use crate::lake::index::IndexRow;
use crate::lake::layout::{DayKey, is_damaged};
use crate::lake::ledger::MerchantLedger;
use crate::lake::record::{DayRecord, State};
use crate::lake::store::Lake;
use crate::settlement::columns::amounts;

/// What a version of a day states.
#[derive(Debug, Clone)]
pub(crate) struct Revision {
    state: State,
    digest: String,
    schema_fingerprint: String,
    /// When its response arrived.
    pub(crate) extracted_at: DateTime<Utc>,
    /// Its rows.
    pub(crate) rows: u64,
    /// The sum of their payment amounts, in hundredths of a won.
    pub(crate) payout: i128,
}

impl Revision {
    pub(crate) fn of(record: &DayRecord) -> Self {
        let payout = amounts().position(|(_, column)| column.name == "payment_amount").map(|index| record.exact_sums()[index]);
        Self {
            state: record.state,
            digest: record.digest.clone(),
            schema_fingerprint: record.schema_fingerprint.clone(),
            extracted_at: record.extracted_at,
            rows: record.rows,
            payout: payout.unwrap_or_default(),
        }
    }

    /// Whether it restated the version before it: that one was closed, and had other content in the same columns.
    fn restates(&self, earlier: &Self) -> bool {
        earlier.state == State::Closed && earlier.digest != self.digest && earlier.schema_fingerprint == self.schema_fingerprint
    }
}

/// The restatements among versions, oldest first: each with the version before it.
pub(crate) fn restatements(revisions: &[Revision]) -> impl Iterator<Item = (&Revision, &Revision)> {
    revisions.windows(2).map(|pair| (&pair[0], &pair[1])).filter(|(before, after)| after.restates(before))
}

/// The versions of these days that were replaced, oldest first, as far as `history` lists them. One that cannot be read is left out.
///
/// # Errors
/// The lake cannot be read.
pub(crate) async fn replaced<'k>(
    lake: &Lake,
    days: impl IntoIterator<Item = &'k DayKey>,
    history: &BTreeMap<DayKey, Vec<Path>>,
    ledger: &MerchantLedger,
) -> Result<BTreeMap<NaiveDate, Vec<Revision>>, LakeError> {
    const PARALLEL: usize = 32;
    let indexed: BTreeMap<&Path, &IndexRow> = ledger.history().into_iter().flatten().map(|row| (&row.path, row)).collect();
    let kept = days.into_iter().flat_map(|key| history.get(key).into_iter().flatten().map(move |at| (key.pay_date, at)));
    let kept: Vec<(NaiveDate, &Path)> = kept.filter(|(_, at)| !is_damaged(at)).collect();
    let read = futures::stream::iter(kept).map(async |(pay_date, at)| {
        if let Some(record) = indexed.get(at).and_then(|row| row.record().ok()) {
            return Ok(Some((pay_date, Revision::of(&record))));
        }
        match lake.file(at).await {
            Ok(file) => Ok(file.map(|file| (pay_date, Revision::of(&file.record)))),
            Err(error) if error.of_one_object().is_some() => Ok(None),
            Err(error) => Err(error),
        }
    });
    let mut revisions: BTreeMap<NaiveDate, Vec<Revision>> = BTreeMap::new();
    let mut read = pin!(read.buffered(PARALLEL));
    while let Some(found) = read.try_next().await? {
        if let Some((pay_date, revision)) = found {
            revisions.entry(pay_date).or_default().push(revision);
        }
    }
    Ok(revisions)
}
