//! What each table holds, for every form in which it is printed.

use arrow_schema::{DataType, Field as ArrowField};

use crate::lake::index::{ABOUT, index_schema};
use crate::lang::{Lang, Words, words};
use crate::settlement::codes::meanings;
use crate::settlement::columns::{COLUMNS, Column, ColumnSource};
use crate::settlement::source::Field;

use super::Table;

/// A column's type, as SQL knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Decimal {
        digits: u8,
        decimals: i8,
    },
    Date,
    Int32,
    Int64,
    Boolean,
    /// An instant.
    Timestamp,
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int32 => Self::Int32,
            DataType::Int64 => Self::Int64,
            DataType::Date32 => Self::Date,
            DataType::Decimal32(digits, decimals) | DataType::Decimal64(digits, decimals) | DataType::Decimal128(digits, decimals) => {
                Self::Decimal { digits: *digits, decimals: *decimals }
            }
            DataType::Timestamp(..) => Self::Timestamp,
            _ => Self::Text,
        }
    }
}

/// A column of a table, or of the path of its files.
#[derive(Debug, Clone)]
pub(super) struct TableColumn {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Its type in words, exactly.
    pub(super) type_name: String,
    pub(super) nullable: bool,
    /// The manual's name of the field that it comes from.
    pub(super) field: Option<&'static str>,
    pub(super) about: &'static str,
}

/// What `pay_date` is, in every table.
pub(super) const PAY_DATE: Words = words("the requested pay date", "조회한 지급일");
const CURRENT: Words = words(
    "whether this version is the one in the table; else it is in history/",
    "테이블에 있는 현재본이면 true, history/의 이전본이면 false",
);
const PATH: Words = words("the file, below the root of the lake", "저장소 루트 기준 파일 경로");

/// The names that labels are given beside the codes: the code's column, and the label's.
pub(super) const LABELS: [(Field, &str, Words); 3] = [
    (Field::PaymentStatus, "payment_status_label", words("payment_status in words", "결제상태명")),
    (Field::StatusCd, "payoff_status_label", words("payoff_status in words", "지급상태명")),
    (Field::Acquirer, "acquirer_label", words("acquirer_code in words", "매입사명")),
];

/// The codes of a field that have a label, with the label.
pub(super) fn labels(field: Field, lang: Lang) -> impl Iterator<Item = (&'static str, &'static str)> {
    meanings(field).iter().map(move |(code, meaning)| (*code, meaning.to(lang)))
}

/// The column of a field.
pub(super) fn column_of(field: Field) -> &'static str {
    COLUMNS.iter().find(|column| column.source == ColumnSource::Field(field)).map_or("", |column| column.name)
}

fn extra(name: &str, kind: Kind, type_name: &str, about: &'static str) -> TableColumn {
    TableColumn { name: name.into(), kind, type_name: type_name.into(), nullable: false, field: None, about }
}

fn pay_date(lang: Lang) -> TableColumn {
    extra("pay_date", Kind::Date, "date", PAY_DATE.to(lang))
}

/// The columns that a file of the table holds.
pub(super) fn in_file(lang: Lang) -> Vec<TableColumn> {
    let field = |column: &Column| match column.source {
        ColumnSource::Field(field) => Some(field.name()),
        ColumnSource::MerchantId | ColumnSource::Extra | ColumnSource::Position | ColumnSource::ExtractedAt | ColumnSource::RunId => None,
    };
    let column = |column: &Column| TableColumn {
        name: column.name.into(),
        kind: Kind::of(&column.data_type()),
        type_name: column.type_name(),
        nullable: column.nullable,
        field: field(column),
        about: column.about.to(lang),
    };
    COLUMNS.iter().map(column).collect()
}

/// The columns of a ledger index.
pub(super) fn ledger(lang: Lang) -> Vec<TableColumn> {
    let in_words = |data_type: &DataType| match data_type {
        DataType::Boolean => "bool".into(),
        DataType::Int64 => "int64".into(),
        other => crate::settlement::columns::type_name(other),
    };
    let column = |field: &ArrowField| TableColumn {
        name: field.name().clone(),
        kind: Kind::of(field.data_type()),
        type_name: in_words(field.data_type()),
        nullable: field.is_nullable(),
        field: None,
        about: ABOUT.iter().find(|(name, _)| name == field.name()).map_or("", |(_, about)| about.to(lang)),
    };
    index_schema().fields().iter().map(|field| column(field)).collect()
}

/// The columns of a table, as a query sees them.
pub(super) fn of(table: Table, lang: Lang) -> Vec<TableColumn> {
    let mut columns = vec![pay_date(lang)];
    match table {
        Table::Settlements => columns.extend(in_file(lang)),
        Table::Labels => {
            columns.extend(in_file(lang));
            columns
                .extend(LABELS.map(|(_, name, about)| TableColumn { nullable: true, ..extra(name, Kind::Text, "string", about.to(lang)) }));
        }
        Table::Versions => {
            columns.push(extra("current", Kind::Boolean, "bool", CURRENT.to(lang)));
            columns.push(extra("path", Kind::Text, "string", PATH.to(lang)));
            columns.extend(in_file(lang));
        }
        Table::Ledger => return ledger(lang),
        // Delta has microseconds alone
        Table::Delta => columns.extend(in_file(lang).into_iter().map(|column| match column.kind {
            Kind::Timestamp => TableColumn { type_name: column.type_name.replace("ms", "us"), ..column },
            _ => column,
        })),
    }
    columns
}
