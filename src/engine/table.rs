//! The Delta table's part of a run, after its days are published.

use std::time::Duration;

use crate::calendar::Clock;
use crate::delta::error::DeltaError;
use crate::delta::held::HeldMerchant;
use crate::delta::update::{Known, Updated, update};
use crate::lake::error::LakeError;
use crate::lake::store::Lake;

use super::failure::Failure;
use super::result::ReportedFailure;
use super::shutdown::{Signals, signalled};

/// How long an update may go on after a signal.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the lake holds of a merchant, or why that could not be found out, with its API id.
pub(super) type Held = Result<HeldMerchant, (String, LakeError)>;

/// Brings the Delta table up to date with what the lake holds of these merchants, unless a signal was received. A commit is made
/// whole or not at all, also after one.
pub(super) async fn bring_up_to_date(
    lake: &Lake,
    held: Vec<Held>,
    known: Known,
    run_id: &str,
    clock: &Clock,
    signals: &Signals,
) -> Updated {
    if held.is_empty() || signals.borrow().is_some() {
        return Updated::default();
    }
    let (mut merchants, mut failures) = (Vec::new(), Vec::new());
    for held in held {
        match held {
            Ok(held) => merchants.push(held),
            Err((merchant_id, error)) => failures.push((merchant_id, DeltaError::from(error))),
        }
    }
    let hurried = async {
        signalled(signals.clone()).await;
        tokio::time::sleep(PATIENCE).await;
    };
    let mut updated = tokio::select! {
        updated = update(lake, merchants, known, run_id, clock) => updated,
        () = hurried => Updated::default(),
    };
    updated.failures.append(&mut failures);
    updated
}

/// A failure of the table, which belongs to no day.
pub(super) fn reported(merchant_id: String, error: DeltaError) -> ReportedFailure {
    let failure = Failure::from(error);
    ReportedFailure { merchant_id, pay_date: None, kind: failure.kind, message: failure.message(), attempts: 1 }
}
