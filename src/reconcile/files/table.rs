//! Rows on their way from a file of any kind: the header is found, and the lines below it are passed on.

use std::cmp::Reverse;

use super::cell::{Cell, Value};
use super::error::BooksError;
use super::field::Side;
use super::fields::{Columns, Headers};
use super::options::FileOptions;

/// The header is looked for in so many rows.
pub(super) const HEADER_ROWS: usize = 20;

/// What takes the rows of a file.
pub(super) trait Sink {
    /// Whether a row is a header.
    fn is_header(&self, cells: &[Cell<'_>]) -> bool;

    /// Whether a row reads as a line of the table whose header was found: with a key or a date, and an amount. If it is to be whole, it
    /// is as wide as the header.
    fn is_line(&self, cells: &[Cell<'_>], is_whole: bool) -> bool;

    /// Each cell of the rows to come states its column.
    fn are_fixed(&mut self);

    /// The rows to come are of a sheet of a workbook that has others.
    fn has_other_sheets(&mut self, others: Vec<String>);

    /// Takes the next row; `line` is its line in a text, or its row in a sheet or table.
    fn row(&mut self, line: u64, cells: &[Cell<'_>]) -> Result<(), BooksError>;
}

/// What takes the lines below a header.
pub(super) trait Lines {
    fn header(&mut self, columns: &Columns, line: u64) -> Result<(), BooksError>;

    fn line(&mut self, columns: &Columns, line: u64, cells: &[Cell<'_>]) -> Result<(), BooksError>;
}

/// Finds the header of one file.
pub(super) struct Table<'a> {
    file: &'a str,
    side: Side,
    options: &'a FileOptions,
    lines: &'a mut dyn Lines,
    rows: usize,
    are_fixed: bool,
    other_sheets: Vec<String>,
    columns: Option<Columns>,
    /// Whether the row before was the header.
    is_below_header: bool,
    /// The row that has most of the needed fields, and then most headers.
    best: Headers,
}

impl<'a> Table<'a> {
    pub(super) fn new(file: &'a str, side: Side, options: &'a FileOptions, lines: &'a mut dyn Lines) -> Self {
        Self {
            file,
            side,
            options,
            lines,
            rows: 0,
            are_fixed: false,
            other_sheets: Vec::new(),
            columns: None,
            is_below_header: false,
            best: Headers::default(),
        }
    }

    /// The columns of the whole file, once all rows have been taken.
    ///
    /// # Errors
    /// No row was a header.
    pub(super) fn finish(self) -> Result<Columns, BooksError> {
        match self.columns {
            Some(columns) => Ok(columns),
            None => Err(self.no_header()),
        }
    }

    fn no_header(&self) -> BooksError {
        let missing = Columns::missing(&self.best, self.side, self.options).join(" and ");
        let mut found: String = match self.best.list() {
            list if list.is_empty() => "nothing".into(),
            list => list.chars().take(600).collect(),
        };
        if !self.other_sheets.is_empty() {
            let sheets: String = self.other_sheets.join(", ").chars().take(600).collect();
            found = format!("{found}; other sheets, which FILE#SHEET reads: {sheets}");
        }
        BooksError::NoHeader { file: self.file.into(), missing, found }
    }
}

impl Sink for Table<'_> {
    fn is_header(&self, cells: &[Cell<'_>]) -> bool {
        // a header that leaves something open is one, too
        !matches!(Columns::recognise(headers(cells), self.side, self.options), Ok(None))
    }

    fn is_line(&self, cells: &[Cell<'_>], is_whole: bool) -> bool {
        let Some(columns) = &self.columns else { return false };
        columns.is_line(cells) && (!is_whole || cells.len() == columns.headers.written_len())
    }

    fn are_fixed(&mut self) {
        self.are_fixed = true;
    }

    fn has_other_sheets(&mut self, others: Vec<String>) {
        self.other_sheets = others;
    }

    fn row(&mut self, line: u64, cells: &[Cell<'_>]) -> Result<(), BooksError> {
        if let Some(columns) = &self.columns {
            let is_below_header = std::mem::take(&mut self.is_below_header);
            if columns.headers.goes_on_in(cells) {
                return if is_below_header { self.second_header(line, cells) } else { Ok(()) };
            }
            // an amount begins with a letter in no other line
            let has_letter = |cell: &Cell<'_>| matches!(&cell.value, Value::Text(text) if text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii()));
            if cells.get(columns.amount).is_some_and(has_letter) && columns.headers.is_repeated_in(cells) {
                let reason = "it repeats the header: remove the line".into();
                return Err(BooksError::WholeLine { file: self.file.into(), line, reason });
            }
            return self.lines.line(columns, line, cells);
        }
        if self.rows == HEADER_ROWS {
            return Err(self.no_header());
        }
        self.rows += 1;
        let found = headers(cells);
        let recognised = Columns::recognise(found.clone(), self.side, self.options);
        if let Some(mut columns) = recognised.map_err(|source| BooksError::Header { file: self.file.into(), line, source })? {
            columns.are_fixed = self.are_fixed;
            self.lines.header(&columns, line)?;
            self.columns = Some(columns);
            self.is_below_header = true;
            return Ok(());
        }
        let rank = |headers: &Headers| (Reverse(Columns::missing(headers, self.side, self.options).len()), headers.count());
        if rank(&found) > rank(&self.best) {
            self.best = found;
        }
        Ok(())
    }
}

impl Table<'_> {
    /// Takes the second line of a header whose cells reach over two: what is below a wide cell is what the columns are.
    fn second_header(&mut self, line: u64, cells: &[Cell<'_>]) -> Result<(), BooksError> {
        let Some(first) = &self.columns else { return Ok(()) };
        let both = first.headers.continued_by(cells);
        let recognised = Columns::recognise(both, self.side, self.options);
        let recognised = recognised.map_err(|source| BooksError::Header { file: self.file.into(), line, source })?;
        let lost = match &recognised {
            Some(second) => first.not_in(second),
            None => Some(first.amount),
        };
        match (recognised, lost) {
            (Some(mut columns), None) => {
                columns.are_fixed = self.are_fixed;
                self.lines.header(&columns, line)?;
                self.columns = Some(columns);
                Ok(())
            }
            (_, lost) => {
                let header = first.headers.name(lost.unwrap_or(first.amount));
                let below = headers(cells).list().chars().take(600).collect::<String>();
                let reason = format!(
                    "the header has a second line, in which {header:?} is split ({below}): name the column with --column FIELD=HEADER"
                );
                Err(BooksError::WholeLine { file: self.file.into(), line, reason })
            }
        }
    }
}

fn headers(cells: &[Cell<'_>]) -> Headers {
    let shown: Vec<_> = cells.iter().map(Cell::shown).collect();
    Headers::new(shown.iter().map(AsRef::as_ref))
}
