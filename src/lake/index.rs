//! The file of a ledger index: one row for each version of a merchant's days. Its form alone; what it is good for is
//! [`super::ledger`]'s to know.
//!
//! It is written at the end of a run, over a fresh copy of itself, under a lock on disk and a condition on S3, so that what another run added
//! stays. Where the store returned no ETag (a completed multipart upload on Ceph), or the file has other columns than this version's, the row
//! has none and is never trusted. A run that finds the index out of date lists `history/` as well, because a run that died may have kept a
//! version that the index does not know.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Decimal128Type, Int64Type, TimestampMillisecondType};
use arrow_array::{ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::ChunkReader;

use crate::lang::{Words, words};
use crate::settlement::columns::amounts;
use crate::settlement::sums::Sums;

use super::record::{DayRecord, OpenReason};

/// Digits of a sum in the index, and decimals.
const SUM: (u8, i8) = (38, 2);

/// The key in the file's metadata by which a reader knows that there is a Delta table, without a request for it.
const DELTA_KEY: &str = "cookiepay_etl.delta";

/// An index as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Index {
    /// The versions.
    pub(crate) rows: Vec<IndexRow>,
    /// Whether a run has written the lake's Delta table.
    pub(crate) has_delta: bool,
}

/// Rows that a run collects, packed as in an index: one by one, the records of thousands of days are megabytes, in small pieces that keep
/// the allocator from giving memory back.
#[derive(Debug, Default)]
pub(super) struct PackedRows {
    packed: Vec<Bytes>,
    last: Vec<IndexRow>,
}

impl PackedRows {
    /// Rows packed together.
    const PACK: usize = 512;

    pub(super) fn push(&mut self, row: IndexRow) {
        self.last.push(row);
        if self.last.len() < Self::PACK {
            return;
        }
        let index = Index { rows: std::mem::take(&mut self.last), has_delta: false };
        match encode(&index) {
            Ok(bytes) => self.packed.push(bytes.into()),
            // they stay as they are
            Err(_) => self.last = index.rows,
        }
    }

    /// All rows, the newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = IndexRow> + '_ {
        let packed = self.packed.iter().rev().flat_map(|bytes| decode(bytes.clone()).unwrap_or_default().rows.into_iter().rev());
        self.last.iter().rev().cloned().chain(packed)
    }
}

/// One version of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexRow {
    pub(crate) merchant_id: String,
    pub(crate) pay_date: NaiveDate,
    /// Whether it is the one in the table, and not one in `history/`.
    pub(crate) current: bool,
    pub(crate) state: String,
    /// Why it is open, separated by commas.
    pub(crate) open_because: Option<String>,
    pub(crate) rows: u64,
    pub(crate) pending_rows: u64,
    pub(crate) rejected_rows: u64,
    pub(crate) sums: Sums,
    pub(crate) extracted_at: DateTime<Utc>,
    pub(crate) run_id: String,
    pub(crate) result_code: String,
    /// The object, below the lake's root.
    pub(crate) path: Path,
    pub(crate) bytes: u64,
    /// The object's, if it is the one by which the record is known.
    pub(crate) etag: Option<String>,
    pub(crate) digest: String,
    /// The day record as JSON.
    pub(crate) record: String,
}

impl IndexRow {
    /// The row of a version whose record is known.
    pub(crate) fn of(record: &DayRecord, path: Path, current: bool, bytes: u64, etag: Option<String>) -> Self {
        let reasons: Vec<&str> = record.open_because.iter().map(|reason| OpenReason::name(*reason)).collect();
        Self {
            merchant_id: record.merchant_id.clone(),
            pay_date: record.pay_date,
            current,
            state: record.state.name().to_owned(),
            open_because: Some(reasons.join(",")).filter(|reasons| !reasons.is_empty()),
            rows: record.rows,
            pending_rows: record.pending_rows,
            rejected_rows: record.rejected_rows,
            sums: record.exact_sums(),
            extracted_at: record.extracted_at,
            run_id: record.run_id.clone(),
            result_code: record.result_code.clone(),
            path,
            bytes,
            etag,
            digest: record.digest.clone(),
            record: serde_json::to_string(record).unwrap_or_default(),
        }
    }

    /// Its day record.
    pub(crate) fn record(&self) -> Result<DayRecord, String> {
        serde_json::from_str(&self.record).map_err(|error| error.to_string())
    }
}

