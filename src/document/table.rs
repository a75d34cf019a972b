//! A table of a page: lines of cells, a total, and a line for each merchant below it.

use maud::{Markup, html};

use crate::lang::Lang;

use super::cell::Cell;

/// A table of a page. The first cell of each line is its header.
pub(crate) struct Table {
    /// What it shows, for people who hear the page.
    pub(crate) caption: String,
    /// The headers of its columns, and whether they hold numbers.
    pub(crate) columns: Vec<(String, Align)>,
    pub(crate) lines: Vec<Vec<Cell>>,
    /// A line for what is not listed, if anything is not.
    pub(crate) rest: Option<Vec<Cell>>,
    pub(crate) total: Option<Vec<Cell>>,
    /// A heading, and lines below the total.
    pub(crate) parts: Option<(&'static str, Vec<Vec<Cell>>)>,
}

/// Where a column's values stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

impl Table {
    /// A table of lines alone.
    pub(crate) fn new(caption: impl Into<String>, columns: Vec<(String, Align)>, lines: Vec<Vec<Cell>>) -> Self {
        Self { caption: caption.into(), columns, lines, rest: None, total: None, parts: None }
    }

    /// The table as HTML, in a frame that scrolls if it is too narrow.
    pub(crate) fn render(&self, lang: Lang) -> Markup {
        html! {
            // beside the frame, so that it does not scroll away; people who hear the page have the table's own
            p.caption aria-hidden="true" { (self.caption) }
            div.frame role="group" tabindex="0" aria-label=(self.caption) {
                table {
                    caption.v { (self.caption) }
                    thead { tr { @for (title, align) in &self.columns { th.n[*align == Align::Right] scope="col" { (title) } } } }
                    tbody {
                        @for line in &self.lines { (render_line(line, lang, None)) }
                        @if let Some(rest) = &self.rest { (render_line(rest, lang, Some("rest"))) }
                    }
                    @if let Some(total) = &self.total {
                        tbody { (render_line(total, lang, Some("total"))) }
                    }
                    @if let Some((heading, lines)) = &self.parts {
                        tbody.parts {
                            tr { th.group scope="rowgroup" colspan=(self.columns.len()) { (heading) } }
                            @for line in lines { (render_line(line, lang, None)) }
                        }
                    }
                }
            }
        }
    }
}

fn render_line(line: &[Cell], lang: Lang, class: Option<&str>) -> Markup {
    html! {
        tr class=[class] {
            @for (index, cell) in line.iter().enumerate() {
                @if index == 0 {
                    // a header that is blank is none
                    th.d[is_date(cell)] scope="row" { @if cell.show(lang).is_empty() { "–" } @else { (cell.show(lang)) } }
                } @else if is_loss(cell) {
                    td.n.minus { (cell.show(lang)) }
                } @else {
                    td.n[cell.is_number()].d[is_date(cell)].w[is_sentence(cell)] { (cell.show(lang)) }
                }
            }
        }
    }
}

/// Whether a number is less than nothing; its sign shows it as well.
fn is_loss(cell: &Cell) -> bool {
    match cell {
        Cell::Won(amount) | Cell::Change(amount) | Cell::Growth { part: amount, .. } => *amount < 0,
        _ => false,
    }
}

/// Whether it is a text of several words, which would be a tall and narrow column beside many others.
fn is_sentence(cell: &Cell) -> bool {
    const LONG: usize = 24;
    matches!(cell, Cell::Text(text) if text.contains(' ') && text.chars().nth(LONG).is_some())
}

/// Whether it is a date or a time, which stays on one line.
fn is_date(cell: &Cell) -> bool {
    matches!(cell, Cell::Date(_) | Cell::Month(_) | Cell::Time(_))
}
