//! The texts of notifications. What failed is stated as in the log, in English.

use std::fmt::Write as _;

use crate::engine::result::RunResult;
use crate::lake::publish::Restated;
use crate::lang::{Lang, Words, words};
use crate::settlement::columns::COLUMNS;

use super::pay_dates;

/// Before a failure.
pub(crate) const FAILED: Words = words("failed", "실패");

/// What came of a run, in one line.
pub(crate) fn summary(result: &RunResult, lang: Lang) -> String {
    let (dates, restated) = (&result.tally.dates, result.restated.len());
    let mut text = match lang {
        Lang::En => format!("cookiepay-etl {}: exit {}", result.command, result.exit_code),
        Lang::Ko => format!("cookiepay-etl {}: 종료 코드 {}", result.command, result.exit_code),
    };
    if let (Some(from), Some(to)) = (result.from, result.to) {
        let _ = write!(text, ", {}", pay_dates(from, to, lang));
    }
    let _ = match lang {
        Lang::En => write!(text, ": {} published, {} failed, {restated} restated", dates.published, dates.failed),
        Lang::Ko => write!(text, ": 저장 {}일, 실패 {}일, 정정 {restated}일", dates.published, dates.failed),
    };
    text
}

/// A restated day, with what changed in won.
pub(crate) fn restated(restated: &Restated, lang: Lang) -> String {
    let Restated { merchant_id, pay_date, rows_before, rows_after, added, removed, changed, delta } = restated;
    let mut text = match lang {
        Lang::En => format!(
            "restated {pay_date} of {merchant_id}: {rows_before} rows, now {rows_after} ({added} added, {removed} removed, {changed} changed)"
        ),
        Lang::Ko => {
            format!("정정 {pay_date} {merchant_id}: {rows_before}건 → {rows_after}건 (추가 {added}, 삭제 {removed}, 변경 {changed})")
        }
    };
    for (name, change) in delta {
        let label = match lang {
            Lang::En => name,
            Lang::Ko => COLUMNS.iter().find(|column| column.name == name).map_or(name.as_str(), |column| column.label.ko),
        };
        let _ = write!(text, ", {label} {}", change.as_str().unwrap_or_default());
    }
    text
}

/// How many failures and restatements are not listed.
pub(crate) fn more(count: usize, lang: Lang) -> String {
    match lang {
        Lang::En => format!("and {count} more"),
        Lang::Ko => format!("외 {count}건"),
    }
}
