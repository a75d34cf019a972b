//! A strict JSON scanner over text.
//!
//! It finds where values begin and end and checks their grammar; it borrows, never allocates for a
//! plain value, and never turns a number into a float. It does no I/O: a value that the bytes at
//! hand do not finish is [`Scan::Incomplete`], and the caller scans again when it has more.

use std::borrow::Cow;

/// Nesting beyond this is refused: no settlement response comes near it, and recursion stays bounded.
const MAX_DEPTH: u8 = 64;

/// Why a scan did not reach the end of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// The bytes end before the value does.
    Incomplete,
    /// Not JSON: the offset, and what was expected there.
    Syntax(usize, &'static str),
}

type Scanned<T> = Result<T, Scan>;

/// A JSON string's bytes between its quotes, escapes not yet decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawStr<'a> {
    /// The string, and everything read so far that follows it.
    rest: &'a str,
    length: usize,
    escaped: bool,
}

impl<'a> RawStr<'a> {
    /// The string at `at` and the offset after it, if it is a string without escapes whose end has been read. Most values
    /// are, and reading them costs most of a scan.
    #[inline]
    pub(crate) fn plain(input: &'a str, at: usize) -> Option<(Self, usize)> {
        let start = at + 1;
        if input.as_bytes().get(at) != Some(&b'"') {
            return None;
        }
        let end = plain_run(input.as_bytes(), start);
        let rest = input.get(start..).filter(|_| input.as_bytes().get(end) == Some(&b'"'))?;
        Some((Self { rest, length: end - start, escaped: false }, end + 1))
    }

    /// The string with its escapes decoded; borrowed if it has none.
    pub(crate) fn decode(self) -> Cow<'a, str> {
        let text = &self.rest[..self.length];
        if !self.escaped {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            out.push_str(&rest[..at]);
            let bytes = &rest.as_bytes()[at + 1..];
            let (decoded, used) = match bytes.first() {
                Some(b'n') => ('\n', 1),
                Some(b't') => ('\t', 1),
                Some(b'r') => ('\r', 1),
                Some(b'b') => ('\u{8}', 1),
                Some(b'f') => ('\u{c}', 1),
                Some(b'u') => unicode_escape(bytes),
                Some(&plain) => (char::from(plain), 1),
                None => break,
            };
            out.push(decoded);
            rest = &rest[at + 1 + used..];
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// The text and what follows it, and the text's length; `None` if it has escapes.
    #[inline]
    pub(super) fn borrowed(self) -> Option<(&'a str, usize)> {
        (!self.escaped).then_some((self.rest, self.length))
    }
}

/// Decodes `uXXXX`, or a pair of them; [`string`] has checked the digits and the pairing.
fn unicode_escape(bytes: &[u8]) -> (char, usize) {
    let unit = |from: usize| hex4(bytes.get(from..from + 4).unwrap_or_default()).unwrap_or(0xFFFD);
    let high = unit(1);
    if (0xD800..0xDC00).contains(&high) {
        let low = unit(7);
        let point = 0x10000 + ((u32::from(high) - 0xD800) << 10) + (u32::from(low).wrapping_sub(0xDC00) & 0x3FF);
        return (char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER), 11);
    }
    (char::from_u32(u32::from(high)).unwrap_or(char::REPLACEMENT_CHARACTER), 5)
}

fn hex4(digits: &[u8]) -> Option<u16> {
    if digits.len() != 4 {
        return None;
    }
    digits.iter().try_fold(0u16, |value, &digit| {
        let nibble = char::from(digit).to_digit(16)?;
        Some(value << 4 | u16::try_from(nibble).ok()?)
    })
}

