//! The merchant's books and the bank's statement, as read: what the files come to, whatever form they had.

use std::sync::Arc;

use chrono::NaiveDate;

use super::period::Period;

/// An amount, in hundredths of a won.
pub type Hundredths = i128;

/// Where a line is in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file: its position in the list of files.
    pub file: u32,
    /// The line of a text, or the row of a sheet or table; the first is 1.
    pub line: u64,
}

/// What the lines of the order files mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// Each line is an event that happened on its date
    Events,
    /// Each line is the current state of an order, or of a line of one
    Totals,
}

/// A line of the merchant's books that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    /// Where it is.
    pub place: Place,
    /// The merchant that it names, as written.
    pub merchant: Option<Arc<str>>,
    /// The order number.
    pub order_no: Option<Box<str>>,
    /// The transaction number.
    pub transaction_id: Option<Box<str>>,
    /// What it adds to the merchant's side of its case: negative if money goes back. An amount per order that several lines
    /// repeat is on the first of them, and 0 on the others.
    pub amount: Hundredths,
    /// Its date in Seoul.
    pub date: Option<NaiveDate>,
    /// A hash of all the columns of its file, by which duplicates are found.
    pub content: u128,
}

/// What reading files of either kind came to, apart from the lines that count.
#[derive(Debug, Clone, Default)]
pub struct FilesRead {
    /// The files, as people would find them again.
    pub files: Vec<String>,
    /// Lines that were passed over: blank lines, totals, withdrawals, lines left out by a filter, lines of no event.
    pub passed_over: u64,
    /// The days that the files cover: the dates of all lines but totals, also of those that were passed over.
    pub span: Period,
    /// Each field, and the header used for it (the first file's, if they differ).
    pub columns: Vec<(&'static str, String)>,
    /// What a person should know, such as a column that is not the field whose header it has.
    pub notes: Vec<String>,
}

/// What the order files hold.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// What the lines mean.
    pub are: Option<Meaning>,
    /// The lines that count, in the order of files and lines.
    pub lines: Vec<OrderLine>,
    /// The files.
    pub read: FilesRead,
}

/// A deposit on the bank's statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    /// Where it is.
    pub place: Place,
    /// Its date in Seoul.
    pub date: NaiveDate,
    /// More than 0.
    pub amount: Hundredths,
}

/// What the files of deposits hold.
#[derive(Debug, Clone, Default)]
pub struct Deposits {
    /// The deposits, in the order of files and lines.
    pub lines: Vec<Deposit>,
    /// The files.
    pub read: FilesRead,
}
