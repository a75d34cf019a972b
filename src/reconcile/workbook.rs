//! An outcome as a workbook: summary, differences, all cases, fees, deposits.

use chrono::{DateTime, Utc};

use crate::document::cell::Cell;
use crate::document::workbook::{Column, Sheet, Total, WorkbookError, workbook as encode};
use crate::lang::Lang;
use crate::texts::reconcile::{column, heading, sheet};

use super::lists::{self, List};
use super::outcome::Outcome;

/// The workbook.
///
/// # Errors
/// A sheet would have more lines than a workbook can hold, or it cannot be written.
pub(crate) fn workbook(outcome: &Outcome, made_at: DateTime<Utc>, lang: Lang) -> Result<Vec<u8>, WorkbookError> {
    let of = |name: &'static str, List { columns, lines }| {
        let columns = columns.into_iter().map(|(title, total)| Column { title: title.to(lang), total }).collect();
        Sheet { name, columns, lines }
    };
    let titles = [column::PART, heading::STATUS, heading::CASES, column::EXPECTED, column::FOUND, heading::DIFFERENCE, column::MEANING];
    let lines = lists::summary(outcome, lang)
        .into_iter()
        .flat_map(move |(part, lines)| lines.into_iter().map(move |line| [vec![Cell::text(column::part(part).to(lang))], line].concat()));
    let summary = List { columns: titles.map(|title| (title, Total::Blank)).to_vec(), lines: Box::new(lines) };
    let sheets = vec![
        of(sheet::SUMMARY.to(lang), summary),
        of(sheet::DIFFERENCES.to(lang), lists::differences(outcome, usize::MAX, lang)),
        of(sheet::CASES.to(lang), lists::cases(outcome, lang)),
        of(heading::FEES.to(lang), lists::fees(outcome, lang)),
        of(heading::DEPOSITS.to(lang), lists::deposits(outcome, lang)),
    ];
    encode(sheet::TITLE.to(lang), sheets, made_at, lang)
}
