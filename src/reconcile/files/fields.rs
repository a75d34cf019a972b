//! Which column of a file is which field: headers are compared with the lists of `field`.

use unicode_normalization::UnicodeNormalization as _;

use super::cell::Cell;
use super::error::HeaderError;
use super::field::{Field, Side};
use super::notation;
use super::options::{AmountPer, FileOptions};

/// A header as headers are compared: in lower case, without spaces, marks, and brackets with what they enclose.
pub(super) fn folded(header: &str) -> String {
    let mut folded = String::with_capacity(header.len());
    let mut depth = 0u32;
    for character in header.nfkc() {
        match character {
            '(' | '[' | '{' | '<' | '【' | '「' | '『' | '〔' | '〈' | '《' => depth += 1,
            ')' | ']' | '}' | '>' | '】' | '」' | '』' | '〕' | '〉' | '》' => depth = depth.saturating_sub(1),
            other if depth > 0 || is_mark(other) => {}
            other => folded.extend(other.to_lowercase()),
        }
    }
    folded
}

/// What a header is compared without.
fn is_mark(character: char) -> bool {
    // middle dots and dashes of all kinds, and what cannot be seen
    matches!(character, '_' | '-' | '/' | '.' | ':' | '*' | '·' | '\u{119E}' | '\u{30FB}' | '\u{2022}' | '\u{2027}' | '\u{22C5}')
        || matches!(character, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
        || character.is_whitespace()
        || character.is_control()
}

/// A text with single spaces for its spaces and line breaks.
fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The cells of a header line.
#[derive(Debug, Clone, Default)]
pub(super) struct Headers {
    /// As people would find them again: with line breaks as spaces.
    written: Vec<String>,
    folded: Vec<String>,
}

impl Headers {
    pub(super) fn new<'a>(cells: impl Iterator<Item = &'a str>) -> Self {
        let written: Vec<String> = cells.map(spaced).collect();
        let folded = written.iter().map(|header| folded(header)).collect();
        Self { written, folded }
    }

    /// The number of columns, blank ones at the end left out.
    pub(super) fn len(&self) -> usize {
        self.written.iter().rposition(|header| !header.is_empty()).map_or(0, |last| last + 1)
    }

    /// The number of headers.
    pub(super) fn count(&self) -> usize {
        self.written.iter().filter(|header| !header.is_empty()).count()
    }

    /// The header of a column; a column without one is named by its number.
    pub(super) fn name(&self, column: usize) -> String {
        match self.written.get(column) {
            Some(header) if !header.is_empty() => header.clone(),
            _ => format!("column {}", column + 1),
        }
    }

    /// Whether a row is the second of a header whose cells reach over two.
    pub(super) fn goes_on_in(&self, cells: &[Cell<'_>]) -> bool {
        let repeats = |(column, cell): (usize, &Cell<'_>)| {
            cell.merged && !cell.is_blank() && self.written.get(column).is_some_and(|header| *header == spaced(&cell.shown()))
        };
        cells.iter().enumerate().any(repeats)
    }

    /// The headers with those of a second line below them: what a cell of the first is split into takes its place.
    pub(super) fn continued_by(&self, cells: &[Cell<'_>]) -> Self {
        let columns = self.written.len().max(cells.len());
        let both: Vec<String> = (0..columns)
            .map(|column| {
                let below = cells.get(column).map(|cell| spaced(&cell.shown())).filter(|below| !below.is_empty());
                below.or_else(|| self.written.get(column).cloned()).unwrap_or_default()
            })
            .collect();
        Self::new(both.iter().map(String::as_str))
    }

    /// Whether a row is the header once more, as on each page of a print.
    pub(super) fn is_repeated_in(&self, cells: &[Cell<'_>]) -> bool {
        let is_same = |(column, cell): (usize, &Cell<'_>)| match self.written.get(column) {
            Some(header) => folded(header) == folded(&cell.shown()),
            None => cell.is_blank(),
        };
        self.count() > 1 && cells.len() >= self.len() && cells.iter().enumerate().all(is_same)
    }

    /// The number of columns, blank ones at the end included.
    pub(super) fn written_len(&self) -> usize {
        self.written.len()
    }

    /// All headers, as a sentence lists them.
    pub(super) fn list(&self) -> String {
        self.written.iter().filter(|header| !header.is_empty()).cloned().collect::<Vec<_>>().join(", ")
    }

    /// The columns with a header: those written exactly so, else those that compare equal.
    fn columns(&self, header: &str) -> Vec<usize> {
        let at = |is: &dyn Fn(usize) -> bool| (0..self.written.len()).filter(|column| is(*column)).collect::<Vec<_>>();
        let exact = at(&|column| self.written[column] == header);
        if !exact.is_empty() {
            return exact;
        }
        let wanted = folded(header);
        // a header such as (1) has nothing to compare
        if wanted.is_empty() { Vec::new() } else { at(&|column| self.folded[column] == wanted) }
    }

    /// The one column with a header that a flag names; `None` if there is none.
    pub(super) fn column(&self, header: &str) -> Result<Option<usize>, HeaderError> {
        match self.columns(header)[..] {
            [] => Ok(None),
            [column] => Ok(Some(column)),
            [first, second, ..] => Err(self.twice(first, second)),
        }
    }

    fn twice(&self, first: usize, second: usize) -> HeaderError {
        HeaderError::Twice { header: self.name(first), first: first + 1, second: second + 1 }
    }

    /// The column that the flags name for a field, if this file has it.
    fn chosen(&self, field: Field, side: Side, options: &FileOptions) -> Result<Option<usize>, HeaderError> {
        for wanted in [Some(side), None] {
            let choices = options.columns.iter().filter(|choice| choice.field == field && choice.side == wanted);
            let mut found: Option<usize> = None;
            for choice in choices {
                match (self.column(&choice.header)?, found) {
                    (Some(column), Some(other)) if column != other => {
                        return Err(HeaderError::Chosen { field: field.name(), first: self.name(other), second: self.name(column) });
                    }
                    (column, _) => found = found.or(column),
                }
            }
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The columns that a field could be, best first: that of the flags alone, else one for each of the field's headers.
    fn candidates(&self, field: Field, side: Side, options: &FileOptions) -> Result<Candidates, HeaderError> {
        if let Some(column) = self.chosen(field, side, options)? {
            return Ok(Candidates { columns: vec![column], is_chosen: true });
        }
        let mut columns = Vec::new();
        for header in field.headers(side).iter().flat_map(|class| class.iter()) {
            let wanted = folded(header);
            let mut equal = (0..self.folded.len()).filter(|column| self.folded[*column] == wanted);
            let Some(column) = equal.next() else { continue };
            match equal.next() {
                None => columns.push(column),
                // a header that a better one precedes is not used anyway
                Some(second) if columns.is_empty() => return Err(self.twice(column, second)),
                Some(_) => {}
            }
        }
        Ok(Candidates { columns, is_chosen: false })
    }

    /// The amount's column, and what its header counts per.
    fn amount(&self, side: Side, options: &FileOptions) -> Result<Option<(usize, Class)>, HeaderError> {
        let classes = Field::Amount.headers(side);
        if let Some(column) = self.chosen(Field::Amount, side, options)? {
            let class = classes.iter().position(|class| class.iter().any(|header| folded(header) == self.folded[column]));
            return Ok(Some((column, Class::of(side, class, options))));
        }
        for (index, class) in classes.iter().enumerate() {
            let class: Vec<String> = class.iter().map(|header| folded(header)).collect();
            let columns: Vec<usize> = (0..self.folded.len()).filter(|column| class.contains(&self.folded[*column])).collect();
            match columns[..] {
                [] => {}
                [column] => return Ok(Some((column, Class::of(side, Some(index), options)))),
                [first, second, ..] => {
                    let flag = match side {
                        Side::Orders => "orders.amount",
                        Side::Deposits => "deposits.amount",
                    };
                    return Err(HeaderError::Amounts { first: self.name(first), second: self.name(second), flag });
                }
            }
        }
        Ok(None)
    }
}

/// The columns that a field could be, best first.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidates {
    pub(super) columns: Vec<usize>,
    /// Whether a flag names it.
    pub(super) is_chosen: bool,
}

/// What an amount is the amount of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Class {
    /// The order.
    Order,
    /// The line.
    Line,
    /// Either: its header does not state which.
    Unknown,
    /// On a statement, deposits and withdrawals alike.
    Both,
}

impl Class {
    fn of(side: Side, class: Option<usize>, options: &FileOptions) -> Self {
        match (side, options.amount_per, class) {
            (Side::Deposits, _, Some(0)) => Self::Unknown,
            (Side::Deposits, ..) => Self::Both,
            (Side::Orders, Some(AmountPer::Order), _) | (Side::Orders, None, Some(0)) => Self::Order,
            (Side::Orders, Some(AmountPer::Line), _) | (Side::Orders, None, Some(2)) => Self::Line,
            _ => Self::Unknown,
        }
    }
}

/// Which column is which field, in one file.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub(super) headers: Headers,
    pub(super) order_no: Option<usize>,
    pub(super) transaction_id: Option<usize>,
    pub(super) amount: usize,
    pub(super) class: Class,
    pub(super) cancelled: Option<usize>,
    pub(super) kind: Candidates,
    pub(super) state: Candidates,
    pub(super) date: Option<usize>,
    pub(super) merchant: Option<usize>,
    /// Whether each cell states its column, as those of a sheet do.
    pub(super) are_fixed: bool,
}

impl Columns {
    /// Recognises a header line; `None` if a needed field is not in it.
    ///
    /// # Errors
    /// The line is a header line, and leaves open which column to use.
    pub(super) fn recognise(headers: Headers, side: Side, options: &FileOptions) -> Result<Option<Self>, HeaderError> {
        let candidates = |field: Field| {
            if field.is_of(side) { headers.candidates(field, side, options) } else { Ok(Candidates::default()) }
        };
        let first = |field| candidates(field).map(|found| found.columns.first().copied());
        // a line that lacks a needed field is no header line, whatever else it has
        if !Self::is_complete(&headers, side, options) {
            return Ok(None);
        }
        let Some((amount, class)) = headers.amount(side, options)? else { return Ok(None) };
        let columns = Self {
            order_no: first(Field::OrderNo)?,
            transaction_id: first(Field::TransactionId)?,
            amount,
            class,
            cancelled: first(Field::CancelledAmount)?,
            kind: candidates(Field::Kind)?,
            state: candidates(Field::State)?,
            date: first(Field::Date)?,
            merchant: first(Field::Merchant)?,
            are_fixed: false,
            headers,
        };
        Ok(Some(columns))
    }

    /// The column of a field that another header, which has no such field, lost.
    pub(super) fn not_in(&self, other: &Self) -> Option<usize> {
        let first = |found: &Candidates| found.columns.first().copied();
        let fields = [
            (self.order_no, other.order_no),
            (self.transaction_id, other.transaction_id),
            (self.cancelled, other.cancelled),
            (first(&self.kind), first(&other.kind)),
            (first(&self.state), first(&other.state)),
            (self.date, other.date),
            (self.merchant, other.merchant),
        ];
        fields.into_iter().find_map(|(own, others)| own.filter(|_| others.is_none()))
    }

    /// Whether a row reads as a line: with a key or a date, and an amount.
    pub(super) fn is_line(&self, cells: &[Cell<'_>]) -> bool {
        let has = |column: Option<usize>, read: &dyn Fn(&Cell<'_>) -> bool| column.and_then(|column| cells.get(column)).is_some_and(read);
        let key = |cell: &Cell<'_>| matches!(notation::key(cell), Ok(Some(_)));
        let date = |cell: &Cell<'_>| matches!(notation::date(cell), Ok(Some(_)));
        let is_named = has(self.order_no, &key) || has(self.transaction_id, &key);
        has(Some(self.amount), &|cell| matches!(notation::amount(cell), Ok(Some(_))))
            && if self.date.is_some_and(|date| date < cells.len()) { has(self.date, &date) } else { is_named }
    }

    fn is_complete(headers: &Headers, side: Side, options: &FileOptions) -> bool {
        Self::missing(headers, side, options).is_empty()
    }

    /// The needed fields that a line of headers does not have.
    pub(super) fn missing(headers: &Headers, side: Side, options: &FileOptions) -> Vec<&'static str> {
        // what is ambiguous is there
        let has = |field: Field| headers.candidates(field, side, options).map_or(true, |found| !found.columns.is_empty());
        let mut missing = Vec::new();
        if side == Side::Orders && !has(Field::OrderNo) && !has(Field::TransactionId) {
            missing.push("order_no or transaction_id");
        }
        if !has(Field::Amount) {
            missing.push("amount");
        }
        if side == Side::Deposits && !has(Field::Date) {
            missing.push("date");
        }
        missing
    }

    /// Whether the state's header is one that an order's current state has.
    pub(super) fn is_order_state(&self, column: usize) -> bool {
        ["주문상태", "odstatus", "financialstatus"].contains(&self.headers.folded[column].as_str())
    }
}

/// The headers that `--column` names and that no file of its side has.
pub(super) fn unfound<'a>(options: &'a FileOptions, files: &[(Side, Headers)]) -> Option<&'a str> {
    let is_found = |header: &str, wanted: Option<Side>, field: Field| {
        files
            .iter()
            .any(|(side, headers)| wanted.is_none_or(|wanted| wanted == *side) && field.is_of(*side) && !headers.columns(header).is_empty())
    };
    options.columns.iter().find(|choice| !is_found(&choice.header, choice.side, choice.field)).map(|choice| choice.header.as_str())
}
