//! One day made again without asking the API: from the newest answer that was kept, or, where this
//! version's schema only has more columns, from the day's own file.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use chrono::NaiveDate;
use object_store::path::Path;
use parquet::errors::ParquetError;

use crate::cookiepay::decode::{Charset, TextReader};
use crate::cookiepay::envelope;
use crate::cookiepay::error::{ReadError, Redactor};
use crate::errors::chain;
use crate::lake::audit::sealed;
use crate::lake::error::LakeError;
use crate::lake::file::read_rows;
use crate::lake::layout::{DayKey, MerchantName};
use crate::lake::raw::RawAnswer;
use crate::lake::record::{DayRecord, Environment, Evidence};
use crate::lake::staging::StagingWriter;
use crate::lake::store::{DayFile, Fetched, Lake};
use crate::lake::writer::DayWriter;
use crate::result::Kind;
use crate::settlement::batch::DayContext;
use crate::settlement::columns::COLUMNS;
use crate::settlement::totals::ArrayTotals;

use super::publish::{Origin, is_protected};
use super::read::{Encoded, ReadJob, Trouble};
use super::{DayError, Publisher, ReadDay, Reading, Work, not_read, storage};

/// What a day is made from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Answers as they were received, newest first. The newest counts; the others tell what the day had.
    Answers(Vec<Path>),
    /// Its own file.
    Table,
    /// Nothing will do, and this is why.
    Nothing(String),
}

/// A day that is to be made again.
pub(crate) struct Remade {
    /// From what.
    pub(crate) source: Source,
    /// What the lake holds of it.
    pub(crate) stored: Option<DayFile>,
    /// Versions of it in `history/`.
    pub(crate) history: Vec<Path>,
}

/// How days are made again.
#[derive(Debug, Clone)]
pub struct RebuildPolicy {
    /// How answers are read.
    pub reading: Reading,
    /// The largest answer taken, in bytes, decompressed.
    pub max_answer_bytes: u64,
    /// Whether an empty answer may replace a day that had rows.
    pub allow_empty_replacement: bool,
}

/// Makes days of one merchant again, for one run.
pub(crate) struct Rebuilder<'a> {
    publisher: Publisher<'a>,
    policy: RebuildPolicy,
    days: BTreeMap<NaiveDate, Remade>,
    /// The one whose days the lake holds; set by the first answer where it holds none.
    environment: &'a OnceLock<Environment>,
}

