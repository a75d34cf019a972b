//! The table's columns: the one list from which the Arrow schema, the Parquet settings, the DDL, the totals and the digest
//! are derived. Holds no values.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use sha2::{Digest as _, Sha256};

use super::source::Field;
use super::values::{AMOUNT, RATE};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// An exact amount in won.
    Amount,
    /// An exact rate in percent.
    Rate,
    /// A calendar date in Seoul.
    Date,
    /// A 32-bit integer.
    Int32,
    /// Milliseconds since 1970, UTC.
    Timestamp,
}

impl ColumnType {
    /// The Arrow type, as engines see it in the file.
    #[must_use]
    pub fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            // the narrow physical forms; Parquet has one DECIMAL, so readers see decimal(p,s)
            Self::Amount => DataType::Decimal64(AMOUNT.precision(), AMOUNT.arrow_scale()),
            Self::Rate => DataType::Decimal32(RATE.precision(), RATE.arrow_scale()),
            Self::Date => DataType::Date32,
            Self::Int32 => DataType::Int32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        }
    }
}

/// Where a column's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnSource {
    /// A field of the response, as the manual names it.
    Field(Field),
    /// The requested API id.
    MerchantId,
    /// The fields that the manual does not name.
    Extra,
    /// The row's position in the response.
    Position,
    /// When the response arrived.
    ExtractedAt,
    /// The run.
    RunId,
}

impl ColumnSource {
    /// Whether the value is part of a row's content. What the extractor adds to a row is not.
    #[must_use]
    pub const fn is_content(self) -> bool {
        match self {
            Self::Field(_) | Self::MerchantId | Self::Extra => true,
            Self::Position | Self::ExtractedAt | Self::RunId => false,
        }
    }
}

/// How a column is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// With a dictionary.
    Dictionary,
    /// Without one, because nearly every value is different.
    Plain,
    /// As differences.
    Delta,
}

/// One column of the table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name in every engine.
    pub name: &'static str,
    /// What it holds.
    pub column_type: ColumnType,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Where its value comes from.
    pub source: ColumnSource,
    /// How it is stored.
    pub storage: Storage,
    /// Whether minima and maxima are kept: not if all parts of a file have the same few values, by which no engine can skip any.
    pub statistics: bool,
    /// Whether it is part of what identifies a row across versions of a day.
    pub identity: bool,
    /// The factor with which it enters `auth_amount - fee - vat - payment_amount`, which is zero for a balanced row.
    pub balance: i64,
    /// What it means, in one line.
    pub about: &'static str,
}

const fn column(name: &'static str, column_type: ColumnType, source: ColumnSource, about: &'static str) -> Column {
    Column { name, column_type, nullable: true, source, storage: Storage::Dictionary, statistics: true, identity: false, balance: 0, about }
}

const fn field(name: &'static str, column_type: ColumnType, field: Field, about: &'static str) -> Column {
    column(name, column_type, ColumnSource::Field(field), about)
}

impl Column {
    const fn required(self) -> Self {
        Self { nullable: false, ..self }
    }

    const fn stored(self, storage: Storage) -> Self {
        Self { storage, ..self }
    }

    const fn without_statistics(self) -> Self {
        Self { statistics: false, ..self }
    }

    const fn identifying(self) -> Self {
        Self { identity: true, ..self }
    }

    const fn in_balance(self, balance: i64) -> Self {
        Self { balance, ..self }
    }
}

