//! Workbooks: `.xlsx`, `.xlsb`, old `.xls` and `.ods`. A sheet is read a row at a time where its format allows it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, Seek as _};

use calamine::{Data, DataRef, Dimensions, ExcelDateTime, Ods, OdsError, Range, Reader, Sheet, SheetType, SheetVisible};
use calamine::{Xls, XlsError, Xlsb, XlsbError, Xlsx, XlsxError};

use crate::errors;

use super::cell::{Cell, Value};
use super::compound;
use super::error::BooksError;
use super::table::Sink;

type Source = BufReader<File>;

/// What a workbook is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A zip archive of XML or of records.
    Archive,
    OpenDocument,
    /// The container of old workbooks, and of those with a password.
    Compound,
}

impl Kind {
    /// The kind of a file that begins with `head`; `None` if it is no workbook.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        if head.starts_with(b"PK\x03\x04") {
            let is_ods = memchr::memmem::find(&head[..head.len().min(256)], b"opendocument.spreadsheet").is_some();
            return Some(if is_ods { Self::OpenDocument } else { Self::Archive });
        }
        head.starts_with(&[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]).then_some(Self::Compound)
    }
}

/// Reads a sheet of a workbook, and passes its rows on: the one of the name, or the first.
///
/// # Errors
/// A password, a damaged file, a sheet that it does not have, and what `sink` refuses.
pub(super) fn read(name: &str, file: &File, kind: Kind, sheet: Option<&str>, sink: &mut dyn Sink) -> Result<(), BooksError> {
    // the reader panics on some damaged files, such as one that was not downloaded whole
    errors::guarded(|| read_sheet(name, file, kind, sheet, sink)).unwrap_or_else(|panic| {
        let reason = format!("the workbook is damaged ({panic}): save it again as .xlsx");
        Err(BooksError::Content { file: name.into(), reason })
    })
}

fn read_sheet(name: &str, file: &File, kind: Kind, sheet: Option<&str>, sink: &mut dyn Sink) -> Result<(), BooksError> {
    let io = |source| BooksError::Io { file: name.into(), source };
    let source = || -> Result<Source, BooksError> {
        let mut again = file.try_clone().map_err(io)?;
        again.rewind().map_err(io)?;
        Ok(BufReader::new(again))
    };
    let password = || BooksError::Password { file: name.into() };
    let damaged = |error: &dyn std::error::Error| BooksError::Content {
        file: name.into(),
        reason: format!("the workbook cannot be read: {}: save it again as .xlsx", errors::chain(error)),
    };
    match kind {
        Kind::OpenDocument => {
            let mut book = Ods::new(source()?).map_err(|error| match error {
                OdsError::Password => password(),
                error => damaged(&error),
            })?;
            let sheet = choose(name, book.sheets_metadata(), sheet, sink)?;
            let range = book.worksheet_range(&sheet).map_err(|error| damaged(&error))?;
            from_range(name, &range, Vec::new(), sink)
        }
        Kind::Compound => {
            if !compound::has_sound_chains(file).map_err(io)? {
                let reason = "the workbook is damaged, or not whole: export it again".into();
                return Err(BooksError::Content { file: name.into(), reason });
            }
            // a workbook with a password is a new one within the old container
            if let Err(XlsxError::Password) = Xlsx::new(source()?) {
                return Err(password());
            }
            let mut book = Xls::new(source()?).map_err(|error| match error {
                XlsError::Password => password(),
                error => damaged(&error),
            })?;
            let sheet = choose(name, book.sheets_metadata(), sheet, sink)?;
            let merged = book.merge_cells_by_sheet_name(&sheet).map_err(|error| damaged(&error))?;
            let range = book.worksheet_range(&sheet).map_err(|error| damaged(&error))?;
            from_range(name, &range, merged, sink)
        }
        Kind::Archive => {
            let (mut book, error) = match Xlsx::new(source()?) {
                Ok(book) if !book.sheets_metadata().is_empty() => (Some(book), None),
                Ok(_) => (None, None),
                Err(error) => (None, Some(error)),
            };
            if let Some(book) = &mut book {
                let sheet = choose(name, book.sheets_metadata(), sheet, sink)?;
                let merged = book.merge_cells_by_sheet_name(&sheet).map_err(|error| damaged(&error))?;
                let mut cells = book.worksheet_cells_reader(&sheet).map_err(|error| damaged(&error))?;
                let next = || match cells.next_cell_with_formula_metadata().map_err(|error| damaged(&error))? {
                    // a formula that is "" has that as its value
                    Some(cell) if cell.formula.is_some() && matches!(cell.value, DataRef::Empty) => {
                        Ok(Some((cell.pos, Value::Other("formula without its value: open the workbook in Excel and save it".into()))))
                    }
                    Some(cell) => Ok(Some((cell.pos, shared(&cell.value)))),
                    None => Ok(None),
                };
                return rows(name, next, merged, sink);
            }
            let mut book = match (Xlsb::new(source()?), error) {
                (Ok(book), _) if !book.sheets_metadata().is_empty() => book,
                (Err(XlsbError::Password), _) => return Err(password()),
                (_, Some(error)) if is_workbook(&error) => return Err(damaged(&error)),
                _ => {
                    let reason = "it is an archive, but not a workbook: unpack it first".into();
                    return Err(BooksError::Content { file: name.into(), reason });
                }
            };
            let sheet = choose(name, book.sheets_metadata(), sheet, sink)?;
            let mut cells = book.worksheet_cells_reader(&sheet).map_err(|error| damaged(&error))?;
            let next = || match cells.next_cell().map_err(|error| damaged(&error))? {
                Some(cell) => Ok(Some((cell.get_position(), shared(cell.get_value())))),
                None => Ok(None),
            };
            rows(name, next, Vec::new(), sink)
        }
    }
}

