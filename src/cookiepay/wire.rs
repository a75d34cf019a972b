//! A row as the API gave it: the manual's fields, borrowed and not yet understood.
//!
//! Knows the fields' names and nothing of their meaning; that is [`crate::settlement`]'s.

use std::borrow::Cow;

use super::json::{self, RawStr, Scan, Value};

/// More unknown fields than this in one row are refused, so that a hostile row costs little.
const MAX_EXTRA: usize = 256;

macro_rules! fields {
    ($($name:ident = $wire:literal),* $(,)?) => {
        /// A field of a settlement row, as the manual names it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the manual's names, explained where columns use them")]
        pub enum Field { $($name),* }

        impl Field {
            /// Every field, in the manual's order.
            pub const ALL: &'static [Field] = &[$(Field::$name),*];

            /// The field's name in the answer.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Field::$name => $wire),* }
            }

            /// The name as a key stands in JSON.
            const fn quoted(self) -> &'static str {
                match self { $(Field::$name => concat!("\"", $wire, "\"")),* }
            }

            fn from_name(name: &str) -> Option<Field> {
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

/// What a row gives for one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Given<'a> {
    /// The key is not in the row.
    #[default]
    Missing,
    /// A value, `null` included.
    Value(Value<'a>),
}

/// What is wrong with a row before any value is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// The element is not an object.
    NotAnObject,
    /// A key given twice.
    KeyTwice(String),
    /// More unknown fields than are kept.
    TooManyFields,
}

/// One row, borrowed from the answer.
#[derive(Debug, Default)]
pub struct WireRow<'a> {
    /// The row's whole text, as evidence for `rejects/`.
    pub(crate) raw: &'a str,
    fields: [Given<'a>; Field::ALL.len()],
    /// Fields the manual does not name, with their values' text.
    pub(crate) extra: Vec<(Cow<'a, str>, &'a str)>,
    /// A `RESULTCODE` of the row's own, where rows carry one.
    pub(crate) result_code: Option<Value<'a>>,
    /// A `RESULTMSG` of the row's own.
    pub(crate) result_message: Option<Value<'a>>,
    /// Set where the row cannot be trusted whatever its values say.
    pub(crate) malformed: Option<Malformed>,
    /// How many of the manual's fields the row has.
    pub(crate) known: usize,
}

impl<'a> WireRow<'a> {
    /// The row's whole text.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// What the row gives for `field`.
    pub(crate) fn get(&self, field: Field) -> Given<'a> {
        self.fields[field as usize]
    }

    /// Scans the array element at `at` into this row, which must be a new one; returns the offset after
    /// it. `order` is what the rows before it had.
    ///
    /// A row that is JSON but not a proper row gets [`WireRow::malformed`] set: the rows after it can
    /// still be read.
    pub(crate) fn scan(&mut self, input: &'a str, at: usize, order: &mut FieldOrder) -> Result<usize, Scan> {
        let end = if json::peek(input, at)? == b'{' {
            let mut nth = 0;
            json::members(input, at, |at| {
                nth += 1;
                if let Some((field, value, end)) = order.plain_field(nth - 1, input, at) {
                    self.field(field, Value::Str(value));
                    return Ok(end);
                }
                let (key, after) = json::string(input, at)?;
                let at = json::value_after(input, after)?;
                let (value, end) = json::value(input, at)?;
                let key = key.decode();
                let field = Field::from_name(&key);
                order.note(nth - 1, field);
                match field {
                    Some(field) => self.field(field, value),
                    None => self.member(key, value, &input[at..end]),
                }
                Ok(end)
            })?
        } else {
            self.malformed = Some(Malformed::NotAnObject);
            json::value(input, at)?.1
        };
        self.raw = &input[at..end];
        Ok(end)
    }

    #[inline]
    fn field(&mut self, field: Field, value: Value<'a>) {
        self.known += 1;
        let slot = &mut self.fields[field as usize];
        if !matches!(std::mem::replace(slot, Given::Value(value)), Given::Missing) {
            self.malformed.get_or_insert(Malformed::KeyTwice(field.name().into()));
        }
    }

    fn member(&mut self, key: Cow<'a, str>, value: Value<'a>, text: &'a str) {
        let twice = match &*key {
            "RESULTCODE" => self.result_code.replace(value).is_some(),
            "RESULTMSG" => self.result_message.replace(value).is_some(),
            _ => {
                if self.extra.len() == MAX_EXTRA {
                    self.malformed = Some(Malformed::TooManyFields);
                    return;
                }
                let twice = self.extra.iter().any(|(known, _)| *known == key);
                self.extra.push((key.clone(), text));
                twice
            }
        };
        if twice {
            self.malformed.get_or_insert(Malformed::KeyTwice(key.into_owned()));
        }
    }
}

/// The order in which rows give the manual's fields. An answer's rows have mostly the same, so a key is
/// first held against the one that stood there in the row before, and only read where it is another.
#[derive(Debug, Default)]
pub(crate) struct FieldOrder([Option<Field>; Field::ALL.len()]);

impl FieldOrder {
    /// The member at `at`, where it is the field that the row before had there and its value a string without
    /// escapes; with the offset after it.
    #[inline]
    fn plain_field<'a>(&self, nth: usize, input: &'a str, at: usize) -> Option<(Field, RawStr<'a>, usize)> {
        let field = (*self.0.get(nth)?)?;
        let key = &KEYS[field as usize];
        if !key.stands_at(input.as_bytes(), at) {
            return None;
        }
        let value = json::value_after(input, at + key.length).ok()?;
        let (value, end) = RawStr::plain(input, value)?;
        Some((field, value, end))
    }

    fn note(&mut self, nth: usize, field: Option<Field>) {
        if let Some(slot) = self.0.get_mut(nth) {
            *slot = field;
        }
    }
}

/// A field's key as it stands in JSON, in words, so that it is compared without a loop.
struct QuotedKey {
    words: [u64; Self::WORDS],
    masks: [u64; Self::WORDS],
    length: usize,
}

impl QuotedKey {
    const WORDS: usize = 3;

    const fn new(field: Field) -> Self {
        let text = field.quoted().as_bytes();
        let (mut words, mut masks) = ([0; Self::WORDS], [0; Self::WORDS]);
        let mut at = 0;
        while at < text.len() {
            words[at / 8] |= (text[at] as u64) << (at % 8 * 8);
            masks[at / 8] |= 0xFF << (at % 8 * 8);
            at += 1;
        }
        Self { words, masks, length: text.len() }
    }

    #[inline]
    fn stands_at(&self, bytes: &[u8], at: usize) -> bool {
        // so near to the end of what is at hand, the key is read like any other
        let Some(window) = bytes.get(at..).and_then(<[u8]>::first_chunk::<{ Self::WORDS * 8 }>) else { return false };
        let (found, _) = window.as_chunks::<8>();
        found.iter().zip(self.words.iter().zip(&self.masks)).all(|(found, (word, mask))| u64::from_le_bytes(*found) & mask == *word)
    }
}

const KEYS: [QuotedKey; Field::ALL.len()] = {
    let mut keys = [const { QuotedKey::new(Field::AuthAmt) }; Field::ALL.len()];
    let mut index = 0;
    while index < keys.len() {
        keys[index] = QuotedKey::new(Field::ALL[index]);
        index += 1;
    }
    keys
};
