//! One day, from the request to the published object.
//!
//! The answer is read, normalized and encoded on a blocking thread while it arrives, and stored
//! while it is encoded; what the lake's readers see changes only when all of it was good.

use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use chrono::{NaiveDate, SubsecRound as _};
use object_store::path::Path;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::api::client::{CallError, Cause, Client, PendingAnswer, chain};
use crate::api::decode::{BodyReader, TextReader};
use crate::api::envelope::{self, Answer, ReadError};
use crate::api::error::{ApiError, Fault, Redactor};
use crate::lake::error::LakeError;
use crate::lake::layout::{DayKey, MerchantName};
use crate::lake::record::{Closing, DayRecord, Environment, OpenReason, State};
use crate::lake::store::{Lake, Staged, StagingWriter};
use crate::lake::writer::DayWriter;
use crate::result::{Kind, Restated};
use crate::settlement::batch::{BATCH_ROWS, BatchBuilder, DayContext, RowError};
use crate::settlement::columns::{SCHEMA_VERSION, fingerprint};
use crate::settlement::diff::Diff;
use crate::settlement::totals::{ArrayTotals, Digest, Sums, Totals, parse_sum, sums_json};
use crate::settlement::values::format_decimal;

/// What is done about a row that cannot be read, or is another day's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BadRows {
    /// Its day is refused.
    #[default]
    Fail,
    /// Its day is published without it, and stays open.
    Reject,
}

/// How days are extracted.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Which API is asked.
    pub environment: Environment,
    /// The API's root, as records name it.
    pub source_url: String,
    /// Result codes that mean "no rows".
    pub empty_codes: Vec<String>,
    /// What is done about bad rows.
    pub bad_rows: BadRows,
    /// Whether an empty answer may replace a day that had rows.
    pub allow_empty_replacement: bool,
}

/// Extracts days of one merchant for one run.
pub struct Extractor<'a> {
    client: &'a Client,
    lake: &'a Lake,
    merchant: MerchantName,
    policy: Policy,
    run_id: String,
    /// Whether the merchant is known to have a day with rows.
    proven: AtomicBool,
    warned_of_extra: AtomicBool,
}

/// A day whose answer was read and is in the lake.
#[derive(Debug, Clone)]
pub struct Landed {
    /// The pay date.
    pub pay_date: NaiveDate,
    /// Whether it was written, or found as stored.
    pub written: bool,
    /// Rows of the day.
    pub rows: u64,
    /// Rows that could not be read.
    pub rejected_rows: u64,
    /// Exact sums.
    pub sums: Sums,
    /// Bytes written.
    pub bytes: u64,
    /// What changed, where the stored content was another.
    pub restated: Option<Restated>,
}

/// Where a day's extraction got to.
pub enum Extracted {
    /// In the lake.
    Landed(Box<Landed>),
    /// Empty by its code while no day of the merchant is known to have rows: whether it is closed is
    /// only known when the run has seen its other days.
    Undecided(Box<Undecided>),
}

/// A day that was read and waits to be published; see [`Extracted::Undecided`].
pub struct Undecided(ReadDay);

impl Undecided {
    /// The pay date.
    #[must_use]
    pub fn pay_date(&self) -> NaiveDate {
        self.0.encoded.record.pay_date
    }
}

/// A day that could not be extracted.
#[derive(Debug, Clone)]
pub struct DayError {
    /// Its kind.
    pub kind: Kind,
    /// What happened, the datum, and what to do.
    pub message: String,
    /// Tries made.
    pub attempts: u32,
}

/// A day read and encoded, not yet published.
struct ReadDay {
    staged: Staged,
    encoded: Encoded,
}

struct Encoded {
    record: DayRecord,
    sums: Sums,
    bytes: u64,
    empty_by_code: bool,
    rejects: Rejects,
    has_extra: bool,
    unknown_members: Vec<String>,
}

/// What stops a try beside the API.
enum Trouble {
    Lake(LakeError),
    BadRow(RowError),
    Internal(String),
}

