//! Lines that give the current state of orders, of which an order may have several.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::reconcile::books::OrderLine;
use crate::settlement::values::format_decimal;

use super::error::BooksError;
use super::fields::Class;
use super::words::Word;
use super::written::{FileForm, Line};

/// What each line adds to its order.
///
/// # Errors
/// Lines of an order that contradict each other, or that could mean two things.
pub(super) fn lines(mut lines: Vec<Line>, files: &[FileForm]) -> Result<Vec<OrderLine>, BooksError> {
    let mut amounts = vec![0i64; lines.len()];
    for order in orders(&lines) {
        match order[..] {
            [only] => {
                let line = &lines[only as usize];
                let file = &files[line.place.file as usize];
                if counts(line, file)? {
                    let amount = line.amount.ok_or_else(|| without_amount(line, file))?;
                    amounts[only as usize] = amount - line.cancelled.unwrap_or(0).abs();
                }
            }
            _ => several(&order, &mut lines, files, &mut amounts)?,
        }
    }
    Ok(lines.into_iter().zip(amounts).map(|(line, amount)| line.counting(amount)).collect())
}

/// The lines of each order, in order.
fn orders(lines: &[Line]) -> Vec<Vec<u32>> {
    let mut places: HashMap<(&str, Option<&str>), u32, RandomState> =
        HashMap::with_capacity_and_hasher(lines.len(), RandomState::default());
    let mut orders: Vec<Vec<u32>> = Vec::new();
    let mut previous: Option<(&str, Option<&str>)> = None;
    for (index, line) in (0u32..).zip(lines) {
        let number = line.order_no.as_deref().or(line.transaction_id.as_deref()).unwrap_or_default();
        let mut merchant = line.merchant.as_deref();
        // a line that continues an order need not name the merchant again
        if let Some((before, named)) = previous
            && before == number
        {
            merchant = merchant.or(named);
        }
        previous = Some((number, merchant));
        match places.entry((number, merchant)) {
            std::collections::hash_map::Entry::Occupied(place) => orders[*place.get() as usize].push(index),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(u32::try_from(orders.len()).unwrap_or(u32::MAX));
                orders.push(vec![index]);
            }
        }
    }
    orders
}

/// Whether a line is of an order that is paid, wholly or in part.
fn counts(line: &Line, file: &FileForm) -> Result<bool, BooksError> {
    match file.state.or(file.kind).and_then(|column| line.word(column)) {
        None | Some(Word::Paid) => Ok(true),
        Some(Word::Back | Word::None) => Ok(false),
        Some(Word::Part) if file.cancelled_header.is_some() => Ok(true),
        Some(Word::Part) => Err(BooksError::WholeLine {
            file: file.name.clone(),
            line: line.place.line,
            reason:
                "a part of the order is cancelled, and no column has the cancelled amount: name it with --column cancelled_amount=HEADER"
                    .into(),
        }),
    }
}

/// What the lines of an order with several of them add.
fn several(order: &[u32], lines: &mut [Line], files: &[FileForm], amounts: &mut [i64]) -> Result<(), BooksError> {
    let first = order[0] as usize;
    let file_of = |line: &Line| &files[line.place.file as usize];
    let mut counting = Vec::with_capacity(order.len());
    for &index in order {
        let line = &lines[index as usize];
        if counts(line, file_of(line))? {
            counting.push(index as usize);
        }
    }
    let stated = || order.iter().map(|index| &lines[*index as usize]).filter(|line| line.amount.is_some());
    let Some(one) = stated().next() else {
        return match counting.first() {
            Some(line) => Err(without_amount(&lines[*line], file_of(&lines[*line]))),
            None => Ok(()),
        };
    };
    let class = file_of(one).class;
    let ask = |line: &Line, reason: String| BooksError::Line {
        file: file_of(line).name.clone(),
        line: line.place.line,
        column: file_of(line).amount_header.clone(),
        value: shown(line.amount),
        reason: format!("{reason}: state with --amount-per order or --amount-per line what it is the amount of"),
    };
    let number = one.order_no.as_deref().or(one.transaction_id.as_deref()).unwrap_or_default();
    if let Some(other) = stated().find(|line| file_of(line).class != class) {
        let header = &file_of(one).amount_header;
        return Err(ask(other, format!("is beside {header} of line {} for order {number:?}, which counts otherwise", one.place.line)));
    }
    match class {
        Class::Order => {
            let amount = once(order, lines, files, |line| line.amount, |file| Some(&file.amount_header))?;
            let cancelled = once(order, lines, files, |line| line.cancelled, |file| file.cancelled_header.as_ref())?;
            if let Some(line) = counting.first() {
                amounts[*line] = amount.unwrap_or(0) - cancelled.unwrap_or(0).abs();
            }
        }
        Class::Line | Class::Unknown | Class::Both => {
            let is_repeated = stated().nth(1).is_some() && stated().all(|line| line.amount == one.amount);
            // nothing is nothing, whatever it is the amount of
            let is_nothing = one.amount == Some(0) && order.iter().all(|index| lines[*index as usize].cancelled.unwrap_or(0) == 0);
            if class == Class::Unknown && is_repeated && !is_nothing {
                let count = stated().count();
                return Err(ask(one, format!("is on each of the {count} lines of order {number:?}")));
            }
            for line in counting {
                amounts[line] = lines[line].amount.unwrap_or(0) - lines[line].cancelled.unwrap_or(0).abs();
            }
        }
    }
    // a line that continues an order is of its day
    let date = lines[first].date;
    for index in order {
        let line = &mut lines[*index as usize];
        if line.amount.is_none() && line.date.is_none() {
            line.date = date;
        }
    }
    Ok(())
}

/// An amount that the lines of an order repeat or leave blank.
fn once<'f>(
    order: &[u32],
    lines: &[Line],
    files: &'f [FileForm],
    amount: impl Fn(&Line) -> Option<i64>,
    header: impl Fn(&'f FileForm) -> Option<&'f String>,
) -> Result<Option<i64>, BooksError> {
    let mut found: Option<&Line> = None;
    for line in order.iter().map(|index| &lines[*index as usize]).filter(|line| amount(line).is_some()) {
        match found {
            None => found = Some(line),
            Some(first) if amount(first) == amount(line) => {}
            Some(first) => {
                let file = &files[line.place.file as usize];
                return Err(BooksError::Line {
                    file: file.name.clone(),
                    line: line.place.line,
                    column: header(file).cloned().unwrap_or_default(),
                    value: shown(amount(line)),
                    reason: format!(
                        "differs from {} in line {}, and an amount of the order is the same on all its lines: if it is of the line, use \
                         --amount-per line",
                        shown(amount(first)),
                        first.place.line
                    ),
                });
            }
        }
    }
    Ok(found.and_then(amount))
}

fn without_amount(line: &Line, file: &FileForm) -> BooksError {
    BooksError::Line {
        file: file.name.clone(),
        line: line.place.line,
        column: file.amount_header.clone(),
        value: String::new(),
        reason: "is no amount, and no other line of the order has one: fill it in, or leave the line out with --orders-where".into(),
    }
}

fn shown(amount: Option<i64>) -> String {
    amount.map(|amount| format_decimal(i128::from(amount), 2)).unwrap_or_default()
}
