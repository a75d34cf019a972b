//! A workbook as an accountant makes it: typed cells, a frozen header with filters, and a total as a formula in the last line.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use rust_xlsxwriter::{Color, DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Formula, Workbook, Worksheet, XlsxError};

use crate::lang::{Lang, Words, words};
use crate::settlement::values::{AMOUNT, format_decimal};

use super::cell::{Cell, seoul};

/// Lines that a sheet can hold below its header.
pub(crate) const MOST_LINES: u64 = 1_048_575;
/// The widest column, in characters.
const WIDEST: usize = 60;

const TOTAL: Words = words("Total", "합계");

/// A column of a sheet.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) total: Total,
}

/// What the last line has in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Total {
    /// Nothing.
    Blank,
    /// The sum of what the filters show.
    Sum,
    /// The share of one column's total in another's, by their positions.
    Share { part: u16, whole: u16 },
}

/// A sheet.
pub(crate) struct Sheet<'s> {
    pub(crate) name: &'static str,
    pub(crate) columns: Vec<Column>,
    pub(crate) lines: Box<dyn Iterator<Item = Vec<Cell>> + 's>,
}

/// Why there is no workbook.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkbookError {
    /// A sheet has more lines than a workbook can hold.
    #[error(
        "a sheet of a workbook has at most {MOST_LINES} lines, and the sheet {0} needs more: choose a shorter range with --from and --to"
    )]
    TooLong(&'static str),
    /// It cannot be written.
    #[error("the workbook cannot be written")]
    Write(#[from] XlsxError),
}

/// A workbook of these sheets.
///
/// # Errors
/// A sheet is too long, or the temporary files of long sheets cannot be written.
pub(crate) fn workbook(title: &str, sheets: Vec<Sheet<'_>>, made_at: DateTime<Utc>, lang: Lang) -> Result<Vec<u8>, WorkbookError> {
    let mut workbook = Workbook::new();
    let mut properties = DocProperties::new().set_title(title).set_author("cookiepay-etl");
    if let Ok(made) = ExcelDateTime::from_timestamp(made_at.timestamp()) {
        properties = properties.set_creation_datetime(&made);
    }
    workbook.set_properties(&properties);
    let formats = Formats::new();
    for sheet in sheets {
        write(workbook.add_worksheet_with_constant_memory()?, sheet, &formats, lang)?;
    }
    Ok(workbook.save_to_buffer()?)
}

struct Formats {
    header: Format,
    header_number: Format,
    text: Format,
    date: Format,
    month: Format,
    time: Format,
    number: Format,
    change: Format,
    share: Format,
    growth: Format,
}

impl Formats {
    fn new() -> Self {
        let header = Format::new().set_bold().set_background_color(Color::RGB(0x00E8_EDF3)).set_border_bottom(FormatBorder::Thin);
        let left = |form: &str| Format::new().set_num_format(form).set_align(FormatAlign::Left);
        let number = |form: &str| Format::new().set_num_format(form);
        Self {
            header_number: header.clone().set_align(FormatAlign::Right),
            header,
            text: Format::new(),
            date: left("yyyy-mm-dd"),
            month: left("yyyy-mm"),
            time: left("yyyy-mm-dd hh:mm"),
            number: number("#,##0"),
            change: number("+#,##0;-#,##0;0"),
            share: number("0.00%"),
            growth: number("+0.0%;-0.0%;0.0%"),
        }
    }

    fn of(&self, cell: &Cell) -> &Format {
        match cell {
            Cell::Blank | Cell::Text(_) => &self.text,
            Cell::Date(_) => &self.date,
            Cell::Month(_) => &self.month,
            Cell::Time(_) => &self.time,
            Cell::Count(_) | Cell::Won(_) => &self.number,
            Cell::Change(_) => &self.change,
            Cell::Share { .. } => &self.share,
            Cell::Growth { .. } => &self.growth,
        }
    }
}

/// What is known of a column once its lines are written.
#[derive(Clone, Default)]
struct Seen {
    width: usize,
    sum: i128,
    /// A cell of it, for the total's form.
    like: Option<Cell>,
}

fn write(sheet: &mut Worksheet, Sheet { name, columns, lines }: Sheet<'_>, formats: &Formats, lang: Lang) -> Result<(), WorkbookError> {
    sheet.set_name(name)?;
    let mut lines = lines.peekable();
    let mut seen: Vec<Seen> = columns.iter().map(|column| Seen { width: width(column.title) + 3, ..Seen::default() }).collect();
    let first = lines.peek().cloned().unwrap_or_default();
    for (at, column) in (0u16..).zip(&columns) {
        let is_number = first.get(usize::from(at)).map_or(column.total != Total::Blank, Cell::is_number);
        sheet.write_string_with_format(0, at, column.title, if is_number { &formats.header_number } else { &formats.header })?;
    }
    let mut row = 0;
    for line in lines {
        row += 1;
        // the total comes below
        if u64::from(row) >= MOST_LINES {
            return Err(WorkbookError::TooLong(name));
        }
        for ((at, cell), seen) in (0u16..).zip(&line).zip(&mut seen) {
            write_cell(sheet, row, at, cell, formats)?;
            seen.width = seen.width.max(width(&cell.show(lang)) + 2);
            seen.sum = seen.sum.saturating_add(value(cell));
            if seen.like.is_none() && *cell != Cell::Blank {
                seen.like = Some(cell.clone());
            }
        }
    }
    let last = row.max(1);
    if columns.iter().any(|column| column.total != Total::Blank) {
        write_total(sheet, last, &columns, &mut seen, formats, lang)?;
    }
    for (at, seen) in (0u16..).zip(&seen) {
        sheet.set_column_width(at, f64::from(u8::try_from(seen.width.min(WIDEST)).unwrap_or(u8::MAX)))?;
    }
    let last_column = u16::try_from(columns.len().saturating_sub(1)).unwrap_or_default();
    sheet.autofilter(0, 0, last, last_column)?;
    sheet.set_freeze_panes(1, 0)?;
    // A4, as wide as the page
    sheet.set_paper_size(9).set_landscape().set_print_fit_to_pages(1, 0);
    sheet.set_repeat_rows(0, 0)?;
    Ok(())
}

/// The last line, over the lines from the second of the sheet to `last`.
fn write_total(
    sheet: &mut Worksheet,
    last: u32,
    columns: &[Column],
    seen: &mut [Seen],
    formats: &Formats,
    lang: Lang,
) -> Result<(), XlsxError> {
    let row = last + 1;
    let bold = |format: &Format| format.clone().set_bold().set_border_top(FormatBorder::Thin);
    let sums: Vec<i128> = seen.iter().map(|seen| seen.sum).collect();
    for ((at, column), seen) in (0u16..).zip(columns).zip(seen) {
        let letters = rust_xlsxwriter::utility::column_number_to_name(at);
        match column.total {
            Total::Blank if at == 0 => {
                sheet.write_string_with_format(row, at, TOTAL.to(lang), &bold(&formats.text))?;
            }
            Total::Blank => {
                sheet.write_blank(row, at, &bold(&formats.text))?;
            }
            Total::Sum => {
                // what a filter hides is left out; the lines begin at the second
                let sum = Formula::new(format!("=SUBTOTAL(109,{letters}2:{letters}{row})"));
                let like = seen.like.clone().unwrap_or(Cell::Won(0));
                let stored = if let Cell::Count(_) = like { seen.sum / HUNDRED } else { seen.sum };
                let text = if let Cell::Count(_) = like { stored.to_string() } else { plain(stored) };
                sheet.write_formula_with_format(row, at, sum.set_result(text), &bold(formats.of(&like)))?;
                let total = if let Cell::Count(_) = like { Cell::Won(seen.sum) } else { Cell::Change(seen.sum) };
                seen.width = seen.width.max(width(&total.show(lang)) + 3);
            }
            Total::Share { part, whole } => {
                let name = rust_xlsxwriter::utility::column_number_to_name;
                let cells = format!("{}{}", name(part), row + 1);
                let base = format!("{}{}", name(whole), row + 1);
                let share = Formula::new(format!("=IF({base}=0,\"\",{cells}/{base})"));
                let sum = |at: u16| sums.get(usize::from(at)).copied().unwrap_or_default();
                let result = ratio(sum(part), sum(whole)).map(|ratio| ratio.to_string()).unwrap_or_default();
                sheet.write_formula_with_format(row, at, share.set_result(result), &bold(&formats.share))?;
            }
        }
    }
    Ok(())
}

const HUNDRED: i128 = 100;

/// What a cell adds to its column's total, in hundredths.
fn value(cell: &Cell) -> i128 {
    match cell {
        Cell::Won(amount) | Cell::Change(amount) => *amount,
        Cell::Count(number) => i128::from(*number) * HUNDRED,
        _ => 0,
    }
}

/// A decimal without decimals that say nothing.
fn plain(amount: i128) -> String {
    let text = format_decimal(amount, AMOUNT.decimals);
    text.strip_suffix(".00").map(ToOwned::to_owned).unwrap_or(text)
}

fn write_cell(sheet: &mut Worksheet, row: u32, at: u16, cell: &Cell, formats: &Formats) -> Result<(), XlsxError> {
    let format = formats.of(cell);
    match cell {
        Cell::Blank => {}
        Cell::Text(text) => {
            sheet.write_string(row, at, shortened(text))?;
        }
        Cell::Date(date) | Cell::Month(date) => match excel_date(*date) {
            Some(day) => {
                sheet.write_datetime_with_format(row, at, &day, format)?;
            }
            None => {
                sheet.write_string(row, at, date.to_string())?;
            }
        },
        Cell::Time(time) => match excel_time(seoul(*time)) {
            Some(time) => {
                sheet.write_datetime_with_format(row, at, &time, format)?;
            }
            None => {
                sheet.write_string(row, at, time.to_string())?;
            }
        },
        Cell::Count(_) | Cell::Won(_) | Cell::Change(_) => {
            sheet.write_number_with_format(row, at, float(value(cell)) / float(HUNDRED), format)?;
        }
        Cell::Share { part, whole } | Cell::Growth { part, whole } => {
            if let Some(ratio) = ratio(*part, *whole) {
                sheet.write_number_with_format(row, at, ratio, format)?;
            }
        }
    }
    Ok(())
}

/// Workbooks know no day before 1900; the day that they have by mistake is before March of that year.
fn excel_date(date: NaiveDate) -> Option<ExcelDateTime> {
    use chrono::Datelike as _;
    let (year, month, day) = (u16::try_from(date.year()).ok()?, u8::try_from(date.month()).ok()?, u8::try_from(date.day()).ok()?);
    ExcelDateTime::from_ymd(year, month, day).ok()
}

fn excel_time(time: NaiveDateTime) -> Option<ExcelDateTime> {
    use chrono::Timelike as _;
    let (hour, minute) = (u16::try_from(time.hour()).ok()?, u8::try_from(time.minute()).ok()?);
    excel_date(time.date())?.and_hms(hour, minute, 0).ok()
}

#[expect(clippy::cast_precision_loss, reason = "a workbook's cells are floats")]
fn float(number: i128) -> f64 {
    number as f64
}

fn ratio(part: i128, whole: i128) -> Option<f64> {
    (whole != 0).then(|| float(part) / float(whole))
}

/// A cell holds so many characters and no more.
fn shortened(text: &str) -> String {
    const MOST: usize = 32_767;
    if text.len() <= MOST { text.to_owned() } else { text.chars().take(MOST / 2).collect() }
}

/// How wide a text is, in digits: Korean letters are two.
fn width(text: &str) -> usize {
    text.chars().map(|character| if character.is_ascii() { 1 } else { 2 }).sum()
}
