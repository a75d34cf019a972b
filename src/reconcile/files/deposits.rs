//! The bank's statement: the deposits on it.

use crate::reconcile::books::{Deposit, Deposits, FilesRead, Place};

use super::cell::Cell;
use super::error::BooksError;
use super::fields::{self, Class, Columns};
use super::line::{self, Filter, Footers, Pairs};
use super::notation;
use super::options::FileOptions;
use super::table::Lines;

/// Reads files of deposits, one after the other.
pub(super) struct DepositReader<'o> {
    options: &'o FileOptions,
    /// The file that is being read.
    file: usize,
    filter: Filter,
    footers: Footers,
    pairs: Pairs,
    lines: Vec<Deposit>,
    read: FilesRead,
}

impl<'o> DepositReader<'o> {
    pub(super) fn new(options: &'o FileOptions, files: Vec<String>) -> Self {
        Self {
            options,
            file: 0,
            filter: Filter::default(),
            footers: Footers::default(),
            pairs: Pairs::default(),
            lines: Vec::new(),
            read: FilesRead { files, ..FilesRead::default() },
        }
    }

    /// Ends a file.
    ///
    /// # Errors
    /// Amounts that are read as two values.
    pub(super) fn end_file(&mut self, columns: &Columns) -> Result<(), BooksError> {
        self.pairs.end(&self.read.files[self.file], columns)?;
        if self.file == 0 {
            let date = columns.date.map(|date| ("date", columns.headers.name(date)));
            self.read.columns = [("amount", columns.headers.name(columns.amount))].into_iter().chain(date).collect();
        }
        self.read.passed_over += self.footers.end();
        self.file += 1;
        Ok(())
    }

    pub(super) fn finish(self) -> Deposits {
        Deposits { lines: self.lines, read: self.read }
    }
}

/// Whether a line is a withdrawal by one of its cells; its amount has no sign if one column has both.
fn is_withdrawal(columns: &Columns, cells: &[Cell<'_>]) -> bool {
    const WORDS: [&str; 5] = ["출금", "지급", "인출", "withdrawal", "debit"];
    // in these columns it is part of a word, too: 출금이체, ATM출금
    const TYPES: [&str; 9] = ["구분", "거래구분", "입출금구분", "입출구분", "거래유형", "거래종류", "유형", "type", "transactiontype"];
    cells.iter().enumerate().any(|(column, cell)| {
        if cell.is_blank() {
            return false;
        }
        let folded = fields::folded(&cell.shown());
        let is_type = || TYPES.contains(&fields::folded(&columns.headers.name(column)).as_str()) && !folded.contains("입금");
        WORDS.contains(&folded.as_str()) || (WORDS.iter().any(|word| folded.contains(word)) && is_type())
    })
}

impl Lines for DepositReader<'_> {
    fn header(&mut self, columns: &Columns, line: u64) -> Result<(), BooksError> {
        let wanted = self.options.deposits_where.iter().map(|filter| (filter.header.as_str(), vec![filter.text.as_str()]));
        self.filter = Filter::new(&self.read.files[self.file], line, columns, true, wanted)?;
        Ok(())
    }

    fn line(&mut self, columns: &Columns, line: u64, cells: &[Cell<'_>]) -> Result<(), BooksError> {
        let name = &self.read.files[self.file];
        let none = Cell::default();
        let date = columns.date.and_then(|column| cells.get(column)).unwrap_or(&none);
        let is_total = || line::is_total(&date.shown()) || (date.is_blank() && line::has_total(cells));
        if line::is_blank(cells) || is_total() {
            self.read.passed_over += 1;
            return Ok(());
        }
        // what is passed over shows all the same which days the statement covers
        let day = notation::date(date);
        if let Ok(Some(day)) = day {
            self.read.span.extend(day);
        }
        if !self.filter.keeps(cells) {
            self.read.passed_over += 1;
            return Ok(());
        }
        let refused = |column: usize, cell: &Cell<'_>, reason: String| line::refused(name, line, columns, column, cell, reason);
        if date.is_blank() && line::has_only_amounts(cells) {
            self.footers.add(line);
            return Ok(());
        }
        self.footers.check(name, "a date")?;
        line::check_width(name, line, columns, cells)?;
        self.pairs.check(name, line, columns, cells)?;
        let amount = cells.get(columns.amount).filter(|cell| !cell.merged).unwrap_or(&none);
        let read = notation::amount(amount).map_err(|reason| refused(columns.amount, amount, reason))?;
        let Some(hundredths @ 1..) = read else {
            self.read.passed_over += 1;
            return Ok(());
        };
        if columns.class == Class::Both && is_withdrawal(columns, cells) {
            let reason = "is more than 0, and the line is a withdrawal: leave withdrawals out with --deposits-where HEADER~TEXT, or name \
                          the column of deposits with --column deposits.amount=HEADER";
            return Err(refused(columns.amount, amount, reason.into()));
        }
        let at = columns.date.unwrap_or_default();
        let day = day.map_err(|reason| refused(at, date, reason))?.ok_or_else(|| {
            refused(at, date, "is no date, and the line has a deposit: state the date, or leave the line out with --deposits-where".into())
        })?;
        let place = Place { file: u32::try_from(self.file).unwrap_or(u32::MAX), line };
        self.lines.push(Deposit { place, date: day, amount: i128::from(hundredths) });
        Ok(())
    }
}
