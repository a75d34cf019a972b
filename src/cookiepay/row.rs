//! Scans one row of a response into a [`SourceRow`]. Knows JSON and the fields' names; what their values mean is
//! [`crate::settlement`]'s.
//!
//! The common case is fast, the tolerated ones are only correct: strings are scanned eight bytes at a time, and a key is first compared with the
//! one at the same place in the row before. A row is scanned in the buffer, borrowing, and scanned again with more bytes if the buffer ended
//! inside it. Property tests compare this with the general path.

use std::borrow::Cow;

use crate::settlement::source::{Extra, Field, Malformed, SourceRow, SourceText, SourceValue, UNDECODABLE};

use super::json::{self, RawStr, Scan, Value};

/// More unknown fields than this in one row are refused, so that a hostile row costs little.
const MAX_EXTRA: usize = 256;

/// One row of a response.
#[derive(Debug, Default)]
pub struct ScannedRow<'a> {
    /// The row's whole text, as evidence for `rejects/`.
    pub(crate) raw: &'a str,
    /// Its fields.
    pub(crate) source: SourceRow<'a>,
    /// A `RESULTCODE` in the row itself.
    pub(super) result_code: Option<Value<'a>>,
    /// A `RESULTMSG` in the row itself.
    pub(super) result_message: Option<Value<'a>>,
}

/// The members of a row that the manual does not name.
type UnknownMembers<'a> = Vec<(Cow<'a, str>, &'a str)>;

impl<'a> ScannedRow<'a> {
    /// The row's whole text.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// The row's fields.
    #[must_use]
    pub fn source(&self) -> &SourceRow<'a> {
        &self.source
    }

    /// Scans the array element at `at` into this row, which must be new; returns the offset after it. `order` is what the
    /// rows before it had.
    ///
    /// A row that is JSON but not a proper row becomes [`SourceRow::malformed`]: the rows after it can still be read.
    pub(super) fn scan(&mut self, input: &'a str, at: usize, order: &mut FieldOrder) -> Result<usize, Scan> {
        let end = if json::peek(input, at)? == b'{' {
            let mut unknown = UnknownMembers::new();
            let end = self.scan_members(input, at, order, &mut unknown)?;
            self.source.extra = canonical(&unknown);
            end
        } else {
            self.source.malformed = Some(Malformed::NotAnObject);
            json::value(input, at)?.1
        };
        self.raw = &input[at..end];
        Ok(end)
    }

    /// Marks the row if bytes of it could not be decoded: they would be other text than was sent.
    pub(super) fn check_decoded(&mut self) {
        if !self.raw.contains(UNDECODABLE) {
            return;
        }
        let shown = |text: &str| text.replace(UNDECODABLE, "\u{FFFD}");
        let damaged = Field::ALL.iter().find_map(|field| match self.source.get(*field) {
            SourceValue::Text(text) if text.as_str().contains(UNDECODABLE) => Some((field.name(), shown(text.as_str()))),
            _ => None,
        });
        let (field, text) = damaged.map_or_else(|| (None, shown(self.raw)), |(field, text)| (Some(field), text));
        self.source.malformed.get_or_insert(Malformed::Undecodable { field, text });
    }

    fn scan_members(&mut self, input: &'a str, at: usize, order: &mut FieldOrder, unknown: &mut UnknownMembers<'a>) -> Result<usize, Scan> {
        let mut nth = 0;
        json::members(input, at, |at| {
            nth += 1;
            if let Some((field, value, end)) = order.plain_field(nth - 1, input, at) {
                self.source.set(field, value);
                return Ok(end);
            }
            let (key, after) = json::string(input, at)?;
            let at = json::value_after(input, after)?;
            let (value, end) = json::value(input, at)?;
            let key = key.decode();
            let field = Field::from_name(&key);
            order.note(nth - 1, field);
            match field {
                Some(field) => self.source.set(field, source_value(value)),
                None => self.unknown_member(key, value, &input[at..end], unknown),
            }
            Ok(end)
        })
    }

    fn unknown_member(&mut self, key: Cow<'a, str>, value: Value<'a>, text: &'a str, unknown: &mut UnknownMembers<'a>) {
        let twice = match &*key {
            "RESULTCODE" => self.result_code.replace(value).is_some(),
            "RESULTMSG" => self.result_message.replace(value).is_some(),
            _ => {
                if unknown.len() == MAX_EXTRA {
                    self.source.malformed = Some(Malformed::TooManyFields);
                    return;
                }
                let twice = unknown.iter().any(|(known, _)| *known == key);
                unknown.push((key.clone(), text));
                twice
            }
        };
        if twice {
            self.source.malformed.get_or_insert(Malformed::KeyTwice(key.into_owned()));
        }
    }
}

