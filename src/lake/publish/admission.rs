//! Decides whether a prepared day may replace what the lake holds now, and keeps the version that it replaces.

use std::fs::File;

use chrono::{DateTime, Utc};
use object_store::path::Path;

use crate::lake::error::LakeError;
use crate::lake::file::DayFile;
use crate::lake::keep::{Kept, KeptVersion};
use crate::lake::layout::DayKey;
use crate::lake::record::{DayRecord, State, is_ahead};
use crate::lake::version::Over;
use crate::settlement::columns::{SchemaFit, fingerprint};

use super::{Origin, PublishError, Publisher};

/// Whether a prepared day goes into the lake.
pub(super) enum Admission {
    /// It does, over that, and in place of this version.
    Publish { over: Over, previous: Option<Box<Previous>> },
    /// What is stored is as good.
    AsStored(Box<DayRecord>),
    /// What is stored is this very file.
    IsStored,
    /// Another run has changed the day meanwhile.
    Changed,
}

/// A version that is replaced.
pub(super) struct Previous {
    pub(super) stored: DayFile,
    /// Where it is kept.
    pub(super) at: Path,
    pub(super) file: File,
}

/// A stored file has a schema that cannot be in one table with this version's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{object} was written by version {tool_version} with schema {stored}, and this version writes {}: engines would misread a table of both; rewrite such days with the command rebuild, or choose another --dest",
    fingerprint()
)]
pub struct OtherSchema {
    object: Path,
    tool_version: String,
    stored: String,
}

impl OtherSchema {
    pub(crate) fn new(key: &DayKey, stored: &DayRecord) -> Self {
        Self { object: key.settlement(), tool_version: stored.tool_version.clone(), stored: stored.schema_fingerprint.clone() }
    }
}

/// Whether a response without rows may not replace a stored day unless that is allowed: only pending rows may move away.
pub(crate) fn is_protected(stored: &DayRecord) -> bool {
    stored.rows > 0 && (stored.state == State::Closed || stored.pending_rows < stored.rows)
}

/// What to do with a prepared day, from the two records alone.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// The file is stored; only the store's response was lost.
    IsStored,
    /// The stored day is from a later response, or from this one.
    AsStored,
    /// The content is the same and the stored day is as good, if its file is undamaged.
    AsStoredIfWhole,
    /// The content is the same, and the record changed: replace the file without keeping it.
    Overwrite,
    /// The content changed: keep the stored version, and replace it.
    Replace,
}

/// `fit` is how the stored file's columns relate to this version's.
fn decide(record: &DayRecord, stored: &DayRecord, fit: SchemaFit, origin: Origin, now: DateTime<Utc>) -> Decision {
    if stored.seal == record.seal {
        return Decision::IsStored;
    }
    let same = fit == SchemaFit::Same && stored.digest == record.digest;
    // a clock that was ahead dated the stored day; the API has responded just now
    let ahead = origin == Origin::Api && is_ahead(stored.extracted_at, now);
    match (same, ahead) {
        (true, true) => Decision::Overwrite,
        (false, true) => Decision::Replace,
        _ if stored.extracted_at > record.extracted_at => Decision::AsStored,
        (true, false) if record.supersedes(stored) => Decision::Overwrite,
        (true, false) => Decision::AsStoredIfWhole,
        (false, false) => Decision::Replace,
    }
}

