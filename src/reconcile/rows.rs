//! The lake's rows as cases need them: few bytes each, because a lake holds millions. The texts of numbers lie one after another
//! in one place.

use chrono::NaiveDate;

/// Texts, one after another. An absent one is empty: the lake has no blank numbers.
#[derive(Debug, Default)]
pub(super) struct Texts {
    bytes: String,
    ends: Vec<usize>,
}

impl Texts {
    /// Adds one.
    pub(super) fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
    }

    /// Adds others behind these.
    pub(super) fn append(&mut self, others: &Self) {
        let before = self.bytes.len();
        self.bytes.push_str(&others.bytes);
        self.ends.extend(others.ends.iter().map(|end| before + end));
    }

    /// The one at a position; `None` if it is absent.
    pub(super) fn get(&self, index: usize) -> Option<&str> {
        let from = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[from..self.ends[index]]).filter(|text| !text.is_empty())
    }
}

/// What a row's payment status means for a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 11
    Approved,
    /// 21
    CancelledSameDay,
    /// 22
    CancelledLater,
    /// A status that nobody documented.
    Other,
}

impl Kind {
    pub(super) fn of(payment_status: &str) -> Self {
        match payment_status {
            "11" => Self::Approved,
            "21" => Self::CancelledSameDay,
            "22" => Self::CancelledLater,
            _ => Self::Other,
        }
    }

    /// What a row of this kind and amount, in hundredths of a won, adds to the lake's side of its case.
    pub(super) fn counts(self, auth_amount: i64) -> i64 {
        match self {
            Self::Approved => auth_amount,
            Self::CancelledSameDay | Self::CancelledLater => -auth_amount.abs(),
            Self::Other => 0,
        }
    }
}

/// A row, without its numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// What it adds to the lake's side of its case, in hundredths of a won.
    pub(super) amount: i64,
    /// A hash of what duplicates have in common: transaction, status and amounts.
    pub(super) same: u64,
    /// Its merchant: a position in the list of merchants.
    pub(super) merchant: u32,
    pub(super) pay_date: NaiveDate,
    pub(super) auth_date: Option<NaiveDate>,
    pub(super) kind: Kind,
    /// Whether its approved amount is NULL.
    pub(super) unstated: bool,
}

impl Row {
    /// The date by which it belongs to a period.
    pub(super) fn date(&self) -> NaiveDate {
        self.auth_date.unwrap_or(self.pay_date)
    }
}

/// Rows with their numbers.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) all: Vec<Row>,
    pub(super) order_numbers: Texts,
    pub(super) transaction_ids: Texts,
}

impl Rows {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: Row, order_no: &str, transaction_id: &str) {
        self.all.push(row);
        self.order_numbers.push(order_no);
        self.transaction_ids.push(transaction_id);
    }

    /// Adds others behind these.
    pub(super) fn append(&mut self, others: &Self) {
        self.all.extend_from_slice(&others.all);
        self.order_numbers.append(&others.order_numbers);
        self.transaction_ids.append(&others.transaction_ids);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_again_behind_others() {
        let (mut first, mut second) = (Texts::default(), Texts::default());
        first.push("a");
        first.push("");
        second.push("주문-1");
        first.append(&second);
        assert_eq!((0..3).map(|index| first.get(index)).collect::<Vec<_>>(), [Some("a"), None, Some("주문-1")]);
    }

    #[test]
    fn a_cancellation_counts_against_its_payment_whatever_its_sign() {
        for amount in [-1000, 1000] {
            assert_eq!([Kind::CancelledSameDay.counts(amount), Kind::CancelledLater.counts(amount)], [-1000, -1000]);
        }
        assert_eq!((Kind::of("11").counts(-5), Kind::of("12").counts(7)), (-5, 0));
    }
}
