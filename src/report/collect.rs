//! Reads the figures of a report from the day records, one merchant after another, so that memory holds one merchant's records.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use chrono::{DateTime, NaiveDate, Utc};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::calendar::{DateRange, seoul_date};
use crate::lake::backend::Fetched;
use crate::lake::error::LakeError;
use crate::lake::file::read_rows;
use crate::lake::holdings::Holdings;
use crate::lake::layout::DayKey;
use crate::lake::ledger::MerchantLedger;
use crate::lake::merchant::MerchantName;
use crate::lake::record::DayRecord;
use crate::lake::store::Lake;
use crate::plan::SettleWindow;
use crate::revisions::{Revision, replaced, restatements};
use crate::scope::Scope;
use crate::settlement::groups::{Group, Grouping};
use crate::status::DayState;

use super::amounts::{Amounts, FeeTable};
use super::figures::{Day, Figures, MerchantFigures, Restatement};
use super::period::Requested;

/// What a report needs beside the lake.
pub(crate) struct Making<'a> {
    /// When it is made.
    pub(crate) now: DateTime<Utc>,
    /// When an open day is overdue.
    pub(crate) window: SettleWindow,
    /// What the settings call an API id.
    pub(crate) name: &'a dyn Fn(&str) -> Option<String>,
}

/// Reads the figures of the days in scope.
///
/// # Errors
/// The lake cannot be read; within, a range that runs backwards.
pub(crate) async fn figures(
    lake: &Lake,
    scope: &Scope,
    holdings: &Holdings,
    making: &Making<'_>,
) -> Result<Result<Figures, String>, LakeError> {
    let merchants: BTreeSet<MerchantName> = holdings.merchants().into_iter().filter(|name| scope.merchants.include(name)).collect();
    let mut held: BTreeMap<&MerchantName, DateRange> = BTreeMap::new();
    for DayKey { pay_date, merchant } in holdings.keys().filter(|key| scope.merchants.include(&key.merchant)) {
        let range = held.entry(merchant).or_insert(DateRange { from: *pay_date, to: *pay_date });
        *range = DateRange { from: range.from.min(*pay_date), to: range.to.max(*pay_date) };
    }
    let ends = held.values().copied().reduce(|a, b| DateRange { from: a.from.min(b.from), to: a.to.max(b.to) });
    let today = seoul_date(making.now);
    let held_by_all = ends.unwrap_or(DateRange { from: today, to: today });
    let range = match (Requested { from: scope.from, to: scope.to, held: held_by_all, today }).range() {
        Ok(range) => range,
        Err(reason) => return Ok(Err(reason)),
    };
    let mut figures = Figures { range, made_at: making.now, today, as_of: None, environment: None, merchants: Vec::new() };
    // the next merchant's ledger is decoded while this one's is read
    let loaded = futures::stream::iter(&merchants).map(|merchant| MerchantLedger::load(lake, merchant, &holdings.days)).buffered(2);
    let mut ledgers = pin!(loaded);
    while let Some(ledger) = ledgers.next().await {
        // a merchant is missed from its own first day on, unless the first day was stated
        let first = held.get(ledger.merchant()).map_or(range.from, |held| held.from);
        let own = DateRange { from: if scope.from.is_some() { range.from } else { first.max(range.from) }, ..range };
        let merchant = merchant_figures(lake, &ledger, own, making, &mut figures).await?;
        figures.merchants.push(merchant);
    }
    Ok(Ok(figures))
}

