//! The streaming reader of settlement answers: one pass, one row in memory at a time.
//!
//! Reads every shape the API is known or thought to answer in (an object with `DATA`, an array of
//! such objects, an array of rows that each carry a `RESULTCODE`) and refuses the rest. Hands rows
//! on as they come; whether they count is only known when the answer has ended, because its
//! `RESULTCODE` may come last.

use super::decode::TextReader;
use super::error::{ApiError, ReadError};
use super::json::{self, Scan, Value};
use super::wire::{FieldOrder, WireRow};

/// `RESULTCODE` of success.
const SUCCESS: &str = "0000";

/// A row, or any other part outside `DATA`, longer than this is refused: memory stays bounded.
const MAX_PART: usize = 4 << 20;

/// More parts without a row than this in one answer are refused: one says as much.
const MAX_EMPTY_PARTS: usize = 1000;

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `RESULTCODE`: success, or one of the codes that mean "no rows".
    pub result_code: String,
    /// `RESULTMSG`, where there was one.
    pub result_message: Option<String>,
    /// Rows handed on.
    pub rows: u64,
    /// Whether the answer was empty by its code and not by `0000` with nothing in `DATA`.
    pub empty_by_code: bool,
    /// Members of the envelope that the manual does not name.
    pub unknown_members: Vec<String>,
}

