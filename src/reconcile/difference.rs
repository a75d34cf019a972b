//! The differences of all parts, the largest first.

use chrono::NaiveDate;

use super::books::Hundredths;
use super::cases::Case;
use super::deposits::DepositDay;
use super::outcome::{OrdersFound, Outcome};
use super::reading::FeeRow;
use super::reason::Reason;

/// Differences that a result lists.
pub(super) const LISTED: usize = 100;

/// Something that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The part: `order`, `fee` or `deposit`.
    pub of: &'static str,
    /// The status, as results have it.
    pub status: &'static str,
    /// The API id; `None` for deposits, which are compared over all merchants.
    pub merchant_id: Option<String>,
    /// The order numbers, separated by spaces.
    pub order_no: Option<String>,
    /// The transaction numbers, separated by spaces.
    pub transaction_id: Option<String>,
    /// The date of the order, of the transaction, or on the bank's side.
    pub date: Option<NaiveDate>,
    /// The pay date.
    pub pay_date: Option<NaiveDate>,
    /// The merchant's amount, or the one that was expected, in hundredths of a won.
    pub expected: Option<Hundredths>,
    /// The lake's amount, or the bank's, in hundredths of a won.
    pub found: Option<Hundredths>,
    /// What was found minus what was expected, in hundredths of a won.
    pub difference: Hundredths,
    /// Why it can be so.
    pub reasons: Vec<Reason>,
}

/// A difference that is not looked at in full yet.
#[derive(Clone, Copy)]
enum Candidate<'o> {
    Order(&'o OrdersFound, &'o Case),
    Fee(&'o FeeRow),
    Deposit(&'o DepositDay),
}

impl Candidate<'_> {
    /// How large it is.
    fn size(&self) -> u128 {
        match self {
            Self::Order(_, case) => case.pg_amount - case.order_amount,
            Self::Fee(found) => found.judged.difference(),
            Self::Deposit(day) => day.deposited - day.expected,
        }
        .unsigned_abs()
    }
}

impl Outcome {
    /// How many differences there are.
    #[must_use]
    pub fn difference_count(&self) -> usize {
        self.candidates().count()
    }

    /// The largest differences, at most a hundred; equal ones by part, merchant, date and number.
    #[must_use]
    pub fn differences(&self) -> Vec<Difference> {
        self.largest(LISTED)
    }

    /// The largest differences, at most so many.
    pub(super) fn largest(&self, limit: usize) -> Vec<Difference> {
        let mut sizes: Vec<u128> = self.candidates().map(|candidate| candidate.size()).collect();
        // of those that are as large as the last one, all are looked at, so that the choice does not depend on their order
        let least = match sizes.len().checked_sub(limit) {
            Some(rest) if rest > 0 => *sizes.select_nth_unstable(rest).1,
            _ => 0,
        };
        let mut listed: Vec<Difference> =
            self.candidates().filter(|candidate| candidate.size() >= least).map(|candidate| self.difference(candidate)).collect();
        listed.sort_by(|a, b| {
            let key =
                |of: &Difference| (of.of, of.merchant_id.clone(), of.date.or(of.pay_date), of.order_no.clone(), of.transaction_id.clone());
            b.difference.unsigned_abs().cmp(&a.difference.unsigned_abs()).then_with(|| key(a).cmp(&key(b)))
        });
        listed.truncate(limit);
        listed
    }

    fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> {
        let cases = self.orders.iter().flat_map(|orders| {
            orders.cases.examined.iter().filter(|case| case.status.differs()).map(move |case| Candidate::Order(orders, case))
        });
        let days = self.deposits.iter().flat_map(|deposits| &deposits.days).filter(|day| day.status.differs());
        cases.chain(self.fee_rows.iter().map(Candidate::Fee)).chain(days.map(Candidate::Deposit))
    }

    fn difference(&self, candidate: Candidate) -> Difference {
        match candidate {
            Candidate::Order(orders, case) => {
                let view = self.view(orders, case);
                Difference {
                    of: "order",
                    status: view.status.name(),
                    difference: view.difference(),
                    date: view.order_date.or(view.auth_date),
                    pay_date: view.first_pay_date,
                    expected: Some(view.order_amount),
                    found: Some(view.pg_amount),
                    merchant_id: view.merchant_id,
                    order_no: view.order_no,
                    transaction_id: view.transaction_ids,
                    reasons: view.reasons,
                }
            }
            Candidate::Fee(found) => {
                let view = self.fee_view(found);
                Difference {
                    of: "fee",
                    status: view.status.name(),
                    merchant_id: Some(view.merchant_id),
                    order_no: view.order_no,
                    transaction_id: view.transaction_id,
                    date: view.auth_date,
                    pay_date: Some(view.pay_date),
                    expected: view.expected,
                    found: view.found,
                    difference: view.difference,
                    reasons: view.reason.into_iter().collect(),
                }
            }
            Candidate::Deposit(day) => Difference {
                of: "deposit",
                status: day.status.name(),
                merchant_id: None,
                order_no: None,
                transaction_id: None,
                date: Some(day.date),
                pay_date: Some(day.date),
                expected: Some(day.expected),
                found: Some(day.deposited),
                difference: day.deposited - day.expected,
                reasons: day.reasons(),
            },
        }
    }
}
