//! The part of a response's text that is in memory, and a cursor in it. Reads on when a value is not whole yet.

use super::decode::TextReader;
use super::error::ApiError;
use super::json::{self, Scan};

/// A row, or any other part outside `DATA`, that is longer than this is refused: memory stays bounded.
const MAX_PART: usize = 4 << 20;

/// The text in memory.
pub(super) struct Buffer {
    text: TextReader,
    have: String,
    /// The next byte to read.
    at: usize,
    /// Bytes from here on are kept although they were read: a row may have to be read again.
    kept_from: Option<usize>,
    /// Bytes of the text before `have`.
    before: u64,
    ended: bool,
}

impl Buffer {
    pub(super) fn new(text: TextReader) -> Self {
        Self { text, have: String::new(), at: 0, kept_from: None, before: 0, ended: false }
    }

    /// The text in memory, for offsets that scans return.
    pub(super) fn text(&self) -> &str {
        &self.have
    }

    /// The cursor's offset in [`Buffer::text`].
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Moves the cursor to an offset that a scan returned.
    pub(super) fn move_to(&mut self, end: usize) {
        self.at = end;
    }

    /// Moves the cursor behind a byte that was looked at.
    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    /// Whether bytes of the response could not be decoded so far.
    pub(super) fn is_damaged(&self) -> bool {
        self.text.is_damaged()
    }

    /// Keeps the text from the cursor on until [`Buffer::release`].
    pub(super) fn keep(&mut self) {
        self.kept_from = Some(self.at);
    }

    /// Where the kept text begins; the cursor, if none is kept.
    pub(super) fn start(&self) -> usize {
        self.kept_from.unwrap_or(self.at)
    }

    pub(super) fn release(&mut self) {
        self.kept_from = None;
    }

    /// The next byte that is not white space; `None` at the end of the response.
    pub(super) fn next_byte(&mut self) -> Result<Option<u8>, ApiError> {
        loop {
            self.at = json::skip_space(&self.have, self.at);
            if let Some(&byte) = self.have.as_bytes().get(self.at) {
                return Ok(Some(byte));
            }
            if self.ended {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// The next byte that is not white space, which must exist.
    pub(super) fn expect(&mut self) -> Result<u8, ApiError> {
        self.next_byte()?.ok_or_else(|| self.cut())
    }

    /// The next byte that is not white space, which must be this one; moves the cursor behind it.
    pub(super) fn expect_byte(&mut self, byte: u8, expected: &'static str) -> Result<(), ApiError> {
        if self.expect()? != byte {
            return Err(self.not_json(self.at, expected));
        }
        self.at += 1;
        Ok(())
    }

    /// After an element of a list or an object: `true` if another one follows, `false` if it ended with `closing`. Moves the
    /// cursor behind either.
    pub(super) fn another(&mut self, closing: u8) -> Result<bool, ApiError> {
        let next = self.expect()?;
        if next != b',' && next != closing {
            let expected = if closing == b']' { "a comma or a closing bracket" } else { "a comma or a closing brace" };
            return Err(self.not_json(self.at, expected));
        }
        self.at += 1;
        Ok(next == b',')
    }

    /// Scans a value at the cursor, reading on until it is whole, and moves the cursor behind it.
    pub(super) fn scan<T>(&mut self, scan: impl Fn(&str, usize) -> Result<(T, usize), Scan>) -> Result<T, ApiError> {
        loop {
            match scan(&self.have, self.at) {
                Ok((value, end)) => {
                    self.at = end;
                    return Ok(value);
                }
                Err(Scan::Incomplete) => self.more()?,
                Err(error) => return Err(self.syntax(error)),
            }
        }
    }

    /// Reads on inside a value. Doubles the text in memory, so that a long value read from a slow body is not scanned again for
    /// every byte.
    pub(super) fn more(&mut self) -> Result<(), ApiError> {
        let have = self.have.len() - self.start();
        if have > MAX_PART {
            let at = self.before + self.start() as u64;
            return Err(ApiError::Shape(format!("a row, or another part, is longer than {} MiB (at byte {at})", MAX_PART >> 20)));
        }
        loop {
            if self.ended {
                return if self.have.len() - self.start() > have { Ok(()) } else { Err(self.cut()) };
            }
            self.fill()?;
            if self.have.len() - self.start() >= 2 * have {
                return Ok(());
            }
        }
    }

    /// Drops what was read and appends the next block.
    fn fill(&mut self) -> Result<(), ApiError> {
        let start = self.start();
        self.have.drain(..start);
        self.at -= start;
        self.kept_from = self.kept_from.map(|_| 0);
        self.before += start as u64;
        self.ended = !self.text.fill(&mut self.have)?;
        Ok(())
    }

    /// The response ended inside its JSON.
    pub(super) fn cut(&self) -> ApiError {
        ApiError::Cut { bytes: self.text.bytes() }
    }

    pub(super) fn syntax(&self, scan: Scan) -> ApiError {
        match scan {
            Scan::Incomplete => self.cut(),
            Scan::Syntax(at, expected) => self.not_json(at, expected),
        }
    }

    pub(super) fn not_json(&self, at: usize, expected: &'static str) -> ApiError {
        // more than is shown, so that a secret in it can be found before it is cut
        const WINDOW: usize = 4096;
        let end = self.have.len().min(at + WINDOW);
        let excerpt = String::from_utf8_lossy(&self.have.as_bytes()[at.min(end)..end]).into_owned();
        ApiError::NotJson { at: self.before + at as u64, expected, excerpt }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;
    use crate::cookiepay::decode::Charset;

    /// A buffer over a response that arrives `step` bytes at a time.
    fn buffer(response: &'static str, step: usize) -> Buffer {
        let body = BufReader::with_capacity(step, Cursor::new(response.as_bytes()));
        let charset = Charset::from_content_type(None).expect("UTF-8");
        Buffer::new(TextReader::new(body, charset, 1 << 20).expect("text"))
    }

    #[test]
    fn a_value_is_scanned_whole_whatever_pieces_it_arrives_in() {
        for step in 1..20 {
            let mut buffer = buffer(r#" {"a": [1, "x"]} , 12 "#, step);
            assert_eq!(buffer.expect().ok(), Some(b'{'));
            let text = buffer.scan(|text, at| json::value(text, at).map(|(_, end)| (text[at..end].to_owned(), end)));
            assert_eq!(text.ok().as_deref(), Some(r#"{"a": [1, "x"]}"#));
            assert_eq!(buffer.another(b']').ok(), Some(true));
            assert_eq!(buffer.expect().ok(), Some(b'1'));
        }
    }

    #[test]
    fn kept_text_stays_until_it_is_released() {
        let mut buffer = buffer(r#"{"a":"0123456789"} {"b":1} "#, 4);
        buffer.expect().expect("a brace");
        buffer.keep();
        buffer.scan(json::value_end).expect("an object");
        assert_eq!(buffer.start(), 0);
        assert!(buffer.text().starts_with(r#"{"a":"0123456789"}"#));
        buffer.release();
        assert_eq!(buffer.start(), buffer.at());
    }

    #[test]
    fn errors_state_the_offset_in_the_response() {
        let mut buffer = buffer(r#"["0123456789" x"#, 4);
        buffer.expect_byte(b'[', "an array").expect("a bracket");
        buffer.scan(json::value_end).expect("a string");
        assert!(matches!(buffer.another(b']'), Err(ApiError::NotJson { at: 14, expected: "a comma or a closing bracket", .. })));
        buffer.advance();
        assert!(matches!(buffer.expect(), Err(ApiError::Cut { bytes: 15 })));
    }
}
