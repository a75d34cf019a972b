//! DDL for an external table in Redshift (Spectrum), which wants each day named as a partition.

use crate::calendar::DateRange;
use crate::lake::layout::SETTLEMENTS;
use crate::lang::{Words, words};

use super::columns;
use super::error::DdlError;
use super::sql::{TypeNames, commented, quoted};
use super::{Request, Table};

const TYPES: TypeNames =
    TypeNames { text: "VARCHAR(65535)", decimal: "DECIMAL", int32: "INTEGER", int64: "BIGINT", boolean: "BOOLEAN", timestamp: "TIMESTAMP" };

const ON_S3: &str = "it reads S3 alone; copy the lake there (aws s3 sync FOLDER s3://bucket/prefix) and use --dest s3://bucket/prefix";

const SCHEMA: Words = words("the external schema, if there is none yet", "외부 스키마가 없으면 먼저 생성");
const MAKES_DAYS_KNOWN: Words = words(
    "the same command with --from and --to prints the statements that make the days known",
    "같은 명령에 --from, --to를 주면 일자 파티션을 등록하는 문을 출력함",
);

/// Partitions that one statement may add.
const A_STATEMENT: usize = 100;
const MOST_DAYS: u64 = 3660;

/// The statements for the table; with pay dates, those that make them known.
pub(super) fn print(request: &Request) -> Result<String, DdlError> {
    let root = request.root.in_bucket(request.format, &["s3"], ON_S3)?;
    if !matches!(request.table, Table::Settlements | Table::Labels) {
        let instead = "--table settlements, or another engine";
        return Err(DdlError::NotPrinted { format: request.format, table: request.table, instead });
    }
    let folder = format!("{root}/{SETTLEMENTS}/");
    if !request.days.are_all() {
        return partitions(request, &folder);
    }
    let in_file = columns::in_file(request.lang);
    let lines = in_file.iter().map(|column| (format!("  {} {}", column.name, TYPES.of(column.kind)), column.about));
    Ok(format!(
        "-- {}: CREATE EXTERNAL SCHEMA cookiepay FROM DATA CATALOG DATABASE 'cookiepay' IAM_ROLE default\n-- {}\nCREATE EXTERNAL TABLE cookiepay.settlements (\n{}\n)\nPARTITIONED BY (pay_date DATE)\nSTORED AS PARQUET\nLOCATION {};\n",
        SCHEMA.to(request.lang),
        MAKES_DAYS_KNOWN.to(request.lang),
        commented(lines),
        quoted(&folder),
    ))
}

fn partitions(request: &Request, folder: &str) -> Result<String, DdlError> {
    let (Some(from), Some(to)) = (request.days.from, request.days.to) else { return Err(DdlError::OpenRange) };
    let range = DateRange { from, to };
    if range.len() > MOST_DAYS {
        return Err(DdlError::TooManyDays { days: range.len(), most: MOST_DAYS });
    }
    let days: Vec<_> = range.days().collect();
    let one = |day: &chrono::NaiveDate| format!("PARTITION (pay_date = '{day}') LOCATION {}", quoted(&format!("{folder}pay_date={day}/")));
    let statement = |days: &[chrono::NaiveDate]| {
        let partitions: Vec<String> = days.iter().map(one).collect();
        format!("ALTER TABLE cookiepay.settlements ADD IF NOT EXISTS\n{};\n", partitions.join("\n"))
    };
    Ok(days.chunks(A_STATEMENT).map(statement).collect())
}
