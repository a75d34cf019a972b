//! From the bytes of an answer to a sealed Parquet file or to record batches, on a blocking thread.
//! Knows nothing of tokens, retries and what the lake already holds.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use arrow_array::RecordBatch;
use chrono::{NaiveDate, SubsecRound as _};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::cookiepay::client::Client;
use crate::cookiepay::decode::{BodyReader, TextReader};
use crate::cookiepay::envelope::{self, Answer};
use crate::cookiepay::error::{ReadError, Redactor};

use crate::cookiepay::json;
use crate::lake::error::LakeError;
use crate::lake::raw::{RawHeader, RawWriter};
use crate::lake::record::{Closing, DayRecord, Environment, Evidence, State};
use crate::lake::staging::StagingWriter;
use crate::lake::writer::DayWriter;
use crate::settlement::batch::{BatchBuilder, DayContext, RowError};
use crate::settlement::columns::{SCHEMA_VERSION, fingerprint};
use crate::settlement::totals::{ArrayTotals, Digest, Totals, sums_json};

use super::{BadRows, DayError, Reading, day_error};

/// A day read and encoded, and what was noticed on the way.
pub(super) struct Encoded {
    pub(super) record: DayRecord,
    pub(super) bytes: u64,
    pub(super) empty_by_code: bool,
    pub(super) rejects: Rejects,
    pub(super) has_extra: bool,
    pub(super) unknown_members: Vec<String>,
}

impl Encoded {
    /// A file of which nothing was noticed.
    pub(super) fn of(record: DayRecord, bytes: u64) -> Self {
        Self { record, bytes, empty_by_code: false, rejects: Rejects::default(), has_extra: false, unknown_members: Vec::new() }
    }
}

/// What stops a try beside the API.
pub(super) enum Trouble {
    Lake(LakeError),
    BadRow(RowError),
    Internal(String),
}

impl From<Trouble> for ReadError<Trouble> {
    fn from(trouble: Trouble) -> Self {
        Self::Receiver(trouble)
    }
}

/// Where an answer goes as it is received: written while it is read, ended when it was.
pub(super) struct RawSink {
    name: String,
    writer: Arc<Mutex<RawWriter<StagingWriter>>>,
}

impl RawSink {
    pub(super) fn new(name: String, header: &RawHeader, out: StagingWriter) -> Result<Self, Trouble> {
        let writer = RawWriter::new(header, out).map_err(|error| Trouble::Internal(error.to_string()))?;
        Ok(Self { name, writer: Arc::new(Mutex::new(writer)) })
    }

    /// For the reader of the body, which is gone before [`RawSink::finish`].
    pub(super) fn tee(&self) -> Box<dyn Write + Send> {
        Box::new(Tee(Arc::clone(&self.writer)))
    }

    pub(super) fn finish(self) -> Result<Evidence, Trouble> {
        let writer = Arc::into_inner(self.writer).and_then(|writer| writer.into_inner().ok());
        let writer = writer.ok_or_else(|| Trouble::Internal("the answer is still being read".into()))?;
        let sha256 = writer.finish().map_err(|error| Trouble::Internal(error.to_string()))?;
        Ok(Evidence { name: self.name, sha256 })
    }
}

struct Tee(Arc<Mutex<RawWriter<StagingWriter>>>);

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().map_err(|_| io::ErrorKind::Other)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().map_err(|_| io::ErrorKind::Other)?.flush()
    }
}

/// What the blocking thread is given to read a day.
pub(super) struct ReadJob {
    pub(super) context: DayContext,
    pub(super) environment: Environment,
    pub(super) source_url: String,
    pub(super) reading: Reading,
    pub(super) redactor: Redactor,
}

impl ReadJob {
    /// Reads an answer; `evidence` says, once it was read, where it is kept.
    pub(super) fn run(
        self,
        text: TextReader,
        evidence: impl FnOnce() -> Result<Option<Evidence>, Trouble>,
        out: StagingWriter,
    ) -> Result<Encoded, ReadError<Trouble>> {
        let mut builder = BatchBuilder::new(self.context.clone());
        let mut rejects = Rejects::default();
        let mut has_extra = false;
        let publishes_despite = self.reading.bad_rows == BadRows::Reject;
        let (answer, encoder) = thread::scope(|scope| {
            let (batches, taken) = sync_channel::<Batch>(BATCHES_AHEAD);
            let encoder = scope.spawn(move || Encoder::run(taken, out));
            let hand_on = |builder: &mut BatchBuilder, rejected: u64| {
                // a day that will be refused is only read on for its other bad rows
                let batch = Batch { rows: take(builder)?, whole: publishes_despite || rejected == 0 };
                batches.send(batch).map_err(|_| Trouble::Internal("the encoder is gone".into()))
            };
            let read = envelope::read(text, &self.reading.empty_codes, |position, row| {
                has_extra |= !row.extra.is_empty();
                if let Err(error) = builder.push(position, row) {
                    rejects.add(error.shown(|text| self.redactor.whole(text)), row.raw, &self.redactor);
                }
                if builder.is_full() {
                    hand_on(&mut builder, rejects.count)?;
                }
                Ok(())
            });
            let read = read.and_then(|answer| {
                if !builder.is_empty() {
                    hand_on(&mut builder, rejects.count)?;
                }
                Ok(answer)
            });
            drop(batches);
            let written = encoder.join().unwrap_or_else(|_| Err(Trouble::Internal("the encoder panicked".into())));
            // where the encoder failed, the reader only knows that nobody took its rows
            written.map_err(ReadError::from).and_then(|written| Ok((read?, written)))
        })?;
        let Encoder { writer, arrays } = encoder;
        let totals = builder.totals().clone();
        totals
            .reconcile(&arrays)
            .map_err(|difference| Trouble::Internal(format!("control totals differ, the day was not published: {difference}")))?;
        let unknown_members = answer.unknown_members.iter().map(|member| self.redactor.text(member)).collect();
        let record = self.record(&answer, &totals, arrays.digest(), rejects.count, evidence()?);
        let (record, bytes) = writer.finish(record).map_err(Trouble::Lake)?;
        Ok(Encoded { record, bytes, empty_by_code: answer.empty_by_code, rejects, has_extra, unknown_members })
    }