/// Whether an archive that could not be read was meant as a workbook.
fn is_workbook(error: &XlsxError) -> bool {
    !matches!(error, XlsxError::FileNotFound(_))
}

/// The sheet of a name, or the first that people see.
fn choose(name: &str, sheets: &[Sheet], wanted: Option<&str>, sink: &mut dyn Sink) -> Result<String, BooksError> {
    let worksheets = || sheets.iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let found = match wanted {
        Some(wanted) => worksheets().find(|sheet| sheet.name == wanted),
        None => worksheets().find(|sheet| sheet.visible == SheetVisible::Visible).or_else(|| worksheets().next()),
    };
    if let Some(found) = found {
        sink.has_other_sheets(worksheets().filter(|sheet| sheet.name != found.name).map(|sheet| sheet.name.clone()).collect());
    }
    found.map(|sheet| sheet.name.clone()).ok_or_else(|| {
        let names: Vec<&str> = worksheets().map(|sheet| sheet.name.as_str()).collect();
        let reason = match wanted {
            Some(wanted) => format!("the workbook has no sheet {wanted:?} (found: {})", names.join(", ")),
            None => "the workbook has no sheet".into(),
        };
        BooksError::Content { file: name.into(), reason }
    })
}

fn shared<'a>(value: &DataRef<'a>) -> Value<'a> {
    match value {
        DataRef::SharedString(text) => Value::Text(Cow::Borrowed(text)),
        DataRef::Empty => Value::Empty,
        DataRef::Int(number) => number_of(*number),
        DataRef::Float(number) => Value::Number(*number),
        DataRef::String(text) | DataRef::DateTimeIso(text) => Value::Text(Cow::Owned(text.clone())),
        DataRef::Bool(value) => Value::Other(value.to_string()),
        DataRef::DateTime(time) => date(*time),
        DataRef::DurationIso(text) => Value::Other(text.clone()),
        DataRef::Error(error) => Value::Other(error.to_string()),
    }
}

fn owned(value: &Data) -> Value<'_> {
    match value {
        Data::Empty => Value::Empty,
        Data::Int(number) => number_of(*number),
        Data::Float(number) => Value::Number(*number),
        Data::String(text) | Data::DateTimeIso(text) => Value::Text(Cow::Borrowed(text)),
        Data::Bool(value) => Value::Other(value.to_string()),
        Data::DateTime(time) => date(*time),
        Data::DurationIso(text) => Value::Other(text.clone()),
        Data::Error(error) => Value::Other(error.to_string()),
    }
}

