//! The table's columns: the one list from which the Arrow schema, the Parquet settings, the DDL, the totals and the digest
//! are derived. Holds no values.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use sha2::{Digest as _, Sha256};

use crate::lang::{Words, words};

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
    /// What people call it; in Korean as the manual does.
    pub label: Words,
    /// What it means, in one line.
    pub about: Words,
}

const fn column(name: &'static str, column_type: ColumnType, source: ColumnSource, label: Words, about: Words) -> Column {
    Column {
        name,
        column_type,
        nullable: true,
        source,
        storage: Storage::Dictionary,
        statistics: true,
        identity: false,
        balance: 0,
        label,
        about,
    }
}

const fn field(name: &'static str, column_type: ColumnType, field: Field, label: Words, about: Words) -> Column {
    column(name, column_type, ColumnSource::Field(field), label, about)
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
        column(
            "merchant_id",
            Text,
            ColumnSource::MerchantId,
            words("API id", "가맹점 API ID"),
            words("the requested API id", "조회에 사용한 API ID"),
        )
        .required(),
        field(
            "transaction_id",
            Text,
            Field::TrxId,
            words("transaction no.", "거래번호"),
            words(
                "the PG's transaction number, which a cancellation shares with its payment",
                "PG사 거래번호, 취소 건은 원거래와 같은 번호를 씀",
            ),
        )
        .required()
        .identifying()
        .stored(Storage::Plain),
        field("order_no", Text, Field::OrderNo, words("order no.", "주문번호"), words("the merchant's order number", "가맹점 주문번호"))
            .stored(Storage::Plain),
        field(
            "cpid",
            Text,
            Field::CpId,
            words("merchant id at the PG", "상점ID"),
            words("the merchant's id at the PG", "PG사의 가맹점 ID"),
        )
        .without_statistics(),
        field(
            "payment_status",
            Text,
            Field::PaymentStatus,
            words("payment status", "결제상태"),
            words("11 approved, 21 cancelled the same day, 22 cancelled later", "11 승인, 21 당일취소, 22 일반취소"),
        )
        .required()
        .identifying(),
        field("pay_type", Text, Field::PayType, words("payment method", "결제수단"), words("payment method", "결제수단"))
            .without_statistics(),
        field(
            "acquirer_code",
            Text,
            Field::Acquirer,
            words("acquirer", "매입사코드"),
            words("card acquirer, such as CCLG (Shinhan) or CCBC (BC)", "카드 매입사코드, 예: CCLG(신한), CCBC(BC)"),
        )
        .without_statistics(),
        field("auth_amount", Amount, Field::AuthAmt, words("approved amount", "승인금액"), words("approved amount", "승인금액"))
            .in_balance(1),
        field(
            "fee_rate",
            Rate,
            Field::FeeRate,
            words("fee rate", "수수료율"),
            words("fee rate in percent, as given", "수수료율(%), 응답 값 그대로"),
        ),
        field("fee", Amount, Field::Fee, words("fee", "수수료"), words("fee, NULL if the API sends -", "수수료, 응답이 -이면 NULL"))
            .in_balance(-1),
        field(
            "vat",
            Amount,
            Field::Vat,
            words("VAT", "부가세"),
            words("VAT on the fee, NULL if the API sends -", "수수료의 부가세, 응답이 -이면 NULL"),
        )
        .in_balance(-1),
        field(
            "payment_amount",
            Amount,
            Field::PaymentAmt,
            words("payout", "지급금액"),
            words("amount paid out, NULL if the API sends -", "지급금액, 응답이 -이면 NULL"),
        )
        .in_balance(-1),
        field(
            "final_amount",
            Amount,
            Field::FinalAmt,
            words("amount for reconciliation", "정산대사금액"),
            words("amount for reconciliation, NULL if the API sends -", "정산대사금액, 응답이 -이면 NULL"),
        ),
        field(
            "settle_cycle_code",
            Text,
            Field::SettleCycleCd,
            words("settlement cycle", "정산주기"),
            words("settlement cycle", "정산주기"),
        )
        .without_statistics(),
        field(
            "auth_date",
            Date,
            Field::AuthDt,
            words("transaction date", "거래일자"),
            words("approval date, or the cancel date on a cancellation", "승인 건은 승인일자, 취소 건은 취소일자"),
        ),
        field(
            "payoff_date",
            Date,
            Field::PayoffDt,
            words("pay date", "지급일"),
            words("pay date, as the row gives it", "행에 적힌 지급일"),
        ),
        field(
            "payoff_status",
            Text,
            Field::StatusCd,
            words("payout status", "지급상태"),
            words("01 pending, 03 paid", "01 지급대기, 03 지급완료"),
        ),
        column(
            "extra",
            Text,
            ColumnSource::Extra,
            words("other fields", "기타 항목"),
            words("JSON of the fields that the manual does not name", "매뉴얼에 없는 항목(JSON)"),
        ),
        column(
            "source_row",
            Int32,
            ColumnSource::Position,
            words("row", "행 번호"),
            words("1-based position in the response", "응답에서의 행 순서, 1부터"),
        )
        .required()
        .stored(Storage::Delta),
        column(
            "extracted_at",
            Timestamp,
            ColumnSource::ExtractedAt,
            words("extracted at", "수집 시각"),
            words("when the response headers arrived", "응답 헤더를 받은 시각(UTC)"),
        )
        .required(),
        column(
            "run_id",
            Text,
            ColumnSource::RunId,
            words("run", "실행 ID"),
            words("the run that wrote the row (UUIDv7)", "이 행을 기록한 실행의 ID(UUIDv7)"),
        )
        .required()
        .without_statistics(),
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
    /// Whether engines read files of such columns and of this version's correctly in one table.
    #[must_use]
    pub fn shares_a_table(self) -> bool {
        match self {
            Self::Same | Self::Appended => true,
            Self::Widened | Self::Other => false,
        }
    }

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
        let new = column("settled_by", ColumnType::Text, ColumnSource::Extra, words("", ""), words("", ""));
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
