//! The table's columns: the one list that the Arrow schema, the DDL, the docs, the totals and the
//! digest are derived from. Holds no values.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use sha2::{Digest as _, Sha256};

use crate::cookiepay::wire::Field;

use super::values::{AMOUNT, RATE, Scale};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// An exact decimal; amounts are in won, rates in percent.
    Decimal(Scale),
    /// A calendar date in Seoul.
    Date,
    /// A 32-bit integer.
    Int32,
    /// Milliseconds since 1970, UTC.
    Timestamp,
}

impl Kind {
    /// Precision and decimals, where the column is a decimal.
    #[must_use]
    pub const fn decimal(self) -> Option<(u8, u8)> {
        match self {
            Kind::Decimal(scale) => Some((scale.integer_digits + scale.decimals, scale.decimals)),
            _ => None,
        }
    }
}

/// Where a column's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A field of the answer, as the manual names it.
    Field(Field),
    /// The extractor.
    Extractor,
}

/// One column of the table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name in every engine.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Where its value comes from.
    pub source: Source,
    /// What it means, in a line.
    pub about: &'static str,
}

const fn column(name: &'static str, kind: Kind, source: Source, about: &'static str) -> Column {
    Column { name, kind, nullable: true, source, about }
}

const fn field(name: &'static str, kind: Kind, field: Field, about: &'static str) -> Column {
    column(name, kind, Source::Field(field), about)
}

const fn required(mut column: Column) -> Column {
    column.nullable = false;
    column
}

/// Every column, in the table's order. `pay_date`, the partition key, is in the path and not here.
pub const COLUMNS: &[Column] = &[
    required(column("merchant_id", Kind::Text, Source::Extractor, "the API id asked for")),
    required(field(
        "transaction_id",
        Kind::Text,
        Field::TrxId,
        "the PG's transaction number, which a cancellation shares with its payment",
    )),
    field("order_no", Kind::Text, Field::OrderNo, "the merchant's order number"),
    field("cpid", Kind::Text, Field::CpId, "the merchant's id at the PG"),
    required(field("payment_status", Kind::Text, Field::PaymentStatus, "11 approved, 21 cancelled the same day, 22 cancelled later")),
    field("pay_type", Kind::Text, Field::PayType, "payment method"),
    field("acquirer_code", Kind::Text, Field::Acquirer, "card acquirer, as CCLG (Shinhan) or CCBC (BC)"),
    field("auth_amount", Kind::Decimal(AMOUNT), Field::AuthAmt, "approved amount"),
    field("fee_rate", Kind::Decimal(RATE), Field::FeeRate, "fee rate in percent, as given"),
    field("fee", Kind::Decimal(AMOUNT), Field::Fee, "fee, NULL where the API gives -"),
    field("vat", Kind::Decimal(AMOUNT), Field::Vat, "VAT on the fee, NULL where the API gives -"),
    field("payment_amount", Kind::Decimal(AMOUNT), Field::PaymentAmt, "amount paid out, NULL where the API gives -"),
    field("final_amount", Kind::Decimal(AMOUNT), Field::FinalAmt, "amount for reconciliation, NULL where the API gives -"),
    field("settle_cycle_code", Kind::Text, Field::SettleCycleCd, "settlement cycle"),
    field("auth_date", Kind::Date, Field::AuthDt, "approval date, or the cancel date on a cancellation"),
    field("payoff_date", Kind::Date, Field::PayoffDt, "pay date, as the row gives it"),
    field("payoff_status", Kind::Text, Field::StatusCd, "01 pending, 03 paid"),
    column("extra", Kind::Text, Source::Extractor, "JSON of the fields the manual does not name"),
    required(column("source_row", Kind::Int32, Source::Extractor, "1-based position in the answer")),
    required(column("extracted_at", Kind::Timestamp, Source::Extractor, "when the answer's headers arrived")),
    required(column("run_id", Kind::Text, Source::Extractor, "the run that wrote the row (UUIDv7)")),
];

/// The columns that come from the answer's amounts: the ones summed, with their position.
pub fn amounts() -> impl Iterator<Item = (usize, &'static Column)> {
    COLUMNS.iter().enumerate().filter(|(_, column)| column.kind == Kind::Decimal(AMOUNT))
}

impl Column {
    /// The column's type in words: `string`, `decimal(18,2)`, `date`, `int32`, `timestamp(ms, UTC)`.
    #[must_use]
    pub fn type_name(&self) -> String {
        match (self.kind, self.kind.decimal()) {
            (_, Some((precision, decimals))) => format!("decimal({precision},{decimals})"),
            (Kind::Date, _) => "date".into(),
            (Kind::Int32, _) => "int32".into(),
            (Kind::Timestamp, _) => "timestamp(ms, UTC)".into(),
            _ => "string".into(),
        }
    }

    /// The column's Arrow type, as engines see it in the file.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        match self.kind {
            Kind::Text => DataType::Utf8,
            // the narrow physical form; Parquet has one DECIMAL, so readers see decimal(p,s)
            Kind::Decimal(RATE) => DataType::Decimal32(9, 4),
            Kind::Decimal(_) => DataType::Decimal64(18, 2),
            Kind::Date => DataType::Date32,
            Kind::Int32 => DataType::Int32,
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        }
    }
}

/// A type as a reader of the file sees it, in the words of [`Column::type_name`].
#[must_use]
pub fn type_name(found: &DataType) -> String {
    match found {
        DataType::Utf8 => "string".into(),
        DataType::Decimal32(precision, decimals) | DataType::Decimal64(precision, decimals) | DataType::Decimal128(precision, decimals) => {
            format!("decimal({precision},{decimals})")
        }
        DataType::Date32 => "date".into(),
        DataType::Int32 => "int32".into(),
        DataType::Timestamp(TimeUnit::Millisecond, Some(zone)) => format!("timestamp(ms, {zone})"),
        other => format!("{other}"),
    }
}