impl Publisher<'_> {
    /// Decides whether a day may take the place of what the lake holds now, and keeps the version that it replaces. The
    /// stored record is read here each time, because another run may have changed the day.
    pub(super) async fn admit(&self, key: &DayKey, record: &DayRecord) -> Result<Admission, PublishError> {
        let stored = match self.lake.day(key).await {
            Ok(None) => return Ok(Admission::Publish { over: Over::Nothing, previous: None }),
            Ok(Some(stored)) => stored,
            Err(LakeError::Record { .. }) => return self.keep(key, None).await,
            Err(error) => return self.admit_unread(key, record, error).await,
        };
        let now = (self.clock)();
        let decision = decide(record, &stored.record, stored.fit, self.policy.origin, now);
        self.warn(key, record, &stored, &decision, now);
        match decision {
            Decision::IsStored => Ok(Admission::IsStored),
            Decision::AsStored => Ok(Admission::AsStored(Box::new(stored.record))),
            Decision::Overwrite => Ok(Admission::Publish { over: Over::Version(stored.version), previous: None }),
            Decision::Replace => {
                self.guard(key, &stored, record)?;
                self.keep(key, Some(stored)).await
            }
            Decision::AsStoredIfWhole if self.lake.is_whole(key, &stored).await? => Ok(Admission::AsStored(Box::new(stored.record))),
            // a record that agrees is no reason to leave a damaged file
            Decision::AsStoredIfWhole => self.keep(key, Some(stored)).await,
        }
    }

    /// A day whose file cannot be read, such as an archived one, is as stored if the index knows its record and that agrees.
    async fn admit_unread(&self, key: &DayKey, record: &DayRecord, error: LakeError) -> Result<Admission, PublishError> {
        if error.of_one_object().is_none() {
            return Err(error.into());
        }
        let known = match self.ledger.trusted(key.pay_date) {
            // if its ETag cannot be read either, the first error is the one that states why
            Some(row) => self.lake.etag(&key.settlement()).await.is_ok_and(|etag| etag == row.etag).then(|| row.record().ok()).flatten(),
            None => None,
        };
        let Some(stored) = known else { return Err(error.into()) };
        match decide(record, &stored, SchemaFit::Same, self.policy.origin, (self.clock)()) {
            Decision::AsStored | Decision::AsStoredIfWhole => {
                let reason = error.to_string_with_causes();
                tracing::warn!(pay_date = %key.pay_date, "unchanged, by the ledger index alone: the file was not read: {reason}");
                Ok(Admission::AsStored(Box::new(stored)))
            }
            Decision::IsStored | Decision::Overwrite | Decision::Replace => Err(error.into()),
        }
    }

    fn warn(&self, key: &DayKey, record: &DayRecord, stored: &DayFile, decision: &Decision, now: DateTime<Utc>) {
        let dated = stored.record.extracted_at;
        match decision {
            Decision::Overwrite | Decision::Replace if self.policy.origin == Origin::Api && is_ahead(dated, now) => tracing::warn!(
                pay_date = %key.pay_date, stored = %dated,
                "the stored day is dated ahead of the local clock, and is replaced by the API's current response: check the clocks"
            ),
            Decision::AsStored if stored.record.digest != record.digest || stored.fit != SchemaFit::Same => {
                tracing::warn!(pay_date = %key.pay_date, stored = %dated, "kept the stored day: it comes from a later response");
            }
            _ => {}
        }
    }

    /// Keeps the version that is about to be replaced.
    async fn keep(&self, key: &DayKey, stored: Option<DayFile>) -> Result<Admission, PublishError> {
        let kept = self.lake.keep_version(key, stored.as_ref(), &self.run_id).await?;
        let Kept::At(KeptVersion { at, file, version, damage, object }) = kept else { return Ok(Admission::Changed) };
        if let (Some(stored), None) = (&stored, &damage) {
            self.ledger.kept(&stored.record, &at, &object);
        }
        if let Some(reason) = &damage {
            tracing::warn!(pay_date = %key.pay_date, kept = %at, "replacing a damaged file: {reason}");
        }
        let previous = stored.filter(|_| damage.is_none()).map(|stored| Box::new(Previous { stored, at, file }));
        Ok(Admission::Publish { over: Over::Version(version), previous })
    }

    /// Protects a stored day from a response that may replace it only with the user's explicit permission.
    fn guard(&self, key: &DayKey, stored: &DayFile, record: &DayRecord) -> Result<(), PublishError> {
        if !stored.fit.shares_a_table() && self.policy.origin == Origin::Api {
            return Err(OtherSchema::new(key, &stored.record).into());
        }
        if record.rows == 0 && is_protected(&stored.record) && !self.policy.allow_empty_replacement {
            return Err(PublishError::EmptyReplacement { stored_rows: stored.record.rows });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::lake::record::OpenReason;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    /// A record of a response that arrived this many minutes ago.
    fn record(minutes_ago: i64, digest: &str) -> DayRecord {
        let extracted_at = NOW - TimeDelta::minutes(minutes_ago);
        DayRecord { extracted_at, digest: digest.into(), seal: format!("{digest} {minutes_ago}"), ..DayRecord::sample() }
    }

    fn decided(new: &DayRecord, stored: &DayRecord) -> Decision {
        decide(new, stored, SchemaFit::Same, Origin::Api, NOW)
    }

    #[test]
    fn different_content_replaces_an_earlier_response_and_yields_to_a_later_one() {
        assert_eq!(decided(&record(1, "a"), &record(9, "b")), Decision::Replace);
        assert_eq!(decided(&record(9, "a"), &record(1, "b")), Decision::AsStored);
    }

    #[test]
    fn equal_content_stays_if_its_file_is_undamaged() {
        assert_eq!(decided(&record(1, "a"), &record(9, "a")), Decision::AsStoredIfWhole);
        assert_eq!(decided(&record(9, "a"), &record(1, "a")), Decision::AsStored);
    }

    #[test]
    fn equal_content_of_another_schema_is_rewritten() {
        let (new, stored) = (record(1, "a"), record(9, "a"));
        assert_eq!(decide(&new, &stored, SchemaFit::Other, Origin::Saved, NOW), Decision::Replace);
    }

    #[test]
    fn an_open_day_that_is_now_closed_is_overwritten_without_keeping_it() {
        let open = DayRecord { state: State::Open, open_because: vec![OpenReason::PendingRows], ..record(9, "a") };
        assert_eq!(decided(&record(1, "a"), &open), Decision::Overwrite);
    }

    #[test]
    fn the_very_file_that_was_stored_is_recognized() {
        assert_eq!(decided(&record(1, "a"), &record(1, "a")), Decision::IsStored);
    }

    #[test]
    fn a_day_dated_ahead_of_the_clock_is_replaced_by_a_response_but_not_by_a_rebuild() {
        let ahead = record(-10, "b");
        assert_eq!(decided(&record(0, "a"), &ahead), Decision::Replace);
        assert_eq!(decided(&record(0, "b"), &ahead), Decision::Overwrite);
        assert_eq!(decide(&record(0, "a"), &ahead, SchemaFit::Same, Origin::Saved, NOW), Decision::AsStored);
        // clocks that are synchronized differ a little
        assert_eq!(decided(&record(0, "a"), &record(-4, "b")), Decision::AsStored);
    }

    #[test]
    fn a_day_with_rows_is_protected_unless_all_of_them_are_pending() {
        let day = |state, rows, pending_rows| DayRecord { state, rows, pending_rows, ..DayRecord::sample() };
        assert!(is_protected(&day(State::Closed, 3, 0)));
        assert!(is_protected(&day(State::Open, 3, 2)));
        assert!(!is_protected(&day(State::Open, 3, 3)));
        assert!(!is_protected(&day(State::Closed, 0, 0)));
    }
}
