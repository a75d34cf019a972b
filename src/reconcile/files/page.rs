//! Tables of a page: HTML named `.xls`, as banks and shops export it.

use encoding_rs::Encoding;
use scraper::{Html, Node};

use super::cell::Cell;
use super::error::BooksError;
use super::table::{HEADER_ROWS, Sink};

/// Columns that a cell may span; more are no table that people made.
const MAX_SPAN: usize = 1000;

/// Whether a text is a page: it begins with a tag, and not with a title in brackets.
pub(super) fn is_page(start: &str) -> bool {
    let start = start.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}');
    let mut characters = start.chars();
    characters.next() == Some('<') && characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '!' || c == '?')
}

/// The charset that a page's meta element states.
pub(super) fn charset(head: &[u8]) -> Option<&'static Encoding> {
    let head = head.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = memchr::memmem::find(&head[from..], b"charset") {
        let rest = &head[from + at + b"charset".len()..];
        from += at + 1;
        let rest = rest.trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b"=") else { continue };
        let label = rest.trim_ascii_start();
        let label = label.strip_prefix(b"\"").or_else(|| label.strip_prefix(b"'")).unwrap_or(label);
        let end = label.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"-_:".contains(byte)).unwrap_or(label.len());
        // UTF-16 without a BOM cannot be: the statement itself is readable
        return Encoding::for_label(&label[..end]).filter(|encoding| !encoding.name().starts_with("UTF-16"));
    }
    None
}

/// Reads the table that holds the header, and passes its rows on.
///
/// # Errors
/// No table, several with a header, and what `sink` refuses.
pub(super) fn read(name: &str, text: &str, sink: &mut dyn Sink) -> Result<(), BooksError> {
    let content = |reason: String| BooksError::Content { file: name.into(), reason };
    if text.contains("urn:schemas-microsoft-com:office:spreadsheet") {
        return Err(content("it is an XML spreadsheet: save it as .xlsx or CSV".into()));
    }
    if is_too_deep(text) {
        return Err(content("the elements of the page are nested too deeply: export it as CSV or as .xlsx".into()));
    }
    let tables = tables(text);
    let holds_header = |table: &&Vec<Vec<PageCell>>| table.iter().take(HEADER_ROWS).any(|row| sink.is_header(&cells(row)));
    let held: Vec<&Vec<Vec<PageCell>>> = tables.iter().filter(holds_header).collect();
    let table = match held[..] {
        [table] => table,
        // the sink reports what it found in place of a header
        [] => match tables.iter().max_by_key(|table| table.iter().take(HEADER_ROWS).map(Vec::len).max()) {
            Some(table) => table,
            None => return Err(content("the page has no table: export it as CSV or as .xlsx".into())),
        },
        _ => return Err(content(format!("{} tables of the page hold the header: save each as a file of its own", held.len()))),
    };
    for (row, line) in table.iter().zip(1..) {
        sink.row(line, &cells(row))?;
    }
    Ok(())
}

/// Whether elements are nested so deeply that reading the page would take very long: no page that people made is.
fn is_too_deep(text: &str) -> bool {
    const MOST: u32 = 1000;
    // elements that end by themselves
    const FLAT: [&str; 20] = [
        "td", "th", "tr", "thead", "tbody", "tfoot", "col", "colgroup", "p", "li", "dd", "dt", "option", "br", "hr", "img", "input",
        "meta", "link", "wbr",
    ];
    let (mut tables, mut depth) = (0u32, 0u32);
    for at in memchr::memchr_iter(b'<', text.as_bytes()) {
        let rest = &text[at + 1..];
        let (is_end, rest) = rest.strip_prefix('/').map_or((false, rest), |rest| (true, rest));
        let length = rest.bytes().take(16).take_while(u8::is_ascii_alphanumeric).count();
        let name = rest[..length].to_ascii_lowercase();
        let count = if name == "table" { &mut tables } else { &mut depth };
        match name.as_str() {
            "" => continue,
            // what is open within a cell ends with it
            "td" | "th" | "tr" => depth = 0,
            _ if FLAT.contains(&name.as_str()) => {}
            _ if is_end => *count = count.saturating_sub(1),
            _ => *count += 1,
        }
        if tables.max(depth) > MOST {
            return true;
        }
    }
    false
}

/// A cell of a page.
#[derive(Debug, Clone, Default)]
struct PageCell {
    text: String,
    merged: bool,
}

fn cells(row: &[PageCell]) -> Vec<Cell<'_>> {
    row.iter().map(|cell| Cell { merged: cell.merged, ..Cell::text(&cell.text) }).collect()
}

/// A table that is being read.
#[derive(Default)]
struct Open {
    /// Its place among the tables.
    index: usize,
    rows: Vec<Vec<PageCell>>,
    /// Cells of rows above that reach into the next rows: by column, for how many more rows.
    below: Vec<(usize, PageCell)>,
    /// Whether text belongs to the last cell.
    is_in_cell: bool,
    /// The span of the last cell over columns and rows.
    span: (usize, usize),
    row: Vec<PageCell>,
    is_in_row: bool,
}

impl Open {
    fn begin_row(&mut self) {
        self.end_row();
        self.is_in_row = true;
    }

    fn begin_cell(&mut self, columns: usize, rows: usize) {
        if !self.is_in_row {
            self.is_in_row = true;
        }
        self.end_cell();
        self.fill_from_above();
        self.row.push(PageCell::default());
        self.is_in_cell = true;
        self.span = (columns, rows);
    }

