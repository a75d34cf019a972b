//! Which days are rebuilt, from what, and why.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use chrono::NaiveDate;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;

use crate::calendar::DateRange;
use crate::engine::job::PlanError;
use crate::jobs::fetch::newest_file;
use crate::lake::error::LakeError;
use crate::lake::file::DayFile;
use crate::lake::holdings::Holdings;
use crate::lake::layout::{DayKey, is_damaged, time_of};
use crate::lake::ledger::MerchantLedger;
use crate::lake::merchant::MerchantName;
use crate::lake::record::Environment;
use crate::lake::store::Lake;
use crate::plan::{Action, PlannedDay};
use crate::settlement::columns::SchemaFit;

use super::RebuildJob;

/// What is rebuilt of one merchant.
pub struct RebuildPlan {
    pub(super) range: DateRange,
    pub(super) ledger: MerchantLedger,
    /// The environment whose days the lake holds; set by the first response if the lake holds none.
    pub(super) environment: Arc<OnceLock<Environment>>,
    /// The days of which the lake has a file or a response.
    days: BTreeMap<NaiveDate, KnownDay>,
}

struct KnownDay {
    reason: Cow<'static, str>,
    /// `None` if the day is left as it is.
    rebuild: Option<RebuildDay>,
}

/// A day that is to be rebuilt.
pub(super) struct RebuildDay {
    /// From what.
    pub(super) material: Material,
    /// What the lake holds of it.
    pub(super) stored: Option<DayFile>,
    /// Versions of it in `history/`.
    pub(super) history: Vec<Path>,
}

/// What a day is rebuilt from.
#[derive(Debug, Clone)]
pub(super) enum Material {
    /// Responses as they were received, newest first. The newest counts; the others show what the day had.
    Responses(Vec<Path>),
    /// Its own file.
    Table,
    /// It cannot be rebuilt, and this is why.
    Nothing(String),
}

const NOTHING_KNOWN: &str = "cannot be rebuilt: the lake has neither the day nor a response: fetch the day with backfill";

/// Files checked in parallel.
const CHECKED_AT_ONCE: usize = 16;

impl RebuildPlan {
    pub(super) fn planned_day(&self, pay_date: NaiveDate) -> PlannedDay {
        match self.days.get(&pay_date) {
            Some(KnownDay { reason, rebuild }) => {
                let action = if rebuild.is_some() { Action::Rebuild } else { Action::Skip };
                PlannedDay { pay_date, action, reason: reason.clone() }
            }
            None => PlannedDay { pay_date, action: Action::Rebuild, reason: NOTHING_KNOWN.into() },
        }
    }

    /// A day that is to be rebuilt.
    pub(super) fn day(&self, pay_date: NaiveDate) -> Option<&RebuildDay> {
        self.days.get(&pay_date)?.rebuild.as_ref()
    }
}

/// Plans each merchant's days.
pub(super) async fn plans(job: &RebuildJob, lake: &Lake) -> Result<Vec<RebuildPlan>, PlanError> {
    let mut holdings = lake.holdings_with_responses().await?;
    holdings.check(lake.dest(), &job.merchants)?;
    let environment = Arc::new(OnceLock::new());
    let mut plans = Vec::new();
    for merchant in holdings.merchants().into_iter().filter(|merchant| job.merchants.include(merchant)) {
        plans.push(plan(job, lake, merchant, &mut holdings, &environment).await?);
    }
    if environment.get().is_none()
        && let Some((_, file)) = newest_file(lake, &holdings.days).await?
    {
        environment.get_or_init(|| file.record.environment);
    }
    Ok(plans)
}

async fn plan(
    job: &RebuildJob,
    lake: &Lake,
    merchant: MerchantName,
    holdings: &mut Holdings,
    environment: &Arc<OnceLock<Environment>>,
) -> Result<RebuildPlan, PlanError> {
    let is_in_range = |key: &&DayKey| key.merchant == merchant && job.range.contains(key.pay_date);
    let ledger = MerchantLedger::load(lake, &merchant, &holdings.days).await;
    let in_range: Vec<NaiveDate> = ledger.days().filter(|day| job.range.contains(*day)).collect();
    let mut files: BTreeMap<DayKey, Result<DayFile, String>> = ledger.files(lake, in_range).try_collect().await?;
    if let Some(file) = files.values().flatten().next() {
        environment.get_or_init(|| file.record.environment);
    }
    let responded = holdings.responses.keys().filter(is_in_range);
    let keys: BTreeSet<DayKey> = files.keys().chain(responded).cloned().collect();
    let (mut days, mut left) = (BTreeMap::new(), Vec::new());
    for key in keys {
        let found = FoundDay {
            file: files.remove(&key),
            responses: holdings.responses.remove(&key).into_iter().flatten().rev().collect(),
            history: holdings.history.remove(&key).unwrap_or_default(),
        };
        if let Some(Ok(file)) = &found.file {
            left.push((key.clone(), file.clone()));
        }
        days.insert(key.pay_date, found.decide(&key));
    }
    left.retain(|(key, _)| days.get(&key.pay_date).is_some_and(|day| day.rebuild.is_none()));
    let mut checked = pin!(futures::stream::iter(left).map(|(key, file)| is_intact(lake, key, file)).buffered(CHECKED_AT_ONCE));
    while let Some((key, damage)) = checked.try_next().await? {
        if let Some(damage) = damage {
            days.entry(key.pay_date).and_modify(|day| day.cannot_stay(&key, &damage));
        }
    }
    Ok(RebuildPlan { range: job.range, ledger, environment: Arc::clone(environment), days })
}