/// The table's Arrow schema.
#[must_use]
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let fields = COLUMNS.iter().map(|column| ArrowField::new(column.name, column.data_type(), column.nullable));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    });
    Arc::clone(&SCHEMA)
}

/// The version of the schema's meaning; raised where a column's reading changes but not its type.
pub const SCHEMA_VERSION: u32 = 1;

/// A hash of the version and of the columns' names, types and nullability: files that differ in it
/// must not lie in one table unnoticed.
#[must_use]
pub fn fingerprint() -> &'static str {
    static FINGERPRINT: LazyLock<String> = LazyLock::new(|| fingerprint_of(SCHEMA_VERSION, &columns_in_words(COLUMNS)));
    &FINGERPRINT
}

fn fingerprint_of(version: u32, columns: &[String]) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("v{version}\n"));
    for column in columns {
        hash.update(format!("{column}\n"));
    }
    hex(&hash.finalize()[..8])
}

fn columns_in_words(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|column| format!("{} {} {}", column.name, column.type_name(), column.nullable)).collect()
}

/// How a stored file's columns stand to this version's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaFit {
    /// They are the same.
    Same,
    /// This version has appended columns that may be NULL: engines read both in one table.
    Appended,
    /// This version has put columns that may be NULL between them: the rows can be carried over.
    Widened,
    /// Anything else: only the API's answers tell what this version would have made of them.
    Other,
}

impl SchemaFit {
    /// How a file of these columns, whose record states this version and fingerprint, fits.
    #[must_use]
    pub fn of(found: &Schema, stated_version: u32, stated_fingerprint: &str) -> Self {
        Self::within(COLUMNS, found, stated_version, stated_fingerprint)
    }

    fn within(columns: &[Column], found: &Schema, stated_version: u32, stated_fingerprint: &str) -> Self {
        let ours = columns_in_words(columns);
        let theirs: Vec<String> = found
            .fields()
            .iter()
            .map(|field| format!("{} {} {}", field.name(), type_name(field.data_type()), field.is_nullable()))
            .collect();
        // a record that is wrong about its own file says nothing of how the file may be read
        if stated_version != SCHEMA_VERSION || fingerprint_of(stated_version, &theirs) != stated_fingerprint {
            return Self::Other;
        }
        let mut rest = theirs.iter().peekable();
        let new: Vec<usize> = (0..ours.len()).filter(|index| rest.next_if(|column| **column == ours[*index]).is_none()).collect();
        if rest.peek().is_some() || new.iter().any(|index| !columns[*index].nullable) {
            return Self::Other;
        }
        match new.first() {
            None => Self::Same,
            Some(first) if *first == theirs.len() => Self::Appended,
            Some(_) => Self::Widened,
        }
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // writing to a String cannot fail
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(columns: &[Column]) -> Vec<ArrowField> {
        columns.iter().map(|column| ArrowField::new(column.name, column.data_type(), column.nullable)).collect()
    }

    /// How a file of these fields, written by a version that had just them, fits.
    fn fit(stored: Vec<ArrowField>, ours: &[Column]) -> SchemaFit {
        let words: Vec<String> =
            stored.iter().map(|field| format!("{} {} {}", field.name(), type_name(field.data_type()), field.is_nullable())).collect();
        SchemaFit::within(ours, &Schema::new(stored), SCHEMA_VERSION, &fingerprint_of(SCHEMA_VERSION, &words))
    }

    #[test]
    fn a_file_fits_where_only_columns_that_may_be_null_were_added() {
        let new = column("settled_by", Kind::Text, Source::Extractor, "");
        let appended = [COLUMNS, &[new]].concat();
        assert_eq!(fit(fields(COLUMNS), COLUMNS), SchemaFit::Same);
        assert_eq!(fit(fields(COLUMNS), &appended), SchemaFit::Appended);
        assert_eq!(fit(fields(COLUMNS), &[&COLUMNS[..3], &[new], &COLUMNS[3..]].concat()), SchemaFit::Widened);
        assert_eq!(fit(fields(COLUMNS), &[COLUMNS, &[required(new)]].concat()), SchemaFit::Other);
        // a later version's file, another order, another type
        assert_eq!(fit(fields(&appended), COLUMNS), SchemaFit::Other);
        let mut swapped = fields(COLUMNS);
        swapped.swap(2, 3);
        assert_eq!(fit(swapped, COLUMNS), SchemaFit::Other);
        let mut whole_won = fields(COLUMNS);
        whole_won[7] = ArrowField::new("auth_amount", DataType::Decimal64(18, 0), true);
        assert_eq!(fit(whole_won, COLUMNS), SchemaFit::Other);
    }

    #[test]
    fn a_record_that_is_wrong_about_its_file_or_of_another_version_fits_nothing() {
        let stored = Schema::new(fields(COLUMNS));
        assert_eq!(SchemaFit::of(&stored, SCHEMA_VERSION, fingerprint()), SchemaFit::Same);
        assert_eq!(SchemaFit::of(&stored, SCHEMA_VERSION, "0000000000000000"), SchemaFit::Other);
        assert_eq!(SchemaFit::of(&stored, SCHEMA_VERSION + 1, fingerprint()), SchemaFit::Other);
        let fewer = Schema::new(fields(&COLUMNS[..20]));
        assert_eq!(SchemaFit::of(&fewer, SCHEMA_VERSION, fingerprint()), SchemaFit::Other);
    }
}
