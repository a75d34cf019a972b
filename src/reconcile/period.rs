//! The days that one side of a reconciliation is about.

use chrono::NaiveDate;
use serde::Serialize;

/// A range of days; an end that is not known is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Period {
    /// The first day.
    pub from: Option<NaiveDate>,
    /// The last day.
    pub to: Option<NaiveDate>,
}

impl Period {
    /// These ends and, for one that is not set, that of `span`.
    pub(super) fn or_span(self, span: Self) -> Self {
        Self { from: self.from.or(span.from), to: self.to.or(span.to) }
    }

    /// The range from the first to the last of these days.
    pub(super) fn spanning(days: impl Iterator<Item = NaiveDate>) -> Self {
        let mut span = Self::default();
        days.for_each(|day| span.extend(day));
        span
    }

    /// Extends both ends to a day; a range that nothing has extended has none.
    pub(super) fn extend(&mut self, day: NaiveDate) {
        self.from = Some(self.from.map_or(day, |from| from.min(day)));
        self.to = Some(self.to.map_or(day, |to| to.max(day)));
    }

    /// Whether a day lies in it.
    #[must_use]
    pub fn contains(&self, day: NaiveDate) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }

    /// Whether neither end is known.
    pub(super) fn is_unknown(self) -> bool {
        self.from.is_none() && self.to.is_none()
    }
}