/// A whole number, which was a float in the program that wrote it.
#[expect(clippy::cast_precision_loss, reason = "what is lost is refused by its size")]
fn number_of(number: i64) -> Value<'static> {
    Value::Number(number as f64)
}

/// A date of a workbook, which counts days; its times of day alone are no dates.
fn date(time: ExcelDateTime) -> Value<'static> {
    const LAST: f64 = 2_958_466.0;
    let serial = time.as_f64();
    if time.is_duration() || !(1.0..LAST).contains(&serial) {
        return Value::Other(serial.to_string());
    }
    time.as_datetime().map_or_else(|| Value::Other(serial.to_string()), |time| Value::Date(time.date()))
}

fn from_range(name: &str, range: &Range<Data>, merged: Vec<Dimensions>, sink: &mut dyn Sink) -> Result<(), BooksError> {
    let start = range.start().unwrap_or_default();
    let mut cells = range.used_cells();
    let next = || {
        Ok(cells.next().map(|(row, column, value)| {
            let at = |offset: usize, start: u32| start.saturating_add(u32::try_from(offset).unwrap_or(u32::MAX));
            ((at(row, start.0), at(column, start.1)), owned(value))
        }))
    };
    rows(name, next, merged, sink)
}

/// A cell that reaches into rows below.
struct Reaching<'a> {
    column: usize,
    /// The last row that it reaches.
    last: u32,
    value: Value<'a>,
}

/// Puts cells together into rows.
fn rows<'a>(
    name: &str,
    mut next: impl FnMut() -> Result<Option<((u32, u32), Value<'a>)>, BooksError>,
    mut merged: Vec<Dimensions>,
    sink: &mut dyn Sink,
) -> Result<(), BooksError> {
    const MAX_COLUMNS: u32 = 16_384;
    sink.are_fixed();
    merged.retain(|merged| merged.end.0 > merged.start.0);
    merged.sort_by_key(|merged| merged.start);
    let mut merged = merged.into_iter().peekable();
    let mut reaching: Vec<Reaching<'a>> = Vec::new();
    // the row that comes next, and its cells so far
    let (mut row, mut cells) = (0u32, Vec::<Cell<'a>>::new());
    loop {
        let found = next()?;
        let at = match &found {
            Some((_, Value::Empty)) => continue,
            Some((at, _)) => *at,
            None if cells.is_empty() => return Ok(()),
            None => (row + 1, 0),
        };
        if at.0 < row || at.1 >= MAX_COLUMNS {
            let reason = "the rows of the sheet are not in order: save the workbook again as .xlsx".into();
            return Err(BooksError::Content { file: name.into(), reason });
        }
        while row < at.0 {
            reaching.retain(|cell| cell.last >= row);
            for cell in &reaching {
                let value = Cell { value: cell.value.clone(), merged: true };
                put(&mut cells, cell.column, value);
            }
            while let Some(dimensions) = merged.next_if(|dimensions| dimensions.start.0 <= row) {
                let column = dimensions.start.1 as usize;
                let value = cells.get(column).map(|cell| cell.value.clone()).unwrap_or_default();
                reaching.push(Reaching { column, last: dimensions.end.0, value });
            }
            errors::unguarded(|| sink.row(u64::from(row) + 1, &cells))?;
            cells.clear();
            row += 1;
        }
        let Some((at, value)) = found else { return Ok(()) };
        put(&mut cells, at.1 as usize, Cell::new(value));
    }
}

/// Puts a cell in its column, unless there is one.
fn put<'a>(cells: &mut Vec<Cell<'a>>, column: usize, cell: Cell<'a>) {
    if cells.len() <= column {
        cells.resize_with(column + 1, Cell::default);
    }
    if cells[column].value == Value::Empty {
        cells[column] = cell;
    }
}
