//! One day, from the request to the published object.
//!
//! The answer is read, normalized and encoded on a blocking thread while it arrives, and stored
//! while it is encoded (`read`); what the lake's readers see changes only when all of it was good
//! (`publish`). A day whose answer was kept can be made again without asking (`rebuild`).

mod publish;
mod read;
mod rebuild;

use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, NaiveDate, SubsecRound as _, Utc};
use futures::future::OptionFuture;
use tokio::sync::mpsc;

use crate::cookiepay::client::{CallError, Client, PendingAnswer};
use crate::cookiepay::decode::{BodyReader, TextReader};
use crate::cookiepay::error::{ApiError, Fault, ReadError};
use crate::errors::chain;
use crate::lake::error::LakeError;
use crate::lake::layout::{DayKey, MerchantName};
use crate::lake::raw::RawHeader;
use crate::lake::record::{Environment, Evidence};
use crate::lake::staging::{Staged, StagingWriter};
use crate::lake::store::Lake;
use crate::result::{Kind, Restated};
use crate::settlement::batch::DayContext;
use crate::settlement::totals::Sums;

use publish::Origin;
pub(crate) use publish::{Publisher, may_stand_beside, other_schema};
pub use read::lookup;
use read::{Encoded, RawSink, ReadJob, Trouble};
pub use rebuild::RebuildPolicy;
pub(crate) use rebuild::{Rebuilder, Remade, Source};

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

/// How answers are read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Result codes that mean "no rows".
    pub empty_codes: Vec<String>,
    /// What is done about bad rows.
    pub bad_rows: BadRows,
}

/// How days are extracted.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Which API is asked.
    pub environment: Environment,
    /// The API's root, as records name it.
    pub source_url: String,
    /// How its answers are read.
    pub reading: Reading,
    /// Whether an empty answer may replace a day that had rows.
    pub allow_empty_replacement: bool,
    /// Whether answers are kept as received.
    pub keep_raw: bool,
}

/// Extracts days of one merchant for one run.
pub struct Extractor<'a> {
    client: &'a Client,
    publisher: Publisher<'a>,
    policy: Policy,
    warned_of_extra: AtomicBool,
}

/// Where a run's days come from. Reading and publishing are apart, so that the API need not wait for
/// the lake's disk.
pub(crate) trait Work {
    /// Reads one day, and stores it where no reader of the lake sees it.
    ///
    /// # Errors
    /// Why it cannot be read.
    async fn read(&self, pay_date: NaiveDate) -> Result<ReadDay, DayError>;

    /// Puts what was read into the lake.
    fn publisher(&self) -> &Publisher<'_>;
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

/// A day that was empty by its code while no day of the merchant was known to have rows, and is in the
/// lake as open; what its record takes from the answer.
#[derive(Debug)]
pub(crate) struct Unproven {
    pub(crate) pay_date: NaiveDate,
    /// Bytes written; none where it was found as stored.
    pub(crate) bytes: u64,
    source_url: String,
    extracted_at: DateTime<Utc>,
    result_code: String,
    result_message: Option<String>,
    raw: Option<Evidence>,
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
pub(crate) struct ReadDay {
    staged: Staged,
    encoded: Encoded,
    /// The answer as received, where answers are kept.
    raw: Option<Staged>,
    /// Tries made.
    attempts: u32,
}

impl ReadDay {
    pub(crate) fn pay_date(&self) -> NaiveDate {
        self.encoded.record.pay_date
    }

    async fn discard(self) {
        self.staged.discard().await;
        OptionFuture::from(self.raw.map(Staged::discard)).await;
    }
}

impl<'a> Extractor<'a> {
    /// An extractor for a run; `proven` where the lake holds a day of the merchant that has rows.
    #[must_use]
    pub fn new(client: &'a Client, lake: &'a Lake, merchant: MerchantName, policy: Policy, run_id: String, proven: bool) -> Self {
        let publisher = Publisher {
            lake,
            merchant,
            run_id,
            bad_rows: policy.reading.bad_rows,
            allow_empty_replacement: policy.allow_empty_replacement,
            origin: Origin::Asked(client),
            proven: AtomicBool::new(proven),
        };
        Self { client, publisher, policy, warned_of_extra: AtomicBool::new(false) }
    }

