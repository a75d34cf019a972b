//! One day, from the request to the published object.
//!
//! The answer is read, normalized and encoded on a blocking thread while it arrives, and stored
//! while it is encoded (`read`); what the lake's readers see changes only when all of it was good
//! (`publish`).

mod publish;
mod read;

use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{NaiveDate, SubsecRound as _};
use futures::future::OptionFuture;
use tokio::sync::mpsc;

use crate::api::client::{CallError, Cause, Client, PendingAnswer};
use crate::api::decode::{BodyReader, TextReader};
use crate::api::error::{ApiError, Fault};
use crate::errors::chain;
use crate::lake::error::LakeError;
use crate::lake::layout::{DayKey, MerchantName};
use crate::lake::raw::RawHeader;
use crate::lake::record::{DayRecord, Environment, OpenReason, State};
use crate::lake::staging::{Staged, StagingWriter};
use crate::lake::store::Lake;
use crate::lake::writer::DayWriter;
use crate::result::{Kind, Restated};
use crate::settlement::batch::DayContext;
use crate::settlement::totals::Sums;

pub use read::lookup;
use read::{Encoded, RawSink, ReadJob, Trouble};

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
    /// Whether answers are kept as received.
    pub keep_raw: bool,
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
    /// The answer as received, where it is to be kept.
    raw: Option<Staged>,
    encoded: Encoded,
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

    /// Fetches, reads and publishes one day; sets `publishing` when the lake begins to change.
    ///
    /// # Errors
    /// Why the day is not in the lake, or not as the API has it; the stored day is then as it was.
    pub async fn extract(&self, pay_date: NaiveDate, publishing: &AtomicBool) -> Result<Extracted, DayError> {
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
        let read = self.keep_raw(read).await?;
        let attempts = attempts.max(1);
        let day = self.refuse_bad_rows(&key, read, attempts).await?;
        if day.encoded.record.rows > 0 {
            self.proven.store(true, Ordering::Relaxed);
        } else if day.encoded.empty_by_code && !self.proven() {
            return Ok(Extracted::Undecided(Box::new(Undecided(day))));
        }
        self.publish(day, publishing)
            .await
            .map(|landed| Extracted::Landed(Box::new(landed)))
            .map_err(|error| DayError { attempts, ..error })
    }

    /// Publishes a day that waited, now that the run has seen its other days.
    ///
    /// # Errors
    /// As [`Extractor::extract`].
    pub async fn decide(&self, day: Undecided, publishing: &AtomicBool) -> Result<Landed, DayError> {
        let mut day = day.0;
        if !self.proven() {
            let mut record = day.encoded.record.clone();
            record.state = State::Open;
            record.open_because.push(OpenReason::EmptyUnproven);
            day = self.encode_empty(record, day.encoded).await?;
        }
        self.publish(day, publishing).await
    }

    fn key(&self, pay_date: NaiveDate) -> DayKey {
        DayKey { pay_date, merchant: self.merchant.clone() }
    }

    /// Reads one answer into a staged file.
    async fn read(&self, key: &DayKey, answer: PendingAnswer) -> Result<ReadDay, Cause<Trouble>> {
        let (body, events) = mpsc::channel(16);
        let (chunks, bytes) = mpsc::channel(2);
        // what the file can hold, so that records and rows agree
        let extracted_at = answer.arrived.trunc_subsecs(3);
        let merchant_id = self.client.api_id().to_owned();
        let (raw, raw_staged) = if self.policy.keep_raw {
            let header = RawHeader {
                environment: self.policy.environment,
                source_url: self.policy.source_url.clone(),
                merchant_id: merchant_id.clone(),
                pay_date: key.pay_date,
                extracted_at,
                content_type: answer.content_type,
                content_encoding: answer.content_encoding,
            };
            let name = key.raw(extracted_at, &self.run_id);
            let (chunks, bytes) = mpsc::channel(2);
            (Some((name.to_string(), header, chunks)), Some(self.lake.stage(name, &self.run_id, bytes)))
        } else {
            (None, None)
        };
        let job = ReadJob {
            context: DayContext { merchant_id, pay_date: key.pay_date, extracted_at, run_id: self.run_id.clone() },
            policy: self.policy.clone(),
            redactor: answer.redactor,
        };
        let (charset, limit) = (answer.charset, answer.limit);
        let reader = tokio::task::spawn_blocking(move || {
            let raw = raw.map(|(name, header, chunks)| RawSink::new(name, &header, StagingWriter::new(chunks))).transpose()?;
            let body = BodyReader::new(events, raw.as_ref().map(RawSink::tee));
            let text = TextReader::new(body, charset, limit)?;
            job.run(text, raw, StagingWriter::new(chunks))
        });
        let staging = self.lake.stage(key.settlement(), &self.run_id, bytes);
        let ((), staged, raw, encoded) = tokio::join!(answer.body.pump(body), staging, OptionFuture::from(raw_staged), reader);
        let encoded = encoded.unwrap_or_else(|error| Err(Trouble::Internal(error.to_string()).into()));
        // where the store failed, the writer only knows that nobody took its bytes
        match (staged, raw.transpose(), encoded) {
            (Ok(staged), Ok(raw), Ok(encoded)) => Ok(ReadDay { staged, raw, encoded }),
            (staged, raw, encoded) => {
                let mut cause = encoded.err();
                for staged in [staged.map(Some), raw] {
                    match staged {
                        Ok(None) => {}
                        Ok(Some(staged)) => staged.discard().await,
                        Err(error) => cause = Some(Trouble::Lake(error).into()),
                    }
                }
                Err(cause.unwrap_or_else(|| Trouble::Internal("a day was neither read nor refused".into()).into()))
            }
        }
    }

    /// Stores the answer as received, before anything is published that refers to it.
    async fn keep_raw(&self, mut day: ReadDay) -> Result<ReadDay, DayError> {
        let Some(raw) = day.raw.take() else { return Ok(day) };
        match raw.publish().await {
            Ok(()) => Ok(day),
            Err(error) => {
                day.staged.discard().await;
                Err(storage(&error))
            }
        }
    }

    /// Keeps the rows that could not be read, and where the policy says so gives the day up.
    async fn refuse_bad_rows(&self, key: &DayKey, day: ReadDay, attempts: u32) -> Result<ReadDay, DayError> {
        let rejects = &day.encoded.rejects;
        let Some(first) = &rejects.first else { return Ok(day) };
        let location = key.rejects(&self.run_id);
        let kept = self.lake.put(&location, rejects.lines.clone()).await;
        let more = match rejects.count {
            1 => String::new(),
            count => format!(" (and {} more bad rows)", count - 1),
        };
        if self.policy.bad_rows == BadRows::Reject {
            // rows that are in neither place would be lost
            if let Err(error) = kept {
                day.staged.discard().await;
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
        day.staged.discard().await;
        Err(DayError { kind: Kind::Contract, message, attempts })
    }

    /// Makes the file of a day without rows anew, with another record.
    async fn encode_empty(&self, record: DayRecord, encoded: Encoded) -> Result<ReadDay, DayError> {
        let key = self.key(record.pay_date);
        let (chunks, bytes) = mpsc::channel(2);
        let writer = tokio::task::spawn_blocking(move || DayWriter::new(StagingWriter::new(chunks))?.finish(record));
        let (staged, written) = tokio::join!(self.lake.stage(key.settlement(), &self.run_id, bytes), writer);
        let staged = staged.map_err(|error| storage(&error))?;
        let (record, bytes) = match written {
            Ok(written) => written.map_err(|error| storage(&error))?,
            Err(error) => return Err(DayError { kind: Kind::Internal, message: error.to_string(), attempts: 1 }),
        };
        Ok(ReadDay { staged, raw: None, encoded: Encoded { record, bytes, ..encoded } })
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
