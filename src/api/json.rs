//! A strict JSON scanner over bytes already known to be UTF-8.
//!
//! It finds where values begin and end and checks their grammar; it borrows, never allocates for a
//! plain value, and never turns a number into a float. It does no I/O: a value that the bytes at
//! hand do not finish is [`Scan::Incomplete`], and the caller comes again with more.

use std::borrow::Cow;

/// Nesting beyond this is refused: no settlement answer comes near it, and recursion stays bounded.
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
    text: &'a str,
    escaped: bool,
}

impl<'a> RawStr<'a> {
    /// The string with its escapes decoded; borrowed where there are none.
    pub(crate) fn decode(self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.text);
        }
        let mut out = String::with_capacity(self.text.len());
        let mut rest = self.text;
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

/// A scanned value, borrowed from the answer.
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
pub(crate) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The byte at `at`, or that the bytes end here.
pub(crate) fn peek(bytes: &[u8], at: usize) -> Scanned<u8> {
    bytes.get(at).copied().ok_or(Scan::Incomplete)
}

fn text(bytes: &[u8], from: usize, to: usize) -> Scanned<&str> {
    // The input was checked when it was read, so this only fails where a bound is wrong.
    std::str::from_utf8(&bytes[from..to]).map_err(|_| Scan::Syntax(from, "UTF-8"))
}

/// Scans a string whose opening quote is at `at`; returns it and the offset after its closing quote.
pub(crate) fn string(bytes: &[u8], at: usize) -> Scanned<(RawStr<'_>, usize)> {
    if peek(bytes, at)? != b'"' {
        return Err(Scan::Syntax(at, "a string"));
    }
    let start = at + 1;
    let mut pos = start;
    let mut escaped = false;
    loop {
        match peek(bytes, pos)? {
            b'"' => return Ok((RawStr { text: text(bytes, start, pos)?, escaped }, pos + 1)),
            b'\\' => {
                escaped = true;
                pos = escape(bytes, pos)?;
            }
            0..=0x1F => return Err(Scan::Syntax(pos, "no bare control character in a string")),
            _ => pos += 1,
        }
    }
}

