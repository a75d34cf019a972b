//! What lines of books and statements have in common: which are passed over, and what makes two of them equal.

use unicode_normalization::UnicodeNormalization as _;
use xxhash_rust::xxh3::xxh3_128;

use super::cell::{Cell, Value};
use super::error::BooksError;
use super::fields::{self, Columns};
use super::notation;

/// Whether a line has nothing of its own.
pub(super) fn is_blank(cells: &[Cell<'_>]) -> bool {
    cells.iter().all(|cell| cell.merged || cell.is_blank())
}

/// Words that a line of totals has in the place of a key or a date.
const TOTALS: [&str; 5] = ["합계", "총계", "소계", "누계", "이월"];

/// Whether a text in the place of a key or a date is that of a line of totals.
pub(super) fn is_total(text: &str) -> bool {
    // nearly all keys and dates begin with a digit, or have nothing but ASCII
    let first = text.trim_start().as_bytes().first().copied().unwrap_or_default();
    if text.is_ascii() && (text.len() > 20 || !matches!(first, b't' | b'T' | b's' | b'S' | b'g' | b'G')) {
        return false;
    }
    let folded = fields::folded(text);
    folded.ends_with('계')
        || TOTALS.iter().any(|word| folded.contains(word))
        || ["total", "subtotal", "grandtotal", "sum"].contains(&folded.as_str())
}

/// Whether a line without key and date is one of totals by another of its cells.
pub(super) fn has_total(cells: &[Cell<'_>]) -> bool {
    const LABELS: [&str; 8] = ["합계", "총계", "소계", "누계", "이월", "총합계", "전월이월", "누적합계"];
    cells.iter().filter(|cell| !cell.merged).any(|cell| {
        let folded = fields::folded(&cell.shown());
        // perhaps with how many lines it is of: 합계 3건, 총 3건
        let count = |c: char| c.is_ascii_digit() || c == ',';
        let label = folded.strip_suffix('건').map_or(folded.as_str(), |of| of.trim_end_matches(count));
        LABELS.contains(&label) || (label == "총" && label.len() < folded.len())
    })
}

/// Whether all that a line has is amounts.
pub(super) fn has_only_amounts(cells: &[Cell<'_>]) -> bool {
    cells.iter().filter(|cell| !cell.merged && !cell.is_blank()).all(|cell| notation::amount(cell).is_ok())
}

/// Why a cell of a line cannot be used.
pub(super) fn refused(file: &str, line: u64, columns: &Columns, column: usize, cell: &Cell<'_>, reason: String) -> BooksError {
    let value = cell.shown().chars().take(100).collect();
    BooksError::Line { file: file.into(), line, column: columns.headers.name(column), value, reason }
}

/// Refuses a line with more cells than the header: one of its values may have been split.
pub(super) fn check_width(file: &str, line: u64, columns: &Columns, cells: &[Cell<'_>]) -> Result<(), BooksError> {
    let width = columns.headers.len();
    match cells.iter().skip(width).position(|cell| !cell.is_blank()) {
        // a column of a sheet is where it is, with a header or without
        Some(_) if columns.are_fixed => Ok(()),
        Some(extra) => Err(BooksError::WholeLine {
            file: file.into(),
            line,
            reason: format!(
                "it has {} values, and the header {width}: a value that contains the delimiter, such as 97,000, must be in quotes",
                width + extra + 1
            ),
        }),
        None => Ok(()),
    }
}

/// Finds lines in which an amount such as `97,000` stands without quotes, and is two values. Mostly they have too many values, which
/// [`check_width`] refuses; those that end in blank ones have another number of values than lines without such a pair.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// How many values a line without such a pair has.
    usual: Option<usize>,
    /// The first line with one, if none without came before, and how many values it has.
    first: Option<(u64, usize)>,
}

impl Pairs {
    /// # Errors
    /// A line with such a pair has another number of values than the others.
    pub(super) fn check(&mut self, file: &str, line: u64, columns: &Columns, cells: &[Cell<'_>]) -> Result<(), BooksError> {
        if columns.are_fixed {
            return Ok(());
        }
        let width = cells.len();
        if !has_pair(&cells[..width.min(columns.amount + 2)]) {
            let usual = *self.usual.get_or_insert(width);
            return match self.first.take() {
                Some((line, width)) if width != usual => Err(Self::refused(file, line)),
                _ => Ok(()),
            };
        }
        match self.usual {
            Some(usual) if usual != width => Err(Self::refused(file, line)),
            Some(_) => Ok(()),
            None => {
                self.first.get_or_insert((line, width));
                Ok(())
            }
        }
    }

    /// # Errors
    /// All lines have such a pair, and more values than the header.
    pub(super) fn end(&mut self, file: &str, columns: &Columns) -> Result<(), BooksError> {
        match std::mem::take(self).first {
            Some((line, width)) if width > columns.headers.written_len() => Err(Self::refused(file, line)),
            _ => Ok(()),
        }
    }

    fn refused(file: &str, line: u64) -> BooksError {
        let reason = "it seems to have an amount such as 97,000 without quotes, which is read as two values: put it in quotes, or use another \
                      delimiter";
        BooksError::WholeLine { file: file.into(), line, reason: reason.into() }
    }
}

/// Whether two values could be one amount: one to three digits, and then three.
fn has_pair(cells: &[Cell<'_>]) -> bool {
    let is_start = |text: &str| {
        let digits = text.trim_start().trim_start_matches(['-', '+', '(', '₩', '￦', '\\', '△', '▲']);
        // no amount begins with a zero and goes on
        (1..=3).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_rest = |text: &str| {
        let text = text.trim_end();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        digits == 3 && matches!(&text[3..], "" | "원" | ")" | "-" | ".00" | ".0")
    };
    let text = |cell: &Cell<'_>, is: &dyn Fn(&str) -> bool| matches!(&cell.value, Value::Text(text) if is(text));
    cells.windows(2).any(|pair| text(&pair[0], &is_start) && text(&pair[1], &is_rest))
}

/// Lines that have only amounts: totals if nothing follows them.
#[derive(Debug, Default)]
pub(super) struct Footers {
    first: Option<u64>,
    count: u64,
}

impl Footers {
    pub(super) fn add(&mut self, line: u64) {
        self.first.get_or_insert(line);
        self.count += 1;
    }

    /// Another line follows.
    ///
    /// # Errors
    /// There was one that has only amounts; `lacks` is what it should have.
    pub(super) fn check(&self, file: &str, lacks: &str) -> Result<(), BooksError> {
        let Some(line) = self.first else { return Ok(()) };
        let reason = format!("it has only amounts, and other lines follow: it needs {lacks}; if it is a total, remove it");
        Err(BooksError::WholeLine { file: file.into(), line, reason })
    }

    /// The file ends: how many there were.
    pub(super) fn end(&mut self) -> u64 {
        std::mem::take(self).count
    }
}

/// The lines that a `-where` flag keeps.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// Columns, and what one of them must be or contain; all columns must fit.
    columns: Vec<(usize, Vec<String>)>,
    contains: bool,
}

impl Filter {
    /// # Errors
    /// A header that the file does not have.
    pub(super) fn new<'o>(
        file: &str,
        line: u64,
        columns: &Columns,
        contains: bool,
        wanted: impl Iterator<Item = (&'o str, Vec<&'o str>)>,
    ) -> Result<Self, BooksError> {
        let mut filter = Self { columns: Vec::new(), contains };
        for (header, texts) in wanted {
            let found = columns.headers.column(header);
            let found = found.map_err(|source| BooksError::Header { file: file.into(), line, source })?;
            let column = found.ok_or_else(|| BooksError::NoColumn {
                file: file.into(),
                header: header.into(),
                flag: if contains { "--deposits-where" } else { "--orders-where" },
                found: columns.headers.list(),
            })?;
            let texts = texts.into_iter().map(folded);
            // the same column again: one more text that will do
            match filter.columns.iter_mut().find(|(other, _)| *other == column) {
                Some((_, wanted)) => wanted.extend(texts),
                None => filter.columns.push((column, texts.collect())),
            }
        }
        Ok(filter)
    }

    pub(super) fn keeps(&self, cells: &[Cell<'_>]) -> bool {
        self.columns.iter().all(|(column, wanted)| {
            let cell = cells.get(*column).map(Cell::shown).unwrap_or_default();
            if !self.contains && wanted.iter().any(|wanted| *wanted == *cell) {
                return true;
            }
            let cell = folded(&cell);
            wanted.iter().any(|wanted| if self.contains { cell.contains(wanted.as_str()) } else { cell == *wanted })
        })
    }
}

/// A value as filters compare it.
fn folded(text: &str) -> String {
    text.trim().nfkc().flat_map(char::to_lowercase).collect()
}

/// What makes lines of files with the same header equal: all that they hold.
pub(super) fn content(header: u64, cells: &[Cell<'_>], buffer: &mut Vec<u8>) -> u128 {
    buffer.clear();
    buffer.extend_from_slice(&header.to_le_bytes());
    let held = cells.iter().rposition(|cell| !cell.is_blank()).map_or(0, |last| last + 1);
    for cell in &cells[..held] {
        let shown = cell.shown();
        buffer.extend_from_slice(&(shown.len() as u64).to_le_bytes());
        buffer.extend_from_slice(shown.as_bytes());
    }
    xxh3_128(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_totals() {
        for text in [
            "합계",
            "합 계",
            "총계",
            "소계",
            "누계",
            "이월",
            "전월이월",
            "총합계",
            "월계",
            "일 계",
            "합계(3건)",
            "합계 3건",
            "Total",
            "TOTAL:",
        ] {
            assert!(is_total(text), "{text}");
        }
        for text in ["", "20240105", "2024년 1월 5일", "주문-1", "TX-1", "Totally-1", "계좌이체", "total-1"] {
            assert!(!is_total(text), "{text}");
        }
        assert!(has_total(&[Cell::text("합 계"), Cell::text("")]));
        assert!(!has_total(&[Cell::text("벽시계"), Cell::text("3")]));
        assert!(has_only_amounts(&[Cell::text(""), Cell::text("0"), Cell::text("97,000원")]));
        assert!(!has_only_amounts(&[Cell::text("벽시계"), Cell::text("3")]));
    }
}