/// Every column, in the table's order. `pay_date`, the partition key, is in the path and not here.
pub const COLUMNS: &[Column] = {
    use ColumnType::{Amount, Date, Int32, Rate, Text, Timestamp};
    &[
        column("merchant_id", Text, ColumnSource::MerchantId, "the requested API id").required(),
        field("transaction_id", Text, Field::TrxId, "the PG's transaction number, which a cancellation shares with its payment")
            .required()
            .identifying()
            .stored(Storage::Plain),
        field("order_no", Text, Field::OrderNo, "the merchant's order number").stored(Storage::Plain),
        field("cpid", Text, Field::CpId, "the merchant's id at the PG").without_statistics(),
        field("payment_status", Text, Field::PaymentStatus, "11 approved, 21 cancelled the same day, 22 cancelled later")
            .required()
            .identifying(),
        field("pay_type", Text, Field::PayType, "payment method").without_statistics(),
        field("acquirer_code", Text, Field::Acquirer, "card acquirer, such as CCLG (Shinhan) or CCBC (BC)").without_statistics(),
        field("auth_amount", Amount, Field::AuthAmt, "approved amount").in_balance(1),
        field("fee_rate", Rate, Field::FeeRate, "fee rate in percent, as given"),
        field("fee", Amount, Field::Fee, "fee, NULL if the API sends -").in_balance(-1),
        field("vat", Amount, Field::Vat, "VAT on the fee, NULL if the API sends -").in_balance(-1),
        field("payment_amount", Amount, Field::PaymentAmt, "amount paid out, NULL if the API sends -").in_balance(-1),
        field("final_amount", Amount, Field::FinalAmt, "amount for reconciliation, NULL if the API sends -"),
        field("settle_cycle_code", Text, Field::SettleCycleCd, "settlement cycle").without_statistics(),
        field("auth_date", Date, Field::AuthDt, "approval date, or the cancel date on a cancellation"),
        field("payoff_date", Date, Field::PayoffDt, "pay date, as the row gives it"),
        field("payoff_status", Text, Field::StatusCd, "01 pending, 03 paid"),
        column("extra", Text, ColumnSource::Extra, "JSON of the fields that the manual does not name"),
        column("source_row", Int32, ColumnSource::Position, "1-based position in the response").required().stored(Storage::Delta),
        column("extracted_at", Timestamp, ColumnSource::ExtractedAt, "when the response headers arrived").required(),
        column("run_id", Text, ColumnSource::RunId, "the run that wrote the row (UUIDv7)").required().without_statistics(),
    ]
};

/// How many amount columns there are.
pub const AMOUNTS: usize = {
    let (mut found, mut index) = (0, 0);
    while index < COLUMNS.len() {
        found += matches!(COLUMNS[index].column_type, ColumnType::Amount) as usize;
        index += 1;
    }
    found
};

/// The amount columns, which are summed, with their position in the table.
pub fn amounts() -> impl Iterator<Item = (usize, &'static Column)> {
    COLUMNS.iter().enumerate().filter(|(_, column)| column.column_type == ColumnType::Amount)
}

impl Column {
    /// The column's type in words: `string`, `decimal(18,2)`, `date`, `int32`, `timestamp(ms, UTC)`.
    #[must_use]
    pub fn type_name(&self) -> String {
        type_name(&self.data_type())
    }

    /// The column's Arrow type, as engines see it in the file.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        self.column_type.data_type()
    }
}

/// A type as a reader of the file sees it, in words.
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

/// The version of the schema's meaning; raised if the reading of a column changes but not its type.
pub const SCHEMA_VERSION: u32 = 1;

/// A hash of the version and of the columns' names, types and nullability: files that differ in it must not be in one table
/// unnoticed.
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

/// How a stored file's columns relate to this version's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaFit {
    /// They are the same.
    Same,
    /// This version has appended columns that may be NULL: engines read both in one table.
    Appended,
    /// This version has columns that may be NULL between them: the rows can be copied into this version's schema.
    Widened,
    /// Anything else: only the API's responses show how this version would store them.
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
        // a record that is wrong about its own file does not show how the file may be read
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
    fn a_file_fits_if_only_columns_that_may_be_null_were_added() {
        let new = column("settled_by", ColumnType::Text, ColumnSource::Extra, "");
        let appended = [COLUMNS, &[new]].concat();
        assert_eq!(fit(fields(COLUMNS), COLUMNS), SchemaFit::Same);
        assert_eq!(fit(fields(COLUMNS), &appended), SchemaFit::Appended);
        assert_eq!(fit(fields(COLUMNS), &[&COLUMNS[..3], &[new], &COLUMNS[3..]].concat()), SchemaFit::Widened);
        assert_eq!(fit(fields(COLUMNS), &[COLUMNS, &[new.required()]].concat()), SchemaFit::Other);
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