    fn record(&self, answer: &Answer, totals: &Totals, digest: Digest, rejected_rows: u64, raw: Option<Evidence>) -> DayRecord {
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
            environment: self.environment,
            source_url: self.source_url.clone(),
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
            raw,
            seal: String::new(),
        }
    }
}

/// Rows on their way to the encoder.
struct Batch {
    rows: RecordBatch,
    /// Whether they are written, or only counted.
    whole: bool,
}

/// So many batches may wait: reading and encoding each have their own pace.
const BATCHES_AHEAD: usize = 4;

/// Counts and encodes what the reader hands on, on a thread of its own: the two take about as long.
struct Encoder {
    writer: DayWriter<StagingWriter>,
    arrays: ArrayTotals,
}

impl Encoder {
    fn run(batches: Receiver<Batch>, out: StagingWriter) -> Result<Self, Trouble> {
        let mut writer = DayWriter::new(out).map_err(Trouble::Lake)?;
        let mut arrays = ArrayTotals::default();
        for Batch { rows, whole } in batches {
            arrays.add(&rows);
            if whole {
                writer.write(&rows).map_err(Trouble::Lake)?;
            }
        }
        Ok(Self { writer, arrays })
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
        let (charset, limit, empty_codes, secrets) = (answer.charset, answer.limit, empty_codes.to_vec(), answer.redactor);
        let reader = tokio::task::spawn_blocking(move || {
            let text = TextReader::new(BodyReader::new(events, None), charset, limit)?;
            collect(text, context, &empty_codes, &secrets)
        });
        let ((), read) = tokio::join!(answer.body.pump(body), reader);
        read.unwrap_or_else(|error| Err(Trouble::Internal(error.to_string()).into()))
    });
    read.await.map_err(day_error)
}

fn collect(
    text: TextReader,
    context: DayContext,
    empty_codes: &[String],
    secrets: &Redactor,
) -> Result<Vec<RecordBatch>, ReadError<Trouble>> {
    let mut builder = BatchBuilder::new(context);
    let mut batches = Vec::new();
    let mut bad = None;
    envelope::read(text, empty_codes, |position, row| {
        if let Err(error) = builder.push(position, row) {
            bad.get_or_insert_with(|| error.shown(|text| secrets.whole(text)));
        }
        if builder.is_full() {
            batches.push(take(&mut builder)?);
        }
        Ok(())
    })?;
    if let Some(error) = bad {
        return Err(Trouble::BadRow(error).into());
    }
    batches.push(take(&mut builder)?);
    Ok(batches)
}

fn take(builder: &mut BatchBuilder) -> Result<RecordBatch, Trouble> {
    builder.take().map_err(|error| Trouble::Internal(error.to_string()))
}

/// A line of `rejects/`; the row to the letter, numbers and keys given twice as they came.
#[derive(Serialize)]
struct RejectLine<'a> {
    position: u64,
    field: Option<&'a str>,
    reason: &'a str,
    row: Option<Box<RawValue>>,
}

/// Rows that could not be read: the first thousand as evidence, all counted.
#[derive(Default)]
pub(super) struct Rejects {
    pub(super) count: u64,
    pub(super) first: Option<RowError>,
    /// JSON lines.
    pub(super) lines: Vec<u8>,
}

impl Rejects {
    const KEPT: u64 = 1000;
    /// Rows beyond this much text are kept without themselves.
    const KEPT_BYTES: usize = 16 << 20;

    fn add(&mut self, error: RowError, raw: &str, secrets: &Redactor) {
        self.count += 1;
        if self.count <= Self::KEPT {
            let row = json::compact(raw);
            // like an answer that repeats the key or a token, such a row is not kept
            let kept = self.lines.len() + row.len() <= Self::KEPT_BYTES && !secrets.finds(&row);
            let reason = match &error.value {
                Some(value) => format!("{value} {}", error.reason),
                None => error.reason.clone(),
            };
            let line = RejectLine {
                position: error.position,
                field: error.field.as_deref(),
                reason: &reason,
                row: RawValue::from_string(row).ok().filter(|_| kept),
            };
            // plain text and JSON that was read before always serialize
            self.lines.extend_from_slice(serde_json::to_string(&line).unwrap_or_default().as_bytes());
            self.lines.push(b'\n');
        }
        self.first.get_or_insert(error);
    }
}