impl From<ReadError<Trouble>> for Cause<Trouble> {
    fn from(error: ReadError<Trouble>) -> Self {
        match error {
            ReadError::Api(error) => Self::Api(error),
            ReadError::Receiver(trouble) => Self::Receiver(trouble),
        }
    }
}

impl From<Trouble> for Cause<Trouble> {
    fn from(trouble: Trouble) -> Self {
        Self::Receiver(trouble)
    }
}

impl<'a> Extractor<'a> {
    /// An extractor for a run; `proven` where the lake holds a day of the merchant that has rows.
    #[must_use]
    pub fn new(client: &'a Client, lake: &'a Lake, merchant: MerchantName, policy: Policy, run_id: String, proven: bool) -> Self {
        let proven = AtomicBool::new(proven);
        Self { client, lake, merchant, policy, run_id, proven, warned_of_extra: AtomicBool::new(false) }
    }

    /// Whether the merchant is known to have a day with rows.
    #[must_use]
    pub fn proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Fetches, reads and publishes one day.
    ///
    /// # Errors
    /// Why the day is not in the lake, or not as the API has it; the stored day is then as it was.
    pub async fn extract(&self, pay_date: NaiveDate) -> Result<Extracted, DayError> {
        let key = self.key(pay_date);
        let mut attempts = 0;
        let read = self
            .client
            .settlement(pay_date, None, async |answer| {
                attempts += 1;
                self.read(&key, answer).await
            })
            .await
            .map_err(day_error)?;
        self.warn_of_unknowns(&read.encoded);
        let attempts = attempts.max(1);
        let day = self.refuse_bad_rows(&key, read, attempts).await?;
        if day.encoded.record.rows > 0 {
            self.proven.store(true, Ordering::Relaxed);
        } else if day.encoded.empty_by_code && !self.proven() {
            return Ok(Extracted::Undecided(Box::new(Undecided(day))));
        }
        self.publish(day).await.map(|landed| Extracted::Landed(Box::new(landed))).map_err(|error| DayError { attempts, ..error })
    }

    /// Publishes a day that waited, now that the run has seen its other days.
    ///
    /// # Errors
    /// As [`Extractor::extract`].
    pub async fn decide(&self, day: Undecided) -> Result<Landed, DayError> {
        let mut day = day.0;
        if !self.proven() {
            let mut record = day.encoded.record.clone();
            record.state = State::Open;
            record.open_because.push(OpenReason::EmptyUnproven);
            day = self.encode_empty(record, day.encoded).await?;
        }
        self.publish(day).await
    }

    fn key(&self, pay_date: NaiveDate) -> DayKey {
        DayKey { pay_date, merchant: self.merchant.clone() }
    }

    /// Reads one answer into a staged file.
    async fn read(&self, key: &DayKey, answer: PendingAnswer) -> Result<ReadDay, Cause<Trouble>> {
        let (body, events) = mpsc::channel(16);
        let (chunks, bytes) = mpsc::channel(2);
        let job = ReadJob {
            context: DayContext {
                merchant_id: self.client.api_id().to_owned(),
                pay_date: key.pay_date,
                // what the file can hold, so that records and rows agree
                extracted_at: answer.arrived.trunc_subsecs(3),
                run_id: self.run_id.clone(),
            },
            policy: self.policy.clone(),
            redactor: answer.redactor,
        };
        let (charset, limit) = (answer.charset, answer.limit);
        let reader = tokio::task::spawn_blocking(move || {
            let text = TextReader::new(BodyReader::new(events), charset, limit)?;
            job.run(text, StagingWriter::new(chunks))
        });
        let ((), staged, encoded) = tokio::join!(answer.body.pump(body), self.lake.stage(key, &self.run_id, bytes), reader);
        let encoded = encoded.unwrap_or_else(|error| Err(Trouble::Internal(error.to_string()).into()));
        // where the store failed, the writer only knows that nobody took its bytes
        let staged = staged.map_err(Trouble::Lake)?;
        match encoded {
            Ok(encoded) => Ok(ReadDay { staged, encoded }),
            Err(cause) => {
                staged.discard().await;
                Err(cause)
            }
        }
    }

