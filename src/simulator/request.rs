//! Reads requests: their JSON object and its fields, and the query of an inspection.
//! Whether what they ask for is granted is not decided here.

use chrono::NaiveDate;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use serde_json::{Map, Value};

use super::dates;
use super::error::{MAX_ID_CHARS, MAX_KEY_CHARS};
use super::reply::{BAD_DATE, BAD_FIELD, BAD_REQUEST, Refused};

const MAX_BYTES: usize = 64 * 1024;

/// The JSON object of a request, or why there is none.
pub(super) struct Sent(Result<Map<String, Value>, Refused>);

/// The fields of a token request.
pub(super) struct TokenRequest<'a> {
    pub(super) id: &'a str,
    pub(super) key: &'a str,
}

/// The fields of a settlement request.
pub(super) struct SettlementRequest<'a> {
    pub(super) api_id: &'a str,
    pub(super) pay_date: NaiveDate,
    /// `TID`, unless blank.
    pub(super) transaction: Option<&'a str>,
}

impl Sent {
    pub(super) async fn read(head: &Parts, body: Incoming) -> Self {
        let declared = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = declared.and_then(|value| value.split(';').next()).unwrap_or_default();
        // read to the end whatever it is, or the connection could not be used again
        let Ok(body) = Limited::new(body, MAX_BYTES).collect().await else {
            return Self(Err(BAD_REQUEST));
        };
        if !media_type.trim().eq_ignore_ascii_case("application/json") {
            return Self(Err(BAD_REQUEST));
        }
        Self(serde_json::from_slice(&body.to_bytes()).map_err(|_| BAD_REQUEST))
    }

    pub(super) fn token_request(&self) -> Result<TokenRequest<'_>, Refused> {
        Ok(TokenRequest { id: self.field("pay2_id", MAX_ID_CHARS)?, key: self.field("pay2_key", MAX_KEY_CHARS)? })
    }

    pub(super) fn settlement_request(&self) -> Result<SettlementRequest<'_>, Refused> {
        // a key belongs in a token request alone: a client that sends it here leaks it
        if self.object()?.contains_key("pay2_key") {
            return Err(BAD_REQUEST);
        }
        let transaction = match self.object()?.get("TID") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id.as_str()).filter(|id| !id.is_empty()),
            Some(_) => return Err(BAD_FIELD),
        };
        Ok(SettlementRequest { api_id: self.field("API_ID", MAX_ID_CHARS)?, pay_date: self.pay_date()?, transaction })
    }

    /// `DATE`, even of a request that is refused for something else.
    pub(super) fn pay_date(&self) -> Result<NaiveDate, Refused> {
        let date = self.object()?.get("DATE").and_then(Value::as_str);
        date.and_then(dates::parse_compact).ok_or(BAD_DATE)
    }

    fn object(&self) -> Result<&Map<String, Value>, Refused> {
        self.0.as_ref().map_err(|refused| *refused)
    }

    fn field(&self, name: &str, max_chars: usize) -> Result<&str, Refused> {
        let text = self.object()?.get(name).and_then(Value::as_str).unwrap_or_default();
        if (1..=max_chars).contains(&text.chars().count()) { Ok(text) } else { Err(BAD_FIELD) }
    }
}

/// The value of `name` in a query.
pub(super) fn query_value(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| decode(value))
}

/// Undoes percent-encoding; what is none stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.first_chunk::<2>().filter(|_| *first == b'%');
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_once() {
        let query = "merchant=%EC%83%81%EC%A0%90+%2525&date=2024-01-05&broken=%&signed=%+1";
        assert_eq!(query_value(query, "merchant").as_deref(), Some("상점+%25"));
        assert_eq!(query_value(query, "date").as_deref(), Some("2024-01-05"));
        assert_eq!(query_value(query, "broken").as_deref(), Some("%"));
        assert_eq!(query_value(query, "signed").as_deref(), Some("%+1"));
        assert_eq!(query_value(query, "absent"), None);
    }
}
