//! A row as a source provides it: the manual's fields, borrowed and not yet understood. Gateways produce it.

/// Declares the manual's fields.
macro_rules! fields {
    ($($name:ident = $wire:literal),* $(,)?) => {
        /// A field of a settlement row, as the manual names it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the manual's names, explained by the columns that use them")]
        pub enum Field { $($name),* }

        impl Field {
            /// Every field, in the manual's order.
            pub const ALL: &'static [Field] = &[$(Field::$name),*];

            /// The field's name in a response.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Field::$name => $wire),* }
            }

            /// The field of this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Field> {
                match name { $($wire => Some(Field::$name),)* _ => None }
            }
        }
    };
}

fields! {
    AuthAmt = "AUTHAMT",
    FeeRate = "FEERATE",
    PaymentStatus = "PAYMENTSTATUS",
    Fee = "FEE",
    Vat = "VAT",
    SettleCycleCd = "SETTLE_CYCLE_CD",
    PayType = "PAYTYPE",
    Acquirer = "ACQUIRER",
    PaymentAmt = "PAYMENTAMT",
    TrxId = "TRXID",
    CpId = "CPID",
    OrderNo = "ORDERNO",
    AuthDt = "AUTHDT",
    FinalAmt = "FINALAMT",
    PayoffDt = "PAYOFFDT",
    StatusCd = "STATUS_CD",
}

/// Stands in the place of bytes that a source could not decode: a noncharacter, which no text has.
pub const UNDECODABLE: char = '\u{FDD0}';

/// What a row has for one field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SourceValue<'a> {
    /// The key is not in the row.
    #[default]
    Absent,
    /// An explicit "no value".
    Null,
    /// Text.
    Text(SourceText<'a>),
    /// A number, as it is written.
    Number(&'a str),
    /// Anything else, as it is written.
    Other(&'a str),
}

/// Text of a row: borrowed where it stands, or decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceText<'a> {
    /// The first `length` bytes of `rest`. What follows them lets short values be read without a loop.
    Borrowed {
        /// The text, and what stands behind it.
        rest: &'a str,
        /// Bytes of the text.
        length: usize,
    },
    /// Text that had escapes.
    Decoded(String),
}

impl SourceText<'_> {
    /// The text.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed { rest, length } => &rest[..*length],
            Self::Decoded(text) => text,
        }
    }

    /// Whether the text was not decoded and has eight bytes.
    #[inline]
    pub(super) fn is_eight_long(&self) -> bool {
        matches!(self, Self::Borrowed { length: 8, .. })
    }

    /// The number that one to eight digits make, as most amounts are written; `None` for anything else. Without a loop,
    /// whose end would be mispredicted for every other amount.
    #[inline]
    pub(super) fn short_number(&self) -> Option<u32> {
        const ONES: u64 = u64::from_ne_bytes([1; 8]);
        let Self::Borrowed { rest, length } = self else { return None };
        let window = rest.as_bytes().first_chunk::<8>()?;
        if !(1..=8).contains(length) {
            return None;
        }
        // the first digit in the lowest byte: moved up, with zeros before it, so that the last is in the highest
        let missing = 8 * (8 - length);
        let zeros = (ONES * 0x30).checked_shr(8 * u32::try_from(*length).ok()?).unwrap_or(0);
        let digits = u64::from_le_bytes(*window) << missing | zeros;
        let high = ONES * 0xF0;
        if digits & high != ONES * 0x30 || digits.wrapping_add(ONES * 6) & high != ONES * 0x30 {
            return None;
        }
        let values = digits & (ONES * 0x0F);
        // neighbours are joined: into two digits, into four, into eight
        let pairs = values.wrapping_mul(10).wrapping_add(values >> 8) & 0x00FF_00FF_00FF_00FF;
        let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_FFFF_0000_FFFF;
        let eight = fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xFFFF_FFFF;
        u32::try_from(eight).ok()
    }
}

/// What is wrong with a row as a whole, whatever its values are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// The element is not an object.
    NotAnObject,
    /// A key that occurs twice.
    KeyTwice(String),
    /// More unknown fields than are kept.
    TooManyFields,
    /// This field, or one that the manual does not name, has bytes that the response's charset does not have.
    Undecodable {
        /// The field's name, if the manual names it.
        field: Option<&'static str>,
        /// Its text, with U+FFFD in the place of those bytes.
        text: String,
    },
}

/// The fields of a row that the manual does not name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Extra {
    /// There are none.
    #[default]
    None,
    /// A JSON object with sorted keys, so that equal contents have equal text.
    Json(String),
    /// The value of this field has a key that occurs twice.
    KeyTwice(String),
}

/// One row, borrowed from a response.
#[derive(Debug, Default)]
pub struct SourceRow<'a> {
    fields: [SourceValue<'a>; Field::ALL.len()],
    /// The fields that the manual does not name.
    pub extra: Extra,
    /// Set if the row cannot be trusted, whatever its values are.
    pub malformed: Option<Malformed>,
}

impl<'a> SourceRow<'a> {
    /// What the row has for a field.
    #[inline]
    #[must_use]
    pub fn get(&self, field: Field) -> &SourceValue<'a> {
        &self.fields[field as usize]
    }

    /// Sets a field; a field that is set twice makes the row malformed.
    #[inline]
    pub fn set(&mut self, field: Field, value: SourceValue<'a>) {
        let slot = &mut self.fields[field as usize];
        if !matches!(slot, SourceValue::Absent) {
            self.malformed.get_or_insert_with(|| Malformed::KeyTwice(field.name().into()));
        }
        *slot = value;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn short_numbers_are_read_like_any_other(text in "[0-9]{0,9}|[-0-9.,a ]{0,9}", behind in "[0-9\",]{0,9}") {
            let found = SourceText::Borrowed { rest: &format!("{text}{behind}"), length: text.len() }.short_number();
            let all_digits = (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            let room = text.len() + behind.len() >= 8;
            prop_assert_eq!(found, text.parse::<u32>().ok().filter(|_| all_digits && room));
        }
    }
}
