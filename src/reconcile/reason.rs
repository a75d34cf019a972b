//! Why something can be as it is found: what a person would look for next.

use chrono::NaiveDate;

use crate::lang::Lang;
use crate::texts::reconcile as texts;

use super::cases::DuplicateSide;
use super::days::Unsettled;
use super::deposits::{DepositDay, DepositReason};
use super::rates;

/// Why something can be as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Something is there twice.
    Duplicate(DuplicateSide),
    /// Several merchants, these, have the number of a line that names none.
    SeveralMerchants(Vec<String>),
    /// A line is not due yet.
    NotDue {
        /// The day by which it is.
        due: NaiveDate,
        /// The last day that the lake can be relied on.
        last_closed: Option<NaiveDate>,
    },
    /// The lake does not have all days in which it could have been paid.
    Unsettled(Unsettled),
    /// The lake holds no day of the merchant.
    NoDays,
    /// The lake has the order number like this, with leading zeros.
    LeadingZeros(String),
    /// Of events, so many lines and rows of the case are outside the period.
    OutsidePeriod {
        /// Lines.
        lines: usize,
        /// Rows.
        rows: usize,
    },
    /// The rate that a row states, and that of the contract, in ten-thousandths of a percent.
    OtherRate {
        /// The row's.
        stated: i32,
        /// The contract's.
        contracted: i32,
    },
    /// Of a deposit for this pay date.
    Deposit(NaiveDate, DepositReason),
}

impl Reason {
    /// The reason in words.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        match self {
            Self::Duplicate(DuplicateSide::Orders) => texts::duplicate::ORDERS.to(lang).to_owned(),
            Self::Duplicate(DuplicateSide::Pg) => texts::duplicate::PG.to(lang).to_owned(),
            Self::Duplicate(DuplicateSide::Both) => texts::duplicate::BOTH.to(lang).to_owned(),
            Self::SeveralMerchants(merchants) => texts::several_merchants(merchants, lang),
            Self::NotDue { due, last_closed } => texts::not_due(*due, *last_closed, lang),
            Self::Unsettled(Unsettled { missing, open }) => texts::unsettled(missing, open, lang),
            Self::NoDays => texts::NO_DAYS.to(lang).to_owned(),
            Self::LeadingZeros(number) => texts::leading_zeros(number, lang),
            Self::OutsidePeriod { lines, rows } => texts::outside_period(*lines, *rows, lang),
            Self::OtherRate { stated, contracted } => texts::other_rate(&rates::shown(*stated), &rates::shown(*contracted), lang),
            Self::Deposit(date, DepositReason::Late(arrived)) => texts::late((*arrived - *date).num_days(), *arrived, lang),
            Self::Deposit(_, DepositReason::CancelledAfterPayout { exactly }) => texts::cancelled_after_payout(*exactly, lang),
            Self::Deposit(_, DepositReason::CarriedFrom(from)) => texts::carried_from(*from, lang),
        }
    }
}

/// Several reasons in one text; `None` if there are none.
#[must_use]
pub fn text(reasons: &[Reason], lang: Lang) -> Option<String> {
    let texts: Vec<String> = reasons.iter().map(|reason| reason.text(lang)).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

impl DepositDay {
    /// Why it can be so.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason> {
        self.why.clone().map(|why| Reason::Deposit(self.date, why)).into_iter().collect()
    }
}