impl<'a> Rebuilder<'a> {
    /// Makes `days` again; `proven` where the lake holds a day of the merchant that has rows.
    pub(crate) fn new(
        lake: &'a Lake,
        merchant: MerchantName,
        run_id: String,
        policy: RebuildPolicy,
        days: BTreeMap<NaiveDate, Remade>,
        (proven, environment): (bool, &'a OnceLock<Environment>),
    ) -> Self {
        let publisher = Publisher {
            lake,
            merchant,
            run_id,
            bad_rows: policy.reading.bad_rows,
            allow_empty_replacement: policy.allow_empty_replacement,
            origin: Origin::Kept,
            proven: AtomicBool::new(proven),
        };
        Self { publisher, policy, days, environment }
    }

    /// Reads the newest answer of a day; where that has no rows and the guard would not let it
    /// replace the day, the one that the day was made from.
    async fn read_answers(&self, key: &DayKey, answers: &[Path], day: &Remade) -> Result<ReadDay, DayError> {
        let [newest, older @ ..] = answers else { return Err(refused("no answer was kept".into())) };
        let stored = day.stored.as_ref();
        let read = self.read_answer(key, newest, stored).await?;
        if read.encoded.record.rows > 0 || self.policy.allow_empty_replacement {
            return Ok(read);
        }
        if let Some(stored) = stored {
            let own = stored.record.raw.as_ref().and_then(|raw| older.iter().find(|at| at.as_ref() == raw.name));
            let Some(own) = own.filter(|_| is_protected(&stored.record)) else { return Ok(read) };
            read.discard().await;
            tracing::warn!(pay_date = %key.pay_date, "the newest answer, {newest}, has no rows, and was passed over for {own}, which the day was made from");
            return self.read_answer(key, own, Some(stored)).await;
        }
        let had = self.had_rows(older, &day.history).await;
        match had {
            Ok(None) => Ok(read),
            Ok(Some(earlier)) => {
                read.discard().await;
                Err(refused(format!(
                    "the newest answer, {newest}, has no rows, and {earlier} has some: if the day is empty by now, run again with --allow-empty-replacement, else remove that answer"
                )))
            }
            Err(error) => {
                read.discard().await;
                Err(error)
            }
        }
    }

    /// An earlier answer or version of a day that has rows.
    async fn had_rows<'p>(&self, answers: &'p [Path], history: &'p [Path]) -> Result<Option<&'p Path>, DayError> {
        let lake = self.publisher.lake;
        for version in history.iter().rev() {
            match lake.file(version).await {
                Ok(Some(file)) if file.record.rows > 0 => return Ok(Some(version)),
                // a damaged one tells nothing
                Ok(_) | Err(LakeError::Record { .. }) => {}
                Err(error) => return Err(storage(&error)),
            }
        }
        for at in answers {
            let Some(Fetched { file, .. }) = lake.fetch(at).await.map_err(|error| storage(&error))? else { continue };
            let (empty_codes, limit) = (self.policy.reading.empty_codes.clone(), self.policy.max_answer_bytes);
            let counted = tokio::task::spawn_blocking(move || {
                let answer = RawAnswer::open(file).ok()?;
                let charset = Charset::from_content_type(answer.header.content_type.as_deref()).ok()?;
                let text = TextReader::new(answer.body().ok()?, charset, limit).ok()?;
                envelope::read(text, &empty_codes, |_, _| Ok::<_, Infallible>(())).ok().map(|answer| answer.rows)
            });
            if counted.await.ok().flatten().is_some_and(|rows| rows > 0) {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Reads a kept answer again.
    async fn read_answer(&self, key: &DayKey, at: &Path, stored: Option<&DayFile>) -> Result<ReadDay, DayError> {
        let Some(Fetched { file, .. }) = self.publisher.lake.fetch(at).await.map_err(|error| storage(&error))? else {
            return Err(refused(format!("the kept answer {at} is gone: run again")));
        };
        let opened = tokio::task::spawn_blocking(move || RawAnswer::open(file)).await;
        let answer = match opened {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(refused(format!("the kept answer {at} is damaged ({error}): remove it, or fetch the day again"))),
            Err(error) => return Err(DayError { kind: Kind::Internal, message: error.to_string(), attempts: 1 }),
        };
        let header = answer.header.clone();
        if header.pay_date != key.pay_date || MerchantName::new(&header.merchant_id).as_ref() != Ok(&key.merchant) {
            let (merchant, day) = (&header.merchant_id, header.pay_date);
            return Err(refused(format!("the kept answer {at} is the one of merchant {merchant} for {day}: it was moved or renamed")));
        }
        let holds = *self.environment.get_or_init(|| header.environment);
        if holds != header.environment {
            return Err(refused(format!(
                "the kept answer {at} is the {} API's, and the lake holds the {holds} one's days",
                header.environment
            )));
        }
        let evidence = Evidence { name: at.to_string(), sha256: answer.sha256.clone() };
        let kept = stored.and_then(|stored| stored.record.raw.as_ref());
        if kept.is_some_and(|kept| kept.name == evidence.name && kept.sha256 != evidence.sha256) {
            return Err(refused(format!("the kept answer {at} is not as it was kept: its SHA-256 is not the one in the day's record")));
        }
        let charset = Charset::from_content_type(header.content_type.as_deref()).map_err(|error| refused(chain(&error)))?;
        let job = ReadJob {
            context: DayContext {
                merchant_id: header.merchant_id,
                pay_date: key.pay_date,
                extracted_at: header.extracted_at,
                run_id: self.publisher.run_id.clone(),
            },
            environment: header.environment,
            source_url: header.source_url,
            reading: self.policy.reading.clone(),
            // an answer that holds a secret is not kept
            redactor: Redactor::new([]),
        };
        let limit = self.policy.max_answer_bytes;
        let read = self.publisher.stage(key, move |out| {
            let body = answer.body().map_err(|error| Trouble::Internal(error.to_string()))?;
            job.run(TextReader::new(body, charset, limit)?, || Ok(Some(evidence)), out)
        });
        let (staged, encoded) = read.await.map_err(|cause| match not_read(cause, 1) {
            // nobody was asked: what cannot be read now cannot be read later
            error @ DayError { kind: Kind::Storage | Kind::Internal, .. } => error,
            error => DayError { kind: Kind::Contract, message: format!("{at}: {}", error.message), ..error },
        })?;
        Ok(ReadDay { staged, encoded, raw: None, attempts: 1 })
    }

    /// Carries a day's rows over into a file of this version's schema.
    async fn carry_table(&self, key: &DayKey, stored: Option<&DayFile>) -> Result<ReadDay, DayError> {
        let at = key.settlement();
        let fetched = self.publisher.lake.fetch(&at).await.map_err(|error| storage(&error))?;
        let (Some(Fetched { file, .. }), Some(stored)) = (fetched, stored) else {
            return Err(refused(format!("{at} is gone: run again")));
        };
        let (record, run_id) = (stored.record.clone(), self.publisher.run_id.clone());
        let carried = self.publisher.stage(key, move |out| carry_over(&at, file, record, run_id, out).map_err(ReadError::from));
        let (staged, encoded) = carried.await.map_err(|cause| not_read(cause, 1))?;
        Ok(ReadDay { staged, encoded, raw: None, attempts: 1 })
    }
}

impl Work for Rebuilder<'_> {
    async fn read(&self, pay_date: NaiveDate) -> Result<ReadDay, DayError> {
        let key = self.publisher.key(pay_date);
        let Some(day) = self.days.get(&pay_date) else { return Err(refused(format!("nothing is kept of {pay_date}"))) };
        match &day.source {
            Source::Answers(answers) => self.read_answers(&key, answers, day).await,
            Source::Table => self.carry_table(&key, day.stored.as_ref()).await,
            Source::Nothing(why) => Err(refused(why.clone())),
        }
    }

    fn publisher(&self) -> &Publisher<'_> {
        &self.publisher
    }
}

fn refused(message: String) -> DayError {
    DayError { kind: Kind::Guard, message, attempts: 1 }
}

/// Writes a file's rows into one of this version's schema; a column that the file has not is NULL.
fn carry_over(at: &Path, mut file: File, stored: DayRecord, run_id: String, out: StagingWriter) -> Result<Encoded, Trouble> {
    let unreadable = |reason: String| Trouble::Lake(LakeError::Record { object: at.to_string(), reason });
    match sealed(&mut file) {
        Ok(record) if record.seal == stored.seal => {}
        Ok(_) => return Err(unreadable("another run has replaced it: run again".into())),
        Err(reason) => return Err(unreadable(reason)),
    }
    let mut writer = DayWriter::new(out).map_err(Trouble::Lake)?;
    let mut totals = ArrayTotals::default();
    let carried = read_rows(file, |batch| {
        let batch = written_by(batch, &run_id)?;
        totals.add(&batch);
        writer.write(&batch).map_err(|error| ParquetError::External(Box::new(error)))
    });
    carried.map_err(|error| unreadable(error.to_string()))?;
    let (nulls, digest) = (totals.nulls_over(&stored.nulls), totals.digest().to_string());
    let record = DayRecord { nulls, digest, ..stored.rewritten_by(run_id) };
    let stated = (record.rows, record.pending_rows, &record.sums, record.digest.as_str());
    if let Some(difference) = totals.differences(stated, &record.nulls).into_iter().next() {
        return Err(unreadable(difference));
    }
    let (record, bytes) = writer.finish(record).map_err(Trouble::Lake)?;
    Ok(Encoded::of(record, bytes))
}

/// A batch of the table with another run's id in it.
fn written_by(batch: &RecordBatch, run_id: &str) -> Result<RecordBatch, ParquetError> {
    let run_ids: ArrayRef = Arc::new(StringArray::from_iter_values(std::iter::repeat_n(run_id, batch.num_rows())));
    let arrays = COLUMNS.iter().zip(batch.columns()).map(|(column, array)| {
        let array = if column.name == "run_id" { &run_ids } else { array };
        Arc::clone(array)
    });
    Ok(RecordBatch::try_new(batch.schema(), arrays.collect())?)
}