    /// Puts in the cells of rows above that reach to here.
    fn fill_from_above(&mut self) {
        while let Some((rows, cell)) = self.below.get_mut(self.row.len()).filter(|(rows, _)| *rows > 0) {
            *rows -= 1;
            self.row.push(PageCell { merged: true, ..cell.clone() });
        }
    }

    fn end_cell(&mut self) {
        if !std::mem::take(&mut self.is_in_cell) {
            return;
        }
        let (columns, rows) = self.span;
        let first = self.row.len() - 1;
        for _ in 1..columns {
            self.row.push(PageCell::default());
        }
        if rows > 1 {
            if self.below.len() < self.row.len() {
                self.below.resize(self.row.len(), (0, PageCell::default()));
            }
            for column in first..self.row.len() {
                self.below[column] = (rows - 1, self.row[column].clone());
            }
        }
    }

    fn end_row(&mut self) {
        self.end_cell();
        if std::mem::take(&mut self.is_in_row) {
            let last = self.below.iter().rposition(|(rows, _)| *rows > 0);
            while last.is_some_and(|last| self.row.len() <= last) {
                let before = self.row.len();
                self.fill_from_above();
                if self.row.len() == before {
                    self.row.push(PageCell::default());
                }
            }
            self.rows.push(std::mem::take(&mut self.row));
        }
    }
}

/// The tables of a page, each with its own rows: those of a table within a cell are that table's.
fn tables(text: &str) -> Vec<Vec<Vec<PageCell>>> {
    use ego_tree::iter::Edge;
    let page = Html::parse_document(text);
    let mut tables: Vec<Vec<Vec<PageCell>>> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for edge in page.tree.root().traverse() {
        match edge {
            Edge::Open(node) => match node.value() {
                Node::Element(element) => match (element.name(), open.last_mut()) {
                    ("table", _) => {
                        open.push(Open { index: tables.len(), ..Open::default() });
                        tables.push(Vec::new());
                    }
                    ("tr", Some(table)) => table.begin_row(),
                    ("td" | "th", Some(table)) => {
                        let span = |name: &str| element.attr(name).and_then(|span| span.trim().parse::<usize>().ok());
                        let within = |span: Option<usize>, most: usize| span.unwrap_or(1).clamp(1, most);
                        table.begin_cell(within(span("colspan"), MAX_SPAN), within(span("rowspan"), 65_534));
                    }
                    ("br", Some(table)) => add(table, "\n"),
                    _ => {}
                },
                Node::Text(text) => {
                    let parent = node.parent().and_then(|parent| parent.value().as_element());
                    if let Some(table) = open.last_mut()
                        && !parent.is_some_and(|parent| matches!(parent.name(), "script" | "style"))
                    {
                        add(table, text);
                    }
                }
                _ => {}
            },
            Edge::Close(node) => {
                let name = node.value().as_element().map(scraper::node::Element::name);
                match (name, open.last_mut()) {
                    (Some("td" | "th"), Some(table)) => table.end_cell(),
                    (Some("tr"), Some(table)) => table.end_row(),
                    (Some("table"), Some(_)) => {
                        if let Some(mut table) = open.pop() {
                            table.end_row();
                            tables[table.index] = table.rows;
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    tables
}

fn add(table: &mut Open, text: &str) {
    if table.is_in_cell
        && let Some(cell) = table.row.last_mut()
    {
        cell.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<Vec<Vec<String>>> {
        let row =
            |row: &Vec<PageCell>| row.iter().map(|cell| format!("{}{}", cell.text.trim(), if cell.merged { "^" } else { "" })).collect();
        tables(text).iter().map(|table| table.iter().map(row).collect()).collect()
    }

    #[test]
    fn tables_within_tables_and_cells_that_are_not_closed() {
        let text = "<table><tr><td>a<table><tr><td>b</table>c<table><tr><td>1<td>2<tr><td>3<td></table></table>";
        assert_eq!(shown(text), [vec![vec!["ac"]], vec![vec!["b"]], vec![vec!["1", "2"], vec!["3", ""]]]);
    }

    #[test]
    fn cells_over_several_columns_and_rows() {
        let text = "<table><thead><tr><th>a<th colspan=2>b<th>c<tbody><tr><td rowspan=2>A<td>1<br>2<td>3<td>4<tr><td>5<td rowspan=2>6<td>7\
                    <tr><td>8<td>9<td>10</table>";
        let expected = [vec!["a", "b", "", "c"], vec!["A", "1\n2", "3", "4"], vec!["A^", "5", "6", "7"], vec!["8", "9", "6^", "10"]];
        assert_eq!(shown(text), [expected]);
    }

    #[test]
    fn pages_and_their_charsets() {
        for start in ["<table>", "\u{FEFF}\r\n <HTML>", "<!DOCTYPE html>", "<?xml version='1.0'?>"] {
            assert!(is_page(start), "{start}");
        }
        for start in ["", "a<b", "<거래내역>,", "<>"] {
            assert!(!is_page(start), "{start}");
        }
        for (head, name) in [
            ("<meta http-equiv=Content-Type content=\"text/html; charset=ks_c_5601-1987\">", Some("EUC-KR")),
            ("<meta CHARSET='EUC-KR'>", Some("EUC-KR")),
            ("<meta charset = \"utf-8\">", Some("UTF-8")),
            ("<meta charset=klingon>", None),
            ("<meta charset=utf-16>", None),
            ("<table>", None),
        ] {
            assert_eq!(charset(head.as_bytes()).map(Encoding::name), name, "{head}");
        }
    }
}
