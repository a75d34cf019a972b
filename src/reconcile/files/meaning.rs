//! What the lines of the books mean: events, or the current state of orders.

use crate::reconcile::books::{Meaning, Orders};

use super::error::BooksError;
use super::options::FileOptions;
use super::totals;
use super::words::Word;
use super::written::{FileForm, Line};

/// Decides what the lines mean, and what each comes to.
///
/// # Errors
/// What could mean two things.
pub(super) fn apply(lines: Vec<Line>, files: &[FileForm], options: &FileOptions, mut orders: Orders) -> Result<Orders, BooksError> {
    let are = match options.orders_are {
        Some(are) => are,
        None => decide(&lines, files)?,
    };
    orders.are = Some(are);
    match are {
        Meaning::Events => {
            for file in files {
                if let Some(header) = &file.cancelled_header {
                    orders.read.notes.push(format!("{}: {header:?} is not used: each line is an event of its own", file.name));
                }
            }
            let written = lines.len();
            // collected in place: the lines are in memory once
            let happened = lines.into_iter().filter_map(|line| match event(&line, &files[line.place.file as usize]) {
                Ok(amount) => amount.map(|amount| Ok(line.counting(amount))),
                Err(error) => Some(Err(error)),
            });
            orders.lines = happened.collect::<Result<_, _>>()?;
            orders.read.passed_over += (written - orders.lines.len()) as u64;
        }
        Meaning::Totals => {
            for file in files.iter().filter(|file| file.state.is_some()) {
                if let Some(header) = &file.kind_header {
                    orders.read.notes.push(format!("{}: {header:?} is not used: each line is the current state of an order", file.name));
                }
            }
            orders.lines = totals::lines(lines, files)?;
        }
    }
    Ok(orders)
}

/// What the lines mean if nobody states it: the first rule that applies.
fn decide(lines: &[Line], files: &[FileForm]) -> Result<Meaning, BooksError> {
    let open = |reason: String| BooksError::Meaning { reason };
    let event = files
        .iter()
        .find_map(|file| file.kind_header.as_ref().map(|header| format!("{} has a kind of line ({header})", file.name)))
        .or_else(|| {
            let line = lines.iter().find(|line| line.amount.is_some_and(|amount| amount < 0))?;
            Some(format!("{}, line {} has a negative amount", files[line.place.file as usize].name, line.place.line))
        });
    let total = files.iter().find_map(|file| {
        let state = file.state_header.as_ref().filter(|_| file.is_order_state);
        Some(format!("{} has {}", file.name, file.cancelled_header.as_ref().or(state)?))
    });
    match (event, total) {
        (Some(event), Some(total)) => return Err(open(format!("{event}, as events have, and {total}, as totals have"))),
        (Some(_), None) => return Ok(Meaning::Events),
        (None, Some(_)) => return Ok(Meaning::Totals),
        (None, None) => {}
    }
    for line in lines {
        let file = &files[line.place.file as usize];
        if let (Some(state), Some(header)) = (file.state, &file.state_header)
            && let Some(Word::Back | Word::Part) = line.word(state)
        {
            return Err(open(format!(
                "{}, line {} is of money that went back by its {header}: the lines could be events or totals",
                file.name, line.place.line
            )));
        }
    }
    Ok(Meaning::Totals)
}

/// What an event adds; `None` if nothing happened.
fn event(line: &Line, file: &FileForm) -> Result<Option<i64>, BooksError> {
    let state = file.state.and_then(|state| line.word(state));
    let kind = file.kind.and_then(|kind| line.word(kind));
    let word = kind.or(state);
    if state == Some(Word::None) || word == Some(Word::None) {
        return Ok(None);
    }
    let refused = |value: String, reason: &str| BooksError::Line {
        file: file.name.clone(),
        line: line.place.line,
        column: file.amount_header.clone(),
        value,
        reason: reason.into(),
    };
    let Some(amount) = line.amount else {
        return Err(refused(String::new(), "is no amount, and an event has one: fill it in, or leave the line out with --orders-where"));
    };
    match word {
        Some(Word::Paid) if amount < 0 => {
            let value = crate::settlement::values::format_decimal(i128::from(amount), 2);
            let reason = "is negative, and the line is of a payment: state what its word means with --word WORD=back, or correct it";
            Err(refused(value, reason))
        }
        None | Some(Word::Paid) => Ok(Some(amount)),
        Some(_) => Ok(Some(-amount.abs())),
    }
}
