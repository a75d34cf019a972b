//! A cell of a file, whatever kind of file it is.

use std::borrow::Cow;

use chrono::NaiveDate;

use crate::settlement::values::format_decimal;

/// What a cell holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Value<'a> {
    #[default]
    Empty,
    Text(Cow<'a, str>),
    /// A workbook's number, which is a float in the file itself.
    Number(f64),
    /// An exact number.
    Decimal {
        unscaled: i128,
        scale: u8,
    },
    /// A date that the file has as one, in Seoul.
    Date(NaiveDate),
    /// A truth value, an error, a duration, a list: as shown to people, because no field holds one.
    Other(String),
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Cell<'a> {
    pub(super) value: Value<'a>,
    /// Whether the value stands in a row above, and the cell is merged with that one.
    pub(super) merged: bool,
}

impl<'a> Cell<'a> {
    pub(super) const fn new(value: Value<'a>) -> Self {
        Self { value, merged: false }
    }

    pub(super) const fn text(text: &'a str) -> Self {
        Self::new(Value::Text(Cow::Borrowed(text)))
    }

    pub(super) fn is_blank(&self) -> bool {
        match &self.value {
            Value::Empty => true,
            Value::Text(text) => is_blank(text),
            _ => false,
        }
    }

    /// The value as people see it.
    pub(super) fn shown(&self) -> Cow<'_, str> {
        match &self.value {
            Value::Empty => Cow::Borrowed(""),
            Value::Text(text) => Cow::Borrowed(text),
            // the shortest digits that are this number, and never an exponent
            Value::Number(number) => Cow::Owned(number.to_string()),
            Value::Decimal { unscaled, scale } => Cow::Owned(plain_decimal(*unscaled, *scale)),
            Value::Date(date) => Cow::Owned(date.to_string()),
            Value::Other(text) => Cow::Borrowed(text),
        }
    }
}

/// What ends a text of DOS programs.
const DOS_END: char = '\u{1A}';

fn is_blank(text: &str) -> bool {
    let first = text.as_bytes().first();
    // most texts begin with a letter or a digit, which settles it
    !first.is_some_and(u8::is_ascii_graphic) && text.chars().all(|c| c.is_whitespace() || matches!(c, '\u{FEFF}' | '\u{200B}' | DOS_END))
}

/// An exact number without the zeros that end its decimals.
fn plain_decimal(unscaled: i128, scale: u8) -> String {
    let (mut unscaled, mut scale) = (unscaled, scale);
    while scale > 0 && unscaled % 10 == 0 {
        unscaled /= 10;
        scale -= 1;
    }
    format_decimal(unscaled, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_see_them() {
        for (value, shown) in [
            (Value::Number(1234.5), "1234.5"),
            (Value::Number(0.1 + 0.2), "0.30000000000000004"),
            (Value::Number(1e21), "1000000000000000000000"),
            (Value::Number(-97000.0), "-97000"),
            (Value::Decimal { unscaled: 123_400, scale: 4 }, "12.34"),
            (Value::Decimal { unscaled: -10_000, scale: 2 }, "-100"),
            (Value::Decimal { unscaled: 0, scale: 30 }, "0"),
        ] {
            assert_eq!(Cell::new(value).shown(), shown);
        }
    }
}
