//! Whether the fee, the VAT and the payout of an approved row are what its own figures and the contract state. Pure.

use crate::lang::Words;
use crate::texts::reconcile::fee;

use super::books::Hundredths;

/// What was found of an approved row's fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeeStatus {
    /// Everything agrees.
    Ok,
    /// The fee is not the stated rate of the approved amount.
    FeeMismatch,
    /// The VAT is not a tenth of the fee.
    VatMismatch,
    /// What is paid out is not the approved amount without fee and VAT.
    NetMismatch,
    /// The contract has another rate.
    RateMismatch,
    /// Something that the check needs is NULL.
    NotStated,
}

impl FeeStatus {
    /// Every status, in the order in which they are shown.
    pub const ALL: [Self; 6] = [Self::Ok, Self::FeeMismatch, Self::VatMismatch, Self::NetMismatch, Self::RateMismatch, Self::NotStated];

    /// Whether it is a difference.
    #[must_use]
    pub const fn differs(self) -> bool {
        !matches!(self, Self::Ok | Self::NotStated)
    }

    /// The name, as results have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::FeeMismatch => "fee_mismatch",
            Self::VatMismatch => "vat_mismatch",
            Self::NetMismatch => "net_mismatch",
            Self::RateMismatch => "rate_mismatch",
            Self::NotStated => "not_stated",
        }
    }

    /// What it means.
    #[must_use]
    pub const fn meaning(self) -> Words {
        match self {
            Self::Ok => fee::OK,
            Self::FeeMismatch => fee::FEE_MISMATCH,
            Self::VatMismatch => fee::VAT_MISMATCH,
            Self::NetMismatch => fee::NET_MISMATCH,
            Self::RateMismatch => fee::RATE_MISMATCH,
            Self::NotStated => fee::NOT_STATED,
        }
    }
}

/// The figures of an approved row: amounts in hundredths of a won, rates in ten-thousandths of a percent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Charged {
    pub(super) auth_amount: Option<i64>,
    pub(super) fee_rate: Option<i32>,
    pub(super) fee: Option<i64>,
    pub(super) vat: Option<i64>,
    pub(super) payment_amount: Option<i64>,
}

/// What was found of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) status: FeeStatus,
    /// The fee, VAT or payout that was expected, to the hundredth of a won; `None` if nothing differs, or nothing can be computed.
    pub(super) expected: Option<Hundredths>,
    /// The one in the lake.
    pub(super) found: Option<Hundredths>,
    /// For another rate: the one of the contract.
    pub(super) contracted: Option<i32>,
}

impl Judged {
    const fn plain(status: FeeStatus) -> Self {
        Self { status, expected: None, found: None, contracted: None }
    }

    fn of(status: FeeStatus, expected: Hundredths, found: Hundredths) -> Self {
        Self { expected: Some(expected), found: Some(found), ..Self::plain(status) }
    }

    /// The amount in the lake minus the one that was expected.
    pub(super) fn difference(&self) -> Hundredths {
        self.found.zip(self.expected).map_or(0, |(found, expected)| found - expected)
    }
}

/// One won, in hundredths.
const WON: i128 = 100;
/// Hundredths of a won × ten-thousandths of a percent, in one hundredth of a won.
const RATED: i128 = 1_000_000;
/// The VAT is the fee divided by this.
const VAT: i128 = 10;

