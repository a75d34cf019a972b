//! Decides whether a prepared day may replace what the lake holds now, and keeps the version that it replaces.

use std::fs::File;

use chrono::{DateTime, Utc};
use object_store::path::Path;

use crate::lake::error::LakeError;
use crate::lake::layout::DayKey;
use crate::lake::record::{DayRecord, State, is_ahead};
use crate::lake::staging::Over;
use crate::lake::store::{DayFile, Kept};
use crate::settlement::columns::{SchemaFit, fingerprint};

use super::{Origin, PublishError, PublishPolicy, Publisher};

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

/// Whether engines read files of such columns and of this version's correctly in one table.
pub(crate) fn shares_a_table(fit: SchemaFit) -> bool {
    match fit {
        SchemaFit::Same | SchemaFit::Appended => true,
        SchemaFit::Widened | SchemaFit::Other => false,
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

fn decide(record: &DayRecord, stored: &DayFile, policy: PublishPolicy, now: DateTime<Utc>) -> Decision {
    if stored.record.seal == record.seal {
        return Decision::IsStored;
    }
    let same = stored.fit == SchemaFit::Same && stored.record.digest == record.digest;
    // a clock that was ahead dated the stored day; the API has responded just now
    let ahead = policy.origin == Origin::Api && is_ahead(stored.record.extracted_at, now);
    match (same, ahead) {
        (true, true) => Decision::Overwrite,
        (false, true) => Decision::Replace,
        _ if stored.record.extracted_at > record.extracted_at => Decision::AsStored,
        (true, false) if record.supersedes(&stored.record) => Decision::Overwrite,
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
            Err(error) => return Err(error.into()),
        };
        let now = (self.clock)();
        let decision = decide(record, &stored, self.policy, now);
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

    fn warn(&self, key: &DayKey, record: &DayRecord, stored: &DayFile, decision: &Decision, now: DateTime<Utc>) {
        let dated = stored.record.extracted_at;
        match decision {
            Decision::Overwrite | Decision::Replace if self.policy.origin == Origin::Api && is_ahead(dated, now) => tracing::warn!(
                pay_date = %key.pay_date, stored = %dated,
                "the stored day is dated ahead of the local clock, and is replaced by the API's current response: check the clocks"
            ),
            Decision::AsStored if stored.record.digest != record.digest || stored.fit != SchemaFit::Same => {
                tracing::warn!(pay_date = %key.pay_date, stored = %dated, "the lake holds a later response, which stays");
            }
            _ => {}
        }
    }

    /// Keeps the version that is about to be replaced.
    async fn keep(&self, key: &DayKey, stored: Option<DayFile>) -> Result<Admission, PublishError> {
        let kept = self.lake.keep_version(key, stored.as_ref(), &self.run_id).await?;
        let Kept::At { at, file, version, damaged } = kept else { return Ok(Admission::Changed) };
        if let Some(reason) = &damaged {
            tracing::warn!(pay_date = %key.pay_date, kept = %at, "replacing a damaged file: {reason}");
        }
        let previous = stored.filter(|_| damaged.is_none()).map(|stored| Box::new(Previous { stored, at, file }));
        Ok(Admission::Publish { over: Over::Version(version), previous })
    }

    /// Protects a stored day from a response that must not replace it without being told to.
    fn guard(&self, key: &DayKey, stored: &DayFile, record: &DayRecord) -> Result<(), PublishError> {
        if !shares_a_table(stored.fit) && self.policy.origin == Origin::Api {
            return Err(OtherSchema::new(key, &stored.record).into());
        }
        if record.rows == 0 && is_protected(&stored.record) && !self.policy.allow_empty_replacement {
            return Err(PublishError::EmptyReplacement { stored_rows: stored.record.rows });
        }
        Ok(())
    }
}
