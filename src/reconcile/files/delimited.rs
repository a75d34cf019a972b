//! Delimited text: rows as they are typed, with their lines, a block at a time.

use std::borrow::Cow;

use super::cell::{Cell, Value};
use super::error::BooksError;
use super::table::{HEADER_ROWS, Sink};
use super::text::{Text, TextError};

/// The delimiters that are tried, in this order.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
/// A row longer than this has a quote that is never closed.
const MAX_ROW: usize = 4 * 1024 * 1024;

/// How rows and cells are delimited.
#[derive(Debug, Clone, Copy)]
struct Form {
    delimiter: u8,
    /// What ends a line; a `\r` before it is not of the line.
    end: u8,
}

/// What the next row is.
enum Next<'t> {
    /// A row, and how many bytes and line breaks it takes.
    Row { cells: Vec<Cell<'t>>, bytes: usize, breaks: u64 },
    /// The text ends within it.
    Unfinished,
    /// A quote within a quoted cell; the cell.
    StrayQuote(String),
    /// A line break in the middle that is not what lines of the text end with.
    StrayBreak,
}

/// Reads a text, and passes its rows on.
///
/// # Errors
/// What cannot be decoded or separated, and what `sink` refuses.
pub(super) fn read(name: &str, mut text: Text, sink: &mut dyn Sink) -> Result<(), BooksError> {
    let undecoded = |error| text_error(name, error);
    let mut held = String::new();
    let mut has_more = text.append(&mut held).map_err(undecoded)?;
    // a title may have none of the marks: the lines that could be the header decide
    while has_more && memchr::memchr_iter(b'\n', held.as_bytes()).count() < HEADER_ROWS && held.len() < MAX_ROW {
        has_more = text.append(&mut held).map_err(undecoded)?;
    }
    let form = form(&held, !has_more, sink);
    let mut line = 1;
    loop {
        let mut done = 0;
        while done < held.len() {
            match next(&held[done..], form, !has_more) {
                Next::Row { cells, bytes, breaks } => {
                    if breaks > 1 && has_swallowed(&cells, form, sink) {
                        let reason = "a quote opens in this line and closes only in a later one, and what is between looks like lines of \
                                      their own: close it, or double it if it is part of a value"
                            .into();
                        return Err(BooksError::WholeLine { file: name.into(), line, reason });
                    }
                    sink.row(line, &cells)?;
                    done += bytes;
                    line += breaks;
                }
                Next::Unfinished if has_more && held.len() - done <= MAX_ROW => break,
                Next::Unfinished => {
                    let reason = "a quote in this line is never closed: close it, or double it if it is part of a value".into();
                    return Err(BooksError::WholeLine { file: name.into(), line, reason });
                }
                Next::StrayQuote(cell) => {
                    let reason = format!("a quote within the quoted value {cell:?} is not doubled: double it, or save the file again");
                    return Err(BooksError::WholeLine { file: name.into(), line, reason });
                }
                Next::StrayBreak => {
                    let reason =
                        "it has a line break in the middle that differs from those at the ends of lines (CR and LF): save the file \
                                  again, or put the value in quotes"
                            .into();
                    return Err(BooksError::WholeLine { file: name.into(), line, reason });
                }
            }
        }
        held.drain(..done);
        if !has_more {
            return Ok(());
        }
        has_more = text.append(&mut held).map_err(undecoded)?;
    }
}

/// A text that cannot be decoded, as people can find it.
pub(super) fn text_error(name: &str, error: TextError) -> BooksError {
    match error {
        TextError::Io(source) => BooksError::Io { file: name.into(), source },
        TextError::Nul { lines } => {
            let reason = "it has a NUL character, which no text has: save the file again, as UTF-8".into();
            BooksError::WholeLine { file: name.into(), line: lines + 1, reason }
        }
        TextError::Malformed { encoding, lines } => {
            let tried = if encoding == encoding_rs::EUC_KR { "neither UTF-8 nor CP949" } else { "not UTF-8" };
            let tried = if encoding.name().starts_with("UTF-16") { "not UTF-16" } else { tried };
            let reason = format!("it is {tried} text: save the file again, as UTF-8");
            BooksError::WholeLine { file: name.into(), line: lines + 1, reason }
        }
    }
}

/// The form in which a header is recognised, or the one that makes most cells.
fn form(text: &str, is_whole: bool, sink: &dyn Sink) -> Form {
    let end = line_end(text.as_bytes());
    let mut best = (Form { delimiter: DELIMITERS[0], end }, (false, 0));
    for delimiter in DELIMITERS {
        let form = Form { delimiter, end };
        let (mut done, mut most) = (0, 0);
        for _ in 0..HEADER_ROWS {
            // what is wrong with a row is reported when it is read
            let Next::Row { cells, bytes, .. } = next(&text[done..], form, is_whole) else { break };
            let (is_header, width) = (sink.is_header(&cells), cells.len());
            done += bytes;
            most = most.max(width);
            if is_header {
                most = width;
            }
            if (is_header, most) > best.1 {
                best = (form, (is_header, most));
            }
            if is_header || done >= text.len() {
                break;
            }
        }
    }
    best.0
}

