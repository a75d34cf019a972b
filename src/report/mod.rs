//! What a person looks at: one page, or one workbook, of what a lake holds. Reads the lake alone.
//!
//! [`collect`] reads the [`figures`] from the day records, one merchant after another; [`amounts`] says what rows come to,
//! [`period`] which days are covered, [`attention`] what somebody should do. [`page`] and [`workbook`] show them.

mod amounts;
mod attention;
mod collect;
mod figures;
mod page;
mod period;
mod workbook;

use crate::document::workbook::WorkbookError;
use crate::lang::Lang;

pub(crate) use collect::{Making, figures};
pub(crate) use figures::Figures;

/// How a report is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) lang: Lang,
    /// The lake's root.
    pub(crate) dest: &'a str,
    /// Days after its pay date after which an open day is overdue.
    pub(crate) settle_window: u32,
}

/// A report that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    /// A page of so many days could not be opened.
    #[error("a page shows at most {MOST_DAYS} days, and {0} are covered: choose a shorter range with --from and --to")]
    TooLong(u64),
    /// There is no workbook.
    #[error(transparent)]
    Workbook(#[from] WorkbookError),
}

impl ReportError {
    /// Whether another range would do.
    pub(crate) fn is_about_the_range(&self) -> bool {
        matches!(self, Self::TooLong(_) | Self::Workbook(WorkbookError::TooLong(_)))
    }
}

/// A century.
const MOST_DAYS: u64 = 36_525;

impl Figures {
    /// The page.
    ///
    /// # Errors
    /// The range is longer than a century.
    pub(crate) fn page(&self, shown: Shown<'_>) -> Result<String, ReportError> {
        match self.range.len() {
            days if days > MOST_DAYS => Err(ReportError::TooLong(days)),
            _ => Ok(page::render(self, shown)),
        }
    }

    /// The workbook.
    ///
    /// # Errors
    /// It would have more lines than a workbook can hold, or cannot be written.
    pub(crate) fn workbook(&self, shown: Shown<'_>) -> Result<Vec<u8>, ReportError> {
        Ok(workbook::workbook(self, shown.lang)?)
    }
}