/// Why a file that is to stay as it is cannot: a day that nothing repairs must not pass for one that needs no repair.
async fn is_intact(lake: &Lake, key: DayKey, file: DayFile) -> Result<(DayKey, Option<String>), LakeError> {
    let damage = match lake.is_whole(&key, &file).await {
        Ok(true) => None,
        Ok(false) => Some("it is not as it was written".to_owned()),
        Err(error) => Some(error.of_one_object().ok_or(error)?),
    };
    Ok((key, damage))
}

impl KnownDay {
    /// The day was to stay as it is, and its file is damaged.
    fn cannot_stay(&mut self, key: &DayKey, damage: &str) {
        let (material, reason) =
            nothing(format!("{} is damaged ({damage}), and {}: fetch the day with backfill --refetch all", key.settlement(), self.reason));
        self.reason = reason;
        self.rebuild = material.map(|material| RebuildDay { material, stored: None, history: Vec::new() });
    }
}

/// What the lake has of one day.
struct FoundDay {
    file: Option<Result<DayFile, String>>,
    /// Newest first.
    responses: Vec<Path>,
    /// Oldest first.
    history: Vec<Path>,
}

/// What is done about a day, and why.
type Decision = (Option<Material>, Cow<'static, str>);

impl FoundDay {
    fn decide(self, key: &DayKey) -> KnownDay {
        let (material, reason) = match (&self.file, self.responses.first()) {
            (Some(Ok(file)), newest) if self.is_later(file) => use_table(key, file, newest),
            (Some(Ok(_)), Some(newest)) => self.use_responses(newest),
            (Some(Err(_)) | None, Some(newest)) => self.lost(key, newest),
            (Some(Err(reason)), None) => {
                nothing(format!("{} cannot be read ({reason}), and no response was kept: fetch the day with backfill", key.settlement()))
            }
            (Some(Ok(_)) | None, None) => (None, NOTHING_KNOWN.into()),
        };
        let rebuild = material.map(|material| RebuildDay { material, stored: self.file.and_then(Result::ok), history: self.history });
        KnownDay { reason, rebuild }
    }

    /// Whether a file is from a later response than those that were kept.
    fn is_later(&self, file: &DayFile) -> bool {
        let newest = self.responses.first().and_then(time_of);
        self.responses.is_empty() || newest.is_some_and(|newest| file.record.extracted_at > newest)
    }

    fn use_responses(&self, newest: &Path) -> Decision {
        (Some(Material::Responses(self.responses.clone())), format!("from the response {newest}").into())
    }

    /// A day that has no readable file.
    fn lost(&self, key: &DayKey, newest: &Path) -> Decision {
        let later = self.history.iter().rev().find(|version| !is_damaged(version) && time_of(version) > time_of(newest));
        match later {
            None => self.use_responses(newest),
            Some(later) => nothing(format!(
                "{} is missing or cannot be read, and {later} was from a later response than {newest}, the newest that was kept: fetch the day with backfill",
                key.settlement()
            )),
        }
    }
}

/// A day whose file is from a later response than the newest that was kept.
fn use_table(key: &DayKey, file: &DayFile, newest: Option<&Path>) -> Decision {
    let why = newest.map_or_else(|| "no response was kept".to_owned(), |newest| format!("it is from a later response than {newest}"));
    match file.fit {
        SchemaFit::Same => (None, why.into()),
        SchemaFit::Appended | SchemaFit::Widened => (Some(Material::Table), "from its own file, into this version's schema".into()),
        SchemaFit::Other => nothing(format!(
            "{} cannot be converted to this version's schema, and {why}: fetch the day into another --dest",
            key.settlement()
        )),
    }
}

fn nothing(why: String) -> Decision {
    let reason = format!("cannot be rebuilt: {why}");
    (Some(Material::Nothing(why)), reason.into())
}
