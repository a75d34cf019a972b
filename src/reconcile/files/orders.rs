//! The merchant's books: their lines as written. What they mean is decided once all files are read.

use std::collections::HashSet;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::reconcile::books::{Orders, Place};

use super::cell::Cell;
use super::error::BooksError;
use super::field::Field;
use super::fields::Columns;
use super::line::{self, Filter, Footers, Pairs};
use super::meaning;
use super::notation;
use super::options::FileOptions;
use super::table::Lines;
use super::words::{Found, Words};
use super::written::{FileForm, Line, WordColumn};

/// Columns of words in a file, at the most: each takes three bits of a line.
const MAX_WORD_COLUMNS: usize = 21;
/// A cell of a column of words in which no known word is.
const UNKNOWN: u64 = 7;

/// What has been seen in a column of words.
#[derive(Debug, Default)]
struct Seen {
    known: bool,
    /// The first unknown word.
    unknown: Option<(u64, String)>,
}

/// Reads files of orders, one after the other.
pub(super) struct OrderReader<'o> {
    options: &'o FileOptions,
    words: Words,
    names: Vec<String>,
    files: Vec<FileForm>,
    lines: Vec<Line>,
    orders: Orders,
    merchants: HashSet<Arc<str>, foldhash::fast::RandomState>,
    // of the file that is being read
    filter: Filter,
    footers: Footers,
    pairs: Pairs,
    seen: Vec<Seen>,
    header: u64,
    buffer: Vec<u8>,
}

impl<'o> OrderReader<'o> {
    pub(super) fn new(options: &'o FileOptions, names: Vec<String>) -> Self {
        Self {
            options,
            words: Words::new(&options.words),
            files: Vec::with_capacity(names.len()),
            names,
            lines: Vec::new(),
            orders: Orders::default(),
            merchants: HashSet::default(),
            filter: Filter::default(),
            footers: Footers::default(),
            pairs: Pairs::default(),
            seen: Vec::new(),
            header: 0,
            buffer: Vec::new(),
        }
    }

    /// Ends a file.
    ///
    /// # Errors
    /// A column of words has one that is unknown.
    pub(super) fn end_file(&mut self, columns: &Columns) -> Result<(), BooksError> {
        self.orders.read.passed_over += self.footers.end();
        let name = self.names[self.files.len()].clone();
        self.pairs.end(&name, columns)?;
        let kinds = columns.kind.columns.len();
        let kind = self.column_of_words(&name, columns, Field::Kind, 0)?;
        let state = self.column_of_words(&name, columns, Field::State, kinds)?;
        let header = |column: Option<usize>| column.map(|column| columns.headers.name(column));
        let kind_at = kind.map(|kind| columns.kind.columns[kind.0]);
        let state_at = state.map(|state| columns.state.columns[state.0 - kinds]);
        let form = FileForm {
            name,
            class: columns.class,
            amount_header: columns.headers.name(columns.amount),
            cancelled_header: header(columns.cancelled),
            kind,
            state,
            kind_header: header(kind_at),
            state_header: header(state_at),
            is_order_state: state_at.is_some_and(|column| columns.is_order_state(column)),
        };
        if self.files.is_empty() {
            let used = [
                (Field::OrderNo, header(columns.order_no)),
                (Field::TransactionId, header(columns.transaction_id)),
                (Field::Amount, Some(form.amount_header.clone())),
                (Field::CancelledAmount, form.cancelled_header.clone()),
                (Field::Kind, form.kind_header.clone()),
                (Field::State, form.state_header.clone()),
                (Field::Date, header(columns.date)),
                (Field::Merchant, header(columns.merchant)),
            ];
            self.orders.read.columns = used.into_iter().filter_map(|(field, header)| Some((field.name(), header?))).collect();
        }
        self.files.push(form);
        Ok(())
    }

    /// The column that is a kind or a state: the first of its candidates in which a word is known.
    fn column_of_words(&mut self, name: &str, columns: &Columns, field: Field, first: usize) -> Result<Option<WordColumn>, BooksError> {
        let candidates = if field == Field::Kind { &columns.kind } else { &columns.state };
        for (index, column) in candidates.columns.iter().enumerate() {
            let Some(seen) = self.seen.get(first + index) else { continue };
            match &seen.unknown {
                None if seen.known => return Ok(Some(WordColumn(first + index))),
                None => {}
                Some((line, word)) if seen.known || candidates.is_chosen => {
                    return Err(BooksError::Line {
                        file: name.into(),
                        line: *line,
                        column: columns.headers.name(*column),
                        value: word.clone(),
                        reason: "is not a known word: state what it means with --word WORD=paid, =back, =part or =none".into(),
                    });
                }
                Some((_, word)) => self.orders.read.notes.push(format!(
                    "{name}: {:?} is not used as the {} of a line, because no word of it is known, such as {word:?}",
                    columns.headers.name(*column),
                    field.name()
                )),
            }
        }
        Ok(None)
    }

    /// What the lines of all files mean, and what they come to.
    ///
    /// # Errors
    /// What could mean two things.
    pub(super) fn finish(mut self) -> Result<Orders, BooksError> {
        self.orders.read.files = self.names;
        meaning::apply(self.lines, &self.files, self.options, self.orders)
    }

