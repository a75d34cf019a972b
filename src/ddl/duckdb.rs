//! Views for DuckDB.

use chrono::NaiveDate;

use crate::lake::layout::{DELTA, LEDGER, SETTLEMENTS};
use crate::lang::{Words, words};

use super::columns::{self, Kind, TableColumn};
use super::error::DdlError;
use super::root::{Root, encoded, holds_escapes};
use super::sql::{TypeNames, commented, quoted};
use super::{Days, Request, Table};

const TYPES: TypeNames =
    TypeNames { text: "VARCHAR", decimal: "DECIMAL", int32: "INTEGER", int64: "BIGINT", boolean: "BOOLEAN", timestamp: "TIMESTAMPTZ" };

const SEVERAL_SCHEMAS: Words = words(
    "if files have several versions of the schema, rebuild the older ones, or add union_by_name = true, which opens every file",
    "스키마 버전이 다른 파일이 섞여 있으면 rebuild로 맞추거나 union_by_name = true 추가(모든 파일을 열어 느려짐)",
);
const EARLIER: Words = words("an earlier version, as the table earlier", "이전 버전을 earlier 테이블로 조회");

/// Takes the pay date from the name of a file.
const DATE_OF_FILE: &str = r"CAST(regexp_extract(filename, 'pay_date=([0-9-]{10})/[^/]*$', 1) AS DATE)";

/// The view of a table.
pub(super) fn print(request: &Request) -> Result<String, DdlError> {
    let root = readable(request)?;
    let all = columns::of(request.table, request.lang);
    let plain = |column: &TableColumn| (format!("    \"{}\"", column.name), column.about);
    Ok(match request.table {
        Table::Settlements | Table::Labels => settlements(request, &root),
        Table::Versions => versions(request, &root),
        Table::Ledger => view(
            "ledger",
            &commented(all.iter().map(plain)),
            &format!("read_parquet({})", quoted(&format!("{root}/{LEDGER}/*.parquet"))),
            None,
        ),
        Table::Delta => {
            let columns = commented(all.iter().map(|column| (format!("    {}", column.name), column.about)));
            let table = quoted(&format!("{root}/{DELTA}"));
            let note = format!("-- {}: ATTACH {table} AS earlier (TYPE delta, VERSION 0)\n", EARLIER.to(request.lang));
            note + &view("settlements", &columns, &format!("delta_scan({table})"), None)
        }
    })
}

/// The root as it is to be written: for the Delta table as a URL, else as a pattern that matches nothing else.
fn readable(request: &Request) -> Result<String, DdlError> {
    let typed = request.root.typed();
    let refuse = |remedy: &str| Err(DdlError::NotReadable { format: request.format, root: request.root.shown(), remedy: remedy.into() });
    let is_delta = request.table == Table::Delta;
    match &request.root {
        Root::Folder { .. } if typed.contains('\\') => {
            refuse("it takes the backslash for a slash; make a link to the folder (ln -s FOLDER lake) and use --dest lake")
        }
        Root::Bucket { prefix, .. } if prefix.contains('?') => {
            refuse("it takes what follows the question mark for options; copy the lake to a prefix without one")
        }
        root if is_delta && holds_escapes(&root.absolute()) => {
            refuse("its reader of Delta tables takes %20 and the like for other characters; use a link, or a prefix, without them")
        }
        Root::Folder { absolute, .. } if is_delta => Ok(format!("file://{}", encoded(absolute))),
        Root::Bucket { scheme, bucket, prefix } if is_delta => {
            Ok(Root::Bucket { scheme, bucket: bucket.clone(), prefix: encoded(prefix) }.typed())
        }
        Root::Folder { .. } => Ok(pattern(&typed)),
        Root::Bucket { .. } => Ok(pattern(&typed).replace('\\', r"\\")),
    }
}

/// A name as a pattern.
fn pattern(name: &str) -> String {
    let mut pattern = String::new();
    for character in name.chars() {
        match character {
            '[' | '*' | '?' => pattern.extend(['[', character, ']']),
            other => pattern.push(other),
        }
    }
    pattern
}

