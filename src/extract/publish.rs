//! A day that was read takes the place of what the lake holds: whether it may, what is kept of the
//! version it replaces, and how the two differ.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::NaiveDate;
use object_store::path::Path;
use parquet::errors::ParquetError;
use tokio::sync::mpsc;

use crate::cookiepay::client::Client;
use crate::cookiepay::error::ReadError;
use crate::errors::chain;
use crate::lake::error::LakeError;
use crate::lake::file::{read_end, read_rows};
use crate::lake::layout::{DayKey, MerchantName};
use crate::lake::record::{Closing, DayRecord, OpenReason, State, is_ahead};
use crate::lake::staging::{Over, Published, Staged, StagingWriter};
use crate::lake::store::{DayFile, Fetched, Kept, Lake};
use crate::lake::writer::DayWriter;
use crate::result::{Kind, Restated};
use crate::settlement::columns::{SchemaFit, amounts, fingerprint};
use crate::settlement::diff::{Changes, Diff};
use crate::settlement::totals::{Sums, parse_sum};
use crate::settlement::values::format_decimal;

use super::read::{Encoded, Trouble};
use super::{BadRows, DayError, Landed, ReadDay, Unproven, storage};

/// How often a day is tried again that other runs replace at the same time, with longer and longer pauses.
const ROUNDS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);
/// Refusals of one and the same version after which the condition is left out.
const FUTILE: u32 = 4;

/// Puts days of one merchant into the lake, for one run.
pub(crate) struct Publisher<'a> {
    pub(super) lake: &'a Lake,
    pub(super) merchant: MerchantName,
    pub(super) run_id: String,
    pub(super) bad_rows: BadRows,
    pub(super) allow_empty_replacement: bool,
    /// Where its days come from.
    pub(super) origin: Origin<'a>,
    /// Whether the merchant is known to have a day with rows.
    pub(super) proven: AtomicBool,
}

/// Where a run's days come from.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    /// The API, asked just now.
    Asked(&'a Client),
    /// What was kept of earlier answers. A file whose schema is not this version's may then be replaced.
    Kept,
}

