//! Turns a response into a day's sealed file, on a blocking thread. Knows nothing about tokens and retries, or about what
//! the lake already holds.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use arrow_array::RecordBatch;

use crate::cookiepay::decode::TextReader;
use crate::cookiepay::envelope::{self, ResponseEnd};
use crate::cookiepay::error::ReadError;
use crate::cookiepay::redact::Redactor;
use crate::engine::failure::Failure;
use crate::lake::publish::{BadRows, RejectedRows, StagedDay};
use crate::lake::record::{Closing, DayRecord, Environment, Evidence, State};
use crate::lake::staged::{Staged, StagingWriter};
use crate::lake::writer::DayWriter;
use crate::settlement::batch::{BatchBuilder, DayContext};
use crate::settlement::columns::{SCHEMA_VERSION, fingerprint};
use crate::settlement::source::Extra;
use crate::settlement::sums::sums_json;
use crate::settlement::totals::{ArrayTotals, Totals};

use super::Reading;
use super::rejects::Rejects;

/// A day's file as encoded, and what was noticed on the way.
pub(super) struct EncodedDay {
    pub(super) record: DayRecord,
    /// The file's size.
    pub(super) bytes: u64,
    pub(super) empty_by_code: bool,
    pub(super) rejected: Option<RejectedRows>,
    /// Whether rows have fields that the manual does not name.
    pub(super) has_extra: bool,
    /// Members beside `DATA` that the manual does not name.
    pub(super) unknown_members: Vec<String>,
}

impl EncodedDay {
    /// The day, now that its file is staged.
    pub(super) fn staged(self, file: Staged, response: Option<Staged>) -> StagedDay {
        let Self { record, bytes, empty_by_code, rejected, .. } = self;
        StagedDay { file, record, bytes, empty_by_code, rejected, response }
    }
}

/// All that is needed to turn a response into a day's file.
pub(super) struct DayEncoder {
    pub(super) context: DayContext,
    pub(super) environment: Environment,
    pub(super) source_url: String,
    pub(super) reading: Reading,
    pub(super) redactor: Redactor,
}

impl DayEncoder {
    /// Reads a response to its end and writes the day's file to `out`. `evidence` is called when the response was read, and
    /// returns where it is kept.
    ///
    /// # Errors
    /// What is wrong with the response as a whole, or with the lake. Rows that cannot be read are returned instead.
    pub(super) fn encode(
        self,
        text: TextReader,
        evidence: impl FnOnce() -> Result<Option<Evidence>, Failure>,
        out: StagingWriter,
    ) -> Result<EncodedDay, ReadError<Failure>> {
        let ReadRows { response, totals, arrays, writer, rejects, has_extra } = self.read_rows(text, out)?;
        let difference = |difference| Failure::internal(format!("control totals differ, and the day was not published: {difference}"));
        totals.reconcile(&arrays).map_err(difference)?;
        let unknown_members = response.unknown_members.iter().map(|member| self.redactor.text(member)).collect();
        let record = self.record(&response, &totals, &arrays, rejects.count(), evidence()?);
        let (record, bytes) = writer.finish(record)?;
        Ok(EncodedDay { record, bytes, empty_by_code: response.empty_by_code, rejected: rejects.into_rows(), has_extra, unknown_members })
    }

    /// Reads the rows, and encodes them on a second thread: the two take about as long.
    fn read_rows(&self, text: TextReader, out: StagingWriter) -> Result<ReadRows, ReadError<Failure>> {
        let mut rows = RowReader::new(self);
        let (response, encoder) = thread::scope(|scope| {
            let (batches, taken) = sync_channel(BATCHES_AHEAD);
            let encoder = scope.spawn(move || Encoder::run(taken, out));
            let read = rows.read(text, &batches);
            drop(batches);
            let written = encoder.join().unwrap_or_else(|_| Err(Failure::internal("the encoder panicked")));
            // if the encoder failed, the reader only knows that nobody took its rows
            let written = written?;
            Ok::<_, ReadError<Failure>>((read?, written))
        })?;
        let Encoder { writer, arrays } = encoder;
        let RowReader { builder, rejects, has_extra, .. } = rows;
        Ok(ReadRows { response, totals: builder.totals().clone(), arrays, writer, rejects, has_extra })
    }