    /// Reads one answer into a staged file and, where answers are kept, into another.
    async fn read_answer(&self, key: &DayKey, answer: PendingAnswer, attempts: u32) -> Result<ReadDay, ReadError<Trouble>> {
        let (body, events) = mpsc::channel(16);
        let Publisher { lake, run_id, .. } = &self.publisher;
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
            let name = key.raw(extracted_at, run_id);
            let (chunks, bytes) = mpsc::channel(2);
            (Some((name.to_string(), header, chunks)), Some(lake.stage(name, run_id, bytes)))
        } else {
            (None, None)
        };
        let job = ReadJob {
            context: DayContext { merchant_id, pay_date: key.pay_date, extracted_at, run_id: run_id.clone() },
            environment: self.policy.environment,
            source_url: self.policy.source_url.clone(),
            reading: self.policy.reading.clone(),
            redactor: answer.redactor,
        };
        let (charset, limit) = (answer.charset, answer.limit);
        let read = self.publisher.stage(key, move |out| {
            let raw = raw.map(|(name, header, chunks)| RawSink::new(name, &header, StagingWriter::new(chunks))).transpose()?;
            let body = BodyReader::new(events, raw.as_ref().map(RawSink::tee));
            let text = TextReader::new(body, charset, limit)?;
            let Some(raw) = raw else { return job.run(text, || Ok(None), out) };
            let (text, secret_seen) = text.watching(job.redactor.clone());
            let evidence = || raw.finish().map(|evidence| Some(evidence).filter(|_| !secret_seen.load(Ordering::Relaxed)));
            job.run(text, evidence, out)
        });
        let ((), read, raw) = tokio::join!(answer.body.pump(body), read, OptionFuture::from(raw_staged));
        match (read, raw.transpose()) {
            (Ok((staged, encoded)), Ok(raw)) => Ok(ReadDay { staged, encoded, raw, attempts }),
            // the reader only knows that nobody took its bytes
            (read, Err(error)) => {
                OptionFuture::from(read.ok().map(|(staged, _)| staged.discard())).await;
                Err(Trouble::Lake(error).into())
            }
            (Err(error), Ok(raw)) => {
                OptionFuture::from(raw.map(Staged::discard)).await;
                Err(error)
            }
        }
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

impl Work for Extractor<'_> {
    async fn read(&self, pay_date: NaiveDate) -> Result<ReadDay, DayError> {
        let key = self.publisher.key(pay_date);
        let mut attempts = 0;
        let read = self.client.settlement(pay_date, None, async |answer| {
            attempts += 1;
            self.read_answer(&key, answer, attempts).await
        });
        let day = read.await.map_err(day_error)?;
        self.warn_of_unknowns(&day.encoded);
        Ok(day)
    }

    fn publisher(&self) -> &Publisher<'_> {
        &self.publisher
    }
}

fn storage(error: &LakeError) -> DayError {
    DayError { kind: Kind::Storage, message: chain(error), attempts: 1 }
}

fn day_error(error: CallError<Trouble>) -> DayError {
    not_read(error.cause, error.attempts)
}

fn not_read(cause: ReadError<Trouble>, attempts: u32) -> DayError {
    let (kind, message) = match cause {
        ReadError::Receiver(Trouble::Lake(error)) => (Kind::Storage, chain(&error)),
        ReadError::Receiver(Trouble::BadRow(error)) => (Kind::Contract, error.to_string()),
        ReadError::Receiver(Trouble::Internal(message)) => (Kind::Internal, message),
        ReadError::Api(error) => (kind(&error), chain(&error)),
    };
    DayError { kind, message, attempts }
}

fn kind(error: &ApiError) -> Kind {
    match error.fault() {
        Fault::Upstream => Kind::Upstream,
        Fault::RateLimit => Kind::RateLimit,
        Fault::Auth => Kind::Auth,
        Fault::Contract => Kind::Contract,
    }
}