impl Publisher<'_> {
    pub(super) fn key(&self, pay_date: NaiveDate) -> DayKey {
        DayKey { pay_date, merchant: self.merchant.clone() }
    }

    /// Whether the merchant is known to have a day with rows.
    pub(crate) fn proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Stores a day's file while `write` writes it on a blocking thread, where no reader sees it.
    pub(super) async fn stage<T: Send + 'static>(
        &self,
        key: &DayKey,
        write: impl FnOnce(StagingWriter) -> Result<T, ReadError<Trouble>> + Send + 'static,
    ) -> Result<(Staged, T), ReadError<Trouble>> {
        let (chunks, bytes) = mpsc::channel(2);
        let writer = tokio::task::spawn_blocking(move || write(StagingWriter::new(chunks)));
        let (staged, written) = tokio::join!(self.lake.stage(key.settlement(), &self.run_id, bytes), writer);
        let written = written.unwrap_or_else(|error| Err(Trouble::Internal(error.to_string()).into()));
        match (staged, written) {
            (Ok(staged), Ok(written)) => Ok((staged, written)),
            // where the store failed, the writer only knows that nobody took its bytes
            (Err(error), _) => Err(Trouble::Lake(error).into()),
            (Ok(staged), Err(error)) => {
                staged.discard().await;
                Err(error)
            }
        }
    }

    /// Puts a day that was read into the lake, where it may go there; sets `publishing` when the lake begins
    /// to change. A day that is empty by its code while no day of the merchant is known to have rows is
    /// published as open, and comes back to be closed when the run has seen its other days.
    ///
    /// # Errors
    /// Why the day is not in the lake, or not as it should be; the stored day is then as it was.
    pub(crate) async fn land(&self, day: ReadDay, publishing: &AtomicBool) -> Result<(Landed, Option<Unproven>), DayError> {
        let attempts = day.attempts;
        let told = |error: DayError| DayError { attempts, ..error };
        let day = self.keep_answer(day).await?;
        let day = self.refuse_bad_rows(day).await?;
        if day.encoded.record.rows > 0 {
            self.proven.store(true, Ordering::Relaxed);
        }
        if !day.encoded.empty_by_code || self.proven() {
            return Ok((self.publish(day, publishing).await.map_err(told)?, None));
        }
        day.staged.discard().await;
        let mut record = day.encoded.record;
        record.state = State::Open;
        record.open_because.push(OpenReason::EmptyUnproven);
        let day = self.encode_empty(record).await.map_err(told)?;
        let DayRecord { pay_date, source_url, extracted_at, result_code, result_message, raw, .. } = day.encoded.record.clone();
        let landed = self.publish(day, publishing).await.map_err(told)?;
        let Landed { bytes, rows, rejected_rows, .. } = landed;
        if rows > 0 || rejected_rows > 0 {
            // another run's later answer stayed, and that day has rows
            self.proven.store(true, Ordering::Relaxed);
            return Ok((landed, None));
        }
        let unproven = Unproven { pay_date, bytes, source_url, extracted_at, result_code, result_message, raw };
        Ok((landed, Some(unproven)))
    }

    /// Publishes a day once more that was empty by its code, now that the merchant is known to have a day
    /// with rows; nothing where the lake holds another day by now.
    ///
    /// # Errors
    /// Why it cannot be published; the day is then in the lake as open.
    pub(crate) async fn close(&self, unproven: Unproven, publishing: &AtomicBool) -> Result<Option<Landed>, DayError> {
        let Unproven { pay_date, bytes: _, source_url, extracted_at, result_code, result_message, raw } = unproven;
        let stored = match self.lake.day(&self.key(pay_date)).await {
            Ok(stored) => stored.map(|stored| stored.record).filter(|record| record.rows == 0 && record.rejected_rows == 0),
            Err(error) => return Err(storage(&error)),
        };
        let Some(stored) = stored else { return Ok(None) };
        let closing = Closing { pay_date, extracted_at, pending_rows: 0, rejected_rows: 0, empty_unproven: false };
        let open_because = closing.open_because();
        let state = if open_because.is_empty() { State::Closed } else { State::Open };
        let record = DayRecord {
            source_url,
            extracted_at,
            result_code,
            result_message,
            state,
            open_because,
            raw,
            ..stored.rewritten_by(self.run_id.clone())
        };
        let day = self.encode_empty(record).await?;
        self.publish(day, publishing).await.map(Some)
    }

    /// Publishes the answer that a day's record refers to: before the day, so that nothing in the lake
    /// refers to what is not there.
    async fn keep_answer(&self, mut day: ReadDay) -> Result<ReadDay, DayError> {
        let Some(mut raw) = day.raw.take() else { return Ok(day) };
        if day.encoded.record.raw.is_none() {
            tracing::warn!(pay_date = %day.pay_date(), "the answer repeats the key or a token, and was not kept");
            raw.discard().await;
        } else if let Err(error) = raw.publish(&Over::Whatever).await {
            day.discard().await;
            return Err(storage(&error));
        }
        Ok(day)
    }

    /// Keeps the rows that could not be read, and where the policy says so gives the day up.
    async fn refuse_bad_rows(&self, day: ReadDay) -> Result<ReadDay, DayError> {
        let attempts = day.attempts;
        let rejects = &day.encoded.rejects;
        let Some(first) = &rejects.first else { return Ok(day) };
        let key = self.key(day.encoded.record.pay_date);
        let location = key.rejects(&self.run_id);
        let kept = self.lake.put(&location, rejects.lines.clone()).await;
        let more = match rejects.count {
            1 => String::new(),
            count => format!(" (and {} more bad rows)", count - 1),
        };
        if self.bad_rows == BadRows::Reject {
            // rows that are in neither place would be lost
            if let Err(error) = kept {
                day.discard().await;
                return Err(DayError { attempts, ..storage(&error) });
            }
            tracing::warn!(pay_date = %key.pay_date, rows = rejects.count, kept = %location, "rows were rejected: {first}{more}");
            return Ok(day);
        }
        let see = match &kept {
            Ok(()) => format!("see {location}"),
            Err(error) => format!("the bad rows are not kept ({})", chain(error)),
        };
        let message = format!("{first}{more}; nothing of the day was published: {see}, and --bad-rows reject to publish the rest");
        day.discard().await;
        Err(DayError { kind: Kind::Contract, message, attempts })
    }

    /// Makes the file of a day without rows.
    async fn encode_empty(&self, record: DayRecord) -> Result<ReadDay, DayError> {
        let key = self.key(record.pay_date);
        let made = self.stage(&key, move |out| {
            let writer = DayWriter::new(out).map_err(Trouble::Lake)?;
            Ok(writer.finish(record).map_err(Trouble::Lake)?)
        });
        let (staged, (record, bytes)) = made.await.map_err(|cause| super::not_read(cause, 1))?;
        Ok(ReadDay { staged, encoded: Encoded::of(record, bytes), raw: None, attempts: 1 })
    }

    /// Puts a day in place of what the lake holds, where that is another.
    async fn publish(&self, day: ReadDay, publishing: &AtomicBool) -> Result<Landed, DayError> {
        let ReadDay { mut staged, encoded, .. } = day;
        let record = &encoded.record;
        let mut landed = Landed {
            pay_date: record.pay_date,
            written: false,
            rows: record.rows,
            rejected_rows: record.rejected_rows,
            sums: sums(record),
            bytes: 0,
            restated: None,
        };
        match self.replace(record, &mut staged, publishing).await {
            Ok(Replaced::Now(restated)) => {
                landed.written = true;
                landed.bytes = encoded.bytes;
                landed.restated = restated;
                Ok(landed)
            }
            Ok(Replaced::AsStored(stored)) => {
                staged.discard().await;
                // the figures of what is in the lake, whichever answer it came from
                landed.rows = stored.rows;
                landed.rejected_rows = stored.rejected_rows;
                landed.sums = sums(&stored);
                Ok(landed)
            }
            Err(error) => {
                staged.discard().await;
                Err(error)
            }
        }
    }

    /// Publishes a staged day over what the lake holds, as often as another run changes that meanwhile.
    async fn replace(&self, record: &DayRecord, staged: &mut Staged, publishing: &AtomicBool) -> Result<Replaced, DayError> {
        let key = self.key(record.pay_date);
        let lock = self.lake.lock(&key).await.map_err(|error| storage(&error))?;
        let mut earlier = None;
        let mut refused: Option<(Over, u32)> = None;
        let mut done = false;
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(PAUSE * round).await;
            }
            let over = match self.admit(&key, record).await? {
                Admission::Publish(over, version) => {
                    earlier = version;
                    over
                }
                Admission::AsStored(stored) => return Ok(Replaced::AsStored(stored)),
                Admission::Changed => continue,
                Admission::IsStored => {
                    done = true;
                    break;
                }
            };
            let before = refused.as_ref().filter(|(before, _)| *before == over).map_or(0, |(_, times)| *times);
            // a server that again and again refuses the very version it names knows no such condition
            let condition = if before >= FUTILE && matches!(over, Over::Version(_)) { &Over::Whatever } else { &over };
            publishing.store(true, Ordering::Relaxed);
            match staged.publish(condition).await.map_err(|error| storage(&error))? {
                Published::Done => {
                    done = true;
                    break;
                }
                Published::Changed => refused = Some((over, before + 1)),
            }
        }
        if !done {
            let message = format!("other runs changed the day {ROUNDS} times while this one tried to; run again when they are done");
            return Err(DayError { kind: Kind::Storage, message, attempts: 1 });
        }
        let Some(Earlier { stored, at, file }) = earlier.map(|earlier| *earlier) else { return Ok(Replaced::Now(None)) };
        if stored.fit == SchemaFit::Other {
            tracing::info!(pay_date = %key.pay_date, before = %at, "written anew with this version's schema");
            return Ok(Replaced::Now(None));
        }
        let untold = |error: LakeError| DayError {
            message: format!("the day was published, but how it differs from {at} cannot be told: {}", chain(&error)),
            ..storage(&error)
        };
        let now = self.published(&key, record).await.map_err(untold)?;
        // what is compared is open by now, and a comparison may take its time
        drop(lock);
        let changes = changes(&key, (&stored.record, file), (record, now)).await.map_err(untold)?;
        Ok(Replaced::Now(restated(&stored.record, record, changes, &at)))
    }

    /// Says whether a day may take the place of what the lake holds now, and keeps the version that
    /// it replaces. The stored record is read anew: another run may have been here.
    async fn admit(&self, key: &DayKey, record: &DayRecord) -> Result<Admission, DayError> {
        let stored = match self.lake.day(key).await {
            Ok(None) => return Ok(Admission::Publish(Over::Nothing, None)),
            Ok(Some(stored)) => stored,
            Err(LakeError::Record { .. }) => return self.keep(key, None).await,
            Err(error) => return Err(storage(&error)),
        };
        if stored.record.seal == record.seal {
            // it was stored, and only the word of it was lost
            return Ok(Admission::IsStored);
        }
        let same = stored.fit == SchemaFit::Same && stored.record.digest == record.digest;
        let dated = stored.record.extracted_at;
        if matches!(self.origin, Origin::Asked(client) if is_ahead(dated, client.now())) {
            tracing::warn!(
                pay_date = %key.pay_date, stored = %dated,
                "the stored day is dated ahead of this machine's clock, and is replaced by what the API answered now: check the clocks"
            );
            if same {
                return Ok(Admission::Publish(Over::Version(stored.version), None));
            }
        } else if dated > record.extracted_at {
            if !same {
                tracing::warn!(pay_date = %key.pay_date, stored = %dated, "the lake holds a later answer, which stays");
            }
            return Ok(Admission::AsStored(Box::new(stored.record)));
        }
        if !same {
            self.guard(key, &stored, record)?;
            return self.keep(key, Some(stored)).await;
        }
        if record.supersedes(&stored.record) {
            return Ok(Admission::Publish(Over::Version(stored.version), None));
        }
        // a record that says the same of a file that is damaged is no reason to leave the day so
        if self.lake.is_whole(key, &stored).await.map_err(|error| storage(&error))? {
            Ok(Admission::AsStored(Box::new(stored.record)))
        } else {
            self.keep(key, Some(stored)).await
        }
    }

    /// Keeps the version that is about to be replaced.
    async fn keep(&self, key: &DayKey, stored: Option<DayFile>) -> Result<Admission, DayError> {
        let kept = self.lake.keep_version(key, stored.as_ref(), &self.run_id).await.map_err(|error| storage(&error))?;
        let Kept::At { at, file, version, damaged } = kept else { return Ok(Admission::Changed) };
        if let Some(why) = &damaged {
            tracing::warn!(pay_date = %key.pay_date, kept = %at, "replacing a damaged file: {why}");
        }
        let earlier = stored.filter(|_| damaged.is_none()).map(|stored| Box::new(Earlier { stored, at, file }));
        Ok(Admission::Publish(Over::Version(version), earlier))
    }

    /// Protects a stored day from an answer that should not replace it unasked.
    fn guard(&self, key: &DayKey, stored: &DayFile, record: &DayRecord) -> Result<(), DayError> {
        let refuse = |message| Err(DayError { kind: Kind::Guard, message, attempts: 1 });
        if !may_stand_beside(stored.fit) && matches!(self.origin, Origin::Asked(_)) {
            return refuse(other_schema(key, &stored.record));
        }
        if record.rows == 0 && is_protected(&stored.record) && !self.allow_empty_replacement {
            return refuse(format!(
                "the API's answer has no rows, where the lake holds {}: the stored day was kept; if this is right, run again with --allow-empty-replacement",
                stored.record.rows
            ));
        }
        Ok(())
    }

    /// The version of a day that was just published, wherever another run may have put it by now.
    async fn published(&self, key: &DayKey, record: &DayRecord) -> Result<File, LakeError> {
        for place in [key.settlement(), key.history(record.extracted_at, &record.run_id)] {
            if let Some(Fetched { file, .. }) = self.lake.fetch(&place).await?
                && read_end(&file).is_ok_and(|(found, _)| found.seal == record.seal)
            {
                return Ok(file);
            }
        }
        Err(LakeError::Record { object: key.settlement().to_string(), reason: "another run has replaced it".into() })
    }
}

