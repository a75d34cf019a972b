//! All texts for people that exist in two languages, by where they appear.

pub(crate) mod notification;
pub(crate) mod reconcile;
pub(crate) mod report;

use chrono::NaiveDate;

use crate::lang::Lang;

/// A range of pay dates, both inclusive.
pub(crate) fn pay_dates(from: NaiveDate, to: NaiveDate, lang: Lang) -> String {
    match lang {
        Lang::En => format!("pay dates {from} to {to}"),
        Lang::Ko => format!("지급일 {from} ~ {to}"),
    }
}
