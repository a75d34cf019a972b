//! Documents for people: a page in one file, and a workbook. Knows tables and how their values are written, not what is in them.
//!
//! [`cell`] is a value with its form, [`page`] a page around sections, [`table`] a table of it, and [`workbook`] the sheets.

pub(crate) mod cell;
pub(crate) mod page;
pub(crate) mod table;
pub(crate) mod workbook;
