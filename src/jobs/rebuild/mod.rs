//! The job of rebuilding: days from the newest response that was kept or, if this version's schema only has more columns,
//! from the day's own file. Never calls the API.

mod plan;
mod read;

use crate::calendar::DateRange;
use crate::engine::job::{Job, MerchantPlan, PlanError, ReadDay, RefusedMerchant, Unplanned, Walked};
use crate::engine::result::Requests;
use crate::lake::ledger::MerchantLedger;
use crate::lake::merchant::{MerchantName, Merchants};
use crate::lake::publish::{Origin, PublishPolicy};
use crate::lake::store::Lake;
use crate::plan::PlannedDay;

use super::Reading;

pub use plan::RebuildPlan;
use read::SavedReader;

/// Rebuilds a range of pay dates.
pub struct RebuildJob {
    /// Whose days.
    pub merchants: Merchants,
    /// The days.
    pub range: DateRange,
    /// How responses are read.
    pub reading: Reading,
    /// The largest response accepted, in bytes, decompressed.
    pub max_response_bytes: u64,
    /// Whether a response without rows may replace a day that had rows.
    pub allow_empty_replacement: bool,
}

impl MerchantPlan for RebuildPlan {
    fn range(&self) -> Option<DateRange> {
        Some(self.range)
    }

    fn days(&self) -> impl Iterator<Item = PlannedDay> {
        self.range.days().map(|pay_date| self.planned_day(pay_date))
    }

    fn ledger(&self) -> &MerchantLedger {
        &self.ledger
    }
}

impl Job for RebuildJob {
    type Plan = RebuildPlan;

    fn unplanned(&self) -> Unplanned {
        let named = self.merchants.named().iter().map(MerchantName::api_id);
        let merchant_ids = if self.merchants.named().is_empty() { vec![String::new()] } else { named.collect() };
        Unplanned { merchant_ids, range: Some(self.range) }
    }

    /// Costs three listings, and the records of the range.
    async fn plans(&self, lake: Option<&Lake>) -> Result<Vec<Result<RebuildPlan, RefusedMerchant>>, PlanError> {
        match lake {
            Some(lake) => Ok(plan::plans(self, lake).await?.into_iter().map(Ok).collect()),
            None => Ok(Vec::new()),
        }
    }

    fn policy(&self) -> PublishPolicy {
        let Self { reading, allow_empty_replacement, .. } = self;
        PublishPolicy { origin: Origin::Saved, bad_rows: reading.bad_rows, allow_empty_replacement: *allow_empty_replacement }
    }

    fn reader<'r>(&'r self, lake: &'r Lake, plan: &'r RebuildPlan, run_id: &'r str) -> impl ReadDay + 'r {
        SavedReader { job: self, lake, plan, run_id }
    }

    fn review(&self, plan: &RebuildPlan, _: &Walked) {
        let days = plan.range.len() - plan.days_to_do().count() as u64;
        if days > 0 {
            tracing::info!(
                merchant_id = plan.merchant().api_id(),
                days,
                "days stay as they are: their files are intact, and no later response was kept"
            );
        }
    }

    fn requests(&self) -> Requests {
        Requests::default()
    }
}
