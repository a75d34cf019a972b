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
    /// What the row gives for `field`.
    pub(crate) fn get(&self, field: Field) -> Given<'a> {
        self.fields[field as usize]
    }

    /// Scans the array element at `at`; returns it and the offset after it.
    ///
    /// A row that is JSON but not a proper row comes back with [`WireRow::malformed`] set: the rows
    /// after it can still be read.
    pub(crate) fn scan(bytes: &'a [u8], at: usize) -> Result<(Self, usize), Scan> {
        let mut row = Self::default();
        let end = if json::peek(bytes, at)? == b'{' {
            json::members(bytes, at, |key, pos| {
                let (value, end) = json::value(bytes, pos)?;
                row.member(key, value, &bytes[pos..end]);
                Ok(end)
            })?
        } else {
            row.malformed = Some(Malformed::NotAnObject);
            json::value(bytes, at)?.1
        };
        row.raw = std::str::from_utf8(&bytes[at..end]).map_err(|_| Scan::Syntax(at, "UTF-8"))?;
        Ok((row, end))
    }

    fn member(&mut self, key: RawStr<'a>, value: Value<'a>, text: &'a [u8]) {
        let key = key.decode();
        let twice = match &*key {
            "RESULTCODE" => self.result_code.replace(value).is_some(),
            "RESULTMSG" => self.result_message.replace(value).is_some(),
            name => {
                if let Some(field) = Field::from_name(name) {
                    self.known += 1;
                    let slot = &mut self.fields[field as usize];
                    std::mem::replace(slot, Given::Value(value)) != Given::Missing
                } else {
                    if self.extra.len() == MAX_EXTRA {
                        self.malformed = Some(Malformed::TooManyFields);
                        return;
                    }
                    let twice = self.extra.iter().any(|(known, _)| *known == key);
                    self.extra.push((key.clone(), std::str::from_utf8(text).unwrap_or_default()));
                    twice
                }
            }
        };
        if twice {
            self.malformed.get_or_insert(Malformed::KeyTwice(key.into_owned()));
        }
    }
}