/// Whether a day that was read goes into the lake.
enum Admission {
    /// It does, over that, and in place of the version given.
    Publish(Over, Option<Box<Earlier>>),
    /// What is stored is as good.
    AsStored(Box<DayRecord>),
    /// What is stored is this very day.
    IsStored,
    /// Another run has changed the day meanwhile.
    Changed,
}

/// A version that was replaced.
struct Earlier {
    stored: DayFile,
    /// Where it is kept.
    at: Path,
    file: File,
}

/// What became of a staged day.
enum Replaced {
    /// It was published; how it restates the version before.
    Now(Option<Restated>),
    /// What is stored is as good.
    AsStored(Box<DayRecord>),
}

/// What changed from one version of a day to the next.
async fn changes(key: &DayKey, before: (&DayRecord, File), now: (&DayRecord, File)) -> Result<Changes, LakeError> {
    let mut diff = Diff::with_rows(before.0.rows, now.0.rows);
    let (before, now) = (before.1, now.1);
    let read = tokio::task::spawn_blocking(move || {
        read_rows(before, |batch| {
            diff.before(batch);
            Ok(())
        })?;
        read_rows(now, |batch| {
            diff.after(batch);
            Ok(())
        })?;
        Ok::<_, ParquetError>(diff.changes())
    });
    let unreadable = |reason: String| LakeError::Record { object: key.settlement().to_string(), reason };
    read.await.map_err(|error| unreadable(error.to_string()))?.map_err(|error| unreadable(error.to_string()))
}

