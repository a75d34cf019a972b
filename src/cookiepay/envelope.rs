//! The streaming reader of settlement responses: one pass, one row in memory at a time.
//!
//! Reads every shape in which the API is known or thought to respond (an object with `DATA`, an array of such objects, an array
//! of rows that each carry a `RESULTCODE`) and refuses the rest. Passes rows on as they arrive; whether they count is only
//! known when the response has ended, because its `RESULTCODE` may come last.

use crate::settlement::source::Field;

use super::buffer::Buffer;
use super::decode::TextReader;
use super::error::{ApiError, ReadError};
use super::json::{self, Scan, Value};
use super::parts::{Data, Envelope, Parts, SUCCESS, Step, Verdict, shape};
use super::row::{FieldOrder, ScannedRow};

/// How a response ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseEnd {
    /// `RESULTCODE`: success, or one of the codes that mean "no rows".
    pub result_code: String,
    /// `RESULTMSG`, if there was one.
    pub result_message: Option<String>,
    /// Rows passed on.
    pub rows: u64,
    /// Whether the response was empty by its code, and not by `0000` with nothing in `DATA`.
    pub empty_by_code: bool,
    /// Members of the envelope that the manual does not name.
    pub unknown_members: Vec<String>,
}

/// Reads a whole response, passing each row with its 1-based position to `receive`.
///
/// # Errors
/// The first thing wrong with the response as a whole, including an error code, or what `receive` returned. Rows passed on
/// before an error do not count.
pub fn read<E>(
    text: TextReader,
    empty_codes: &[String],
    receive: impl FnMut(u64, &ScannedRow<'_>) -> Result<(), E>,
) -> Result<ResponseEnd, ReadError<E>> {
    Reader { buffer: Buffer::new(text), order: FieldOrder::default(), empty_codes, receive, rows: 0 }.response()
}

struct Reader<'c, F> {
    buffer: Buffer,
    order: FieldOrder,
    empty_codes: &'c [String],
    receive: F,
    rows: u64,
}