impl Charged {
    /// The first finding that applies. `contracted` is the rate of the contract, if there is one for the row.
    pub(super) fn judge(&self, contracted: Option<i32>) -> Judged {
        let wide = |amount: Option<i64>| amount.map(i128::from);
        let (auth, fee, vat, paid) = (wide(self.auth_amount), wide(self.fee), wide(self.vat), wide(self.payment_amount));
        if let (Some(auth), Some(rate), Some(fee)) = (auth, self.fee_rate, fee) {
            let exact = auth * i128::from(rate);
            if (fee * RATED - exact).abs() >= WON * RATED {
                return Judged::of(FeeStatus::FeeMismatch, rounded(exact, RATED), fee);
            }
        }
        if let (Some(fee), Some(vat)) = (fee, vat)
            && (vat * VAT - fee).abs() >= WON * VAT
        {
            return Judged::of(FeeStatus::VatMismatch, rounded(fee, VAT), vat);
        }
        if let (Some(auth), Some(fee), Some(vat), Some(paid)) = (auth, fee, vat, paid)
            && auth - fee - vat != paid
        {
            return Judged::of(FeeStatus::NetMismatch, auth - fee - vat, paid);
        }
        if let (Some(rate), Some(contracted)) = (self.fee_rate, contracted)
            && rate != contracted
        {
            let expected = auth.map(|auth| rounded(auth * i128::from(contracted), RATED));
            return Judged { status: FeeStatus::RateMismatch, expected, found: fee, contracted: Some(contracted) };
        }
        let all_stated = auth.and(fee).and(vat).and(paid).is_some() && self.fee_rate.is_some();
        Judged::plain(if all_stated { FeeStatus::Ok } else { FeeStatus::NotStated })
    }
}

/// A quotient rounded to the nearest, halves away from zero.
fn rounded(dividend: i128, divisor: i128) -> i128 {
    (dividend + dividend.signum() * divisor / 2) / divisor
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10,000 won at 2.3 %: a fee of 230, VAT of 23, and 9,747 paid out.
    const RIGHT: Charged =
        Charged { auth_amount: Some(1_000_000), fee_rate: Some(23_000), fee: Some(23_000), vat: Some(2300), payment_amount: Some(974_700) };

    #[test]
    fn less_than_a_won_is_rounding() {
        assert_eq!(RIGHT.judge(None), Judged::plain(FeeStatus::Ok));
        // 12,345 won at 2.3 % are 283.935
        let row = |fee: i64| Charged { auth_amount: Some(1_234_500), fee: Some(fee), vat: None, payment_amount: None, ..RIGHT };
        for (fee, status) in [(28_294, FeeStatus::NotStated), (28_493, FeeStatus::NotStated), (28_293, FeeStatus::FeeMismatch)] {
            assert_eq!(row(fee).judge(None).status, status, "{fee}");
        }
        assert_eq!(row(28_494).judge(None), Judged::of(FeeStatus::FeeMismatch, 28_394, 28_494));
        let vat = |vat: i64| Charged { vat: Some(vat), payment_amount: Some(977_000 - vat), ..RIGHT }.judge(None);
        assert_eq!((vat(2399).status, vat(2201).status), (FeeStatus::Ok, FeeStatus::Ok));
        assert_eq!(vat(2400), Judged::of(FeeStatus::VatMismatch, 2300, 2400));
    }

    #[test]
    fn the_first_finding_counts() {
        let net = Charged { payment_amount: Some(974_701), ..RIGHT };
        assert_eq!(net.judge(Some(21_000)), Judged::of(FeeStatus::NetMismatch, 974_700, 974_701));
        let rate = RIGHT.judge(Some(21_000));
        assert_eq!((rate.status, rate.expected, rate.found), (FeeStatus::RateMismatch, Some(21_000), Some(23_000)));
        assert_eq!(RIGHT.judge(Some(23_000)).status, FeeStatus::Ok);
        let unstated = Charged { fee: None, ..RIGHT };
        assert_eq!(unstated.judge(None).status, FeeStatus::NotStated);
        assert_eq!(unstated.judge(Some(21_000)).status, FeeStatus::RateMismatch);
    }

    #[test]
    fn the_largest_amounts_do_not_overflow() {
        let most = Charged { auth_amount: Some(i64::MAX), fee_rate: Some(i32::MAX), fee: Some(i64::MIN), ..RIGHT };
        assert_eq!(most.judge(None).status, FeeStatus::FeeMismatch);
    }
}
