//! Reads one day from what the lake kept of it.

use std::convert::Infallible;
use std::fs::File;

use chrono::NaiveDate;
use object_store::path::Path;
use parquet::errors::ParquetError;

use crate::cookiepay::decode::{Charset, TextReader};
use crate::cookiepay::envelope;
use crate::cookiepay::error::ReadError;
use crate::cookiepay::redact::Redactor;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::job::{DayRead, MerchantPlan as _, ReadDay};
use crate::jobs::encode::DayEncoder;
use crate::lake::audit::sealed;
use crate::lake::backend::Fetched;
use crate::lake::error::LakeError;
use crate::lake::file::DayFile;
use crate::lake::file::read_rows;
use crate::lake::layout::DayKey;
use crate::lake::merchant::MerchantName;
use crate::lake::publish::{StagedDay, is_protected};
use crate::lake::record::{DayRecord, Evidence};
use crate::lake::response::{ResponseHeader, SavedResponse};
use crate::lake::staged::StagingWriter;
use crate::lake::store::Lake;
use crate::lake::writer::DayWriter;
use crate::settlement::batch::{DayContext, with_run_id};
use crate::settlement::totals::ArrayTotals;

use super::RebuildJob;
use super::plan::{Material, RebuildDay, RebuildPlan};

/// Reads one merchant's days from saved responses and files.
pub(super) struct SavedReader<'a> {
    pub(super) job: &'a RebuildJob,
    pub(super) lake: &'a Lake,
    pub(super) plan: &'a RebuildPlan,
    pub(super) run_id: &'a str,
}

impl ReadDay for SavedReader<'_> {
    async fn read(&self, pay_date: NaiveDate) -> DayRead {
        let key = DayKey { pay_date, merchant: self.plan.merchant().clone() };
        let outcome = match self.plan.day(pay_date) {
            None => Err(refused("the lake has neither the day nor a response: fetch the day with backfill".into())),
            Some(day) => match &day.material {
                Material::Responses(responses) => self.read_responses(&key, responses, day).await,
                Material::Table => self.copy_table(&key, day.stored.as_ref()).await,
                Material::Nothing(why) => Err(refused(why.clone())),
            },
        };
        DayRead { attempts: 1, outcome }
    }
}

