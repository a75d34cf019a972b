//! DDL for BigQuery: an external table over a copy of the lake in Google's storage, or over S3 through a connection, and a view that adds
//! the pay date.

use crate::lake::layout::SETTLEMENTS;
use crate::lang::{Words, words};

use super::columns;
use super::error::DdlError;
use super::root::Root;
use super::sql::{TypeNames, backslash_quoted as quoted};
use super::{Request, Table};

const TYPES: TypeNames =
    TypeNames { text: "STRING", decimal: "NUMERIC", int32: "INT64", int64: "INT64", boolean: "BOOL", timestamp: "TIMESTAMP" };

const IN_A_BUCKET: &str = "it reads gs:// and, through a connection, s3://; copy the lake there (gcloud storage rsync --recursive FOLDER gs://bucket/prefix) and use --dest gs://bucket/prefix";

const CONNECTION: Words = words("S3 needs your connection to AWS here", "S3는 여기에 AWS 연결을 지정해야 함");

/// The statements for the table.
pub(super) fn print(request: &Request) -> Result<String, DdlError> {
    let root = request.root.in_bucket(request.format, &["gs", "s3"], IN_A_BUCKET)?;
    if !matches!(request.table, Table::Settlements | Table::Labels) {
        let instead = "--table settlements, or another engine";
        return Err(DdlError::NotPrinted { format: request.format, table: request.table, instead });
    }
    if root.contains('*') {
        let remedy = "it takes the asterisk for a pattern; copy the lake to a prefix without one".to_owned();
        return Err(DdlError::NotReadable { format: request.format, root, remedy });
    }
    let in_file = columns::in_file(request.lang);
    let columns: Vec<String> = in_file
        .iter()
        .map(|column| format!("  {} {} OPTIONS (description = {})", column.name, TYPES.of(column.kind), quoted(column.about)))
        .collect();
    let connection = match &request.root {
        Root::Bucket { scheme: "s3", .. } => {
            format!("-- {}: WITH CONNECTION `aws-ap-northeast-2.cookiepay`\n", CONNECTION.to(request.lang))
        }
        _ => String::new(),
    };
    let date = "    PARSE_DATE('%F', REGEXP_EXTRACT(_FILE_NAME, r'pay_date=([0-9-]{10})/[^/]*$')) AS pay_date".to_owned();
    let names = in_file.iter().map(|column| format!("    {}", column.name));
    Ok(format!(
        "CREATE OR REPLACE EXTERNAL TABLE settlements_files (\n{}\n)\n{connection}OPTIONS (\n  format = 'PARQUET',\n  uris = [{}]\n);\nCREATE OR REPLACE VIEW settlements AS\nSELECT\n{}\nFROM settlements_files;\n",
        columns.join(",\n"),
        quoted(&format!("{root}/{SETTLEMENTS}/*")),
        std::iter::once(date).chain(names).collect::<Vec<_>>().join(",\n"),
    ))
}