async fn merchant_figures(
    lake: &Lake,
    ledger: &MerchantLedger,
    range: DateRange,
    making: &Making<'_>,
    figures: &mut Figures,
) -> Result<MerchantFigures, LakeError> {
    let merchant_id = ledger.merchant().api_id();
    let mut merchant = MerchantFigures {
        name: (making.name)(&merchant_id).filter(|name| *name != merchant_id),
        merchant_id,
        range: Some(range).filter(|range| range.from <= range.to),
        as_of: None,
        days: BTreeMap::new(),
        fees: FeeTable::default(),
        restatements: Vec::new(),
    };
    let history = ledger.versions(lake).await?;
    let kept: Vec<&DayKey> = history.keys().filter(|key| range.contains(key.pay_date)).collect();
    let mut revisions = replaced(lake, kept, &history, ledger).await?;
    let days: Vec<NaiveDate> = ledger.days().filter(|pay_date| range.contains(*pay_date)).collect();
    let mut files = pin!(ledger.files(lake, days));
    while let Some((key, file)) = files.try_next().await? {
        let mut day = match file {
            Err(reason) => Day::unreadable(reason),
            Ok(file) => {
                let mut day = Day::new(&file.record);
                for group in groups(lake, &key, &file.record).await? {
                    day.amounts.add(&group);
                    merchant.fees.add(&group);
                }
                day.overdue = day.state == DayState::Open && making.window.is_over(key.pay_date);
                merchant.as_of = merchant.as_of.max(Some(file.record.extracted_at));
                figures.environment.get_or_insert(file.record.environment);
                if let Some(revisions) = revisions.get_mut(&key.pay_date) {
                    revisions.push(Revision::of(&file.record));
                }
                day
            }
        };
        if let Some(revisions) = revisions.get(&key.pay_date) {
            let of_day = restatements(revisions).map(|(before, after)| Restatement::new(key.pay_date, before, after));
            let before = merchant.restatements.len();
            merchant.restatements.extend(of_day);
            day.restated = merchant.restatements.len() > before;
        }
        merchant.days.insert(key.pay_date, day);
    }
    figures.as_of = figures.as_of.max(merchant.as_of);
    Ok(merchant)
}

/// The groups of a day: the record's if it has them and they add up to its own figures, otherwise from the rows.
async fn groups(lake: &Lake, key: &DayKey, record: &DayRecord) -> Result<Vec<Group>, LakeError> {
    if let Some(groups) = record.groups.as_ref().filter(|groups| add_up(groups, record)) {
        return Ok(groups.clone());
    }
    if record.rows == 0 {
        return Ok(Vec::new());
    }
    let at = key.settlement();
    let Some(Fetched { file, .. }) = lake.fetch(&at).await? else { return Ok(Vec::new()) };
    let read = tokio::task::spawn_blocking(move || {
        // few rows at a time, so that there are never too many combinations to be listed
        const ROWS: usize = 1000;
        let mut groups = Vec::new();
        read_rows(file, |batch| {
            for from in (0..batch.num_rows()).step_by(ROWS) {
                let mut grouping = Grouping::default();
                grouping.add(&batch.slice(from, ROWS.min(batch.num_rows() - from)));
                groups.extend(grouping.groups().unwrap_or_default());
            }
            Ok(())
        })?;
        Ok::<_, LakeError>(groups)
    });
    read.await.map_err(LakeError::panicked(&at))?
}

/// Whether a record's groups are all of its rows.
fn add_up(groups: &[Group], record: &DayRecord) -> bool {
    let amounts = groups.iter().try_fold((0u64, [0i128; 5]), |(rows, mut sums), group| {
        for (sum, added) in sums.iter_mut().zip(group.sums) {
            *sum = sum.checked_add(added)?;
        }
        Some((rows.checked_add(group.rows)?, sums))
    });
    amounts == Some((record.rows, record.exact_sums()))
}

impl Day {
    fn new(record: &DayRecord) -> Self {
        Self {
            state: DayState::of(record),
            overdue: false,
            restated: false,
            unreadable: None,
            open_because: record.open_because.clone(),
            rejected_rows: record.rejected_rows,
            unbalanced_rows: record.unbalanced_rows,
            extracted_at: Some(record.extracted_at),
            amounts: Amounts::default(),
        }
    }

    fn unreadable(reason: String) -> Self {
        Self {
            state: DayState::Open,
            overdue: false,
            restated: false,
            unreadable: Some(reason),
            open_because: Vec::new(),
            rejected_rows: 0,
            unbalanced_rows: 0,
            extracted_at: None,
            amounts: Amounts::default(),
        }
    }
}
