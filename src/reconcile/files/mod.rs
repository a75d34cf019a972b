//! Reading what merchants have: books and statements of any kind, into what the cases are made of.
//!
//! ```text
//! find ─► kind ┬ delimited ─ text
//!              ├ workbook              ─► table ─► orders, deposits ─► books
//!              ├ page                      │          │
//!              └ columnar                fields     notation, words, meaning
//! ```
//!
//! A file is found, and its kind is recognised by its content; each kind passes rows of cells on, one at a time. `table` finds
//! the header by the lists in `fields`; what is below it goes to `orders` or `deposits`, line by line. Nothing is guessed: what could
//! mean two things is an error that names the place and the flag that settles it.
//!
//! Text and the sheets of new workbooks are never held whole; pages and old workbooks are, and a page may have 64 MiB. What the lines mean (events, or
//! the state of orders) is known only when all files have been read, because one negative amount in the last line decides it: until then a line is
//! kept as it was written, in about 150 bytes and its keys. Text is read by a splitter of its own, because the csv crate neither counts blank
//! lines nor refuses a quote that is not doubled, and such a quote can swallow the lines below it. The reader of workbooks panics on some
//! damaged files; a panic is an error about the file.

mod cell;
mod columnar;
mod compound;
mod delimited;
mod deposits;
mod error;
mod field;
mod fields;
mod find;
mod kind;
mod line;
mod meaning;
mod notation;
mod options;
mod orders;
mod page;
mod table;
mod text;
mod totals;
mod words;
mod workbook;
mod written;

use tokio::runtime::Handle;

use super::books::{Deposits, Orders};

use deposits::DepositReader;
use field::Side;
use fields::Headers;
use find::Located;
use orders::OrderReader;
use table::Table;

pub use error::{BooksError, HeaderError};
pub use options::{AmountPer, ColumnChoice, DepositsFilter, FileOptions, OptionError, OrdersFilter};
pub use words::WordChoice;

/// The merchant's books and the bank's statement.
#[derive(Debug, Clone, Default)]
pub struct Books {
    /// `None` if no file of orders was named.
    pub orders: Option<Orders>,
    /// `None` if no file of deposits was named.
    pub deposits: Option<Deposits>,
}

/// Reads the files of orders and of deposits: paths, patterns, or the same in `s3://` buckets, perhaps with `#SHEET`.
///
/// # Errors
/// The first file, line or flag that cannot be used, or that could mean two things.
pub async fn read(orders: &[String], deposits: &[String], options: &FileOptions) -> Result<Books, BooksError> {
    let orders = find::all(orders).await?;
    let deposits = find::all(deposits).await?;
    let options = options.clone();
    let runtime = Handle::current();
    let read = tokio::task::spawn_blocking(move || read_all(orders, deposits, &options, &runtime)).await;
    read.unwrap_or_else(|panic| Err(BooksError::Panicked(panic.to_string())))
}

fn read_all(orders: Vec<Located>, deposits: Vec<Located>, options: &FileOptions, runtime: &Handle) -> Result<Books, BooksError> {
    let mut headers: Vec<(Side, Headers)> = Vec::new();
    let mut read = Books::default();
    if !orders.is_empty() {
        let mut reader = OrderReader::new(options, orders.iter().map(Located::full_name).collect());
        for located in orders {
            let name = located.full_name();
            let mut table = Table::new(&name, Side::Orders, options, &mut reader);
            kind::read(located.open(runtime)?, &mut table)?;
            let columns = table.finish()?;
            reader.end_file(&columns)?;
            headers.push((Side::Orders, columns.headers));
        }
        read.orders = Some(reader.finish()?);
    }
    if !deposits.is_empty() {
        let mut reader = DepositReader::new(options, deposits.iter().map(Located::full_name).collect());
        for located in deposits {
            let name = located.full_name();
            let mut table = Table::new(&name, Side::Deposits, options, &mut reader);
            kind::read(located.open(runtime)?, &mut table)?;
            let columns = table.finish()?;
            reader.end_file(&columns)?;
            headers.push((Side::Deposits, columns.headers));
        }
        read.deposits = Some(reader.finish());
    }
    match fields::unfound(options, &headers) {
        Some(header) => Err(BooksError::NoColumn {
            file: "the files".into(),
            header: header.into(),
            flag: "--column",
            found: headers.first().map(|(_, headers)| headers.list()).unwrap_or_default(),
        }),
        None => Ok(read),
    }
}