    /// Keeps the rows that could not be read, and where the policy says so gives the day up.
    async fn refuse_bad_rows(&self, key: &DayKey, day: ReadDay, attempts: u32) -> Result<ReadDay, DayError> {
        let rejects = &day.encoded.rejects;
        let Some(first) = &rejects.first else { return Ok(day) };
        let location = key.rejects(&self.run_id);
        let kept = self.lake.put(&location, rejects.lines.clone()).await;
        if let Err(error) = &kept {
            tracing::warn!(pay_date = %key.pay_date, error = chain(error), "the rows that could not be read are not kept");
        }
        let more = match rejects.count {
            1 => String::new(),
            count => format!(" (and {} more bad rows)", count - 1),
        };
        if self.policy.bad_rows == BadRows::Reject {
            tracing::warn!(pay_date = %key.pay_date, rows = rejects.count, kept = %location, "rows were rejected: {first}{more}");
            return Ok(day);
        }
        let message = format!("{first}{more}; nothing of the day was published: see {location}, and --bad-rows reject to publish the rest");
        day.staged.discard().await;
        Err(DayError { kind: Kind::Contract, message, attempts })
    }

    /// Puts a day in place of what the lake holds, where that is another.
    async fn publish(&self, day: ReadDay) -> Result<Landed, DayError> {
        let ReadDay { staged, encoded } = day;
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
            Ok(Admission::AsStored) => {
                staged.discard().await;
                return Ok(landed);
            }
            Err(error) => {
                staged.discard().await;
                return Err(error);
            }
        };
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
        if stored.extracted_at > record.extracted_at {
            tracing::warn!(pay_date = %key.pay_date, "another run has published a later answer, which stays");
            return Ok(Admission::AsStored);
        }
        if stored.digest == record.digest {
            let anew = record.supersedes(&stored);
            return Ok(if anew { Admission::Publish(None) } else { Admission::AsStored });
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
        let diff = self.lake.read_rows(kept, Diff::default(), Diff::before).await?;
        let changes = self.lake.read_rows(&key.settlement(), diff, Diff::after).await?.changes();
        let sum = |record: &DayRecord, column: &str| record.sums.get(column).and_then(|sum| parse_sum(sum.as_str()?)).unwrap_or_default();
        let delta = record
            .sums
            .keys()
            .map(|column| (column, sum(record, column) - sum(stored, column)))
            .filter(|(_, change)| *change != 0)
            .map(|(column, change)| (column.clone(), format_decimal(change, 2).into()))
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

    /// Makes the file of a day without rows anew, with another record.
    async fn encode_empty(&self, record: DayRecord, encoded: Encoded) -> Result<ReadDay, DayError> {
        let key = self.key(record.pay_date);
        let (chunks, bytes) = mpsc::channel(2);
        let writer = tokio::task::spawn_blocking(move || DayWriter::new(StagingWriter::new(chunks))?.finish(record));
        let (staged, written) = tokio::join!(self.lake.stage(&key, &self.run_id, bytes), writer);
        let staged = staged.map_err(|error| storage(&error))?;
        let (record, bytes) = match written {
            Ok(written) => written.map_err(|error| storage(&error))?,
            Err(error) => return Err(DayError { kind: Kind::Internal, message: error.to_string(), attempts: 1 }),
        };
        Ok(ReadDay { staged, encoded: Encoded { record, bytes, ..encoded } })
    }

    fn warn_of_unknowns(&self, encoded: &Encoded) {
        let pay_date = encoded.record.pay_date;
        let unknown = encoded.has_extra || !encoded.unknown_members.is_empty();
        if unknown && !self.warned_of_extra.swap(true, Ordering::Relaxed) {
            if encoded.has_extra {
                tracing::warn!(%pay_date, "the answer has row fields that the manual does not name: kept in the column extra");
            }
            if !encoded.unknown_members.is_empty() {
                let members = encoded.unknown_members.join(", ");
                tracing::warn!(%pay_date, members, "the answer has members beside DATA that the manual does not name: not kept");
            }
        }
    }
}

/// Whether a day that was read goes into the lake.
enum Admission {
    /// It does, in place of the version given, which was kept there.
    Publish(Option<(Box<DayRecord>, Path)>),
    /// What is stored is as good.
    AsStored,
}

/// A stored day that an empty answer may not replace unasked: pending rows alone may move away.
fn is_protected(stored: &DayRecord) -> bool {
    stored.rows > 0 && (stored.state == State::Closed || stored.pending_rows < stored.rows)
}

fn storage(error: &LakeError) -> DayError {
    DayError { kind: Kind::Storage, message: chain(error), attempts: 1 }
}

fn day_error(error: CallError<Trouble>) -> DayError {
    let (kind, message) = match error.cause {
        Cause::Receiver(Trouble::Lake(error)) => (Kind::Storage, chain(&error)),
        Cause::Receiver(Trouble::BadRow(error)) => (Kind::Contract, error.to_string()),
        Cause::Receiver(Trouble::Internal(message)) => (Kind::Internal, message),
        Cause::Api(error) => (kind(&error), chain(&error)),
    };
    DayError { kind, message, attempts: error.attempts }
}

fn kind(error: &ApiError) -> Kind {
    match error.fault() {
        Fault::Upstream => Kind::Upstream,
        Fault::RateLimit => Kind::RateLimit,
        Fault::Auth => Kind::Auth,
        Fault::Contract => Kind::Contract,
    }
}

/// What the blocking thread is given to read a day.
struct ReadJob {
    context: DayContext,
    policy: Policy,
    redactor: Redactor,
}

impl ReadJob {
    fn run(self, text: TextReader, out: StagingWriter) -> Result<Encoded, Cause<Trouble>> {
        let mut writer = DayWriter::new(out).map_err(Trouble::Lake)?;
        let mut builder = BatchBuilder::new(self.context.clone());
        let mut arrays = ArrayTotals::default();
        let mut rejects = Rejects::default();
        let mut has_extra = false;
        let mut write = |builder: &mut BatchBuilder, arrays: &mut ArrayTotals, whole: bool| -> Result<(), Trouble> {
            let batch = take(builder)?;
            arrays.add(&batch);
            // a day that will be refused is only read on for its other bad rows
            if whole { writer.write(&batch).map_err(Trouble::Lake) } else { Ok(()) }
        };
        let publishes_despite = self.policy.bad_rows == BadRows::Reject;
        let answer = envelope::read(text, &self.policy.empty_codes, |position, row| {
            has_extra |= !row.extra.is_empty();
            if let Err(error) = builder.push(position, row) {
                rejects.add(error, row.raw);
            }
            if builder.len() >= BATCH_ROWS {
                write(&mut builder, &mut arrays, publishes_despite || rejects.count == 0)?;
            }
            Ok(())
        })
        .map_err(Cause::from)?;
        if !builder.is_empty() {
            write(&mut builder, &mut arrays, publishes_despite || rejects.count == 0)?;
        }
        let totals = builder.totals().clone();
        totals
            .reconcile(&arrays)
            .map_err(|difference| Trouble::Internal(format!("control totals differ, the day was not published: {difference}")))?;
        let record = self.record(&answer, &totals, arrays.digest(), rejects.count);
        let (record, bytes) = writer.finish(record).map_err(Trouble::Lake)?;
        Ok(Encoded {
            record,
            sums: totals.sums,
            bytes,
            empty_by_code: answer.empty_by_code,
            rejects,
            has_extra,
            unknown_members: answer.unknown_members,
        })
    }