/// What each column holds.
pub(crate) const ABOUT: [(&str, Words); 21] = [
    ("merchant_id", words("the requested API id", "조회에 사용한 API ID")),
    ("pay_date", words("the pay date", "지급일")),
    (
        "current",
        words(
            "whether this version is the one in the table; else it is in history/",
            "테이블에 있는 현재본이면 true, history/의 이전본이면 false",
        ),
    ),
    ("state", words("closed, or open", "closed(마감) 또는 open(미마감)")),
    ("open_because", words("why it is open: names separated by commas", "미마감 사유, 쉼표로 구분")),
    ("rows", words("rows of the version", "행 수")),
    ("pending_rows", words("rows still to be paid out", "지급대기 행 수")),
    ("rejected_rows", words("rows that could not be read and are not in the version", "읽지 못하여 제외한 행 수")),
    ("auth_amount", words("the sum of the column; NULL counts as 0", "승인금액 합계, NULL은 0으로 계산")),
    ("fee", words("the sum of the column; NULL counts as 0", "수수료 합계, NULL은 0으로 계산")),
    ("vat", words("the sum of the column; NULL counts as 0", "부가세 합계, NULL은 0으로 계산")),
    ("payment_amount", words("the sum of the column; NULL counts as 0", "지급금액 합계, NULL은 0으로 계산")),
    ("final_amount", words("the sum of the column; NULL counts as 0", "정산대사금액 합계, NULL은 0으로 계산")),
    ("extracted_at", words("when the response headers arrived", "응답 헤더를 받은 시각(UTC)")),
    ("run_id", words("the run that wrote the version", "이 버전을 기록한 실행의 ID")),
    ("result_code", words("the code of the response", "응답 결과코드")),
    ("path", words("the object, below the root of the lake", "저장소 루트 기준 파일 경로")),
    ("bytes", words("size of the object", "파일 크기(바이트)")),
    ("etag", words("ETag of the object by which the record is known; NULL if it is not known", "레코드를 확인한 파일의 ETag, 모르면 NULL")),
    ("digest", words("changes if the content changes", "내용이 바뀌면 달라지는 값")),
    ("record", words("the day record, as JSON", "일자 레코드(JSON)")),
];

/// The index's columns.
#[must_use]
pub fn index_schema() -> SchemaRef {
    let column = |name: &str, data_type: DataType, nullable: bool| ArrowField::new(name, data_type, nullable);
    let sums = amounts().map(|(_, amount)| column(amount.name, DataType::Decimal128(SUM.0, SUM.1), false));
    let before = [
        column("merchant_id", DataType::Utf8, false),
        column("pay_date", DataType::Date32, false),
        column("current", DataType::Boolean, false),
        column("state", DataType::Utf8, false),
        column("open_because", DataType::Utf8, true),
        column("rows", DataType::Int64, false),
        column("pending_rows", DataType::Int64, false),
        column("rejected_rows", DataType::Int64, false),
    ];
    let after = [
        column("extracted_at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), false),
        column("run_id", DataType::Utf8, false),
        column("result_code", DataType::Utf8, false),
        column("path", DataType::Utf8, false),
        column("bytes", DataType::Int64, false),
        column("etag", DataType::Utf8, true),
        column("digest", DataType::Utf8, false),
        column("record", DataType::Utf8, false),
    ];
    Arc::new(Schema::new(before.into_iter().chain(sums).chain(after).collect::<Vec<_>>()))
}

fn days(date: NaiveDate) -> i32 {
    i32::try_from((date - NaiveDate::default()).num_days()).unwrap_or_default()
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Encodes an index.
pub(super) fn encode(Index { rows, has_delta }: &Index) -> Result<Vec<u8>, ParquetError> {
    /// Rows that are arrays at the same time.
    const AT_ONCE: usize = 1024;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?));
    // every record is different
    let properties = properties.set_column_dictionary_enabled("record".into(), false).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), index_schema(), Some(properties))?;
    for rows in rows.chunks(AT_ONCE) {
        writer.write(&encode_rows(rows)?)?;
    }
    if *has_delta {
        writer.append_key_value_metadata(KeyValue::new(DELTA_KEY.to_owned(), "true".to_owned()));
    }
    writer.into_inner()
}

fn encode_rows(rows: &[IndexRow]) -> Result<RecordBatch, ParquetError> {
    let text = |of: &dyn Fn(&IndexRow) -> &str| Arc::new(StringArray::from_iter_values(rows.iter().map(of))) as ArrayRef;
    let optional = |of: &dyn Fn(&IndexRow) -> Option<&str>| Arc::new(rows.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let counts = |of: &dyn Fn(&IndexRow) -> u64| Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| count(of(row))))) as ArrayRef;
    let mut columns: Vec<ArrayRef> = vec![
        text(&|row| &row.merchant_id),
        Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| days(row.pay_date)))),
        Arc::new(rows.iter().map(|row| Some(row.current)).collect::<BooleanArray>()),
        text(&|row| &row.state),
        optional(&|row| row.open_because.as_deref()),
        counts(&|row| row.rows),
        counts(&|row| row.pending_rows),
        counts(&|row| row.rejected_rows),
    ];
    for (amount, _) in amounts().enumerate() {
        let sums = Decimal128Array::from_iter_values(rows.iter().map(|row| row.sums[amount]));
        columns.push(Arc::new(sums.with_precision_and_scale(SUM.0, SUM.1)?));
    }
    let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.extracted_at.timestamp_millis()));
    columns.extend([
        Arc::new(times.with_timezone("UTC")) as ArrayRef,
        text(&|row| &row.run_id),
        text(&|row| &row.result_code),
        text(&|row| row.path.as_ref()),
        counts(&|row| row.bytes),
        optional(&|row| row.etag.as_deref()),
        text(&|row| &row.digest),
        text(&|row| &row.record),
    ]);
    Ok(RecordBatch::try_new(index_schema(), columns)?)
}