/// Checks the escape whose backslash is at `at`; returns the offset after it.
fn escape(bytes: &[u8], at: usize) -> Scanned<usize> {
    match peek(bytes, at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
        b'u' => match unit(bytes, at)? {
            0xD800..=0xDBFF => {
                if peek(bytes, at + 6)? != b'\\' || peek(bytes, at + 7)? != b'u' {
                    return Err(Scan::Syntax(at, "a surrogate pair"));
                }
                match unit(bytes, at + 6)? {
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

fn unit(bytes: &[u8], at: usize) -> Scanned<u16> {
    let digits = bytes.get(at + 2..at + 6).ok_or(Scan::Incomplete)?;
    hex4(digits).ok_or(Scan::Syntax(at, "four hexadecimal digits"))
}

/// Scans any value at `at`; returns it and the offset after it.
pub(crate) fn value(bytes: &[u8], at: usize) -> Scanned<(Value<'_>, usize)> {
    match peek(bytes, at)? {
        b'"' => string(bytes, at).map(|(found, end)| (Value::Str(found), end)),
        b'-' | b'0'..=b'9' => {
            let end = number(bytes, at)?;
            Ok((Value::Number(text(bytes, at, end)?), end))
        }
        b'n' => Ok((Value::Null, literal(bytes, at, b"null")?)),
        _ => {
            let end = skip(bytes, at, 0)?;
            Ok((Value::Other(text(bytes, at, end)?), end))
        }
    }
}

fn skip(bytes: &[u8], at: usize, depth: u8) -> Scanned<usize> {
    if depth > MAX_DEPTH {
        return Err(Scan::Syntax(at, "less deep nesting"));
    }
    match peek(bytes, at)? {
        b'"' => string(bytes, at).map(|(_, end)| end),
        b'{' => members(bytes, at, |_, at| skip(bytes, at, depth + 1)),
        b'[' => elements(bytes, at, |at| skip(bytes, at, depth + 1)),
        b't' => literal(bytes, at, b"true"),
        b'f' => literal(bytes, at, b"false"),
        b'n' => literal(bytes, at, b"null"),
        b'-' | b'0'..=b'9' => number(bytes, at),
        _ => Err(Scan::Syntax(at, "a value")),
    }
}

/// Walks the object at `at`: `each` gets a key and the offset of its value, and returns the offset
/// after that value. Returns the offset after the object.
pub(crate) fn members<'a>(bytes: &'a [u8], at: usize, mut each: impl FnMut(RawStr<'a>, usize) -> Scanned<usize>) -> Scanned<usize> {
    let mut pos = skip_space(bytes, at + 1);
    if peek(bytes, pos)? == b'}' {
        return Ok(pos + 1);
    }
    loop {
        let (key, after) = string(bytes, pos)?;
        pos = skip_space(bytes, after);
        if peek(bytes, pos)? != b':' {
            return Err(Scan::Syntax(pos, "a colon"));
        }
        pos = skip_space(bytes, each(key, skip_space(bytes, pos + 1))?);
        match peek(bytes, pos)? {
            b',' => pos = skip_space(bytes, pos + 1),
            b'}' => return Ok(pos + 1),
            _ => return Err(Scan::Syntax(pos, "a comma or a closing brace")),
        }
    }
}

/// Walks the array at `at`: `each` gets an element's offset and returns the offset after it.
pub(crate) fn elements(bytes: &[u8], at: usize, mut each: impl FnMut(usize) -> Scanned<usize>) -> Scanned<usize> {
    let mut pos = skip_space(bytes, at + 1);
    if peek(bytes, pos)? == b']' {
        return Ok(pos + 1);
    }
    loop {
        pos = skip_space(bytes, each(pos)?);
        match peek(bytes, pos)? {
            b',' => pos = skip_space(bytes, pos + 1),
            b']' => return Ok(pos + 1),
            _ => return Err(Scan::Syntax(pos, "a comma or a closing bracket")),
        }
    }
}

fn literal(bytes: &[u8], at: usize, word: &'static [u8]) -> Scanned<usize> {
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
fn number(bytes: &[u8], at: usize) -> Scanned<usize> {
    let digits = |mut pos: usize| -> Scanned<usize> {
        if !peek(bytes, pos)?.is_ascii_digit() {
            return Err(Scan::Syntax(pos, "a digit"));
        }
        while peek(bytes, pos)?.is_ascii_digit() {
            pos += 1;
        }
        Ok(pos)
    };
    let mut pos = at;
    if bytes[pos] == b'-' {
        pos += 1;
    }
    pos = if peek(bytes, pos)? == b'0' { pos + 1 } else { digits(pos)? };
    if peek(bytes, pos)? == b'.' {
        pos = digits(pos + 1)?;
    }
    if matches!(peek(bytes, pos)?, b'e' | b'E') {
        pos += 1;
        if matches!(peek(bytes, pos)?, b'+' | b'-') {
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
/// A key given twice in one object. The value must have passed [`value`], which bounds its depth.
pub(crate) fn canonical(bytes: &[u8], at: usize, out: &mut String) -> Scanned<usize> {
    match peek(bytes, at)? {
        b'"' => {
            let (found, end) = string(bytes, at)?;
            quote(&found.decode(), out);
            Ok(end)
        }
        b'{' => {
            let mut pairs: Vec<(Cow<'_, str>, String)> = Vec::new();
            let end = members(bytes, at, |key, pos| {
                let mut inner = String::new();
                let end = canonical(bytes, pos, &mut inner)?;
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
            let end = elements(bytes, at, |pos| {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                canonical(bytes, pos, out)
            })?;
            out.push(']');
            Ok(end)
        }
        _ => {
            let end = skip(bytes, at, 0)?;
            out.push_str(text(bytes, at, end)?);
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

/// Writes an object of keys and already canonical values, in the order given.
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