impl SavedReader<'_> {
    /// Reads the newest response of a day that is not one that was refused. If that has no rows and may not replace the day,
    /// reads the response that the day was built from.
    async fn read_responses(&self, key: &DayKey, responses: &[Path], day: &RebuildDay) -> Result<StagedDay, Failure> {
        let stored = day.stored.as_ref();
        let mut older = responses;
        let (newest, read) = loop {
            let Some((newest, rest)) = older.split_first() else {
                // the responses show nothing; the file may still be as good as it was
                return match stored {
                    Some(_) => self.copy_table(key, stored).await,
                    None => {
                        Err(refused("every response that was kept had been refused when it arrived: fetch the day with backfill".into()))
                    }
                };
            };
            older = rest;
            if let Some(read) = self.read_response(key, newest, stored).await? {
                break (newest, read);
            }
            tracing::warn!(pay_date = %key.pay_date, "passed over {newest}: it was refused when it arrived, and still cannot be read");
        };
        if read.record.rows > 0 || self.job.allow_empty_replacement {
            return Ok(read);
        }
        match stored {
            Some(stored) => {
                let own = stored.record.raw.as_ref().and_then(|raw| older.iter().find(|at| at.as_ref() == raw.name));
                let Some(own) = own.filter(|_| is_protected(&stored.record)) else { return Ok(read) };
                read.file.discard().await;
                tracing::warn!(pay_date = %key.pay_date, "the newest response, {newest}, has no rows; using {own}, from which the day was built");
                self.read_response(key, own, Some(stored)).await?.ok_or_else(|| refused(format!("the saved response {own} cannot be read")))
            }
            None => match self.earlier_with_rows(older, &day.history).await {
                Ok(None) => Ok(read),
                Ok(Some(earlier)) => {
                    read.file.discard().await;
                    Err(refused(format!(
                        "the newest response, {newest}, has no rows, and {earlier} has some: if the day is empty now, run again with --allow-empty-replacement, else remove that response"
                    )))
                }
                Err(failure) => {
                    read.file.discard().await;
                    Err(failure)
                }
            },
        }
    }

    /// An earlier response or version of a day that has rows.
    async fn earlier_with_rows<'p>(&self, responses: &'p [Path], history: &'p [Path]) -> Result<Option<&'p Path>, Failure> {
        for version in history.iter().rev() {
            match self.lake.file(version).await {
                Ok(Some(file)) if file.record.rows > 0 => return Ok(Some(version)),
                // a damaged version shows nothing
                Ok(_) | Err(LakeError::Record { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for at in responses {
            let Some(Fetched { file, .. }) = self.lake.fetch(at).await? else { continue };
            let (empty_codes, limit) = (self.job.reading.empty_codes.clone(), self.job.max_response_bytes);
            let counted = tokio::task::spawn_blocking(move || count_rows(file, &empty_codes, limit));
            if counted.await.ok().flatten().is_some_and(|rows| rows > 0) {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Reads one saved response; `None` if it was refused when it arrived, and still cannot be read.
    async fn read_response(&self, key: &DayKey, at: &Path, stored: Option<&DayFile>) -> Result<Option<StagedDay>, Failure> {
        let response = self.open(at).await?;
        let header = response.header.clone();
        self.check_header(key, at, &header)?;
        let evidence = Evidence { name: at.to_string(), sha256: response.sha256.clone() };
        let recorded = stored.and_then(|stored| stored.record.raw.as_ref());
        if recorded.is_some_and(|recorded| recorded.name == evidence.name && recorded.sha256 != evidence.sha256) {
            return Err(refused(format!("the saved response {at} has changed: its SHA-256 is not the one in the day record")));
        }
        let charset =
            Charset::from_content_type(header.content_type.as_deref()).map_err(|error| Failure::new(FailureKind::Guard, error))?;
        let day = DayEncoder {
            context: DayContext {
                merchant_id: header.merchant_id,
                pay_date: key.pay_date,
                extracted_at: header.extracted_at,
                run_id: self.run_id.to_owned(),
            },
            environment: header.environment,
            source_url: header.source_url,
            reading: self.job.reading.clone(),
            // a response that contains a secret is not kept
            redactor: Redactor::new([]),
        };
        let (limit, was_refused) = (self.job.max_response_bytes, header.refused.is_some());
        let read = self.lake.write_staged(key.settlement(), self.run_id, move |out| {
            let body = response.body().map_err(Failure::internal)?;
            day.encode(TextReader::new(body, charset, limit)?, || Ok(Some(evidence)), out)
        });
        match read.await {
            Ok((file, encoded)) => Ok(Some(encoded.staged(file, None))),
            Err(ReadError::Api(_)) if was_refused => Ok(None),
            Err(error) => Err(unreadable(at, error)),
        }
    }

    async fn open(&self, at: &Path) -> Result<SavedResponse, Failure> {
        let Some(Fetched { file, .. }) = self.lake.fetch(at).await? else {
            return Err(refused(format!("the saved response {at} is gone: run again")));
        };
        let opened = tokio::task::spawn_blocking(move || SavedResponse::open(file)).await.map_err(Failure::internal)?;
        opened.map_err(|error| refused(format!("the saved response {at} is damaged ({error}): remove it, or fetch the day with backfill")))
    }

    /// Checks that a saved response is the one of this day and of the lake's environment.
    fn check_header(&self, key: &DayKey, at: &Path, header: &ResponseHeader) -> Result<(), Failure> {
        if header.pay_date != key.pay_date || MerchantName::new(&header.merchant_id).as_ref() != Ok(&key.merchant) {
            let (merchant, day) = (&header.merchant_id, header.pay_date);
            return Err(refused(format!("the saved response {at} is that of merchant {merchant} for {day}: it was moved or renamed")));
        }
        let held = *self.plan.environment.get_or_init(|| header.environment);
        if held != header.environment {
            let environment = header.environment;
            return Err(refused(format!(
                "the saved response {at} is from the {environment} API, and the lake holds days of the {held} one"
            )));
        }
        Ok(())
    }

    /// Copies a day's rows into a file of this version's schema.
    async fn copy_table(&self, key: &DayKey, stored: Option<&DayFile>) -> Result<StagedDay, Failure> {
        let at = key.settlement();
        let fetched = self.lake.fetch(&at).await?;
        let (Some(Fetched { file, .. }), Some(stored)) = (fetched, stored) else {
            return Err(refused(format!("{at} is gone: run again")));
        };
        let (record, run_id) = (stored.record.clone(), self.run_id.to_owned());
        let copied = self.lake.write_staged(at.clone(), self.run_id, move |out| copy_rows(&at, file, record, run_id, out));
        let (file, (record, bytes)) = copied.await.map_err(|error| match error {
            LakeError::Record { .. } => Failure::from(error).with_kind(FailureKind::Guard).context("fetch the day with backfill"),
            error => error.into(),
        })?;
        Ok(StagedDay { file, record, bytes, empty_by_code: false, rejected: None, response: None })
    }
}

/// A failure that another run would not change.
fn refused(message: String) -> Failure {
    Failure::new(FailureKind::Guard, message)
}

/// What cannot be read from a saved response now cannot be read later either.
fn unreadable(at: &Path, error: ReadError<Failure>) -> Failure {
    let failure = Failure::from(error);
    match failure.kind {
        FailureKind::Storage | FailureKind::Internal => failure,
        _ => failure.with_kind(FailureKind::Contract).context(at.to_string()),
    }
}

/// The rows of a saved response; `None` if it cannot be read.
fn count_rows(file: File, empty_codes: &[String], limit: u64) -> Option<u64> {
    let response = SavedResponse::open(file).ok()?;
    let charset = Charset::from_content_type(response.header.content_type.as_deref()).ok()?;
    let text = TextReader::new(response.body().ok()?, charset, limit).ok()?;
    envelope::read(text, empty_codes, |_, _| Ok::<_, Infallible>(())).ok().map(|response| response.rows)
}

/// Writes a file's rows into one of this version's schema; a column that the file does not have is NULL.
fn copy_rows(at: &Path, mut file: File, stored: DayRecord, run_id: String, out: StagingWriter) -> Result<(DayRecord, u64), LakeError> {
    let unreadable = |reason: String| LakeError::Record { object: at.to_string(), reason };
    match sealed(&mut file) {
        Ok(record) if record.seal == stored.seal => {}
        Ok(_) => return Err(unreadable("another run has replaced it: run again".into())),
        Err(reason) => return Err(unreadable(reason)),
    }
    let mut writer = DayWriter::new(out)?;
    let mut totals = ArrayTotals::default();
    let copied = read_rows(file, |batch| {
        let batch = with_run_id(batch, &run_id)?;
        totals.add(&batch);
        writer.write(&batch).map_err(|error| ParquetError::External(Box::new(error)))
    });
    copied.map_err(|error| unreadable(error.to_string()))?;
    let (nulls, digest) = (totals.nulls_over(&stored.nulls), totals.digest().to_string());
    let record = DayRecord { nulls, digest, groups: totals.groups(), ..stored.rewritten_by(run_id) };
    if let Some(difference) = totals.differences(&record.stated_totals()).into_iter().next() {
        return Err(unreadable(difference));
    }
    writer.finish(record)
}
