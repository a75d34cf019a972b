//! Which pay dates a report covers if nobody states it, and which month of them is the last full one. Pure.

use chrono::{Datelike as _, Months, NaiveDate};

use crate::calendar::DateRange;

/// Months before the current one that a report begins with.
const MONTHS: u32 = 12;

/// What was requested, and what the lake holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Requested {
    pub(crate) from: Option<NaiveDate>,
    pub(crate) to: Option<NaiveDate>,
    /// From the first day that the lake holds of the merchants shown to the last.
    pub(crate) held: DateRange,
    /// The date in Seoul.
    pub(crate) today: NaiveDate,
}

impl Requested {
    /// The pay dates covered. By default they begin with the month twelve months before the current one, or, if they end before that,
    /// before the month in which they end; but not before the lake does.
    ///
    /// # Errors
    /// The range runs backwards; the text names the flag to set.
    pub(crate) fn range(self) -> Result<DateRange, String> {
        let Self { from, to, held, today } = self;
        let last = to.unwrap_or(held.to);
        let year_before = |day: NaiveDate| first_of_month(day).checked_sub_months(Months::new(MONTHS)).unwrap_or(held.from);
        let usual = year_before(today);
        let first = from.unwrap_or_else(|| if usual <= last { usual } else { year_before(last) }.max(held.from));
        match (from, to) {
            _ if first <= last => Ok(DateRange { from: first, to: last }),
            (Some(from), None) => Err(format!("--from {from} is after the last day that the lake holds, {last}: set --to as well")),
            _ => Err(format!("--to {last} is before the first day that the lake holds, {first}: set --from as well")),
        }
    }
}

/// The last month of a range that has passed and of which the range covers every day.
pub(crate) fn last_full_month(range: DateRange, today: NaiveDate) -> Option<NaiveDate> {
    let last = range.to.min(today.pred_opt()?);
    let next = last.succ_opt()?;
    let month = first_of_month(next).checked_sub_months(Months::new(1))?;
    (month >= range.from).then_some(month)
}

/// The first day of a day's month.
pub(crate) fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

/// The first day of each month of a range.
pub(crate) fn months(range: DateRange) -> impl DoubleEndedIterator<Item = NaiveDate> {
    let count = (range.to.year() - range.from.year()) * 12 + range.to.month().cast_signed() - range.from.month().cast_signed();
    let first = first_of_month(range.from);
    (0..=count.cast_unsigned()).filter_map(move |month| first.checked_add_months(Months::new(month)))
}

/// The days of a month that lie in a range.
pub(crate) fn within(month: NaiveDate, range: DateRange) -> DateRange {
    let last = month.checked_add_months(Months::new(1)).and_then(|next| next.pred_opt()).unwrap_or(NaiveDate::MAX);
    DateRange { from: month.max(range.from), to: last.min(range.to) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap_or_default()
    }

    fn covered(from: Option<&str>, to: Option<&str>, held: [&str; 2]) -> Result<[String; 2], String> {
        let held = DateRange { from: day(held[0]), to: day(held[1]) };
        let requested = Requested { from: from.map(day), to: to.map(day), held, today: day("2024-03-15") };
        requested.range().map(|range| [range.from.to_string(), range.to.to_string()])
    }

    #[test]
    fn a_report_covers_a_year_before_this_month_by_default() {
        let expected = |from: &str, to: &str| Ok([from.to_owned(), to.to_owned()]);
        assert_eq!(covered(None, None, ["2020-01-05", "2024-03-22"]), expected("2023-03-01", "2024-03-22"));
        assert_eq!(covered(None, None, ["2023-06-07", "2024-03-22"]), expected("2023-06-07", "2024-03-22"));
        assert_eq!(covered(None, None, ["2010-01-05", "2019-05-17"]), expected("2018-05-01", "2019-05-17"));
        assert_eq!(covered(Some("2019-01-01"), None, ["2020-01-05", "2024-03-22"]), expected("2019-01-01", "2024-03-22"));
        assert!(covered(Some("2025-01-01"), None, ["2020-01-05", "2024-03-22"]).is_err());
        assert!(covered(None, Some("2019-12-31"), ["2020-01-05", "2024-03-22"]).is_err());
    }

    #[test]
    fn a_month_is_full_once_it_has_passed() {
        let full = |from: &str, to: &str| last_full_month(DateRange { from: day(from), to: day(to) }, day("2024-03-15"));
        assert_eq!(full("2024-01-01", "2024-03-31"), Some(day("2024-02-01")));
        assert_eq!(full("2024-01-01", "2024-02-29"), Some(day("2024-02-01")));
        assert_eq!(full("2024-01-01", "2024-02-28"), Some(day("2024-01-01")));
        assert_eq!(full("2024-02-02", "2024-03-31"), None);
        assert_eq!(months(DateRange { from: day("2023-11-30"), to: day("2024-02-01") }).count(), 4);
    }
}