    /// The words of a line, three bits for each column of words.
    fn words(&mut self, columns: &Columns, line: u64, cells: &[Cell<'_>]) -> u64 {
        let mut words = 0;
        let candidates = columns.kind.columns.iter().chain(&columns.state.columns).take(MAX_WORD_COLUMNS);
        for (index, column) in candidates.enumerate() {
            let Some(cell) = cells.get(*column) else { continue };
            let shown = cell.shown();
            let seen = &mut self.seen[index];
            let bits = match self.words.find(&shown) {
                Found::Blank => 0,
                Found::Known(word) => {
                    seen.known = true;
                    word as u64
                }
                Found::Unknown => {
                    seen.unknown.get_or_insert_with(|| (line, shown.chars().take(100).collect()));
                    UNKNOWN
                }
            };
            words |= bits << (3 * index);
        }
        words
    }

    fn merchant(&mut self, cell: &Cell<'_>) -> Option<Arc<str>> {
        let shown = cell.shown();
        let name = shown.trim();
        if name.is_empty() || name == "-" {
            return None;
        }
        if let Some(known) = self.merchants.get(name) {
            return Some(Arc::clone(known));
        }
        let name: Arc<str> = Arc::from(name);
        self.merchants.insert(Arc::clone(&name));
        Some(name)
    }
}

impl Lines for OrderReader<'_> {
    fn header(&mut self, columns: &Columns, line: u64) -> Result<(), BooksError> {
        let wanted = self.options.orders_where.iter();
        let wanted = wanted.map(|filter| (filter.header.as_str(), filter.values.iter().map(String::as_str).collect()));
        self.filter = Filter::new(&self.names[self.files.len()], line, columns, false, wanted)?;
        self.seen.clear();
        let count = (columns.kind.columns.len() + columns.state.columns.len()).min(MAX_WORD_COLUMNS);
        self.seen.resize_with(count, Seen::default);
        self.header = xxh3_64(columns.headers.list().as_bytes());
        Ok(())
    }

    fn line(&mut self, columns: &Columns, line: u64, cells: &[Cell<'_>]) -> Result<(), BooksError> {
        let none = Cell::default();
        let at = |column: Option<usize>| column.and_then(|column| cells.get(column)).unwrap_or(&none);
        let keys = [at(columns.order_no), at(columns.transaction_id)];
        let date = at(columns.date);
        let is_total = || keys.iter().chain([&date]).any(|cell| line::is_total(&cell.shown()));
        if line::is_blank(cells) || is_total() {
            self.orders.read.passed_over += 1;
            return Ok(());
        }
        // what is passed over shows all the same which days the books cover
        let day = notation::date(date);
        if let Ok(Some(day)) = day {
            self.orders.read.span.extend(day);
        }
        if !self.filter.keeps(cells) {
            self.orders.read.passed_over += 1;
            return Ok(());
        }
        let file = self.files.len();
        let refused = |names: &[String], column: Option<usize>, cell: &Cell<'_>, reason: String| {
            line::refused(&names[file], line, columns, column.unwrap_or_default(), cell, reason)
        };
        let read = |column: Option<usize>, cell| {
            notation::key(cell).map(|key| key.map(Box::from)).map_err(|reason| refused(&self.names, column, cell, reason))
        };
        let order_no: Option<Box<str>> = read(columns.order_no, keys[0])?;
        let transaction_id: Option<Box<str>> = read(columns.transaction_id, keys[1])?;
        if order_no.is_none() && transaction_id.is_none() {
            if date.is_blank() && line::has_only_amounts(cells) {
                self.footers.add(line);
                return Ok(());
            }
            if date.is_blank() && line::has_total(cells) {
                self.orders.read.passed_over += 1;
                return Ok(());
            }
            let column = columns.order_no.or(columns.transaction_id);
            let reason = "is no number of an order or a transaction, which every line needs: fill it in, or leave the line out with \
                          --orders-where"
                .into();
            return Err(refused(&self.names, column, at(column), reason));
        }
        self.footers.check(&self.names[file], "an order number")?;
        line::check_width(&self.names[file], line, columns, cells)?;
        self.pairs.check(&self.names[file], line, columns, cells)?;
        // a cell merged with the one above is the same amount, and not one more
        let amount_of = |column: Option<usize>| match at(column) {
            cell if cell.merged => Ok(None),
            cell => notation::amount(cell).map_err(|reason| refused(&self.names, column, cell, reason)),
        };
        let amount = amount_of(Some(columns.amount))?;
        let cancelled = amount_of(columns.cancelled)?;
        let day = day.map_err(|reason| refused(&self.names, columns.date, date, reason))?;
        let words = self.words(columns, line, cells);
        let merchant = columns.merchant.and_then(|column| self.merchant(cells.get(column)?));
        let content = line::content(self.header, cells, &mut self.buffer);
        let place = Place { file: u32::try_from(file).unwrap_or(u32::MAX), line };
        self.lines.push(Line { place, merchant, order_no, transaction_id, amount, cancelled, words, date: day, content });
        Ok(())
    }
}