    fn record(
        &self,
        response: &ResponseEnd,
        totals: &Totals,
        arrays: &ArrayTotals,
        rejected_rows: u64,
        raw: Option<Evidence>,
    ) -> DayRecord {
        let DayContext { merchant_id, pay_date, extracted_at, run_id } = self.context.clone();
        let closing = Closing { pay_date, extracted_at, pending_rows: totals.pending_rows, rejected_rows };
        let open_because = closing.open_because();
        DayRecord {
            schema_version: SCHEMA_VERSION,
            schema_fingerprint: fingerprint().to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            environment: self.environment,
            source_url: self.source_url.clone(),
            merchant_id,
            pay_date,
            run_id,
            extracted_at,
            result_code: response.result_code.clone(),
            result_message: response.result_message.as_deref().map(|message| self.redactor.text(message)),
            state: State::of(&open_because),
            open_because,
            rows: totals.rows,
            pending_rows: totals.pending_rows,
            rejected_rows,
            sums: sums_json(&totals.sums),
            nulls: totals.nulls_json(),
            unbalanced_rows: totals.unbalanced_rows,
            groups: arrays.groups(),
            digest: arrays.digest().to_string(),
            raw,
            seal: String::new(),
        }
    }
}

/// What reading a response's rows led to.
struct ReadRows {
    response: ResponseEnd,
    totals: Totals,
    arrays: ArrayTotals,
    writer: DayWriter<StagingWriter>,
    rejects: Rejects,
    has_extra: bool,
}

/// Reads rows into batches.
struct RowReader<'e> {
    day: &'e DayEncoder,
    builder: BatchBuilder,
    rejects: Rejects,
    has_extra: bool,
}

impl<'e> RowReader<'e> {
    fn new(day: &'e DayEncoder) -> Self {
        Self { day, builder: BatchBuilder::new(day.context.clone()), rejects: Rejects::default(), has_extra: false }
    }

    fn read(&mut self, text: TextReader, batches: &SyncSender<Batch>) -> Result<ResponseEnd, ReadError<Failure>> {
        let response = envelope::read(text, &self.day.reading.empty_codes, |position, row| {
            self.has_extra |= row.source.extra != Extra::None;
            if let Err(error) = self.builder.push(position, &row.source) {
                self.rejects.add(error, row.raw, &self.day.redactor);
            }
            if self.builder.is_full() {
                self.hand_over(batches)?;
            }
            Ok(())
        })?;
        if !self.builder.is_empty() {
            self.hand_over(batches)?;
        }
        Ok(response)
    }

    fn hand_over(&mut self, batches: &SyncSender<Batch>) -> Result<(), Failure> {
        // a day that will be refused is only read further for its other bad rows
        let written = self.day.reading.bad_rows == BadRows::Reject || self.rejects.count() == 0;
        let rows = self.builder.take().map_err(Failure::internal)?;
        batches.send(Batch { rows, written }).map_err(|_| Failure::internal("the encoder is gone"))
    }
}

/// Rows on their way to the encoder.
struct Batch {
    rows: RecordBatch,
    /// Whether they are written, or only counted.
    written: bool,
}

/// This many batches may wait, because reading and encoding each have their own pace.
const BATCHES_AHEAD: usize = 4;

/// Counts and encodes batches, on a thread of its own.
struct Encoder {
    writer: DayWriter<StagingWriter>,
    arrays: ArrayTotals,
}

impl Encoder {
    fn run(batches: Receiver<Batch>, out: StagingWriter) -> Result<Self, Failure> {
        let mut writer = DayWriter::new(out)?;
        let mut arrays = ArrayTotals::default();
        for Batch { rows, written } in batches {
            arrays.add(&rows);
            if written {
                writer.write(&rows)?;
            }
        }
        Ok(Self { writer, arrays })
    }
}