/// What ends the lines of a text: a lone CR if the first break outside quotes is one, as in files of old Macs, whose quoted values
/// may have LF.
fn line_end(bytes: &[u8]) -> u8 {
    if memchr::memchr(b'\n', bytes).is_none() {
        return if memchr::memchr(b'\r', bytes).is_some() { b'\r' } else { b'\n' };
    }
    let mut is_quoted = false;
    let first = memchr::memchr3_iter(b'\r', b'\n', b'"', bytes).find(|at| {
        is_quoted ^= bytes[*at] == b'"';
        !is_quoted && bytes[*at] != b'"'
    });
    // CR before LF is part of one break, however many there are
    let last = first.and_then(|first| bytes[first..].iter().find(|byte| **byte != b'\r'));
    match first {
        Some(first) if bytes[first] == b'\r' && last != Some(&b'\n') => b'\r',
        _ => b'\n',
    }
}

/// Whether a row with quoted line breaks looks as if a quote that was not meant as one had swallowed lines.
fn has_swallowed(cells: &[Cell<'_>], form: Form, sink: &dyn Sink) -> bool {
    let is_line = |text: &str, width: Option<usize>| {
        let Next::Row { cells, .. } = next(text, form, true) else { return false };
        width.is_none_or(|width| cells.len() == width) && sink.is_line(&cells, width.is_none())
    };
    cells.iter().enumerate().any(|(at, cell)| {
        let Value::Text(text) = &cell.value else { return false };
        let mut pieces = text.split(char::from(form.end)).skip(1).peekable();
        // the last of them ends in the column in which the quote closes, those before are whole
        std::iter::from_fn(|| pieces.next().map(|piece| (piece, pieces.peek().is_none())))
            .any(|(piece, is_last)| is_line(piece, is_last.then_some(at + 1)))
    })
}

/// Whether a break that does not end lines is in the middle of a value.
fn has_stray_break(value: &str, form: Form) -> bool {
    let other = if form.end == b'\n' { b'\r' } else { b'\n' };
    memchr::memchr(other, value.as_bytes()).is_some() && value.trim_matches(char::from(other)).contains(char::from(other))
}

/// The row at the start of `text`.
fn next(text: &str, form: Form, is_whole: bool) -> Next<'_> {
    let bytes = text.as_bytes();
    let end = match memchr::memchr(form.end, bytes) {
        Some(end) => end,
        None if is_whole => bytes.len(),
        None => return Next::Unfinished,
    };
    if memchr::memchr(b'"', &bytes[..end]).is_some() {
        return quoted(text, form, is_whole);
    }
    let row = text[..end].strip_suffix('\r').unwrap_or(&text[..end]);
    if has_stray_break(row, form) {
        return Next::StrayBreak;
    }
    let mut cells = Vec::with_capacity(16);
    let mut start = 0;
    for at in memchr::memchr_iter(form.delimiter, row.as_bytes()) {
        cells.push(Cell::text(&row[start..at]));
        start = at + 1;
    }
    cells.push(Cell::text(&row[start..]));
    Next::Row { cells, bytes: (end + 1).min(bytes.len()), breaks: 1 }
}

