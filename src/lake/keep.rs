//! Keeps versions that are about to be replaced, under `history/`.
//!
//! A version is copied from what was read, after its seal was checked, under the time and run that it states itself. A damaged file is kept
//! under the run `00000000`.

use std::fs::File;
use std::io::{self, Seek as _};

use object_store::path::Path;

use super::audit::sealed;
use super::backend::Fetched;
use super::error::LakeError;
use super::file::{DayFile, read_end};
use super::layout::{DayKey, Misplaced, UNKNOWN_RUN};
use super::record::DayRecord;
use super::staged::Published;
use super::store::Lake;
use super::version::StoredObject;
use super::version::{Over, Version};

/// What became of a version that was to be kept.
pub(crate) enum Kept {
    /// It is kept.
    At(KeptVersion),
    /// It is no longer the version that was meant.
    Changed,
}

/// A version that is kept.
pub(crate) struct KeptVersion {
    /// Where.
    pub(crate) at: Path,
    /// The version itself.
    pub(crate) file: File,
    /// The version in the table.
    pub(crate) version: Version,
    /// What is wrong with the file, if it is damaged.
    pub(crate) damage: Option<String>,
    /// The object in `history/`.
    pub(crate) object: StoredObject,
}

/// A file of the table that was read to its end.
enum Inspected {
    /// As it was written.
    Whole(Box<DayRecord>),
    Damaged {
        /// The seal that it states, if it states one.
        seal: Option<String>,
        reason: String,
    },
}

impl Lake {
    /// Copies the version of a day that is about to be replaced to `history/`, under its own time and run. A damaged one, which does
    /// not state them, is kept under the time at which it was stored. Copies what it reads, so that no other run's version gets that
    /// name, and nothing over what is kept.
    ///
    /// # Errors
    /// It cannot be copied.
    pub(crate) async fn keep_version(&self, key: &DayKey, stored: Option<&DayFile>, run_id: &str) -> Result<Kept, LakeError> {
        let location = key.settlement();
        let Some(Fetched { file, modified, version }) = self.fetch(&location).await? else { return Ok(Kept::Changed) };
        let (mut file, mut inspected) = inspect(&location, file).await?;
        if let Inspected::Whole(record) = &inspected
            && let Some(Misplaced::PayDate(pay_date)) = key.misplaced(record)
        {
            inspected = Inspected::Damaged { seal: Some(record.seal.clone()), reason: format!("it is the file of {pay_date}") };
        }
        let at = match (&inspected, stored) {
            (Inspected::Whole(record), Some(stored)) if record.seal == stored.record.seal => {
                key.history(record.extracted_at, &record.run_id)
            }
            (Inspected::Damaged { seal: Some(seal), .. }, Some(stored)) if *seal != stored.record.seal => return Ok(Kept::Changed),
            (Inspected::Whole(_), _) => return Ok(Kept::Changed),
            (Inspected::Damaged { .. }, _) => key.history(modified, UNKNOWN_RUN),
        };
        let mut object = StoredObject::new(None, file.metadata().map(|metadata| metadata.len()).unwrap_or_default());
        if self.etag(&at).await?.is_none() {
            let source = location.clone();
            let copied = self.write_staged(at.clone(), run_id, move |mut out| {
                let copied = file.rewind().and_then(|()| io::copy(&mut file, &mut out)).and_then(|_| io::Write::flush(&mut out));
                copied.map_err(|error| LakeError::object("read", &source)(super::backend::disk_error(error)))?;
                Ok::<_, LakeError>(file)
            });
            let (mut staged, copied) = copied.await?;
            // if another run has kept it meanwhile, it is kept
            if let Published::Done(stored) = staged.publish(&Over::Nothing).await? {
                object = stored;
            }
            file = copied;
        }
        let damage = match inspected {
            Inspected::Whole(_) => None,
            Inspected::Damaged { reason, .. } => Some(reason),
        };
        Ok(Kept::At(KeptVersion { at, file, version, damage, object }))
    }

    /// The ETag of an object, which is empty if the store has none; `None` if there is no such object.
    pub(crate) async fn etag(&self, location: &Path) -> Result<Option<String>, LakeError> {
        let found = self.found(location).await?;
        Ok(found.map(|meta| StoredObject::new(meta.e_tag, meta.size).etag.unwrap_or_default()))
    }

    /// Whether a stored day's file is as it was written.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) async fn is_whole(&self, key: &DayKey, stored: &DayFile) -> Result<bool, LakeError> {
        let location = key.settlement();
        let Some(Fetched { file, .. }) = self.fetch(&location).await? else { return Ok(false) };
        let (_, inspected) = inspect(&location, file).await?;
        Ok(matches!(inspected, Inspected::Whole(record) if record.seal == stored.record.seal))
    }
}

async fn inspect(location: &Path, mut file: File) -> Result<(File, Inspected), LakeError> {
    let inspected = tokio::task::spawn_blocking(move || {
        let inspected = match sealed(&mut file) {
            Ok(record) => Inspected::Whole(Box::new(record)),
            Err(reason) => Inspected::Damaged { seal: read_end(&file).ok().map(|(record, _)| record.seal), reason },
        };
        (file, inspected)
    });
    inspected.await.map_err(LakeError::panicked(location))
}
