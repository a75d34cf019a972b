//! Values of tables, and how people read them. Exact: an amount is a number of hundredths of a won.

use std::borrow::Cow;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, TimeDelta, Utc};

use crate::figures::{count, grouped};
use crate::lang::Lang;
use crate::settlement::values::{AMOUNT, format_decimal};

/// A value of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// No value.
    Blank,
    Text(Cow<'static, str>),
    Date(NaiveDate),
    /// A month, by its first day.
    Month(NaiveDate),
    /// A time, shown as it is in Seoul.
    Time(DateTime<Utc>),
    Count(u64),
    /// In hundredths of a won.
    Won(i128),
    /// A difference in hundredths of a won, with its sign.
    Change(i128),
    /// One amount as a share of another.
    Share {
        part: i128,
        whole: i128,
    },
    /// By how much a share of another amount has changed.
    Growth {
        part: i128,
        whole: i128,
    },
}

impl Cell {
    pub(crate) fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Text(text.into())
    }

    /// Whether it is written flush right.
    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Count(_) | Self::Won(_) | Self::Change(_) | Self::Share { .. } | Self::Growth { .. })
    }

    /// As people read it.
    pub(crate) fn show(&self, lang: Lang) -> Cow<'_, str> {
        match self {
            Self::Blank => "".into(),
            Self::Text(text) => text.as_ref().into(),
            Self::Date(date) => day(*date, lang).into(),
            Self::Month(date) => date.format("%Y-%m").to_string().into(),
            Self::Time(time) => seoul(*time).format("%Y-%m-%d %H:%M").to_string().into(),
            Self::Count(number) => count(*number).into(),
            Self::Won(amount) => won(*amount).into(),
            Self::Change(amount) => change(*amount).into(),
            Self::Share { part, whole } => percent(*part, *whole, 2).map_or_else(|| "–".into(), Into::into),
            Self::Growth { part, whole } => {
                percent(*part, *whole, 1).map_or_else(|| "–".into(), |text| if *part > 0 { format!("+{text}").into() } else { text.into() })
            }
        }
    }
}

/// The time in Seoul; a time that a file states may be too late to be represented there.
pub(crate) fn seoul(time: DateTime<Utc>) -> NaiveDateTime {
    let utc = time.naive_utc();
    utc.checked_add_signed(TimeDelta::hours(9)).unwrap_or(utc)
}

/// `2024-01-05 (Fri)`
pub(crate) fn day(date: NaiveDate, lang: Lang) -> String {
    format!("{date} ({})", weekday(date, lang))
}

/// The short name of a day's weekday.
pub(crate) fn weekday(date: NaiveDate, lang: Lang) -> &'static str {
    let names = match lang {
        Lang::Ko => ["일", "월", "화", "수", "목", "금", "토"],
        Lang::En => ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"],
    };
    names[date.weekday().num_days_from_sunday() as usize % 7]
}

/// `January 2024`, `2024년 1월`
pub(crate) fn month(date: NaiveDate, lang: Lang) -> String {
    match lang {
        Lang::Ko => format!("{}년 {}월", date.year(), date.month()),
        Lang::En => date.format("%B %Y").to_string(),
    }
}

/// `1,234,567`, with decimals only if there are any.
pub(crate) fn won(amount: i128) -> String {
    let text = grouped(&format_decimal(amount, AMOUNT.decimals));
    text.strip_suffix(".00").map(ToOwned::to_owned).unwrap_or(text)
}

/// The same with a plus sign.
pub(crate) fn change(amount: i128) -> String {
    if amount > 0 { format!("+{}", won(amount)) } else { won(amount) }
}

/// A share in percent, rounded half away from zero; `None` without a whole to share.
pub(crate) fn percent(part: i128, whole: i128, decimals: u8) -> Option<String> {
    let scale = 100 * 10i128.pow(decimals.into());
    let whole = (whole != 0).then_some(whole)?;
    let doubled = part.checked_mul(scale)?.checked_mul(2)?.checked_div(whole)?;
    let rounded = doubled / 2 + doubled % 2;
    Some(format!("{}%", grouped(&format_decimal(rounded, decimals))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_people_read_them() {
        let date = NaiveDate::from_ymd_opt(2024, 1, 5).unwrap_or_default();
        assert_eq!(Cell::Date(date).show(Lang::Ko), "2024-01-05 (금)");
        assert_eq!(Cell::Month(date).show(Lang::En), "2024-01");
        assert_eq!(Cell::Time(date.and_hms_opt(15, 30, 0).unwrap_or_default().and_utc()).show(Lang::Ko), "2024-01-06 00:30");
        assert_eq!(Cell::Won(-123_456_700).show(Lang::En), "-1,234,567");
        assert_eq!(Cell::Change(5050).show(Lang::En), "+50.50");
        assert_eq!(Cell::Share { part: 2300, whole: 100_000 }.show(Lang::En), "2.30%");
        assert_eq!(Cell::Share { part: 1, whole: 0 }.show(Lang::En), "–");
        assert_eq!(Cell::Growth { part: 1, whole: 3 }.show(Lang::En), "+33.3%");
        assert_eq!(Cell::Growth { part: -1, whole: 200 }.show(Lang::En), "-0.5%");
        assert_eq!(percent(i128::MAX, 2, 2), None);
    }
}
