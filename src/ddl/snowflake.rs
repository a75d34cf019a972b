//! DDL for a stage and an external table in Snowflake.

use crate::lake::layout::SETTLEMENTS;
use crate::lang::{Words, words};

use super::columns::{self, Kind, TableColumn};
use super::error::DdlError;
use super::root::Root;
use super::sql::{TypeNames, backslash_quoted as quoted};
use super::{Request, Table};

const TYPES: TypeNames =
    TypeNames { text: "VARCHAR", decimal: "NUMBER", int32: "INTEGER", int64: "INTEGER", boolean: "BOOLEAN", timestamp: "TIMESTAMP_TZ" };

const IN_A_BUCKET: &str =
    "it reads s3:// and gs://; copy the lake there (aws s3 sync FOLDER s3://bucket/prefix) and use --dest s3://bucket/prefix";

const INTEGRATION: Words = words(
    "the integration that may read the bucket: put in the name of yours",
    "버킷을 읽을 수 있는 스토리지 통합: 사용하는 이름으로 바꿀 것",
);
const AS_DAYS_LAND: Words = words("to be run as days land", "일자가 추가되면 실행");

/// The statements for the table.
pub(super) fn print(request: &Request) -> Result<String, DdlError> {
    request.root.in_bucket(request.format, &["s3", "gs"], IN_A_BUCKET)?;
    if !matches!(request.table, Table::Settlements | Table::Labels) {
        let instead = "--table settlements, or another engine";
        return Err(DdlError::NotPrinted { format: request.format, table: request.table, instead });
    }
    let root = match request.root.clone() {
        // its own name for it
        Root::Bucket { scheme: "gs", bucket, prefix } => Root::Bucket { scheme: "gcs", bucket, prefix },
        other => other,
    };
    let line =
        |name: &str, kind: Kind, value: &str, about: &str| format!("  {name} {} AS ({value}) COMMENT {}", TYPES.of(kind), quoted(about));
    let of_file = "TO_DATE(SUBSTR(SPLIT_PART(METADATA$FILENAME, '/', -2), 10, 10), 'YYYY-MM-DD')";
    let key = line("pay_date", Kind::Date, of_file, columns::PAY_DATE.to(request.lang));
    let in_file = columns::in_file(request.lang);
    let lines =
        in_file.iter().map(|TableColumn { name, kind, about, .. }| line(name, *kind, &format!("VALUE:{name}::{}", TYPES.of(*kind)), about));
    Ok(format!(
        "-- {}\nCREATE STAGE IF NOT EXISTS cookiepay_lake\n  URL = {}\n  STORAGE_INTEGRATION = cookiepay;\n-- {}: ALTER EXTERNAL TABLE settlements REFRESH\nCREATE OR REPLACE EXTERNAL TABLE settlements (\n{}\n)\nPARTITION BY (pay_date)\nLOCATION = @cookiepay_lake/{SETTLEMENTS}/\nAUTO_REFRESH = FALSE\nFILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE);\n",
        INTEGRATION.to(request.lang),
        quoted(&format!("{}/", root.typed())),
        AS_DAYS_LAND.to(request.lang),
        std::iter::once(key).chain(lines).collect::<Vec<_>>().join(",\n"),
    ))
}
