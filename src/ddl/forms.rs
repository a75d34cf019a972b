//! The tables for people and programs: as text, as JSON, and in Arrow's words.

use serde_json::{Value as Json, json};

use crate::lang::{Lang, Words, words};
use crate::settlement::columns::{SCHEMA_VERSION, fingerprint};

use super::Table;
use super::columns::{self, TableColumn};
use super::sql::lines;

const IN_THE_PATH: Words =
    words("the requested pay date; the partition key, in the path", "조회한 지급일, 파일이 아니라 경로에 있는 파티션 키");

/// One line a column.
pub(super) fn text(table: Table, lang: Lang) -> String {
    let null = |nullable| if nullable { "" } else { "not null" };
    if table == Table::Settlements {
        let line =
            |name: &str, kind: &str, null: &str, field: &str, about: &str| format!("{name:18} {kind:19} {null:8} {field:16} {about}");
        let columns = columns::in_file(lang);
        let columns = columns
            .iter()
            .map(|column| line(&column.name, &column.type_name, null(column.nullable), column.field.unwrap_or_default(), column.about));
        let head = [line("column", "type", "null", "API field", "meaning")];
        return lines(head.into_iter().chain(columns).chain([line("pay_date", "date", "not null", "", IN_THE_PATH.to(lang))]));
    }
    let columns = columns::of(table, lang);
    let line = |column: &TableColumn| format!("{:15} {:19} {:8} {}", column.name, column.type_name, null(column.nullable), column.about);
    lines(columns.iter().map(line))
}

/// The columns as an object.
pub(super) fn json(table: Table, lang: Lang) -> String {
    let object = if table == Table::Settlements {
        let columns: Vec<Json> = columns::in_file(lang)
            .into_iter()
            .map(|TableColumn { name, type_name, nullable, field, about, .. }| {
                json!({ "name": name, "type": type_name, "nullable": nullable, "field": field, "about": about })
            })
            .collect();
        json!({
            "version": SCHEMA_VERSION,
            "fingerprint": fingerprint(),
            "partition_key": { "name": "pay_date", "type": "date" },
            "columns": columns,
        })
    } else {
        let columns: Vec<Json> = columns::of(table, lang)
            .into_iter()
            .map(|TableColumn { name, type_name, nullable, about, .. }| {
                json!({ "name": name, "type": type_name, "nullable": nullable, "about": about })
            })
            .collect();
        json!({ "columns": columns })
    };
    format!("{object:#}\n")
}

/// The columns of a file, one line each, as pyarrow prints them.
pub(super) fn arrow(table: Table) -> String {
    let columns = if table == Table::Settlements { columns::in_file(Lang::En) } else { columns::of(table, Lang::En) };
    let null = |column: &TableColumn| if column.nullable { "" } else { " not null" };
    lines(columns.iter().map(|column| format!("{}: {}{}", column.name, arrow_type(column), null(column))))
}

fn arrow_type(column: &TableColumn) -> String {
    match column.type_name.as_str() {
        "date" => "date32[day]".into(),
        "timestamp(ms, UTC)" => "timestamp[ms, tz=UTC]".into(),
        "timestamp(us, UTC)" => "timestamp[us, tz=UTC]".into(),
        other => other.strip_prefix("decimal(").map_or_else(|| other.to_owned(), |rest| format!("decimal128({}", rest.replace(',', ", "))),
    }
}
