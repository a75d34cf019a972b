//! The lines of the books as written, before it is known what they mean.

use std::sync::Arc;

use chrono::NaiveDate;

use crate::reconcile::books::{OrderLine, Place};

use super::fields::Class;
use super::words::Word;

/// A line of the books as written.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) place: Place,
    pub(super) merchant: Option<Arc<str>>,
    pub(super) order_no: Option<Box<str>>,
    pub(super) transaction_id: Option<Box<str>>,
    pub(super) amount: Option<i64>,
    pub(super) cancelled: Option<i64>,
    /// What the columns of words hold, three bits each.
    pub(super) words: u64,
    pub(super) date: Option<NaiveDate>,
    pub(super) content: u128,
}

impl Line {
    /// The word of a column.
    pub(super) fn word(&self, column: WordColumn) -> Option<Word> {
        match self.words >> (3 * column.0) & 7 {
            1 => Some(Word::Paid),
            2 => Some(Word::Back),
            3 => Some(Word::Part),
            4 => Some(Word::None),
            _ => None,
        }
    }

    /// The line as the cases take it.
    pub(super) fn counting(self, amount: i64) -> OrderLine {
        let Self { place, merchant, order_no, transaction_id, date, content, .. } = self;
        OrderLine { place, merchant, order_no, transaction_id, amount: i128::from(amount), date, content }
    }
}

/// The place of a column among a file's columns of words.
#[derive(Debug, Clone, Copy)]
pub(super) struct WordColumn(pub(super) usize);

/// What is known of a file once it is read.
#[derive(Debug)]
pub(super) struct FileForm {
    pub(super) name: String,
    pub(super) class: Class,
    pub(super) amount_header: String,
    pub(super) cancelled_header: Option<String>,
    pub(super) kind: Option<WordColumn>,
    pub(super) state: Option<WordColumn>,
    pub(super) kind_header: Option<String>,
    pub(super) state_header: Option<String>,
    /// Whether the state is one that an order has at present.
    pub(super) is_order_state: bool,
}