fn source_value(value: Value<'_>) -> SourceValue<'_> {
    match value {
        Value::Null => SourceValue::Null,
        Value::Str(text) => SourceValue::Text(text.into_source()),
        Value::Number(text) => SourceValue::Number(text),
        Value::Other(text) => SourceValue::Other(text),
    }
}

/// Unknown members as one JSON object with sorted keys.
fn canonical(unknown: &UnknownMembers<'_>) -> Extra {
    if unknown.is_empty() {
        return Extra::None;
    }
    let mut pairs = Vec::with_capacity(unknown.len());
    for (key, text) in unknown {
        let mut value = String::with_capacity(text.len());
        // a number ends only if something follows it
        if json::canonical(&format!("{text} "), 0, &mut value).is_err() {
            return Extra::KeyTwice(key.clone().into_owned());
        }
        pairs.push((key.as_ref(), value));
    }
    pairs.sort_unstable();
    let mut out = String::new();
    json::write_object(&pairs, &mut out);
    Extra::Json(out)
}

/// The order in which rows have the manual's fields. The rows of a response mostly have the same order, so a key is first
/// compared with the one at the same place in the row before, and only read if it differs.
#[derive(Debug, Default)]
pub(super) struct FieldOrder([Option<Field>; Field::ALL.len()]);

impl FieldOrder {
    /// The member at `at`, if it is the field that the row before had there and its value is a string without escapes; with
    /// the offset after it.
    #[inline]
    fn plain_field<'a>(&self, nth: usize, input: &'a str, at: usize) -> Option<(Field, SourceValue<'a>, usize)> {
        let field = (*self.0.get(nth)?)?;
        let key = &KEYS[field as usize];
        if !key.is_at(input.as_bytes(), at) {
            return None;
        }
        let value = json::value_after(input, at + key.length).ok()?;
        let (value, end) = RawStr::plain(input, value)?;
        Some((field, SourceValue::Text(value.into_source()), end))
    }

    fn note(&mut self, nth: usize, field: Option<Field>) {
        if let Some(slot) = self.0.get_mut(nth) {
            *slot = field;
        }
    }
}

impl<'a> RawStr<'a> {
    /// The text for the table: escapes are decoded.
    #[inline]
    fn into_source(self) -> SourceText<'a> {
        match self.borrowed() {
            Some((rest, length)) => SourceText::Borrowed { rest, length },
            None => SourceText::Decoded(self.decode().into_owned()),
        }
    }
}

/// A field's key as JSON has it, in words, so that it is compared without a loop.
struct QuotedKey {
    words: [u64; Self::WORDS],
    masks: [u64; Self::WORDS],
    length: usize,
}

impl QuotedKey {
    const WORDS: usize = 3;

    const fn new(field: Field) -> Self {
        let name = field.name().as_bytes();
        let length = name.len() + 2;
        let (mut words, mut masks) = ([0; Self::WORDS], [0; Self::WORDS]);
        let mut at = 0;
        while at < length {
            let byte = if at == 0 || at == length - 1 { b'"' } else { name[at - 1] };
            words[at / 8] |= (byte as u64) << (at % 8 * 8);
            masks[at / 8] |= 0xFF << (at % 8 * 8);
            at += 1;
        }
        Self { words, masks, length }
    }

    #[inline]
    fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        // this near to the end of the buffer, the key is read like any other
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

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(text: &str) -> ScannedRow<'_> {
        let mut row = ScannedRow::default();
        let end = row.scan(text, 0, &mut FieldOrder::default());
        assert!(end.is_ok(), "{text}: {end:?}");
        row
    }

    #[test]
    fn unknown_fields_become_one_object_with_sorted_keys() {
        let extra = |text: &str| scanned(text).source.extra;
        assert_eq!(
            extra(r#"{"Z": 1.50, "FEE": "1", "A": {"c": [1, 2], "b": null}} "#),
            Extra::Json(r#"{"A":{"b":null,"c":[1,2]},"Z":1.50}"#.into())
        );
        assert_eq!(extra(r#"{"X":{"a":1,"a":2}} "#), Extra::KeyTwice("X".into()));
        assert_eq!(extra(r#"{"FEE":"1","RESULTCODE":"0000"} "#), Extra::None);
    }

    #[test]
    fn escapes_are_decoded_and_other_text_is_borrowed() {
        let row = scanned(r#"{"ORDERNO":"a\u0041\"","CPID":"plain"} "#);
        assert_eq!(*row.source.get(Field::OrderNo), SourceValue::Text(SourceText::Decoded("aA\"".into())));
        assert!(matches!(row.source.get(Field::CpId), SourceValue::Text(text @ SourceText::Borrowed { .. }) if text.as_str() == "plain"));
        assert_eq!(*row.source.get(Field::Fee), SourceValue::Absent);
    }

    #[test]
    fn a_field_that_occurs_twice_makes_the_row_malformed() {
        assert_eq!(scanned(r#"{"FEE":"1","F\u0045E":"2"} "#).source.malformed, Some(Malformed::KeyTwice("FEE".into())));
        assert_eq!(scanned("[1] ").source.malformed, Some(Malformed::NotAnObject));
    }
}