/// Decodes an index.
///
/// # Errors
/// It is not one that this version writes.
pub(super) fn decode(file: impl ChunkReader + 'static) -> Result<Index, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())?;
    let ours = index_schema();
    let same = |(found, ours): (&Arc<ArrowField>, &Arc<ArrowField>)| found.name() == ours.name() && found.data_type() == ours.data_type();
    let found = reader.schema().clone();
    if found.fields().len() != ours.fields().len() || !found.fields().iter().zip(ours.fields()).all(same) {
        return Err("its columns are those of another version".into());
    }
    let pairs = reader.metadata().file_metadata().key_value_metadata();
    let has_delta = pairs.into_iter().flatten().any(|pair| pair.key == DELTA_KEY);
    let mut rows = Vec::new();
    for batch in reader.with_batch_size(8192).build().map_err(|error| error.to_string())? {
        let batch = batch.map_err(|error| error.to_string())?;
        for row in 0..batch.num_rows() {
            rows.push(decode_row(&batch, row).ok_or("a value of it cannot be read")?);
        }
    }
    Ok(Index { rows, has_delta })
}

fn decode_row(batch: &RecordBatch, row: usize) -> Option<IndexRow> {
    let column = |name: &str| batch.column_by_name(name);
    let text = |name: &str| Some(column(name)?.as_string_opt::<i32>()?.value(row).to_owned());
    let optional = |name: &str| {
        let array = column(name)?.as_string_opt::<i32>()?;
        Some((!arrow_array::Array::is_null(array, row)).then(|| array.value(row).to_owned()))
    };
    let number = |name: &str| u64::try_from(column(name)?.as_primitive_opt::<Int64Type>()?.value(row)).ok();
    let mut sums = Sums::default();
    for (sum, (_, amount)) in sums.iter_mut().zip(amounts()) {
        *sum = column(amount.name)?.as_primitive_opt::<Decimal128Type>()?.value(row);
    }
    let day = i64::from(column("pay_date")?.as_primitive_opt::<Date32Type>()?.value(row));
    Some(IndexRow {
        merchant_id: text("merchant_id")?,
        pay_date: NaiveDate::default().checked_add_signed(TimeDelta::try_days(day)?)?,
        current: column("current")?.as_boolean_opt()?.value(row),
        state: text("state")?,
        open_because: optional("open_because")?,
        rows: number("rows")?,
        pending_rows: number("pending_rows")?,
        rejected_rows: number("rejected_rows")?,
        sums,
        extracted_at: DateTime::from_timestamp_millis(column("extracted_at")?.as_primitive_opt::<TimestampMillisecondType>()?.value(row))?,
        run_id: text("run_id")?,
        result_code: text("result_code")?,
        path: Path::parse(text("path")?).ok()?,
        bytes: number("bytes")?,
        etag: optional("etag")?,
        digest: text("digest")?,
        record: text("record")?,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::lake::record::State;

    #[test]
    fn an_index_reads_back_and_anything_else_does_not() {
        let record =
            DayRecord { state: State::Open, open_because: vec![OpenReason::PendingRows, OpenReason::RejectedRows], ..DayRecord::sample() };
        let row = IndexRow::of(&record, Path::from("settlements/pay_date=1970-01-01/m.parquet"), true, 7, Some("tag".into()));
        assert_eq!(row.open_because.as_deref(), Some("pending_rows,rejected_rows"));
        let other =
            IndexRow { pay_date: NaiveDate::MAX.min(NaiveDate::from_ymd_opt(9999, 12, 31).unwrap_or_default()), etag: None, ..row.clone() };
        let index = Index { rows: vec![row, other], has_delta: true };
        let file = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(bytes).expect("written");
            file
        };
        let encoded = encode(&index).expect("an index");
        assert_eq!(decode(file(&encoded)), Ok(index.clone()));
        assert_eq!(index.rows[0].record(), Ok(record));
        for cut in [0, 3, encoded.len() / 2, encoded.len() - 1] {
            assert!(decode(file(&encoded[..cut])).is_err());
        }
    }
}
