//! The JSON of a settlement response, generated piece by piece: a day of millions of rows takes the
//! memory of one piece.

use super::lifecycle::Shown;

/// Bytes after which a piece is complete.
pub(super) const PIECE_BYTES: usize = 64 * 1024;
/// Room for the row that completes a piece.
const ROW_ROOM: usize = 512;
/// Positions after which a piece ends even if few of them held a requested row.
const PIECE_SLOTS: u64 = 4096;
/// For estimates only.
const TYPICAL_ROW_BYTES: u64 = 325;

const HEAD: &[u8] = r#"{"RESULTCODE":"0000","RESULTMSG":"정상","DATA":["#.as_bytes();
const TAIL: &[u8] = b"]}";
const NOTHING: &[u8] = r#"{"RESULTCODE":"E008","RESULTMSG":"검색 결과가 없습니다"}"#.as_bytes();

/// A settlement response in progress.
#[derive(Debug)]
pub(super) struct SettlementJson {
    shown: Shown,
    /// The only TRXID that was requested, if there is one.
    only: Option<String>,
    next: u64,
    rows: u64,
    done: bool,
}

impl SettlementJson {
    pub(super) fn new(shown: Shown, only: Option<String>) -> Self {
        Self { shown, only, next: 0, rows: 0, done: false }
    }

    /// Whether the last byte was generated.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Rows generated so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// About how many bytes the whole response has if every row is requested.
    pub(super) fn estimated_bytes(&self) -> u64 {
        self.shown.slots() * TYPICAL_ROW_BYTES
    }

    /// The next piece; empty if a range of positions held no requested row.
    pub(super) fn piece(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PIECE_BYTES + ROW_ROOM);
        self.fill(&mut out);
        out
    }

    /// Appends to `out` until it holds a piece.
    pub(super) fn fill(&mut self, out: &mut Vec<u8>) {
        let end = self.shown.slots().min(self.next + PIECE_SLOTS);
        while self.next < end && out.len() < PIECE_BYTES {
            let row = self.shown.row(self.next);
            self.next += 1;
            let requested = |id: [u8; 20]| self.only.as_ref().is_none_or(|only| only.as_bytes() == id);
            let Some(row) = row.filter(|row| requested(row.transaction_id())) else {
                continue;
            };
            out.extend_from_slice(if self.rows == 0 { HEAD } else { b"," });
            row.write(self.shown.cpid(), out);
            self.rows += 1;
        }
        if self.next == self.shown.slots() && !self.done {
            out.extend_from_slice(if self.rows == 0 { NOTHING } else { TAIL });
            self.done = true;
        }
    }
}

/// A whole response, parsed.
#[cfg(test)]
pub(super) fn whole(shown: Shown) -> serde_json::Value {
    let mut json = SettlementJson::new(shown, None);
    let mut bytes = Vec::new();
    while !json.is_done() {
        bytes.extend(json.piece());
    }
    serde_json::from_slice(&bytes).unwrap()
}

#[cfg(test)]
mod tests {
    use super::super::dates::parse;
    use super::super::options::Volume;
    use super::*;

    fn shown(rows: u64) -> Shown {
        let today = parse("2024-06-01").unwrap();
        Shown::new(1, "m", Volume::Exact(rows), parse("2024-01-05").unwrap(), today)
    }

    #[test]
    fn pieces_are_bounded_and_make_one_json_text() {
        let mut json = SettlementJson::new(shown(5_000), None);
        let mut bytes = Vec::new();
        while !json.is_done() {
            let piece = json.piece();
            assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES + ROW_ROOM, "{}", piece.len());
            bytes.extend(piece);
        }
        assert_eq!(json.rows(), 5_000);
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["DATA"].as_array().unwrap().len(), 5_000);
        // a response that is cut half way must never be complete
        let estimate = usize::try_from(json.estimated_bytes()).unwrap();
        assert!((bytes.len() * 9 / 10..bytes.len() * 11 / 10).contains(&estimate), "{estimate} {}", bytes.len());
    }

    #[test]
    fn one_transaction_is_found_and_an_unknown_one_is_nothing() {
        let all = whole(shown(5_000));
        let id = all["DATA"][4_999]["TRXID"].as_str().unwrap().to_owned();
        let mut json = SettlementJson::new(shown(5_000), Some(id.clone()));
        assert!(json.piece().is_empty());
        let found: serde_json::Value = serde_json::from_slice(&json.piece()).unwrap();
        assert!(found["DATA"].as_array().unwrap().iter().all(|row| row["TRXID"] == id.as_str()));
        assert!(json.is_done() && json.rows() >= 1);

        let mut nothing = SettlementJson::new(shown(10), Some("CTS".into()));
        assert_eq!(nothing.piece(), NOTHING);
        assert!(nothing.is_done());
    }
}