    fn record(&self, answer: &Answer, totals: &Totals, digest: Digest, rejected_rows: u64) -> DayRecord {
        let context = &self.context;
        let closing = Closing {
            pay_date: context.pay_date,
            extracted_at: context.extracted_at,
            pending_rows: totals.pending_rows,
            rejected_rows,
            empty_unproven: false,
        };
        let open_because = closing.open_because();
        DayRecord {
            schema_version: SCHEMA_VERSION,
            schema_fingerprint: fingerprint().to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            environment: self.policy.environment,
            source_url: self.policy.source_url.clone(),
            merchant_id: context.merchant_id.clone(),
            pay_date: context.pay_date,
            run_id: context.run_id.clone(),
            extracted_at: context.extracted_at,
            result_code: answer.result_code.clone(),
            result_message: answer.result_message.as_deref().map(|message| self.redactor.text(message)),
            state: if open_because.is_empty() { State::Closed } else { State::Open },
            open_because,
            rows: totals.rows,
            pending_rows: totals.pending_rows,
            rejected_rows,
            sums: sums_json(&totals.sums),
            nulls: totals.nulls_json(),
            unbalanced_rows: totals.unbalanced_rows,
            digest: digest.to_string(),
            seal: String::new(),
        }
    }
}

/// Reads one pay date, or one transaction of it, without a lake.
///
/// # Errors
/// Why the rows cannot be had; a row that cannot be read refuses them all.
pub async fn lookup(client: &Client, pay_date: NaiveDate, tid: Option<&str>, empty_codes: &[String]) -> Result<Vec<RecordBatch>, DayError> {
    let read = client.settlement(pay_date, tid, async |answer| {
        let (body, events) = mpsc::channel(16);
        let context = DayContext {
            merchant_id: client.api_id().to_owned(),
            pay_date,
            extracted_at: answer.arrived.trunc_subsecs(3),
            run_id: Uuid::now_v7().to_string(),
        };
        let (charset, limit, empty_codes) = (answer.charset, answer.limit, empty_codes.to_vec());
        let reader = tokio::task::spawn_blocking(move || {
            let text = TextReader::new(BodyReader::new(events), charset, limit)?;
            collect(text, context, &empty_codes)
        });
        let ((), read) = tokio::join!(answer.body.pump(body), reader);
        read.unwrap_or_else(|error| Err(Trouble::Internal(error.to_string()).into()))
    });
    read.await.map_err(day_error)
}

fn collect(text: TextReader, context: DayContext, empty_codes: &[String]) -> Result<Vec<RecordBatch>, Cause<Trouble>> {
    let mut builder = BatchBuilder::new(context);
    let mut batches = Vec::new();
    let mut bad = None;
    envelope::read(text, empty_codes, |position, row| {
        if let Err(error) = builder.push(position, row) {
            bad.get_or_insert(error);
        }
        if builder.len() >= BATCH_ROWS {
            batches.push(take(&mut builder)?);
        }
        Ok(())
    })
    .map_err(Cause::from)?;
    if let Some(error) = bad {
        return Err(Trouble::BadRow(error).into());
    }
    batches.push(take(&mut builder)?);
    Ok(batches)
}

fn take(builder: &mut BatchBuilder) -> Result<RecordBatch, Trouble> {
    builder.take().map_err(|error| Trouble::Internal(error.to_string()))
}

/// Rows that could not be read: the first thousand as evidence, all counted.
#[derive(Default)]
struct Rejects {
    count: u64,
    first: Option<RowError>,
    /// JSON lines.
    lines: Vec<u8>,
}

impl Rejects {
    const KEPT: u64 = 1000;
    /// Rows beyond this much text are kept without themselves.
    const KEPT_BYTES: usize = 16 << 20;

    fn add(&mut self, error: RowError, raw: &str) {
        self.count += 1;
        if self.count <= Self::KEPT {
            let room = self.lines.len() + raw.len() <= Self::KEPT_BYTES;
            let row = if room { RawValue::from_string(raw.to_owned()).ok() } else { None };
            let reason = match &error.value {
                Some(value) => format!("{value} {}", error.reason),
                None => error.reason.clone(),
            };
            let line = json!({ "position": error.position, "field": error.field, "reason": reason, "row": row });
            self.lines.extend_from_slice(line.to_string().as_bytes());
            self.lines.push(b'\n');
        }
        self.first.get_or_insert(error);
    }
}
