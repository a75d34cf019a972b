//! One day made again without asking the API: from the newest answer that was kept, or, where this
//! version's schema only has more columns, from the day's own file.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use chrono::NaiveDate;
use object_store::path::Path;
use parquet::errors::ParquetError;

use crate::api::client::Cause;
use crate::api::decode::{Charset, TextReader};
use crate::api::error::Redactor;
use crate::errors::chain;
use crate::lake::audit::sealed;
use crate::lake::error::LakeError;
use crate::lake::file::read_rows;
use crate::lake::layout::{DayKey, MerchantName};
use crate::lake::raw::{Evidence, RawAnswer};
use crate::lake::record::DayRecord;
use crate::lake::staging::StagingWriter;
use crate::lake::store::{DayFile, Lake};
use crate::lake::writer::DayWriter;
use crate::result::Kind;
use crate::settlement::batch::DayContext;
use crate::settlement::columns::{COLUMNS, SCHEMA_VERSION, SchemaFit, fingerprint};
use crate::settlement::totals::ArrayTotals;

use super::read::{Encoded, ReadJob, Rejects, Trouble};
use super::{DayError, Extracted, Publisher, ReadDay, Reading, Work, not_read, storage};

/// What a day is made from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// An answer as it was received.
    Answer(Path),
    /// Its own file.
    Table,
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
    days: BTreeMap<NaiveDate, (Source, Option<DayFile>)>,
}

impl<'a> Rebuilder<'a> {
    /// Makes `days` again, each from its source, with what the lake holds of it; `proven` where the
    /// lake holds a day of the merchant that has rows.
    pub(crate) fn new(
        lake: &'a Lake,
        merchant: MerchantName,
        run_id: String,
        policy: RebuildPolicy,
        days: BTreeMap<NaiveDate, (Source, Option<DayFile>)>,
        proven: bool,
    ) -> Self {
        let publisher = Publisher {
            lake,
            merchant,
            run_id,
            bad_rows: policy.reading.bad_rows,
            allow_empty_replacement: policy.allow_empty_replacement,
            across_schemas: true,
            proven: AtomicBool::new(proven),
        };
        Self { publisher, policy, days }
    }

    /// Reads a kept answer again.
    async fn read_answer(&self, key: &DayKey, at: &Path, stored: Option<&DayFile>) -> Result<ReadDay, DayError> {
        let Some(file) = self.publisher.lake.fetch(at).await.map_err(|error| storage(&error))? else {
            return Err(refused(format!("the kept answer {at} is gone: run again")));
        };
        let opened = tokio::task::spawn_blocking(move || RawAnswer::open(file)).await;
        let answer = match opened {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(refused(format!("the kept answer {at} is damaged ({error}): fetch the day again"))),
            Err(error) => return Err(DayError { kind: Kind::Internal, message: error.to_string(), attempts: 1 }),
        };
        let header = answer.header.clone();
        if header.pay_date != key.pay_date || MerchantName::new(&header.merchant_id).as_ref() != Ok(&key.merchant) {
            let (merchant, day) = (&header.merchant_id, header.pay_date);
            return Err(refused(format!("the kept answer {at} is the one of merchant {merchant} for {day}: it was moved or renamed")));
        }
        let evidence = Evidence { name: at.to_string(), sha256: answer.sha256.clone() };
        if let Some(DayFile { record, fit, .. }) = stored {
            if record.environment != header.environment {
                let (found, has) = (header.environment, record.environment);
                return Err(refused(format!("the kept answer {at} is the {found} API's, and the lake holds the {has} one's day")));
            }
            if record.raw.as_ref().is_some_and(|stated| stated.name == evidence.name && stated.sha256 != evidence.sha256) {
                return Err(refused(format!("the kept answer {at} is not as it was kept: its SHA-256 is not the one in the day's record")));
            }
            if *fit != SchemaFit::Same && record.extracted_at > header.extracted_at {
                return self.carry_table(key, stored).await;
            }
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
            // the key and the tokens of that time are not known any more
            redactor: Redactor::new([]),
        };
        let limit = self.policy.max_answer_bytes;
        let read = self.publisher.stage(key, move |out| {
            let body = answer.body().map_err(|error| Trouble::Internal(error.to_string()))?;
            job.run(TextReader::new(body, charset, limit)?, || Ok(Some(evidence)), out)
        });
        let (staged, encoded) = read.await.map_err(|cause| not_read(cause, 1))?;
        Ok(ReadDay { staged, encoded })
    }

    /// Carries a day's rows over into a file of this version's schema.
    async fn carry_table(&self, key: &DayKey, stored: Option<&DayFile>) -> Result<ReadDay, DayError> {
        let at = key.settlement();
        let Some(stored) = stored.filter(|stored| stored.fit != SchemaFit::Other) else {
            return Err(refused(format!(
                "{at} cannot be carried over into this version's schema, and no answer as late as it was kept: fetch the day again into another --dest"
            )));
        };
        let Some(file) = self.publisher.lake.fetch(&at).await.map_err(|error| storage(&error))? else {
            return Err(refused(format!("{at} is gone: run again")));
        };
        let (record, run_id) = (stored.record.clone(), self.publisher.run_id.clone());
        let carried = self.publisher.stage(key, move |out| carry_over(&at, file, record, run_id, out).map_err(Cause::from));
        let (staged, encoded) = carried.await.map_err(|cause| not_read(cause, 1))?;
        Ok(ReadDay { staged, encoded })
    }
}

impl Work for Rebuilder<'_> {
    async fn work(&self, pay_date: NaiveDate, publishing: &AtomicBool) -> Result<Extracted, DayError> {
        let key = self.publisher.key(pay_date);
        let day = match self.days.get(&pay_date) {
            Some((Source::Answer(at), stored)) => self.read_answer(&key, at, stored.as_ref()).await?,
            Some((Source::Table, stored)) => self.carry_table(&key, stored.as_ref()).await?,
            None => return Err(refused(format!("nothing is kept of {pay_date}"))),
        };
        self.publisher.land(day, 1, publishing).await
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
    let record = DayRecord {
        schema_version: SCHEMA_VERSION,
        schema_fingerprint: fingerprint().to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id,
        nulls: totals.nulls_over(&stored.nulls),
        digest: totals.digest().to_string(),
        ..stored
    };
    let stated = (record.rows, record.pending_rows, &record.sums, record.digest.as_str());
    if let Some(difference) = totals.differences(stated, &record.nulls).into_iter().next() {
        return Err(unreadable(difference));
    }
    let (record, bytes) = writer.finish(record).map_err(Trouble::Lake)?;
    Ok(Encoded {
        sums: totals.sums(),
        record,
        bytes,
        empty_by_code: false,
        rejects: Rejects::default(),
        has_extra: false,
        unknown_members: Vec::new(),
    })
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