/// Reads a whole answer, handing each row with its 1-based position to `receive`.
///
/// # Errors
/// The first thing wrong with the answer as a whole, an error code included, or what `receive`
/// returned. Rows handed on before an error do not count.
pub fn read<E>(
    text: TextReader,
    empty_codes: &[String],
    receive: impl FnMut(u64, &WireRow<'_>) -> Result<(), E>,
) -> Result<Answer, ReadError<E>> {
    let mut reader = Reader {
        text,
        have: String::new(),
        order: FieldOrder::default(),
        at: 0,
        keep: None,
        before: 0,
        ended: false,
        empty_codes,
        receive,
        rows: 0,
    };
    reader.answer()
}

/// What one object of the answer said.
#[derive(Debug, Default)]
struct Envelope {
    code: Option<String>,
    message: Option<String>,
    /// Whether the keys stood there, with whatever value.
    code_given: bool,
    message_given: bool,
    data: Data,
    /// How many of the manual's row fields it has: a row rather than an answer, where it has any.
    fields: usize,
    /// Members that the manual does not name.
    unknown: Vec<String>,
    /// Whether one of these holds values of its own, as a list of rows would.
    unknown_content: bool,
}

impl Envelope {
    /// Refuses an answer without rows that has something else in their place: rows under another
    /// name must not read as a day without any.
    fn says_nothing_else<E>(&self) -> Step<(), E> {
        let instead = match self.data {
            Data::Missing => self.code.as_deref() == Some(SUCCESS) && !self.unknown.is_empty(),
            _ => false,
        };
        if instead || (self.data != Data::Rows && self.unknown_content) {
            return shape(format!("no rows in DATA, and members that the manual does not name: {}", self.unknown.join(", ")));
        }
        Ok(())
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Data {
    #[default]
    Missing,
    Nothing,
    Rows,
    Unreadable,
}

enum Verdict {
    Success,
    Empty,
}

struct Reader<'c, F> {
    text: TextReader,
    have: String,
    order: FieldOrder,
    /// The next byte to read.
    at: usize,
    /// Bytes from here on are kept although they were read: a row may have to be read again.
    keep: Option<usize>,
    /// Bytes of the answer's text that lie before `have`.
    before: u64,
    ended: bool,
    empty_codes: &'c [String],
    receive: F,
    rows: u64,
}

type Step<T, E> = Result<T, ReadError<E>>;

impl<E, F: FnMut(u64, &WireRow<'_>) -> Result<(), E>> Reader<'_, F> {
    fn answer(&mut self) -> Step<Answer, E> {
        let (envelope, verdict) = match self.next_byte()? {
            Some(b'{') => {
                let envelope = self.object(false)?;
                let verdict = self.judge(&envelope)?;
                if envelope.fields > 0 {
                    return shape("a row stands where an answer with DATA should");
                }
                envelope.says_nothing_else()?;
                (envelope, verdict)
            }
            Some(b'[') => self.array()?,
            Some(_) => {
                let at = self.at;
                let value = self.scan(|text, at| json::value(text, at).map(|_| ((), at)));
                // a bare value is JSON all the same; a page of text or HTML is not
                return if value.is_ok() { shape("a bare value") } else { Err(self.not_json(at, "an object or an array").into()) };
            }
            None => return Err(ApiError::Cut { bytes: self.text.bytes() }.into()),
        };
        if self.next_byte()?.is_some() {
            return Err(self.not_json(self.at, "the end of the answer").into());
        }
        Ok(Answer {
            result_code: envelope.code.unwrap_or_default(),
            result_message: envelope.message,
            rows: self.rows,
            empty_by_code: matches!(verdict, Verdict::Empty) && self.rows == 0,
            unknown_members: envelope.unknown,
        })
    }

    /// An array of answers, or of rows with a code each.
    fn array(&mut self) -> Step<(Envelope, Verdict), E> {
        let mut all: Option<(Envelope, Verdict)> = None;
        let (mut answers, mut codes_alone, mut bare_rows) = (false, false, false);
        let mut empty_parts = 0;
        self.at += 1;
        if self.expect()? == b']' {
            return shape("an empty array, with no RESULTCODE");
        }
        loop {
            if self.expect()? != b'{' {
                return shape("an array of something else than objects");
            }
            let before = self.rows;
            let envelope = self.object(true)?;
            let verdict = self.judge(&envelope)?;
            if envelope.data != Data::Missing {
                answers = true;
                if envelope.fields > 0 {
                    return shape("a row that has DATA of its own");
                }
                envelope.says_nothing_else()?;
            } else if bare_rows || envelope.fields > 0 {
                if matches!(verdict, Verdict::Empty) {
                    return shape("a row under a code that means no rows");
                }
                // whatever stands among rows is one: what is missing from it is then refused by name
                bare_rows = true;
                self.bare_row()?;
            } else {
                codes_alone = true;
                envelope.says_nothing_else()?;
            }
            self.keep = None;
            empty_parts += usize::from(self.rows == before);
            if empty_parts > MAX_EMPTY_PARTS {
                return shape(format!("more than {MAX_EMPTY_PARTS} parts without rows"));
            }
            if bare_rows && (answers || codes_alone) {
                return shape("an array that mixes rows with answers");
            }
            all = Some(match all.take() {
                None => (envelope, verdict),
                Some(all) => merge(all, (envelope, verdict)),
            });
            match self.expect()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return Err(self.not_json(self.at, "a comma or a closing bracket").into()),
            }
        }
        self.at += 1;
        match all {
            Some(all) => Ok(all),
            None => shape("an empty array, with no RESULTCODE"),
        }
    }

    /// Hands on the object just read, which [`Reader::keep`] still holds, as a row.
    fn bare_row(&mut self) -> Step<(), E> {
        let from = self.keep.unwrap_or(self.at);
        let mut row = WireRow::default();
        if let Err(scan) = row.scan(&self.have, from, &mut self.order) {
            return Err(self.syntax(scan).into());
        }
        self.rows += 1;
        (self.receive)(self.rows, &row).map_err(ReadError::Receiver)
    }

    /// Reads one object member by member; with `keep`, so that it can be read again as a row.
    fn object(&mut self, keep: bool) -> Step<Envelope, E> {
        let mut envelope = Envelope::default();
        self.keep = keep.then_some(self.at);
        self.at += 1;
        if self.expect()? == b'}' {
            self.at += 1;
            return Ok(envelope);
        }
        loop {
            self.expect()?;
            let key = self.scan(|text, at| json::string(text, at).map(|(key, end)| (key.decode().into_owned(), end)))?;
            if self.expect()? != b':' {
                return Err(self.not_json(self.at, "a colon").into());
            }
            self.at += 1;
            let first = self.expect()?;
            match key.as_str() {
                "DATA" => {
                    if envelope.data != Data::Missing {
                        return shape("DATA is given twice");
                    }
                    envelope.data = if first == b'[' {
                        self.keep = None;
                        self.data()?
                    } else {
                        self.scan(|text, at| json::value(text, at).map(|(value, end)| (no_list(value), end)))?
                    };
                }
                "RESULTCODE" | "RESULTMSG" => {
                    let text = self.scan(|text, at| json::value(text, at).map(|(value, end)| (scalar(value), end)))?;
                    let (slot, given) = if key == "RESULTCODE" {
                        (&mut envelope.code, &mut envelope.code_given)
                    } else {
                        (&mut envelope.message, &mut envelope.message_given)
                    };
                    if std::mem::replace(given, true) {
                        return shape(format!("{key} is given twice"));
                    }
                    *slot = text;
                }
                _ => {
                    let content = self.scan(|text, at| json::value(text, at).map(|(value, end)| (holds_values(value), end)))?;
                    if super::wire::Field::ALL.iter().any(|field| field.name() == key) {
                        envelope.fields += 1;
                    } else {
                        envelope.unknown_content |= content;
                        if envelope.unknown.len() < 16 {
                            // more than is shown, so that a secret in it can be found before it is cut
                            envelope.unknown.push(key.chars().take(4096).collect());
                        }
                    }
                }
            }
            match self.expect()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return Err(self.not_json(self.at, "a comma or a closing brace").into()),
            }
        }
        self.at += 1;
        Ok(envelope)
    }

    /// The rows of `DATA`, the array at the cursor.
    fn data(&mut self) -> Step<Data, E> {
        self.at += 1;
        if self.expect()? == b']' {
            self.at += 1;
            return Ok(Data::Nothing);
        }
        loop {
            self.expect()?;
            self.row()?;
            match self.expect()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return Err(self.not_json(self.at, "a comma or a closing bracket").into()),
            }
        }
        self.at += 1;
        Ok(Data::Rows)
    }

    fn row(&mut self) -> Step<(), E> {
        loop {
            let mut row = WireRow::default();
            match row.scan(&self.have, self.at, &mut self.order) {
                Ok(end) => {
                    if let Some(Some(code)) = row.result_code.map(scalar)
                        && code != SUCCESS
                    {
                        let message = row.result_message.and_then(scalar).unwrap_or_default();
                        return Err(ApiError::ResultCode { code, message }.into());
                    }
                    self.rows += 1;
                    (self.receive)(self.rows, &row).map_err(ReadError::Receiver)?;
                    self.at = end;
                    return Ok(());
                }
                Err(Scan::Incomplete) => self.more()?,
                Err(scan) => return Err(self.syntax(scan).into()),
            }
        }
    }

    /// What an object's code says of it.
    fn judge(&self, envelope: &Envelope) -> Step<Verdict, E> {
        let Some(code) = envelope.code.as_deref() else {
            return shape("no RESULTCODE");
        };
        if code == SUCCESS {
            if envelope.data == Data::Unreadable {
                return shape("DATA is not a list of rows");
            }
            return Ok(Verdict::Success);
        }
        if !self.empty_codes.iter().any(|empty| empty == code) {
            let message = envelope.message.clone().unwrap_or_default();
            return Err(ApiError::ResultCode { code: code.into(), message }.into());
        }
        if matches!(envelope.data, Data::Rows | Data::Unreadable) {
            return shape(format!("RESULTCODE {code} means no rows, yet DATA has some"));
        }
        Ok(Verdict::Empty)
    }

    /// Scans a value at the cursor, reading on until it is whole.
    fn scan<T>(&mut self, scan: impl Fn(&str, usize) -> Result<(T, usize), Scan>) -> Step<T, E> {
        loop {
            match scan(&self.have, self.at) {
                Ok((value, end)) => {
                    self.at = end;
                    return Ok(value);
                }
                Err(Scan::Incomplete) => self.more()?,
                Err(error) => return Err(self.syntax(error).into()),
            }
        }
    }

    /// The next byte that is not white space; none at the end of the answer.
    fn next_byte(&mut self) -> Result<Option<u8>, ApiError> {
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

    /// The next byte that is not white space, where the answer must go on.
    fn expect(&mut self) -> Result<u8, ApiError> {
        self.next_byte()?.ok_or_else(|| self.cut())
    }

    /// Reads on, where a value must go on. Doubles what is at hand, so that a long value read from
    /// a slow body is not scanned again for every byte.
    fn more(&mut self) -> Result<(), ApiError> {
        let have = self.have.len() - self.start();
        if have > MAX_PART {
            return Err(ApiError::Shape(format!("row {} or what follows it is longer than {} MiB", self.rows, MAX_PART >> 20)));
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

    fn start(&self) -> usize {
        self.keep.unwrap_or(self.at)
    }

    /// Drops what was read and appends the next block.
    fn fill(&mut self) -> Result<(), ApiError> {
        let start = self.start();
        self.have.drain(..start);
        self.at -= start;
        self.keep = self.keep.map(|_| 0);
        self.before += start as u64;
        self.ended = !self.text.fill(&mut self.have)?;
        Ok(())
    }

    fn cut(&self) -> ApiError {
        ApiError::Cut { bytes: self.text.bytes() }
    }

    fn syntax(&self, scan: Scan) -> ApiError {
        match scan {
            Scan::Incomplete => self.cut(),
            Scan::Syntax(at, expected) => self.not_json(at, expected),
        }
    }

    fn not_json(&self, at: usize, expected: &'static str) -> ApiError {
        // more than is shown, so that a secret in it can be found before it is cut
        const WINDOW: usize = 4096;
        let end = self.have.len().min(at + WINDOW);
        let excerpt = String::from_utf8_lossy(&self.have.as_bytes()[at.min(end)..end]).into_owned();
        ApiError::NotJson { at: self.before + at as u64, expected, excerpt }
    }
}

/// Whether a value is a list or an object with anything in it.
fn holds_values(value: Value<'_>) -> bool {
    matches!(value, Value::Other(text) if text.starts_with(['{', '[']) && !text[1..text.len() - 1].trim().is_empty())
}

fn merge((mut all, verdict): (Envelope, Verdict), (next, next_verdict): (Envelope, Verdict)) -> (Envelope, Verdict) {
    all.unknown.extend(next.unknown);
    all.unknown.truncate(16);
    // one answer with success makes the whole a success: an empty part beside it adds nothing
    match (&verdict, &next_verdict) {
        (Verdict::Empty, Verdict::Success) => (Envelope { unknown: all.unknown, ..next }, Verdict::Success),
        _ => (all, verdict),
    }
}

fn no_list(value: Value<'_>) -> Data {
    match value {
        Value::Null => Data::Nothing,
        Value::Str(text) if text.decode().trim().is_empty() => Data::Nothing,
        Value::Other(text) if text.starts_with('{') && text[1..text.len() - 1].trim().is_empty() => Data::Nothing,
        _ => Data::Unreadable,
    }
}

/// A code's or a message's text.
fn scalar(value: Value<'_>) -> Option<String> {
    match value {
        Value::Str(text) => Some(text.decode().trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(text) | Value::Other(text) => Some(text.to_owned()),
        Value::Null => None,
    }
}

fn shape<T, E>(what: impl Into<String>) -> Step<T, E> {
    Err(ApiError::Shape(what.into()).into())
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use proptest::prelude::*;

    use super::*;
    use crate::cookiepay::decode::Charset;

    /// The rows' texts, or what is wrong; the answer arrives `step` bytes at a time.
    fn rows(answer: &[u8], step: usize, content_type: Option<&str>) -> Result<Vec<String>, String> {
        let mut rows = Vec::new();
        let body = BufReader::with_capacity(step, Cursor::new(answer.to_vec()));
        let charset = Charset::from_content_type(content_type).map_err(|error| error.to_string())?;
        let text = TextReader::new(body, charset, 1 << 30).map_err(|error| error.to_string())?;
        let read = super::read(text, &["E008".to_owned()], |position, row| {
            assert_eq!(position, rows.len() as u64 + 1);
            rows.push(row.raw.to_owned());
            Ok::<(), ()>(())
        });
        match read {
            Ok(answer) => {
                assert_eq!(answer.rows, rows.len() as u64);
                Ok(rows)
            }
            Err(ReadError::Api(error)) => Err(error.to_string()),
            Err(ReadError::Receiver(())) => Err("receiver".into()),
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let deep = format!(r#"{{"RESULTCODE":"0000","X":{}"#, "[".repeat(200_000));
        assert!(rows(deep.as_bytes(), 4096, None).is_err_and(|error| error.contains("nesting")));
    }

    #[test]
    fn a_row_without_end_is_refused_and_not_held() {
        let long = format!(r#"{{"RESULTCODE":"0000","DATA":[{{"TRXID":"{}"#, "x".repeat(20 << 20));
        assert!(rows(long.as_bytes(), 64 << 10, None).is_err_and(|error| error.contains("longer than")));
    }

    #[test]
    fn bytes_outside_utf8_are_told_from_a_split_character() {
        let mut answer = "\u{FEFF}{\"RESULTCODE\":\"0000\",\"DATA\":[{\"A\":\"가\"}]}".as_bytes().to_vec();
        for step in 1..8 {
            assert_eq!(rows(&answer, step, None), Ok(vec![r#"{"A":"가"}"#.to_owned()]));
        }
        let at = answer.iter().rposition(|byte| !byte.is_ascii()).unwrap() - 2;
        answer.remove(at + 2);
        for step in 1..8 {
            assert!(rows(&answer, step, None).is_err_and(|error| error.contains("not UTF-8")), "{step}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "\\PC{0,12}".prop_map(Into::into),
            "[\\x00-\\x7f가-힣😀\"\\\\]{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map("[A-Z]{1,6}", inner, 0..4).prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn same_json(ours: &[String], theirs: &[serde_json::Value]) -> bool {
        ours.len() == theirs.len()
            && ours
                .iter()
                .zip(theirs)
                .all(|(ours, theirs)| serde_json::from_str::<serde_json::Value>(ours).is_ok_and(|ours| ours == *theirs))
    }

    proptest! {
        /// Any rows, in any shape, in chunks of any size, against serde_json's reading of the same bytes.
        #[test]
        fn rows_are_those_that_serde_json_reads(
            data in prop::collection::vec(prop::collection::hash_map("[A-Z]{1,6}", json(), 0..5), 0..6),
            step in 1usize..64, pretty: bool, code_first: bool, korean: bool,
        ) {
            let data: Vec<serde_json::Value> =
                data.into_iter().map(|row| serde_json::Value::Object(row.into_iter().collect())).collect();
            let list = serde_json::Value::from(data.clone());
            let list = if pretty { format!("{list:#}") } else { list.to_string() };
            let code = r#""RESULTCODE":"0000","RESULTMSG":"정상""#;
            let answer = if code_first { format!("{{{code},\"DATA\":{list}}}") } else { format!("{{\"DATA\":{list},{code}}}") };
            let expected = |rows: Result<Vec<String>, String>| match rows {
                Ok(rows) => same_json(&rows, &data),
                Err(_) => false,
            };
            if korean {
                let (bytes, _, lossy) = encoding_rs::EUC_KR.encode(&answer);
                if !lossy {
                    prop_assert!(expected(rows(&bytes, step, Some("text/json; charset=euc-kr"))), "{}", answer);
                }
            } else {
                prop_assert!(expected(rows(answer.as_bytes(), step, None)), "{}", answer);
            }
        }

        /// Cut or damaged anywhere, an answer is refused or read as serde_json reads it; never a panic.
        #[test]
        fn damaged_answers_are_refused_where_serde_json_refuses(at in 0usize..200, byte: u8, cut: bool, step in 1usize..40) {
            let mut answer = r#"{"RESULTCODE":"0000","RESULTMSG":"ok","DATA":[{"A":"1\u00e9","B":-1.5e3,"C":null},{"D":[true,{"E":"가"}]}]}"#.as_bytes().to_vec();
            let at = at % answer.len();
            if cut { answer.truncate(at) } else { answer[at] = byte }
            let ours = rows(&answer, step, None);
            match serde_json::from_slice::<serde_json::Value>(&answer) {
                Err(_) => prop_assert!(ours.is_err(), "{:?}", String::from_utf8_lossy(&answer)),
                Ok(theirs) => if let Ok(ours) = ours {
                    let theirs = theirs["DATA"].as_array().cloned().unwrap_or_default();
                    prop_assert!(same_json(&ours, &theirs));
                }
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), step in 1usize..40) {
            let _ = rows(&bytes, step, None);
            let _ = rows(&bytes, step, Some("application/json; charset=euc-kr"));
        }
    }
}
