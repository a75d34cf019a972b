//! The parts of the documentation that are made from the code, and the test that they are up to date. After a wanted change:
//! `UPDATE_DOCS=1 cargo test --lib documentation::`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::Command;

use crate::lang::{Lang, Words, words};
use crate::settings;
use crate::settlement::codes::meanings;
use crate::settlement::columns::{COLUMNS, ColumnSource};
use crate::settlement::source::Field;

/// Compares the part of a page between its markers with what it must be; replaces it if that was requested.
#[track_caller]
fn check(page: &str, part: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{page}: {error}"));
    let (begin, end) = (format!("<!-- {part}: generated -->\n"), format!("<!-- {part}: end -->\n"));
    let from = text.find(&begin).unwrap_or_else(|| panic!("{page} has no {begin}")) + begin.len();
    let to = text.find(&end).unwrap_or_else(|| panic!("{page} has no {end}"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, [&text[..from], expected, &text[to..]].concat()).unwrap_or_else(|error| panic!("{page}: {error}"));
        return;
    }
    assert!(
        text[from..to] == *expected,
        "{page}, {part}: expected\n{expected}\n(UPDATE_DOCS=1 cargo test --lib documentation:: writes it)"
    );
}

/// Text inside a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[test]
fn the_reference_lists_every_setting() {
    let mut table = String::from("| key in the file | flag | variable | meaning |\n|---|---|---|---|\n");
    for argument in settings::augment(Command::new("settings")).get_arguments() {
        let (key, flag) = (argument.get_id(), argument.get_long().unwrap_or_default());
        let takes_value = argument.get_num_args().is_none_or(|values| values.takes_values());
        let value = argument.get_value_names().filter(|_| takes_value).map(|names| format!(" {}", names[0])).unwrap_or_default();
        let variable = argument.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(table, "| `{key}` | `--{flag}{}` | {variable} | {} |", cell(&value), cell(&help));
    }
    check("reference.md", "settings", &table);
}

/// The page's headings and the table's.
const HEADER: Words = words(
    "| column | name | type | NULL | API field | meaning |\n|---|---|---|---|---|---|\n",
    "| 컬럼 | 이름 | 자료형 | NULL | API 항목 | 뜻 |\n|---|---|---|---|---|---|\n",
);

fn columns(lang: Lang) -> String {
    let mut table = HEADER.to(lang).to_owned();
    let pay_date = words(
        "the requested pay date; the partition key, in the path and not in the file",
        "조회한 지급일. 파티션 키로, 파일이 아니라 경로에 있음",
    );
    let _ = writeln!(table, "| `pay_date` | {} | date | | `DATE` | {} |", words("pay date", "지급일").to(lang), pay_date.to(lang));
    for column in COLUMNS {
        let nullable = if column.nullable { words("yes", "가능").to(lang) } else { "" };
        let field = if let ColumnSource::Field(field) = column.source { format!("`{}`", field.name()) } else { String::new() };
        let (label, about) = (column.label.to(lang), cell(column.about.to(lang)));
        let _ = writeln!(table, "| `{}` | {label} | {} | {nullable} | {field} | {about} |", column.name, column.type_name());
    }
    table
}

fn codes(lang: Lang) -> String {
    let mut table = words("| column | code | meaning |\n|---|---|---|\n", "| 컬럼 | 코드 | 뜻 |\n|---|---|---|\n").to(lang).to_owned();
    for column in COLUMNS {
        let ColumnSource::Field(field) = column.source else { continue };
        for (code, meaning) in meanings(field) {
            let _ = writeln!(table, "| `{}` | `{code}` | {} |", column.name, meaning.to(lang));
        }
    }
    assert!(Field::ALL.iter().any(|field| !meanings(*field).is_empty()));
    table
}

#[test]
fn the_dictionary_has_every_column_and_code() {
    for (page, lang) in [("dictionary.md", Lang::En), ("ko/dictionary.md", Lang::Ko)] {
        check(page, "columns", &columns(lang));
        check(page, "codes", &codes(lang));
    }
}
