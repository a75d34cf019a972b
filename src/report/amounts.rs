//! What rows come to: sums over the groups of day records, exact, in hundredths of a won.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use crate::settlement::groups::Group;
use crate::settlement::totals::is_paid;

/// `PAYMENTSTATUS` of an approved row.
const APPROVED: &str = "11";
/// Of one that was cancelled on its own day.
const CANCELLED_SAME_DAY: &str = "21";
/// Of one that was cancelled later.
const CANCELLED_LATER: &str = "22";

/// What rows come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Amounts {
    pub(crate) rows: u64,
    /// `auth_amount` of approved rows.
    pub(crate) approved: i128,
    /// `fee` of approved rows.
    pub(crate) approved_fee: i128,
    /// `auth_amount` of cancellations of either kind, without its sign.
    pub(crate) cancelled: i128,
    /// The part of `cancelled` that was cancelled on its own day.
    pub(crate) cancelled_same_day: i128,
    /// `fee` of all rows: less what cancellations give back.
    pub(crate) fee: i128,
    /// `vat` of all rows.
    pub(crate) vat: i128,
    /// `payment_amount` of all rows.
    pub(crate) payout: i128,
    /// Rows that are not paid out yet.
    pub(crate) pending_rows: u64,
    /// `payment_amount` of these.
    pub(crate) pending: i128,
}

impl Amounts {
    /// Adds the rows of a group.
    pub(crate) fn add(&mut self, group: &Group) {
        let [auth_amount, fee, vat, payment_amount, _] = group.sums;
        let mut part = Self { rows: group.rows, fee, vat, payout: payment_amount, ..Self::default() };
        match group.payment_status.as_deref().map(str::trim) {
            Some(APPROVED) => (part.approved, part.approved_fee) = (auth_amount, fee),
            // the API may write a cancelled amount with or without a minus sign
            Some(CANCELLED_LATER) => part.cancelled = auth_amount.saturating_abs(),
            Some(CANCELLED_SAME_DAY) => {
                part.cancelled = auth_amount.saturating_abs();
                part.cancelled_same_day = part.cancelled;
            }
            _ => {}
        }
        if !group.payoff_status.as_deref().is_some_and(is_paid) {
            (part.pending_rows, part.pending) = (group.rows, payment_amount);
        }
        *self += part;
    }

    /// The fee of approved rows as a share of their amount.
    pub(crate) fn effective_rate(&self) -> Share {
        Share { part: self.approved_fee, whole: self.approved }
    }
}

// a file that somebody damaged may state any sum: it must not end the report
impl AddAssign for Amounts {
    fn add_assign(&mut self, other: Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.pending_rows = self.pending_rows.saturating_add(other.pending_rows);
        for (sum, added) in [
            (&mut self.approved, other.approved),
            (&mut self.approved_fee, other.approved_fee),
            (&mut self.cancelled, other.cancelled),
            (&mut self.cancelled_same_day, other.cancelled_same_day),
            (&mut self.fee, other.fee),
            (&mut self.vat, other.vat),
            (&mut self.payout, other.payout),
            (&mut self.pending, other.pending),
        ] {
            *sum = sum.saturating_add(added);
        }
    }
}

impl std::iter::Sum for Amounts {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |mut sum, part| {
            sum += part;
            sum
        })
    }
}

/// One amount as a share of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) part: i128,
    pub(crate) whole: i128,
}

/// What approved rows of one method or acquirer come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fees {
    pub(crate) rows: u64,
    pub(crate) approved: i128,
    pub(crate) fee: i128,
    pub(crate) vat: i128,
}

impl Fees {
    /// The fee as a share of the approved amount.
    pub(crate) fn effective_rate(&self) -> Share {
        Share { part: self.fee, whole: self.approved }
    }
}

impl AddAssign for Fees {
    fn add_assign(&mut self, other: Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.approved = self.approved.saturating_add(other.approved);
        self.fee = self.fee.saturating_add(other.fee);
        self.vat = self.vat.saturating_add(other.vat);
    }
}

impl std::iter::Sum for Fees {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |mut sum, part| {
            sum += part;
            sum
        })
    }
}

/// Fees by a code; `None` is a blank code.
pub(crate) type FeesByCode = BTreeMap<Option<String>, Fees>;

/// What approved rows cost, by payment method and acquirer.
#[derive(Debug, Clone, Default)]
pub(crate) struct FeeTable(pub(crate) BTreeMap<(Option<String>, Option<String>), Fees>);

impl FeeTable {
    /// Adds the rows of a group, if they are approved.
    pub(crate) fn add(&mut self, group: &Group) {
        if group.payment_status.as_deref().map(str::trim) != Some(APPROVED) {
            return;
        }
        let [approved, fee, vat, ..] = group.sums;
        let codes = (group.pay_type.clone(), group.acquirer_code.clone());
        *self.0.entry(codes).or_default() += Fees { rows: group.rows, approved, fee, vat };
    }

    /// Adds another merchant's.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (codes, fees) in &other.0 {
            *self.0.entry(codes.clone()).or_default() += *fees;
        }
    }

    /// By payment method.
    pub(crate) fn methods(&self) -> FeesByCode {
        self.by(|(method, _)| method)
    }

    /// By acquirer.
    pub(crate) fn acquirers(&self) -> FeesByCode {
        self.by(|(_, acquirer)| acquirer)
    }

    fn by(&self, code: impl Fn(&(Option<String>, Option<String>)) -> &Option<String>) -> FeesByCode {
        let mut fees = FeesByCode::new();
        for (codes, more) in &self.0 {
            *fees.entry(code(codes).clone()).or_default() += *more;
        }
        fees
    }

    /// All approved rows.
    pub(crate) fn total(&self) -> Fees {
        self.0.values().copied().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(status: &str, payoff: Option<&str>, sums: [i128; 5]) -> Group {
        Group {
            payment_status: Some(status.into()),
            pay_type: Some("CARD".into()),
            acquirer_code: None,
            payoff_status: payoff.map(Into::into),
            rows: 2,
            sums,
        }
    }

    #[test]
    fn rows_add_up_by_what_they_are() {
        let mut amounts = Amounts::default();
        let mut fees = FeeTable::default();
        for group in [
            group("11", Some("03"), [100_000, 2_300, 230, 97_470, 0]),
            group("22", Some("03 "), [-40_000, -920, -92, -38_988, 0]),
            group("21", None, [5_000, 0, 0, 0, 0]),
            group("11", Some("01"), [10_000, 230, 23, 9_747, 0]),
        ] {
            amounts.add(&group);
            fees.add(&group);
        }
        assert_eq!((amounts.rows, amounts.approved, amounts.cancelled, amounts.cancelled_same_day), (8, 110_000, 45_000, 5_000));
        assert_eq!((amounts.fee, amounts.vat, amounts.payout), (1_610, 161, 68_229));
        assert_eq!((amounts.pending_rows, amounts.pending), (4, 9_747));
        assert_eq!(fees.total(), Fees { rows: 4, approved: 110_000, fee: 2_530, vat: 253 });
        assert_eq!(amounts.effective_rate(), Share { part: 2_530, whole: 110_000 });
    }
}
