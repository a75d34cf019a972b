//! Collects the rows of a response that could not be read: all are counted, the first thousand are kept as evidence.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::cookiepay::json;
use crate::cookiepay::redact::Redactor;
use crate::lake::publish::RejectedRows;
use crate::settlement::batch::RowError;
use crate::settlement::source::UNDECODABLE;

/// A line of `rejects/`. The row is the response's text, with numbers and repeated keys as received.
#[derive(Serialize)]
struct RejectLine<'a> {
    position: u64,
    field: Option<&'a str>,
    reason: &'a str,
    row: Option<Box<RawValue>>,
}

/// Rows that could not be read.
#[derive(Default)]
pub(super) struct Rejects {
    count: u64,
    first: Option<RowError>,
    /// JSON lines.
    lines: Vec<u8>,
}

impl Rejects {
    const KEPT: u64 = 1000;
    /// Beyond this much text, lines are kept without their rows.
    const KEPT_BYTES: usize = 16 << 20;

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Adds a row; `raw` is its text in the response.
    pub(super) fn add(&mut self, error: RowError, raw: &str, secrets: &Redactor) {
        self.count += 1;
        let error = error.shown(|text| secrets.whole(text));
        if self.count <= Self::KEPT {
            let row = json::compact(raw).replace(UNDECODABLE, "\u{FFFD}");
            // like a response that repeats the key or a token, such a row is not kept
            let kept = self.lines.len() + row.len() <= Self::KEPT_BYTES && !secrets.finds(&row);
            let reason = match &error.value {
                Some(value) => format!("{value} {}", error.reason),
                None => error.reason.clone(),
            };
            let line = RejectLine {
                position: error.position,
                field: error.field.as_deref(),
                reason: &reason,
                row: RawValue::from_string(row).ok().filter(|_| kept),
            };
            // plain text, and JSON that was scanned before, always serialize
            self.lines.extend_from_slice(serde_json::to_string(&line).unwrap_or_default().as_bytes());
            self.lines.push(b'\n');
        }
        self.first.get_or_insert(error);
    }

    /// The rows for the lake; `None` if every row could be read.
    pub(super) fn into_rows(self) -> Option<RejectedRows> {
        let Self { count, first, lines } = self;
        first.map(|first| RejectedRows { count, first: first.to_string(), lines })
    }
}