/// A row with quotes, which may go on over several lines.
fn quoted(text: &str, form: Form, is_whole: bool) -> Next<'_> {
    let bytes = text.as_bytes();
    let mut cells = Vec::with_capacity(16);
    let (mut at, mut breaks) = (0, 1);
    loop {
        // spaces before a quote belong to no value
        let opens = at + bytes[at..].iter().take_while(|byte| **byte == b' ').count();
        if bytes.get(opens) == Some(&b'"') {
            let (value, after) = match quoted_cell(text, opens + 1, is_whole) {
                QuotedCell::Closed(value, after) => (value, after),
                QuotedCell::Open => return Next::Unfinished,
            };
            breaks += memchr::memchr_iter(form.end, &bytes[opens..after]).count() as u64;
            let after = after + bytes[after..].iter().take_while(|byte| **byte == b' ').count();
            cells.push(Cell::new(Value::Text(value)));
            match bytes.get(after) {
                Some(byte) if *byte == form.delimiter => at = after + 1,
                Some(byte) if *byte == form.end => return Next::Row { cells, bytes: after + 1, breaks },
                Some(b'\r') if bytes.get(after + 1) == Some(&form.end) => return Next::Row { cells, bytes: after + 2, breaks },
                Some(b'\r') if after + 1 == bytes.len() && is_whole => return Next::Row { cells, bytes: after + 1, breaks },
                None if is_whole => return Next::Row { cells, bytes: after, breaks },
                Some(b'\r') if after + 1 == bytes.len() => return Next::Unfinished,
                None => return Next::Unfinished,
                Some(_) => {
                    let value = cells.last().map(|cell| cell.shown().chars().take(40).collect()).unwrap_or_default();
                    return Next::StrayQuote(value);
                }
            }
            continue;
        }
        let stop = memchr::memchr2(form.delimiter, form.end, &bytes[at..]).map_or(bytes.len(), |stop| at + stop);
        if stop == bytes.len() && !is_whole {
            return Next::Unfinished;
        }
        let value = &text[at..stop];
        if has_stray_break(value, form) {
            return Next::StrayBreak;
        }
        if bytes.get(stop) == Some(&form.delimiter) {
            cells.push(Cell::text(value));
            at = stop + 1;
        } else {
            cells.push(Cell::text(value.strip_suffix('\r').unwrap_or(value)));
            return Next::Row { cells, bytes: (stop + 1).min(bytes.len()), breaks };
        }
    }
}

enum QuotedCell<'t> {
    /// The value, and where its closing quote ends.
    Closed(Cow<'t, str>, usize),
    /// The text ends before it is closed.
    Open,
}

/// The value after an opening quote.
fn quoted_cell(text: &str, start: usize, is_whole: bool) -> QuotedCell<'_> {
    let bytes = text.as_bytes();
    let mut value: Option<String> = None;
    let mut from = start;
    loop {
        let Some(quote) = memchr::memchr(b'"', &bytes[from..]).map(|at| from + at) else { return QuotedCell::Open };
        match bytes.get(quote + 1) {
            Some(b'"') => {
                value.get_or_insert_default().push_str(&text[from..=quote]);
                from = quote + 2;
            }
            None if !is_whole => return QuotedCell::Open,
            _ => {
                let rest = &text[from..quote];
                let value = match value {
                    Some(mut value) => {
                        value.push_str(rest);
                        Cow::Owned(value)
                    }
                    None => Cow::Borrowed(rest),
                };
                return QuotedCell::Closed(value, quote + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COMMA: Form = Form { delimiter: b',', end: b'\n' };

    fn rows(text: &str) -> Vec<(u64, Vec<String>)> {
        let (mut rows, mut done, mut line) = (Vec::new(), 0, 1);
        while done < text.len() {
            let Next::Row { cells, bytes, breaks } = next(&text[done..], COMMA, true) else { panic!("{:?}", &text[done..]) };
            rows.push((line, cells.iter().map(|cell| cell.shown().into_owned()).collect()));
            done += bytes;
            line += breaks;
        }
        rows
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Vec<String>) {
        (line, cells.iter().map(|cell| String::from(*cell)).collect())
    }

    #[test]
    fn rows_have_the_lines_on_which_they_begin() {
        let text = "a,\"b\nc\r\nd\",e\r\n\r\nf,\"g \"\"h\"\"\" , \"i,j\"\n=\"1\",k\"l\nm";
        let expected = [
            row(1, &["a", "b\nc\r\nd", "e"]),
            row(4, &[""]),
            row(5, &["f", "g \"h\"", "i,j"]),
            row(6, &["=\"1\"", "k\"l"]),
            row(7, &["m"]),
        ];
        assert_eq!(rows(text), expected);
    }

    #[test]
    fn quotes_that_leave_open_where_a_value_ends() {
        assert!(matches!(next("\"27\" TV\",1\n", COMMA, true), Next::StrayQuote(_)));
        assert!(matches!(next("\"a,1\n2,3\n", COMMA, true), Next::Unfinished));
    }

    proptest! {
        #[test]
        fn a_row_is_read_alike_whole_and_in_parts(text in "[ab,\"\r\n ]{0,24}", cut in 0usize..24) {
            let cut = cut.min(text.len());
            // what is complete in a part is the same in the whole
            if let Next::Row { cells, bytes, breaks } = next(&text[..cut], COMMA, false) {
                let Next::Row { cells: all, bytes: of_all, breaks: breaks_of_all } = next(&text, COMMA, false) else {
                    return Err(TestCaseError::fail("not a row in the whole"));
                };
                prop_assert_eq!((cells, bytes, breaks), (all, of_all, breaks_of_all));
            }
        }

        #[test]
        fn what_the_csv_crate_writes_is_read(cells in proptest::collection::vec("[가a,\"\r\n' ]{0,6}", 2..5)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(&cells).unwrap();
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            prop_assert_eq!(&rows(&text)[0].1, &cells);
        }
    }
}