impl<E, F: FnMut(u64, &ScannedRow<'_>) -> Result<(), E>> Reader<'_, F> {
    fn response(&mut self) -> Step<ResponseEnd, E> {
        let (envelope, verdict) = match self.buffer.next_byte()? {
            Some(b'{') => self.single()?,
            Some(b'[') => self.array()?,
            Some(_) => return self.neither(),
            None => return Err(self.buffer.cut().into()),
        };
        if self.buffer.next_byte()?.is_some() {
            return Err(self.buffer.not_json(self.buffer.at(), "the end of the response").into());
        }
        envelope.check_declared(self.rows)?;
        Ok(ResponseEnd {
            result_code: envelope.code.text.unwrap_or_default(),
            result_message: envelope.message.text,
            rows: self.rows,
            empty_by_code: verdict == Verdict::Empty && self.rows == 0,
            unknown_members: envelope.unknown,
        })
    }

    /// A response that is one object.
    fn single(&mut self) -> Step<(Envelope, Verdict), E> {
        let envelope = self.object()?;
        let verdict = envelope.judge(self.empty_codes)?;
        if envelope.fields > 0 {
            return shape("a row in place of a response with DATA");
        }
        envelope.check_nothing_else()?;
        Ok((envelope, verdict))
    }

    /// A bare value is JSON all the same; a page of text or HTML is not.
    fn neither(&mut self) -> Step<ResponseEnd, E> {
        let at = self.buffer.at();
        let error = self.buffer.not_json(at, "an object or an array");
        match self.buffer.scan(json::value_end) {
            Ok(()) => shape("a bare value"),
            Err(_) => Err(error.into()),
        }
    }

    /// An array of envelopes, or of rows with a code each.
    fn array(&mut self) -> Step<(Envelope, Verdict), E> {
        let mut parts = Parts::default();
        self.buffer.advance();
        if self.buffer.expect()? == b']' {
            return shape("an empty array, without RESULTCODE");
        }
        loop {
            if self.buffer.expect()? != b'{' {
                return shape("an array of something other than objects");
            }
            self.part(&mut parts)?;
            if !self.buffer.another(b']')? {
                break;
            }
        }
        match parts.all {
            Some(all) => Ok(all),
            None => shape("an empty array, without RESULTCODE"),
        }
    }

    /// One element of an array: an envelope with its rows, or a row.
    fn part(&mut self, parts: &mut Parts) -> Step<(), E> {
        let before = self.rows;
        self.buffer.keep();
        let mut envelope = self.object()?;
        let verdict = envelope.judge(self.empty_codes)?;
        if envelope.data != Data::Missing {
            parts.envelopes = true;
            if envelope.fields > 0 {
                return shape("a row that has DATA of its own");
            }
            envelope.check_nothing_else()?;
        } else if parts.rows || envelope.fields > 0 {
            if verdict == Verdict::Empty {
                return shape("a row under a code that means no rows");
            }
            // anything among rows counts as a row: a field that it lacks is then refused by name
            parts.rows = true;
            // and what looks like a count is a field of the row
            envelope.declared.clear();
            self.kept_row()?;
        } else {
            parts.envelopes = true;
            envelope.check_nothing_else()?;
        }
        self.buffer.release();
        parts.add(envelope, verdict, self.rows - before)
    }

    /// Passes on the object just read, which the buffer still keeps, as a row.
    fn kept_row(&mut self) -> Step<(), E> {
        let mut row = ScannedRow::default();
        if let Err(scan) = row.scan(self.buffer.text(), self.buffer.start(), &mut self.order) {
            return Err(self.buffer.syntax(scan).into());
        }
        if self.buffer.is_damaged() {
            row.check_decoded();
        }
        self.rows += 1;
        (self.receive)(self.rows, &row).map_err(ReadError::Receiver)
    }

    /// Reads one object member by member.
    fn object(&mut self) -> Step<Envelope, E> {
        let mut envelope = Envelope::default();
        self.buffer.advance();
        if self.buffer.expect()? == b'}' {
            self.buffer.advance();
            return Ok(envelope);
        }
        loop {
            self.buffer.expect()?;
            let key = self.buffer.scan(|text, at| json::string(text, at).map(|(key, end)| (key.decode().into_owned(), end)))?;
            self.buffer.expect_byte(b':', "a colon")?;
            let first = self.buffer.expect()?;
            self.member(&mut envelope, &key, first)?;
            if !self.buffer.another(b'}')? {
                return Ok(envelope);
            }
        }
    }

    /// Reads the value of a member, whose first byte is known.
    fn member(&mut self, envelope: &mut Envelope, key: &str, first: u8) -> Step<(), E> {
        match key {
            "DATA" => {
                if envelope.data != Data::Missing {
                    return shape("DATA occurs twice");
                }
                envelope.data = if first == b'[' { self.data()? } else { self.value(no_list)? };
            }
            "RESULTCODE" => envelope.code.set(key, self.value(scalar)?)?,
            "RESULTMSG" => envelope.message.set(key, self.value(scalar)?)?,
            key => {
                let (has_content, text) = self.value(|value| (holds_values(value), short_text(value)))?;
                if Field::from_name(key).is_some() {
                    envelope.fields += 1;
                } else if !envelope.declares(key, text.as_deref()) {
                    envelope.add_unknown(key, has_content);
                }
            }
        }
        Ok(())
    }

    /// What `of` makes of the value at the cursor.
    fn value<T>(&mut self, of: impl Fn(Value<'_>) -> T) -> Step<T, E> {
        Ok(self.buffer.scan(|text, at| json::value(text, at).map(|(value, end)| (of(value), end)))?)
    }

    /// The rows of `DATA`, the array at the cursor.
    fn data(&mut self) -> Step<Data, E> {
        // an object with a list of rows is not a row, and is not read again
        self.buffer.release();
        self.buffer.advance();
        if self.buffer.expect()? == b']' {
            self.buffer.advance();
            return Ok(Data::Nothing);
        }
        loop {
            self.buffer.expect()?;
            self.row()?;
            if !self.buffer.another(b']')? {
                return Ok(Data::Rows);
            }
        }
    }

    fn row(&mut self) -> Step<(), E> {
        loop {
            let mut row = ScannedRow::default();
            match row.scan(self.buffer.text(), self.buffer.at(), &mut self.order) {
                Ok(end) => {
                    if self.buffer.is_damaged() {
                        row.check_decoded();
                    }
                    check_row_code(&row)?;
                    self.rows += 1;
                    (self.receive)(self.rows, &row).map_err(ReadError::Receiver)?;
                    self.buffer.move_to(end);
                    return Ok(());
                }
                Err(Scan::Incomplete) => self.buffer.more()?,
                Err(scan) => return Err(self.buffer.syntax(scan).into()),
            }
        }
    }
}

/// A row of `DATA` may have a `RESULTCODE` of its own, which must be success.
fn check_row_code(row: &ScannedRow<'_>) -> Result<(), ApiError> {
    match row.result_code.and_then(scalar) {
        Some(code) if code != SUCCESS => {
            let message = row.result_message.and_then(scalar).unwrap_or_default();
            Err(ApiError::ResultCode { code, message })
        }
        _ => Ok(()),
    }
}

/// Whether a value is a list or an object that is not empty.
fn holds_values(value: Value<'_>) -> bool {
    matches!(value, Value::Other(text) if text.starts_with(['{', '[']) && !text[1..text.len() - 1].trim().is_empty())
}

/// The text of a value that may be a count.
fn short_text(value: Value<'_>) -> Option<String> {
    match value {
        Value::Str(_) | Value::Number(_) => scalar(value).filter(|text| text.len() <= 32),
        Value::Other(_) | Value::Null => None,
    }
}

/// `DATA` that is not a list.
fn no_list(value: Value<'_>) -> Data {
    match value {
        Value::Null => Data::Nothing,
        Value::Str(text) if text.decode().trim().is_empty() => Data::Nothing,
        Value::Other(text) if text.starts_with('{') && text[1..text.len() - 1].trim().is_empty() => Data::Nothing,
        Value::Str(_) | Value::Number(_) | Value::Other(_) => Data::Unreadable,
    }
}

/// The text of a code or a message.
fn scalar(value: Value<'_>) -> Option<String> {
    match value {
        Value::Str(text) => Some(text.decode().trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(text) | Value::Other(text) => Some(text.to_owned()),
        Value::Null => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use proptest::prelude::*;

    use super::*;
    use crate::cookiepay::decode::Charset;
    use crate::settlement::source::UNDECODABLE;

    const UTF8: Option<&str> = Some("application/json; charset=utf-8");

    /// The rows' texts, or what is wrong; the response arrives `step` bytes at a time.
    fn rows(response: &[u8], step: usize, content_type: Option<&str>) -> Result<Vec<String>, String> {
        let mut rows = Vec::new();
        let body = BufReader::with_capacity(step, Cursor::new(response.to_vec()));
        let charset = Charset::from_content_type(content_type).map_err(|error| error.to_string())?;
        let text = TextReader::new(body, charset, 1 << 30).map_err(|error| error.to_string())?;
        let read = super::read(text, &["E008".to_owned()], |position, row| {
            assert_eq!(position, rows.len() as u64 + 1);
            rows.push(row.raw.to_owned());
            Ok::<(), ()>(())
        });
        match read {
            Ok(response) => {
                assert_eq!(response.rows, rows.len() as u64);
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
    fn bytes_outside_utf8_differ_from_a_split_character() {
        let mut response = "\u{FEFF}{\"RESULTCODE\":\"0000\",\"DATA\":[{\"A\":\"가\"}]}".as_bytes().to_vec();
        for step in 1..8 {
            for declared in [None, UTF8] {
                assert_eq!(rows(&response, step, declared), Ok(vec![r#"{"A":"가"}"#.to_owned()]));
            }
        }
        let at = response.iter().rposition(|byte| !byte.is_ascii()).unwrap() - 2;
        response.remove(at + 2);
        for step in 1..8 {
            assert_eq!(rows(&response, step, UTF8), Ok(vec![format!(r#"{{"A":"{UNDECODABLE}"}}"#)]), "{step}");
        }
    }

    #[test]
    fn text_without_a_charset_is_utf8_or_else_cp949() {
        let response = r#"{"RESULTCODE":"0000","DATA":[{"A":"가맹점 똠방각하"}]}"#;
        let expected = Ok(vec![r#"{"A":"가맹점 똠방각하"}"#.to_owned()]);
        let (cp949, ..) = encoding_rs::EUC_KR.encode(response);
        let late = format!("{}{response}", " ".repeat(5 << 20));
        let (late_cp949, ..) = encoding_rs::EUC_KR.encode(&late);
        for declared in
            [None, Some("text/json; charset=ISO-8859-1"), Some("text/json; charset=windows-1252"), Some("text/json; charset=us-ascii")]
        {
            for bytes in [response.as_bytes(), &cp949] {
                for step in [1, 7, 4096] {
                    assert_eq!(rows(bytes, step, declared), expected, "{declared:?} {step}");
                }
            }
            for bytes in [late.as_bytes(), &late_cp949] {
                assert_eq!(rows(bytes, 64 << 10, declared), expected, "{declared:?}");
            }
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
            let response = if code_first { format!("{{{code},\"DATA\":{list}}}") } else { format!("{{\"DATA\":{list},{code}}}") };
            let expected = |rows: Result<Vec<String>, String>| match rows {
                Ok(rows) => same_json(&rows, &data),
                Err(_) => false,
            };
            if korean {
                let (bytes, _, lossy) = encoding_rs::EUC_KR.encode(&response);
                if !lossy {
                    prop_assert!(expected(rows(&bytes, step, Some("text/json; charset=euc-kr"))), "{}", response);
                }
            } else {
                prop_assert!(expected(rows(response.as_bytes(), step, None)), "{}", response);
            }
        }

        /// Cut or damaged anywhere, a response is refused or read as serde_json reads it; never a panic.
        #[test]
        fn damaged_responses_are_refused_if_serde_json_refuses_them(at in 0usize..200, byte: u8, cut: bool, step in 1usize..40) {
            let mut response = r#"{"RESULTCODE":"0000","RESULTMSG":"ok","DATA":[{"A":"1\u00e9","B":-1.5e3,"C":null},{"D":[true,{"E":"가"}]}]}"#.as_bytes().to_vec();
            let at = at % response.len();
            if cut { response.truncate(at) } else { response[at] = byte }
            let ours = rows(&response, step, UTF8);
            // bytes that are no text are some text, in a row that is refused later
            match serde_json::from_str::<serde_json::Value>(&String::from_utf8_lossy(&response)) {
                Err(_) => prop_assert!(ours.is_err(), "{:?}", String::from_utf8_lossy(&response)),
                Ok(theirs) => if let Ok(ours) = ours {
                    let theirs = theirs["DATA"].as_array().cloned().unwrap_or_default();
                    prop_assert!(same_json(&ours, &theirs) || std::str::from_utf8(&response).is_err());
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
