//! What the lake holds of a merchant, as far as the Delta table is concerned: the version of each day.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use futures::TryStreamExt as _;

use crate::lake::error::LakeError;
use crate::lake::file::DayFile;
use crate::lake::index::IndexRow;
use crate::lake::layout::DayKey;
use crate::lake::ledger::MerchantLedger;
use crate::lake::merchant::MerchantName;
use crate::lake::store::{Lake, StoredDay};

use super::file::{HeldDay, PackedDay};

/// The days of one merchant.
#[derive(Debug, Clone)]
pub struct HeldMerchant {
    pub(super) merchant: MerchantName,
    pub(super) days: BTreeMap<NaiveDate, HeldDay>,
    /// Days whose file cannot be read, and why.
    pub(super) unreadable: BTreeMap<NaiveDate, String>,
}

impl HeldDay {
    fn of_row(row: &IndexRow) -> Self {
        let day = PackedDay { pay_date: row.pay_date, extracted_at: row.extracted_at, digest: row.digest.clone(), rows: row.rows };
        Self { day, run_id: row.run_id.clone(), bytes: row.bytes }
    }

    fn of_file(file: DayFile) -> Self {
        let DayFile { record, object, .. } = file;
        let day = PackedDay { pay_date: record.pay_date, extracted_at: record.extracted_at, digest: record.digest, rows: record.rows };
        Self { day, run_id: record.run_id, bytes: object.bytes }
    }
}

impl HeldMerchant {
    /// The API id.
    #[must_use]
    pub fn api_id(&self) -> String {
        self.merchant.api_id()
    }

    /// A merchant of which the lake holds no day.
    pub(super) fn without_days(merchant: MerchantName) -> Self {
        Self { merchant, days: BTreeMap::new(), unreadable: BTreeMap::new() }
    }

    /// What a ledger knows. Reads only files of which it knows nothing.
    ///
    /// # Errors
    /// The lake cannot be read.
    pub(crate) async fn of(ledger: &MerchantLedger, lake: &Lake) -> Result<Self, LakeError> {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        ledger.each_current(|pay_date, row| match row {
            Some(row) => known.push((pay_date, HeldDay::of_row(row))),
            None => unknown.push(pay_date),
        });
        let mut days: BTreeMap<NaiveDate, HeldDay> = known.into_iter().collect();
        let mut unreadable = BTreeMap::new();
        let mut files = std::pin::pin!(ledger.files(lake, unknown));
        while let Some((DayKey { pay_date, .. }, file)) = files.try_next().await? {
            match file {
                Ok(file) => drop(days.insert(pay_date, HeldDay::of_file(file))),
                Err(reason) => drop(unreadable.insert(pay_date, reason)),
            }
        }
        Ok(Self { merchant: ledger.merchant().clone(), days, unreadable })
    }

    /// The same for merchants of which only the listing is known, one ledger after another. Brings stale ledger indexes up to date.
    ///
    /// # Errors
    /// The lake cannot be read.
    pub(crate) async fn load(
        lake: &Lake,
        days: &[StoredDay],
        merchants: BTreeSet<MerchantName>,
        run_id: &str,
    ) -> Result<Vec<Self>, LakeError> {
        let mut held = Vec::new();
        for merchant in merchants {
            let ledger = MerchantLedger::load(lake, &merchant, days).await;
            held.push(Self::of(&ledger, lake).await?);
            ledger.save(lake, run_id, true).await;
        }
        Ok(held)
    }

    /// Finds out what became of a day of which the ledger knew nothing, or something else.
    ///
    /// # Errors
    /// The lake cannot be read.
    pub(super) async fn look_up(&mut self, lake: &Lake, pay_date: NaiveDate) -> Result<(), LakeError> {
        self.days.remove(&pay_date);
        let found = match lake.day(&DayKey { pay_date, merchant: self.merchant.clone() }).await {
            Ok(None) => return Ok(()),
            Ok(Some(file)) => Ok(HeldDay::of_file(file)),
            Err(error) => Err(error.of_one_object().ok_or(error)?),
        };
        match found {
            Ok(day) => drop(self.days.insert(pay_date, day)),
            Err(reason) => drop(self.unreadable.insert(pay_date, reason)),
        }
        Ok(())
    }
}