/// A scanned value, borrowed from the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// `null`
    Null,
    /// A string.
    Str(RawStr<'a>),
    /// A number, as its text.
    Number(&'a str),
    /// `true`, `false`, an array or an object, as its text.
    Other(&'a str),
}

/// Skips white space from `at`.
#[inline]
pub(crate) fn skip_space(input: &str, mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = input.as_bytes().get(at) {
        at += 1;
    }
    at
}

/// The byte at `at`, or that the bytes end here.
#[inline]
pub(crate) fn peek(input: &str, at: usize) -> Scanned<u8> {
    input.as_bytes().get(at).copied().ok_or(Scan::Incomplete)
}

/// Scans a string whose opening quote is at `at`; returns it and the offset after its closing quote.
#[inline]
pub(crate) fn string(input: &str, at: usize) -> Scanned<(RawStr<'_>, usize)> {
    if peek(input, at)? != b'"' {
        return Err(Scan::Syntax(at, "a string"));
    }
    let start = at + 1;
    let mut pos = start;
    let mut escaped = false;
    loop {
        pos = plain_run(input.as_bytes(), pos);
        match peek(input, pos)? {
            b'"' => return Ok((RawStr { rest: &input[start..], length: pos - start, escaped }, pos + 1)),
            b'\\' => {
                escaped = true;
                pos = escape(input, pos)?;
            }
            _ => return Err(Scan::Syntax(pos, "no bare control character in a string")),
        }
    }
}

/// Where the run of characters that need no decoding ends, from `pos` on. Compares eight bytes at a time,
/// because most bytes of a response are read here.
#[inline]
fn plain_run(bytes: &[u8], mut pos: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // sets the high bit of each byte that is below `limit`, or that lent a borrow to one that is
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    while let Some(eight) = bytes.get(pos..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        let special = below(word ^ (ONES * u64::from(b'"')), 1) | below(word ^ (ONES * u64::from(b'\\')), 1) | below(word, 0x20);
        if special != 0 {
            // the lowest such bit is never due to a borrow
            return pos + (special.trailing_zeros() / 8) as usize;
        }
        pos += 8;
    }
    while let Some(0x20..=0x21 | 0x23..=0x5B | 0x5D..) = bytes.get(pos) {
        pos += 1;
    }
    pos
}

/// Checks the escape whose backslash is at `at`; returns the offset after it.
fn escape(input: &str, at: usize) -> Scanned<usize> {
    match peek(input, at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
        b'u' => match unit(input, at)? {
            0xD800..=0xDBFF => {
                if peek(input, at + 6)? != b'\\' || peek(input, at + 7)? != b'u' {
                    return Err(Scan::Syntax(at, "a surrogate pair"));
                }
                match unit(input, at + 6)? {
                    0xDC00..=0xDFFF => Ok(at + 12),
                    _ => Err(Scan::Syntax(at, "a surrogate pair")),
                }
            }
            0xDC00..=0xDFFF => Err(Scan::Syntax(at, "a surrogate pair")),
            _ => Ok(at + 6),
        },
        _ => Err(Scan::Syntax(at, "an escape")),
    }
}

fn unit(input: &str, at: usize) -> Scanned<u16> {
    let digits = input.as_bytes().get(at + 2..at + 6).ok_or(Scan::Incomplete)?;
    hex4(digits).ok_or(Scan::Syntax(at, "four hexadecimal digits"))
}

/// Scans any value at `at`; returns it and the offset after it.
pub(crate) fn value(input: &str, at: usize) -> Scanned<(Value<'_>, usize)> {
    match peek(input, at)? {
        b'"' => string(input, at).map(|(found, end)| (Value::Str(found), end)),
        b'-' | b'0'..=b'9' => {
            let end = number(input, at)?;
            Ok((Value::Number(&input[at..end]), end))
        }
        b'n' => Ok((Value::Null, literal(input, at, b"null")?)),
        _ => {
            let end = skip(input, at, 0)?;
            Ok((Value::Other(&input[at..end]), end))
        }
    }
}

/// Scans any value at `at`, and returns only the offset after it.
pub(crate) fn value_end(input: &str, at: usize) -> Scanned<((), usize)> {
    value(input, at).map(|(_, end)| ((), end))
}

fn skip(input: &str, at: usize, depth: u8) -> Scanned<usize> {
    if depth > MAX_DEPTH {
        return Err(Scan::Syntax(at, "less deep nesting"));
    }
    match peek(input, at)? {
        b'"' => string(input, at).map(|(_, end)| end),
        b'{' => members(input, at, |at| skip(input, value_after(input, string(input, at)?.1)?, depth + 1)),
        b'[' => elements(input, at, |at| skip(input, at, depth + 1)),
        b't' => literal(input, at, b"true"),
        b'f' => literal(input, at, b"false"),
        b'n' => literal(input, at, b"null"),
        b'-' | b'0'..=b'9' => number(input, at),
        _ => Err(Scan::Syntax(at, "a value")),
    }
}

/// Walks the object at `at`: `each` reads a member whose key is at the offset it gets, and returns the
/// offset after its value. Returns the offset after the object.
#[inline]
pub(crate) fn members(input: &str, at: usize, mut each: impl FnMut(usize) -> Scanned<usize>) -> Scanned<usize> {
    let mut pos = skip_space(input, at + 1);
    if peek(input, pos)? == b'}' {
        return Ok(pos + 1);
    }
    loop {
        pos = skip_space(input, each(pos)?);
        match peek(input, pos)? {
            b',' => pos = skip_space(input, pos + 1),
            b'}' => return Ok(pos + 1),
            _ => return Err(Scan::Syntax(pos, "a comma or a closing brace")),
        }
    }
}

/// The offset of the value that belongs to the key that ends at `at`.
#[inline]
pub(crate) fn value_after(input: &str, at: usize) -> Scanned<usize> {
    let colon = skip_space(input, at);
    if peek(input, colon)? != b':' {
        return Err(Scan::Syntax(colon, "a colon"));
    }
    Ok(skip_space(input, colon + 1))
}

/// Walks the array at `at`: `each` gets an element's offset and returns the offset after it.
pub(crate) fn elements(input: &str, at: usize, mut each: impl FnMut(usize) -> Scanned<usize>) -> Scanned<usize> {
    let mut pos = skip_space(input, at + 1);
    if peek(input, pos)? == b']' {
        return Ok(pos + 1);
    }
    loop {
        pos = skip_space(input, each(pos)?);
        match peek(input, pos)? {
            b',' => pos = skip_space(input, pos + 1),
            b']' => return Ok(pos + 1),
            _ => return Err(Scan::Syntax(pos, "a comma or a closing bracket")),
        }
    }
}

fn literal(input: &str, at: usize, word: &'static [u8]) -> Scanned<usize> {
    let bytes = input.as_bytes();
    let have = &bytes[at..bytes.len().min(at + word.len())];
    if have == word {
        Ok(at + word.len())
    } else if word.starts_with(have) {
        Err(Scan::Incomplete)
    } else {
        Err(Scan::Syntax(at, "a value"))
    }
}

/// The offset after the number at `at`. A number must be followed by something to be known whole.
fn number(input: &str, at: usize) -> Scanned<usize> {
    let digits = |mut pos: usize| -> Scanned<usize> {
        if !peek(input, pos)?.is_ascii_digit() {
            return Err(Scan::Syntax(pos, "a digit"));
        }
        while peek(input, pos)?.is_ascii_digit() {
            pos += 1;
        }
        Ok(pos)
    };
    let mut pos = at;
    if peek(input, pos)? == b'-' {
        pos += 1;
    }
    pos = if peek(input, pos)? == b'0' { pos + 1 } else { digits(pos)? };
    if peek(input, pos)? == b'.' {
        pos = digits(pos + 1)?;
    }
    if matches!(peek(input, pos)?, b'e' | b'E') {
        pos += 1;
        if matches!(peek(input, pos)?, b'+' | b'-') {
            pos += 1;
        }
        pos = digits(pos)?;
    }
    Ok(pos)
}

/// Writes the value at `at` with object keys sorted and white space dropped, so that equal contents
/// have equal text; returns the offset after it. Numbers and strings keep their meaning to the digit.
///
/// # Errors
/// A duplicate key in one object. The value must have passed [`value`], which bounds its depth.
pub(crate) fn canonical(input: &str, at: usize, out: &mut String) -> Scanned<usize> {
    match peek(input, at)? {
        b'"' => {
            let (found, end) = string(input, at)?;
            quote(&found.decode(), out);
            Ok(end)
        }
        b'{' => {
            let mut pairs: Vec<(Cow<'_, str>, String)> = Vec::new();
            let end = members(input, at, |at| {
                let (key, after) = string(input, at)?;
                let mut inner = String::new();
                let end = canonical(input, value_after(input, after)?, &mut inner)?;
                pairs.push((key.decode(), inner));
                Ok(end)
            })?;
            pairs.sort();
            if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return Err(Scan::Syntax(at, "each key once"));
            }
            write_object(&pairs, out);
            Ok(end)
        }
        b'[' => {
            out.push('[');
            let mut first = true;
            let end = elements(input, at, |pos| {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                canonical(input, pos, out)
            })?;
            out.push(']');
            Ok(end)
        }
        _ => {
            let end = skip(input, at, 0)?;
            out.push_str(&input[at..end]);
            Ok(end)
        }
    }
}

/// A scanned value's text without the white space between its parts, so that it fits a line.
pub(crate) fn compact(text: &str) -> String {
    let mut inside = false;
    let mut escaped = false;
    text.chars()
        .filter(|character| {
            let kept = inside || !matches!(character, ' ' | '\t' | '\n' | '\r');
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = inside,
                '"' => inside = !inside,
                _ => {}
            }
            kept
        })
        .collect()
}

/// Writes an object of keys and already canonical values, in this order.
pub(crate) fn write_object<K: AsRef<str>>(pairs: &[(K, String)], out: &mut String) {
    out.push('{');
    for (index, (key, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        quote(key.as_ref(), out);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
}

fn quote(text: &str, out: &mut String) {
    // a str always serializes
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