/// The folders of the days, as a pattern: as far as the first and the last have the same digits, and the digits at which they part.
fn folders(days: Days) -> String {
    let (Some(from), Some(to)) = (days.from, days.to) else { return "*".into() };
    let text = |date: NaiveDate| date.to_string();
    let (from, to) = (text(from), text(to));
    let same = from.bytes().zip(to.bytes()).take_while(|(from, to)| from == to).count();
    let digit = |date: &str| date[same..].chars().next();
    match (digit(&from), digit(&to)) {
        (Some(first), Some(last)) => format!("pay_date={}[{first}-{last}]*", &from[..same]),
        _ => format!("pay_date={from}"),
    }
}

fn select(columns: &[TableColumn]) -> impl Iterator<Item = (String, &'static str)> {
    columns.iter().map(|column| (format!("    CAST({0} AS {1}) AS {0}", column.name, TYPES.of(column.kind)), column.about))
}

fn settlements(request: &Request, root: &str) -> String {
    let files = quoted(&format!("{root}/{SETTLEMENTS}/{}/*.parquet", folders(request.days)));
    let columns = columns::in_file(request.lang);
    let about = columns::PAY_DATE.to(request.lang);
    // a folder such as merchant_id=x above the lake would overrule the column of that name
    let (date, options) = if request.root.typed().contains('=') {
        (format!("    {DATE_OF_FILE} AS pay_date"), "    hive_partitioning = false,\n    filename = true\n")
    } else {
        ("    pay_date".to_owned(), "    hive_partitioning = true,\n    hive_types = {'pay_date': DATE}\n")
    };
    let lines = commented(std::iter::once((date, about)).chain(select(&columns)));
    let note = format!("-- {}\n", SEVERAL_SCHEMAS.to(request.lang));
    format!(
        "{note}{}",
        view("settlements", &lines, &format!("read_parquet(\n    {files},\n{options})"), request.days.condition("DATE ").as_deref())
    )
}

fn versions(request: &Request, root: &str) -> String {
    // settlements/ and history/, and no other folder: a list of both would fail while there is no history
    let files = quoted(&format!("{root}/[hs]*[ys]/{}/*.parquet", folders(request.days)));
    let mut all = columns::of(Table::Versions, request.lang).into_iter();
    let own: Vec<(String, &str)> = all
        .by_ref()
        .take(3)
        .map(|column| {
            let value = match column.kind {
                Kind::Date => DATE_OF_FILE.to_owned(),
                Kind::Boolean => format!("contains(filename, '/{SETTLEMENTS}/pay_date=')"),
                _ => r"regexp_extract(filename, '(settlements|history)/pay_date=[^/]*/[^/]*$')".to_owned(),
            };
            (format!("    {value} AS \"{}\"", column.name), column.about)
        })
        .collect();
    let rest: Vec<TableColumn> = all.collect();
    let lines = commented(own.into_iter().chain(select(&rest)));
    let from = format!("read_parquet(\n    {files},\n    hive_partitioning = false,\n    filename = true\n)");
    view("versions", &lines, &from, request.days.condition("DATE ").as_deref())
}

fn view(name: &str, columns: &str, from: &str, condition: Option<&str>) -> String {
    let narrowed = condition.map(|condition| format!("\nWHERE {condition}")).unwrap_or_default();
    format!("CREATE OR REPLACE VIEW {name} AS\nSELECT\n{columns}\nFROM {from}{narrowed};\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_narrowed_by_the_digits_that_the_ends_share() {
        let narrowed = |from: &str, to: &str| folders(Days { from: from.parse().ok(), to: to.parse().ok() });
        assert_eq!(narrowed("2024-01-05", "2024-01-05"), "pay_date=2024-01-05");
        assert_eq!(narrowed("2024-01-05", "2024-01-20"), "pay_date=2024-01-[0-2]*");
        assert_eq!(narrowed("2024-01-01", "2024-03-31"), "pay_date=2024-0[1-3]*");
        assert_eq!(narrowed("2019-12-31", "2020-01-01"), "pay_date=20[1-2]*");
        assert_eq!(folders(Days { from: "2024-01-05".parse().ok(), to: None }), "*");
        assert_eq!(pattern("a[b]*?"), "a[[]b][*][?]");
    }
}
