//! The streaming reader of responses against a plain reading of the same bytes by serde_json: the same rows, to the
//! byte, or both refuse. The first byte says in what pieces the response arrives.

use std::collections::HashSet;
use std::fmt;
use std::io::{BufReader, Cursor};

use cookiepay_etl::cookiepay::decode::{Charset, TextReader};
use cookiepay_etl::cookiepay::envelope;
use cookiepay_etl::cookiepay::error::ReadError;
use cookiepay_etl::settlement::source::Field;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

const EMPTY: &str = "E008";

pub(crate) fn check(input: &[u8]) {
    let Some((&step, response)) = input.split_first() else { return };
    let ours = ours(response, usize::from(step) + 1);
    // gzip is no JSON to serde_json
    if response.starts_with(&[0x1F]) {
        return;
    }
    // other bytes are read as CP949, which serde_json does not know
    let Ok(text) = std::str::from_utf8(response) else { return };
    let theirs = theirs(text.strip_prefix('\u{FEFF}').unwrap_or(text));
    match (ours, theirs) {
        (Ok(ours), Some(theirs)) => assert_eq!(ours, theirs),
        (Err(_), None) => {}
        // anything nested deeper than a response is refused
        (Err(why), Some(_)) => assert!(why.contains("nesting"), "refused, but good: {why}"),
        (Ok(rows), None) => panic!("taken, but bad: {rows:?}"),
    }
}

fn ours(response: &[u8], step: usize) -> Result<Vec<String>, String> {
    let charset = Charset::from_content_type(None).map_err(|error| error.to_string())?;
    let body = BufReader::with_capacity(step, Cursor::new(response.to_vec()));
    let text = TextReader::new(body, charset, 1 << 24).map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    let read = envelope::read(text, &[EMPTY.to_owned()], |position, row| {
        rows.push(row.raw().to_owned());
        assert_eq!(position, rows.len() as u64);
        Ok::<_, ()>(())
    });
    match read {
        Ok(response) => {
            assert_eq!(response.rows, rows.len() as u64);
            Ok(rows)
        }
        Err(ReadError::Api(error)) => Err(error.to_string()),
        Err(ReadError::Receiver(())) => unreachable!("it takes every row"),
    }
}

/// An object's members in their order, duplicate keys included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

fn members(text: &str) -> Option<Vec<(String, &RawValue)>> {
    serde_json::from_str::<Members<'_>>(text).ok().map(|members| members.0)
}

fn list(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}

/// Whether every string in a value is one: serde_json looks at no escape of what it keeps raw.
fn is_whole(text: &str) -> bool {
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(text).is_ok(),
        Some(b'{') => members(text).is_some_and(|members| members.iter().all(|(_, value)| is_whole(value.get()))),
        Some(b'[') => list(text).is_some_and(|values| values.iter().all(|value| is_whole(value.get()))),
        _ => true,
    }
}

fn theirs(text: &str) -> Option<Vec<String>> {
    // deeper than this is refused in any case, and would only exhaust the stack here
    if text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count() > 2000 {
        return None;
    }
    let text = serde_json::from_str::<&RawValue>(text).ok().filter(|value| is_whole(value.get()))?.get();
    if text.starts_with('{') {
        let part = Part::of(text)?;
        return (part.fields == 0 && part.says_nothing_else()).then_some(part.rows);
    }
    let parts = list(text).filter(|parts| !parts.is_empty())?;
    let (mut rows, mut kinds, mut bare) = (Vec::new(), HashSet::new(), false);
    for part in parts {
        let raw = part.get();
        let part = Part::of(raw).filter(|_| raw.starts_with('{'))?;
        if part.data != Data::Missing {
            kinds.insert("response");
            if part.fields > 0 || !part.says_nothing_else() {
                return None;
            }
            rows.extend(part.rows);
        } else if bare || part.fields > 0 {
            bare = true;
            kinds.insert("row");
            if part.code == EMPTY {
                return None;
            }
            rows.push(raw.to_owned());
        } else {
            kinds.insert("response");
            if !part.says_nothing_else() {
                return None;
            }
        }
    }
    (kinds.len() == 1).then_some(rows)
}

#[derive(PartialEq)]
enum Data {
    Missing,
    Nothing,
    Rows,
    Unreadable,
}

struct Part {
    code: String,
    data: Data,
    rows: Vec<String>,
    fields: usize,
    unknown: bool,
    unknown_content: bool,
}

impl Part {
    fn of(text: &str) -> Option<Self> {
        let members = members(text)?;
        let mut once = HashSet::new();
        let mut part =
            Self { code: String::new(), data: Data::Missing, rows: Vec::new(), fields: 0, unknown: false, unknown_content: false };
        for (key, value) in &members {
            let value = value.get();
            match key.as_str() {
                "DATA" | "RESULTCODE" | "RESULTMSG" => {
                    if !once.insert(key) {
                        return None;
                    }
                    match key.as_str() {
                        "RESULTCODE" => part.code = scalar(value)?,
                        "DATA" => (part.data, part.rows) = data(value)?,
                        _ => {}
                    }
                }
                key if Field::ALL.iter().any(|field| field.name() == key) => part.fields += 1,
                _ => {
                    part.unknown = true;
                    part.unknown_content |= holds_something(value);
                }
            }
        }
        let good = match part.code.as_str() {
            "0000" => part.data != Data::Unreadable,
            EMPTY => matches!(part.data, Data::Missing | Data::Nothing),
            _ => false,
        };
        good.then_some(part)
    }

    fn says_nothing_else(&self) -> bool {
        !(self.data == Data::Missing && self.code == "0000" && self.unknown) && !(self.data != Data::Rows && self.unknown_content)
    }
}

fn scalar(value: &str) -> Option<String> {
    match value.as_bytes().first()? {
        b'"' => Some(serde_json::from_str::<String>(value).ok()?.trim().to_owned()),
        _ => Some(value.to_owned()),
    }
}

fn holds_something(value: &str) -> bool {
    match value.as_bytes().first() {
        Some(b'{') => members(value).is_some_and(|members| !members.is_empty()),
        Some(b'[') => list(value).is_some_and(|values| !values.is_empty()),
        _ => false,
    }
}

fn data(value: &str) -> Option<(Data, Vec<String>)> {
    let nothing = || Some((Data::Nothing, Vec::new()));
    match value.as_bytes().first()? {
        b'[' => {
            let rows = list(value)?;
            if rows.is_empty() {
                return nothing();
            }
            for row in &rows {
                let codes = members(row.get()).unwrap_or_default();
                let code = codes.iter().rev().find(|(key, _)| key == "RESULTCODE");
                // a code that says nothing is none
                if let Some((_, code)) = code
                    && !matches!(scalar(code.get())?.as_str(), "0000" | "null" | "")
                {
                    return None;
                }
            }
            Some((Data::Rows, rows.into_iter().map(|row| row.get().to_owned()).collect()))
        }
        b'n' => nothing(),
        b'"' if scalar(value)?.is_empty() => nothing(),
        b'{' if !holds_something(value) => nothing(),
        _ => Some((Data::Unreadable, Vec::new())),
    }
}
