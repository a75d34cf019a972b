//! What a response is beside its rows: its objects one by one, and what several make together.

use super::error::{ApiError, ReadError};

/// `RESULTCODE` of success.
pub(super) const SUCCESS: &str = "0000";

/// More parts without a row than this in one response are refused: one states as much.
const MAX_EMPTY_PARTS: usize = 1000;

/// Unknown members that are named.
const MAX_UNKNOWN: usize = 16;

/// Counts that are compared with the number of rows. Two that differ cannot both be right.
const MAX_DECLARED: usize = 16;

/// Members beside `DATA` that count rows in APIs like this one, in lower case and without `_`. Not `total`, which may be an
/// amount.
const COUNTS: [&str; 7] = ["totalcount", "totalcnt", "count", "cnt", "rowcount", "datacount", "datacnt"];

pub(super) type Step<T, E> = Result<T, ReadError<E>>;

pub(super) fn shape<T, E>(what: impl Into<String>) -> Step<T, E> {
    Err(ApiError::Shape(what.into()).into())
}

/// A number of rows that a response states beside `DATA`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeclaredCount {
    key: String,
    text: String,
}

impl DeclaredCount {
    /// `None` if the member does not count rows, or is no number.
    fn read(key: &str, text: &str) -> Option<Self> {
        let name: String = key.chars().filter(|character| *character != '_').flat_map(char::to_lowercase).collect();
        (COUNTS.contains(&name.as_str()) && number(text).is_some()).then(|| Self { key: key.to_owned(), text: text.to_owned() })
    }

    #[expect(clippy::cast_precision_loss, reason = "a response has far fewer rows than 2^53")]
    fn is(&self, rows: u64) -> bool {
        number(&self.text) == Some(rows as f64)
    }
}

fn number(text: &str) -> Option<f64> {
    // not "inf" and "nan"
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b",.+-eE".contains(&byte));
    text.replace(',', "").parse().ok().filter(|_| is_number)
}

/// One object of the response, without its rows.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    pub(super) code: Member,
    pub(super) message: Member,
    pub(super) data: Data,
    /// How many of the manual's row fields it has. An object that has any is a row, not an envelope.
    pub(super) fields: usize,
    /// Counts of rows beside `DATA`.
    pub(super) declared: Vec<DeclaredCount>,
    /// Members that the manual does not name.
    pub(super) unknown: Vec<String>,
    /// Whether one of these holds values of its own, as a list of rows would.
    unknown_content: bool,
}

/// A member that may occur once.
#[derive(Debug, Default)]
pub(super) struct Member {
    seen: bool,
    pub(super) text: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Data {
    #[default]
    Missing,
    Nothing,
    Rows,
    Unreadable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Success,
    /// "No rows", by the code.
    Empty,
}

impl Member {
    pub(super) fn set<E>(&mut self, key: &str, text: Option<String>) -> Step<(), E> {
        if std::mem::replace(&mut self.seen, true) {
            return shape(format!("{key} occurs twice"));
        }
        self.text = text;
        Ok(())
    }
}

impl Envelope {
    /// Refuses an envelope without rows that has something else in their place: rows under another name must not read as a day
    /// without any.
    pub(super) fn check_nothing_else<E>(&self) -> Step<(), E> {
        let instead = self.data == Data::Missing && self.code.text.as_deref() == Some(SUCCESS) && !self.unknown.is_empty();
        if instead || (self.data != Data::Rows && self.unknown_content) {
            return shape(format!("no rows in DATA, and members that the manual does not name: {}", self.unknown.join(", ")));
        }
        Ok(())
    }

    /// Notes a member beside `DATA` if it counts rows.
    pub(super) fn declares(&mut self, key: &str, text: Option<&str>) -> bool {
        let Some(count) = text.and_then(|text| DeclaredCount::read(key, text)) else { return false };
        if !self.declared.contains(&count) {
            self.declared.push(count);
        }
        true
    }

    /// Refuses a response that has another number of rows than it declares.
    pub(super) fn check_declared<E>(&self, rows: u64) -> Step<(), E> {
        match self.declared.iter().find(|declared| !declared.is(rows)) {
            Some(DeclaredCount { key, text }) => shape(format!("it declares {text} rows ({key}), and has {rows}: rows may be missing")),
            None => Ok(()),
        }
    }

    pub(super) fn add_unknown(&mut self, key: &str, has_content: bool) {
        self.unknown_content |= has_content;
        if self.unknown.len() < MAX_UNKNOWN {
            // more than is shown, so that a secret in it can be found before it is cut
            self.unknown.push(key.chars().take(4096).collect());
        }
    }

    /// What the code means.
    pub(super) fn judge<E>(&self, empty_codes: &[String]) -> Step<Verdict, E> {
        let Some(code) = self.code.text.as_deref() else {
            return shape("no RESULTCODE");
        };
        if code == SUCCESS {
            return if self.data == Data::Unreadable { shape("DATA is not a list of rows") } else { Ok(Verdict::Success) };
        }
        if !empty_codes.iter().any(|empty| empty == code) {
            let message = self.message.text.clone().unwrap_or_default();
            return Err(ApiError::ResultCode { code: code.into(), message }.into());
        }
        if matches!(self.data, Data::Rows | Data::Unreadable) {
            return shape(format!("RESULTCODE {code} means no rows, but DATA has some"));
        }
        Ok(Verdict::Empty)
    }
}

/// The parts of an array, so far.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) envelopes: bool,
    pub(super) rows: bool,
    without_rows: usize,
    pub(super) all: Option<(Envelope, Verdict)>,
}

impl Parts {
    /// Adds a part, which added so many rows.
    pub(super) fn add<E>(&mut self, envelope: Envelope, verdict: Verdict, added_rows: u64) -> Step<(), E> {
        self.without_rows += usize::from(added_rows == 0);
        if self.without_rows > MAX_EMPTY_PARTS {
            return shape(format!("more than {MAX_EMPTY_PARTS} parts without rows"));
        }
        if self.rows && self.envelopes {
            return shape("an array that mixes rows with envelopes");
        }
        self.all = Some(match self.all.take() {
            None => (envelope, verdict),
            Some((all, all_verdict)) => merge(all, all_verdict, envelope, verdict),
        });
        Ok(())
    }
}

/// One success makes the whole a success: an empty part beside it adds nothing.
fn merge(mut all: Envelope, verdict: Verdict, next: Envelope, next_verdict: Verdict) -> (Envelope, Verdict) {
    all.unknown.extend(next.unknown);
    all.unknown.truncate(MAX_UNKNOWN);
    all.declared.extend(next.declared);
    all.declared.dedup();
    all.declared.truncate(MAX_DECLARED);
    match (verdict, next_verdict) {
        (Verdict::Empty, Verdict::Success) => (Envelope { unknown: all.unknown, declared: all.declared, ..next }, Verdict::Success),
        (Verdict::Success, _) | (Verdict::Empty, Verdict::Empty) => (all, verdict),
    }
}
