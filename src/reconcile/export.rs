//! Every case as a line of CSV or a row of Parquet.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::builder::{Date32Builder, Decimal128Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::lang::Lang;
use crate::settlement::values::{AMOUNT, format_decimal};

use super::outcome::{CaseView, Outcome};

/// Digits of an amount in Parquet, and decimals.
const DECIMAL: (u8, i8) = (38, 2);
/// Cases that are in memory at the same time.
const BATCH: usize = 8192;

/// The columns, in their order.
pub const COLUMNS: [&str; 14] = [
    "merchant_id",
    "order_no",
    "transaction_ids",
    "status",
    "reason",
    "order_amount",
    "pg_amount",
    "difference",
    "order_date",
    "first_pay_date",
    "last_pay_date",
    "age_days",
    "lines",
    "rows",
];

/// Writes every case as CSV: UTF-8 with a byte order mark, so that Excel shows Korean.
///
/// # Errors
/// `out` cannot be written.
pub fn csv(outcome: &Outcome, lang: Lang, out: &mut dyn Write) -> io::Result<()> {
    out.write_all("\u{FEFF}".as_bytes())?;
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    writer.write_record(COLUMNS)?;
    let date = |date: Option<NaiveDate>| date.map(|date| date.to_string()).unwrap_or_default();
    for case in outcome.cases() {
        let [order_amount, pg_amount, difference] =
            [case.order_amount, case.pg_amount, case.difference()].map(|amount| format_decimal(amount, AMOUNT.decimals));
        let reason = case.reason(lang).unwrap_or_default();
        writer.write_record([
            case.merchant_id.unwrap_or_default(),
            case.order_no.unwrap_or_default(),
            case.transaction_ids.unwrap_or_default(),
            case.status.name().to_owned(),
            reason,
            order_amount,
            pg_amount,
            difference,
            date(case.order_date),
            date(case.first_pay_date),
            date(case.last_pay_date),
            case.age_days.map(|days| days.to_string()).unwrap_or_default(),
            case.lines,
            case.rows.to_string(),
        ])?;
    }
    writer.flush()
}

/// Every case as a Parquet file.
///
/// # Errors
/// It cannot be encoded.
pub fn parquet(outcome: &Outcome, lang: Lang) -> Result<Vec<u8>, ParquetError> {
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
    let schema = schema();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties))?;
    let mut cases = outcome.cases().peekable();
    while cases.peek().is_some() {
        let batch: Vec<CaseView> = cases.by_ref().take(BATCH).collect();
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), arrays(&batch, lang)?)?)?;
    }
    writer.into_inner()
}

fn schema() -> SchemaRef {
    let fields = COLUMNS.map(|name| {
        let (data_type, nullable) = match name {
            "status" | "lines" => (DataType::Utf8, false),
            "order_amount" | "pg_amount" | "difference" => (DataType::Decimal128(DECIMAL.0, DECIMAL.1), false),
            "order_date" | "first_pay_date" | "last_pay_date" => (DataType::Date32, true),
            "age_days" => (DataType::Int64, true),
            "rows" => (DataType::Int64, false),
            _ => (DataType::Utf8, true),
        };
        Field::new(name, data_type, nullable)
    });
    Arc::new(Schema::new(fields.to_vec()))
}

fn arrays(cases: &[CaseView], lang: Lang) -> Result<Vec<ArrayRef>, ParquetError> {
    let text = |of: &dyn Fn(&CaseView) -> Option<String>| {
        let mut builder = StringBuilder::new();
        for case in cases {
            builder.append_option(of(case));
        }
        Arc::new(builder.finish()) as ArrayRef
    };
    let amount = |of: fn(&CaseView) -> i128| {
        let mut builder = Decimal128Builder::new().with_precision_and_scale(DECIMAL.0, DECIMAL.1)?;
        for case in cases {
            builder.append_value(of(case));
        }
        Ok::<_, ParquetError>(Arc::new(builder.finish()) as ArrayRef)
    };
    let date = |of: fn(&CaseView) -> Option<NaiveDate>| {
        let mut builder = Date32Builder::new();
        for case in cases {
            builder.append_option(of(case).map(|date| date.to_epoch_days()));
        }
        Arc::new(builder.finish()) as ArrayRef
    };
    let number = |of: fn(&CaseView) -> Option<i64>| {
        let mut builder = Int64Builder::new();
        for case in cases {
            builder.append_option(of(case));
        }
        Arc::new(builder.finish()) as ArrayRef
    };
    Ok(vec![
        text(&|case| case.merchant_id.clone()),
        text(&|case| case.order_no.clone()),
        text(&|case| case.transaction_ids.clone()),
        text(&|case| Some(case.status.name().to_owned())),
        text(&|case| case.reason(lang)),
        amount(|case| case.order_amount)?,
        amount(|case| case.pg_amount)?,
        amount(CaseView::difference)?,
        date(|case| case.order_date),
        date(|case| case.first_pay_date),
        date(|case| case.last_pay_date),
        number(|case| case.age_days),
        text(&|case| Some(case.lines.clone())),
        number(|case| i64::try_from(case.rows).ok()),
    ])
}
