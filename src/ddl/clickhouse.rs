//! Views for ClickHouse.

use crate::lake::layout::{DELTA, SETTLEMENTS};

use super::columns::{self, Kind, TableColumn};
use super::error::DdlError;
use super::root::{Root, encoded, holds_escapes};
use super::sql::{TypeNames, backslash_quoted as quoted, commented};
use super::{Days, Request, Table};

const TYPES: TypeNames =
    TypeNames { text: "String", decimal: "Decimal", int32: "Int32", int64: "Int64", boolean: "Bool", timestamp: "DateTime64(3, 'UTC')" };

/// The view of a table.
pub(super) fn print(request: &Request) -> Result<String, DdlError> {
    match request.table {
        Table::Delta => delta(request),
        Table::Ledger | Table::Versions => {
            Err(DdlError::NotPrinted { format: request.format, table: request.table, instead: "--format duckdb, athena or spark" })
        }
        Table::Settlements | Table::Labels => settlements(request),
    }
}

fn refuse(request: &Request, remedy: &str) -> DdlError {
    DdlError::NotReadable { format: request.format, root: request.root.shown(), remedy: remedy.into() }
}

fn delta(request: &Request) -> Result<String, DdlError> {
    let (function, location, name) = match &request.root {
        Root::Folder { absolute, .. } => ("deltaLakeLocal", absolute.clone(), absolute),
        Root::Bucket { scheme, bucket, prefix } => {
            let encoded = Root::Bucket { scheme, bucket: bucket.clone(), prefix: encoded(prefix) };
            ("deltaLake", encoded.typed(), prefix)
        }
    };
    let is_read = !holds_escapes(name) && !name.contains(|character: char| "?*{}#\\".contains(character));
    if !is_read {
        return Err(refuse(
            request,
            "its reader of Delta tables takes ? * { } # \\ and %20 in a path for something else; use a link, or a prefix, without them",
        ));
    }
    let all = columns::of(Table::Delta, request.lang);
    let lines = commented(all.iter().map(|column| (format!("    {}", column.name), column.about)));
    let location = quoted(&format!("{location}/{DELTA}"));
    Ok(format!("CREATE OR REPLACE VIEW settlements AS\nSELECT\n{lines}\nFROM {function}({location});\n"))
}

fn settlements(request: &Request) -> Result<String, DdlError> {
    if let Root::Bucket { prefix, .. } = &request.root
        && prefix.contains(['{', '}'])
    {
        return Err(refuse(request, "it takes braces for a list; copy the lake to a prefix without them"));
    }
    let place = Place::of(&request.root);
    let files = quoted(&format!("{}/{SETTLEMENTS}/{}/*.parquet", place.url, folders(request.days)));
    let in_file = columns::in_file(request.lang);
    // the dates of the columns may be before 1970
    let kind = |column: &TableColumn| match (column.kind, column.nullable) {
        (Kind::Date, _) => "Nullable(Date32)".to_owned(),
        (kind, true) => format!("Nullable({})", TYPES.of(kind)),
        (kind, false) => TYPES.of(kind),
    };
    let structure: Vec<String> = in_file.iter().map(|column| format!("{} {}", column.name, kind(column))).collect();
    let date = r"    toDate32(extract(_path, 'pay_date=([0-9-]{10})/[^/]*$')) AS pay_date".to_owned();
    let lines = std::iter::once((date, columns::PAY_DATE.to(request.lang)));
    let lines = commented(lines.chain(in_file.iter().map(|column| (format!("    {}", column.name), column.about))));
    let function = if matches!(request.root, Root::Folder { .. }) { "file" } else { "s3" };
    let exact = place.exactly.map(|start| format!("startsWith(_path, {})", quoted(&format!("{start}/{SETTLEMENTS}/"))));
    let conditions: Vec<String> = exact.into_iter().chain(request.days.condition("")).collect();
    let narrowed = if conditions.is_empty() { String::new() } else { format!("\nWHERE {}", conditions.join(" AND ")) };
    // a folder such as merchant_id=x above the lake would overrule the column of that name
    Ok(format!(
        "CREATE OR REPLACE VIEW settlements AS\nSELECT\n{lines}\nFROM {function}(\n    {files},\n    'Parquet',\n    {}\n){narrowed}\nSETTINGS use_hive_partitioning = 0;\n",
        quoted(&structure.join(", ")),
    ))
}

/// A root as ClickHouse reads it.
struct Place {
    /// A path, or a URL of which what is no letter or digit is percent-encoded. Characters that it takes for patterns are `?`.
    url: String,
    /// What the names of files begin with, if the pattern could match others.
    exactly: Option<String>,
}

impl Place {
    fn of(root: &Root) -> Self {
        let is_pattern = |character: char| "*?{}".contains(character);
        match root {
            Root::Folder { absolute, .. } => {
                Self { url: absolute.replace(is_pattern, "?"), exactly: absolute.contains(is_pattern).then(|| absolute.clone()) }
            }
            Root::Bucket { scheme, bucket, prefix } => {
                // it puts the last two into an expression as they are
                let is_pattern = |character: char| is_pattern(character) || "^$".contains(character);
                let exactly = prefix.contains(is_pattern).then(|| format!("{bucket}/{prefix}"));
                let prefix: String = prefix.split(is_pattern).map(encoded).collect::<Vec<_>>().join("?");
                let root = Root::Bucket { scheme, bucket: bucket.clone(), prefix };
                Self { url: root.typed(), exactly }
            }
        }
    }
}

/// The folders of the days, as a pattern: as far as the first and the last have the same digits.
fn folders(days: Days) -> String {
    let (Some(from), Some(to)) = (days.from, days.to) else { return "*".into() };
    let (from, to) = (from.to_string(), to.to_string());
    let same = from.bytes().zip(to.bytes()).take_while(|(from, to)| from == to).count();
    match (from[same..].chars().next(), to[same..].chars().next()) {
        (Some(first), Some(last)) => format!("pay_date={}{{{first}..{last}}}*", &from[..same]),
        _ => format!("pay_date={from}"),
    }
}
