//! A day that was read takes the place of what the lake holds: whether it may, what is kept of the
//! version it replaces, and how the two differ.

use std::sync::atomic::{AtomicBool, Ordering};

use object_store::path::Path;

use crate::errors::chain;
use crate::lake::error::LakeError;
use crate::lake::layout::DayKey;
use crate::lake::record::{DayRecord, State};
use crate::result::{Kind, Restated};
use crate::settlement::columns::amounts;
use crate::settlement::diff::Diff;
use crate::settlement::totals::{Sums, parse_sum};
use crate::settlement::values::format_decimal;

use super::{DayError, Extractor, Landed, ReadDay, storage};

impl Extractor<'_> {
    /// Puts a day in place of what the lake holds, where that is another.
    pub(super) async fn publish(&self, day: ReadDay, publishing: &AtomicBool) -> Result<Landed, DayError> {
        let ReadDay { staged, encoded, .. } = day;
        let record = &encoded.record;
        let key = self.key(record.pay_date);
        let mut landed = Landed {
            pay_date: record.pay_date,
            written: false,
            rows: record.rows,
            rejected_rows: record.rejected_rows,
            sums: encoded.sums,
            bytes: 0,
            restated: None,
        };
        let replaced = match self.admit(&key, record).await {
            Ok(Admission::Publish(replaced)) => replaced,
            Ok(Admission::AsStored(stored)) => {
                staged.discard().await;
                // the figures of what is in the lake, whichever answer it came from
                landed.rows = stored.rows;
                landed.sums = sums(&stored);
                return Ok(landed);
            }
            Err(error) => {
                staged.discard().await;
                return Err(error);
            }
        };
        publishing.store(true, Ordering::Relaxed);
        staged.publish().await.map_err(|error| storage(&error))?;
        if let Some((stored, kept)) = replaced {
            let restated = self.compare(&key, &stored, &kept, record).await.map_err(|error| DayError {
                message: format!("the day was published, but how it differs from {kept} cannot be told: {}", chain(&error)),
                ..storage(&error)
            })?;
            let Restated { added, removed, changed, .. } = restated;
            tracing::warn!(pay_date = %key.pay_date, added, removed, changed, before = %kept, "restated");
            landed.restated = Some(restated);
        }
        landed.written = true;
        landed.bytes = encoded.bytes;
        Ok(landed)
    }

    /// Says whether a day may take the place of what the lake holds now, and keeps the version that
    /// it replaces. The stored record is read anew: another run may have been here.
    async fn admit(&self, key: &DayKey, record: &DayRecord) -> Result<Admission, DayError> {
        let stored = match self.lake.record(key).await {
            Ok(None) => return Ok(Admission::Publish(None)),
            Ok(Some(stored)) => stored,
            Err(error @ LakeError::Record { .. }) => {
                let kept = self.lake.keep_version(key, None).await.map_err(|error| storage(&error))?;
                tracing::warn!(pay_date = %key.pay_date, %kept, error = chain(&error), "replacing a file that cannot be read");
                return Ok(Admission::Publish(None));
            }
            Err(error) => return Err(storage(&error)),
        };
        if stored.digest == record.digest {
            let anew = record.supersedes(&stored);
            return Ok(if anew { Admission::Publish(None) } else { Admission::AsStored(Box::new(stored)) });
        }
        if stored.extracted_at > record.extracted_at {
            tracing::warn!(pay_date = %key.pay_date, stored = %stored.extracted_at, "the lake holds a later answer, which stays");
            return Ok(Admission::AsStored(Box::new(stored)));
        }
        if record.rows == 0 && is_protected(&stored) && !self.policy.allow_empty_replacement {
            return Err(DayError {
                kind: Kind::Guard,
                message: format!(
                    "the API now answers no rows, where the lake holds {}: the stored day was kept; if this is right, run again with --allow-empty-replacement",
                    stored.rows
                ),
                attempts: 1,
            });
        }
        let kept = self.lake.keep_version(key, Some(&stored)).await.map_err(|error| storage(&error))?;
        Ok(Admission::Publish(Some((Box::new(stored), kept))))
    }

    /// What changed from the version kept at `kept` to the one now in the table.
    async fn compare(&self, key: &DayKey, stored: &DayRecord, kept: &Path, record: &DayRecord) -> Result<Restated, LakeError> {
        let diff = self.lake.read_rows(kept, Diff::with_rows(stored.rows, record.rows), Diff::before).await?;
        let changes = self.lake.read_rows(&key.settlement(), diff, Diff::after).await?.changes();
        let delta = amounts()
            .map(|(_, column)| column.name)
            .zip(sums(record).into_iter().zip(sums(stored)).map(|(now, before)| now - before))
            .filter(|(_, change)| *change != 0)
            .map(|(column, change)| (column.to_owned(), format_decimal(change, 2).into()))
            .collect();
        Ok(Restated {
            merchant_id: record.merchant_id.clone(),
            pay_date: record.pay_date,
            rows_before: stored.rows,
            rows_after: record.rows,
            added: changes.added,
            removed: changes.removed,
            changed: changes.changed,
            delta,
        })
    }
}

/// Whether a day that was read goes into the lake.
enum Admission {
    /// It does, in place of the version given, which was kept there.
    Publish(Option<(Box<DayRecord>, Path)>),
    /// What is stored is as good.
    AsStored(Box<DayRecord>),
}

/// A record's sums, read back.
fn sums(record: &DayRecord) -> Sums {
    let mut sums = Sums::default();
    for (sum, (_, column)) in sums.iter_mut().zip(amounts()) {
        *sum = record.sums.get(column.name).and_then(|text| parse_sum(text.as_str()?)).unwrap_or_default();
    }
    sums
}

/// A stored day that an empty answer may not replace unasked: pending rows alone may move away.
fn is_protected(stored: &DayRecord) -> bool {
    stored.rows > 0 && (stored.state == State::Closed || stored.pending_rows < stored.rows)
}