/// What a published day changed of the version that it replaced and that is kept at `at`; nothing where
/// only the file is another.
fn restated(before: &DayRecord, now: &DayRecord, changes: Changes, at: &Path) -> Option<Restated> {
    if changes == Changes::default() {
        return None;
    }
    let Changes { added, removed, changed } = changes;
    tracing::warn!(pay_date = %now.pay_date, added, removed, changed, before = %at, "restated");
    let delta = amounts()
        .map(|(_, column)| column.name)
        .zip(sums(now).into_iter().zip(sums(before)).map(|(now, before)| now - before))
        .filter(|(_, change)| *change != 0)
        .map(|(column, change)| (column.to_owned(), format_decimal(change, 2).into()))
        .collect();
    Some(Restated {
        merchant_id: now.merchant_id.clone(),
        pay_date: now.pay_date,
        rows_before: before.rows,
        rows_after: now.rows,
        added,
        removed,
        changed,
        delta,
    })
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
pub(super) fn is_protected(stored: &DayRecord) -> bool {
    stored.rows > 0 && (stored.state == State::Closed || stored.pending_rows < stored.rows)
}

/// Whether engines read files of such columns and of this version's rightly in one table.
pub(crate) fn may_stand_beside(fit: SchemaFit) -> bool {
    matches!(fit, SchemaFit::Same | SchemaFit::Appended)
}

/// Why a file of another schema stops a run, and what to do.
pub(crate) fn other_schema(key: &DayKey, stored: &DayRecord) -> String {
    format!(
        "{} was written by version {} with schema {}, and this version writes {}: engines would misread a table of both; bring such days to this schema with the command rebuild, or choose another --dest",
        key.settlement(),
        stored.tool_version,
        stored.schema_fingerprint,
        fingerprint()
    )
}
