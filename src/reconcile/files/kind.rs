//! What kind of file it is, by its content: names lie.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};

use super::error::BooksError;
use super::find::Found;
use super::table::Sink;
use super::text::{self, Text};
use super::{columnar, delimited, page, workbook};

/// Bytes by which a kind is recognised.
const HEAD: usize = 64 * 1024;

/// Reads a file of any kind, and passes its rows on.
///
/// # Errors
/// What cannot be read, and what `sink` refuses.
pub(super) fn read(found: Found, sink: &mut dyn Sink) -> Result<(), BooksError> {
    let Found { name, mut file, sheet } = found;
    let io = |source: io::Error| BooksError::Io { file: name.clone(), source };
    let mut head = vec![0; HEAD];
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let read = text::read_full(&mut file, &mut head).map_err(io)?;
    head.truncate(read);
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    if let Some(kind) = workbook::Kind::of(&head) {
        return workbook::read(&name, &file, kind, sheet.as_deref(), sink);
    }
    if let Some(sheet) = sheet {
        let reason = format!("it is not a workbook, and has no sheet {sheet:?}: name the file alone");
        return Err(BooksError::Content { file: name, reason });
    }
    if head.starts_with(b"PAR1") {
        return columnar::read(&name, file, sink);
    }
    let (encoding, bom) = text::encoding_of(&mut file).map_err(io)?;
    let start = encoding.decode_without_bom_handling(&head[bom.min(head.len())..]).0;
    if page::is_page(&start) {
        let encoding = if bom > 0 { encoding } else { page::charset(&head).unwrap_or(encoding) };
        let text = limited(&name, file, encoding, bom)?;
        return page::read(&name, &text, sink);
    }
    // a text has no such bytes, but files of other programs do
    if head.contains(&0) && bom == 0 {
        let reason =
            "it is neither a workbook, a page, Parquet nor text in UTF-8, CP949, or UTF-16 with BOM: export it as CSV in UTF-8 or as \
                      .xlsx"
                .into();
        return Err(BooksError::Content { file: name, reason });
    }
    delimited::read(&name, Text::open(file, encoding, bom).map_err(io)?, sink)
}

/// The text of a page, which is held as a whole.
fn limited(name: &str, file: File, encoding: &'static encoding_rs::Encoding, bom: usize) -> Result<String, BooksError> {
    const MAX: u64 = 64 * 1024 * 1024;
    let io = |source: io::Error| BooksError::Io { file: name.into(), source };
    if file.metadata().map_err(io)?.len() > MAX {
        let reason = "a page of more than 64 MiB is not read: export it as CSV, or in parts".into();
        return Err(BooksError::Content { file: name.into(), reason });
    }
    Text::open(file, encoding, bom).map_err(io)?.all().map_err(|error| delimited::text_error(name, error))
}
