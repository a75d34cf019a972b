//! Which files the table needs: compares what the lake holds with a snapshot, month by month. Does no I/O.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::lake::merchant::MerchantName;

use super::error::DeltaError;
use super::file::{HeldDay, Month, PackedDay, TableFile, file_name};
use super::held::HeldMerchant;
use super::snapshot::Snapshot;

/// Bytes of day files up to which days share a file, so that one changed day rewrites no more.
const PART_BYTES: u64 = 64 << 20;

/// A file to be written: days of one month that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) merchant: MerchantName,
    pub(super) month: Month,
    pub(super) days: Vec<HeldDay>,
    pub(super) name: String,
    /// The files of the table that hold some of these days as they are, and what each of them lists.
    pub(super) from: Vec<(TableFile, Vec<PackedDay>)>,
}

/// What changes in one merchant's month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MonthPlan {
    pub(super) merchant: MerchantName,
    pub(super) month: Month,
    /// The files to be added.
    pub(super) parts: Vec<Part>,
    /// The files to be removed.
    pub(super) removed: Vec<TableFile>,
    /// The days that are added or replaced.
    pub(super) days: u64,
    /// Days of the table that the lake is not known to hold, at all or in so late a version: another run may have published them.
    pub(super) doubtful: Vec<PackedDay>,
}

/// The live files of a snapshot by merchant and month.
pub(super) type Existing<'s> = BTreeMap<&'s MerchantName, BTreeMap<Month, Vec<&'s TableFile>>>;

/// Sorts a snapshot's files by merchant and month.
pub(super) fn existing(snapshot: Option<&Snapshot>) -> Existing<'_> {
    let mut existing = Existing::new();
    for file in snapshot.into_iter().flat_map(Snapshot::files) {
        existing.entry(&file.merchant).or_default().entry(file.month).or_default().push(file);
    }
    existing
}

/// The months of a merchant in which the table differs from what the lake holds. A month with a day that cannot be read is left as it
/// is.
///
/// # Errors
/// A file's day list cannot be read.
pub(super) fn plan(held: &HeldMerchant, existing: &Existing<'_>) -> Result<Vec<MonthPlan>, DeltaError> {
    let mut months: BTreeMap<Month, (Vec<&HeldDay>, &[&TableFile])> = BTreeMap::new();
    for day in held.days.values() {
        months.entry(Month::of(day.day.pay_date)).or_default().0.push(day);
    }
    for (month, files) in existing.get(&held.merchant).into_iter().flatten() {
        months.entry(*month).or_default().1 = files;
    }
    let unreadable: BTreeSet<Month> = held.unreadable.keys().map(|pay_date| Month::of(*pay_date)).collect();
    let plans = months.into_iter().filter(|(month, _)| !unreadable.contains(month));
    plans.filter_map(|(month, (days, files))| plan_month(&held.merchant, month, &days, files).transpose()).collect()
}

fn plan_month(merchant: &MerchantName, month: Month, days: &[&HeldDay], files: &[&TableFile]) -> Result<Option<MonthPlan>, DeltaError> {
    if let [file] = files
        && file.name == file_name(merchant, month, days.iter().copied())
    {
        return Ok(None);
    }
    let days: Vec<HeldDay> = days.iter().map(|day| (*day).clone()).collect();
    let mut before = Vec::new();
    for file in files {
        before.push(((*file).clone(), file.days().map_err(|what| DeltaError::foreign(&file.location(), what))?));
    }
    let table: BTreeMap<NaiveDate, &PackedDay> = before.iter().flat_map(|(_, listed)| listed).map(|day| (day.pay_date, day)).collect();
    let mut first_days: BTreeSet<NaiveDate> = before.iter().filter_map(|(_, listed)| listed.first()).map(|day| day.pay_date).collect();
    first_days.pop_first();
    let names: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let (mut parts, mut kept) = (Vec::new(), BTreeSet::new());
    for group in groups(&days, &first_days) {
        let name = file_name(merchant, month, group);
        if names.contains(name.as_str()) {
            kept.insert(name);
            continue;
        }
        for days in split(group) {
            let name = file_name(merchant, month, days);
            if names.contains(name.as_str()) {
                kept.insert(name);
            } else {
                let holds = |listed: &[PackedDay]| listed.iter().any(|day| days.iter().any(|held| held.day == *day));
                let from = before.iter().filter(|(_, listed)| holds(listed)).cloned().collect();
                parts.push(Part { merchant: merchant.clone(), month, days: days.to_vec(), name, from });
            }
        }
    }
    let removed: Vec<TableFile> = files.iter().filter(|file| !kept.contains(&file.name)).map(|file| (*file).clone()).collect();
    if parts.is_empty() && removed.is_empty() {
        return Ok(None);
    }
    let written = || parts.iter().flat_map(|part| &part.days);
    let changed = written().filter(|held| table.get(&held.day.pay_date) != Some(&&held.day)).count();
    let held = |pay_date: NaiveDate| days.binary_search_by_key(&pay_date, |held| held.day.pay_date).ok().map(|at| &days[at].day);
    let doubtful: Vec<PackedDay> = table
        .values()
        .filter(|packed| held(packed.pay_date).is_none_or(|held| held.extracted_at < packed.extracted_at))
        .map(|packed| (*packed).clone())
        .collect();
    // the same days under another schema, or from other runs, are written again all the same
    let changed = if changed == 0 && doubtful.is_empty() { written().count() } else { changed };
    Ok(Some(MonthPlan { merchant: merchant.clone(), month, parts, removed, days: changed as u64, doubtful }))
}

/// Days by the files that exist: each file's first day begins a group.
fn groups<'d>(days: &'d [HeldDay], first_days: &BTreeSet<NaiveDate>) -> Vec<&'d [HeldDay]> {
    let mut groups = vec![days];
    for first in first_days {
        if let Some(last) = groups.pop() {
            let (before, after) = last.split_at(last.partition_point(|held| held.day.pay_date < *first));
            groups.extend([before, after]);
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// Splits days that are too large for one file.
fn split(mut days: &[HeldDay]) -> Vec<&[HeldDay]> {
    let mut parts = Vec::new();
    while !days.is_empty() {
        let mut bytes = 0;
        let fit = days.iter().take_while(|held| {
            bytes += held.bytes;
            bytes <= PART_BYTES
        });
        // a day alone may be larger
        let (part, rest) = days.split_at(fit.count().max(1));
        parts.push(part);
        days = rest;
    }
    parts
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn day(of_month: u32, digest: &str, bytes: u64) -> HeldDay {
        let pay_date = NaiveDate::from_ymd_opt(2024, 1, of_month).unwrap_or_default();
        let day = PackedDay { pay_date, extracted_at: DateTime::UNIX_EPOCH, digest: digest.into(), rows: 1 };
        HeldDay { day, run_id: "r".into(), bytes }
    }

    fn merchant() -> MerchantName {
        MerchantName::new("m").expect("a name")
    }

    /// The files that result from a plan.
    fn written(plan: &MonthPlan, before: &[TableFile]) -> Vec<TableFile> {
        let mut files: Vec<TableFile> = before.iter().filter(|file| !plan.removed.contains(file)).cloned().collect();
        files.extend(plan.parts.iter().map(|part| TableFile {
            name: part.name.clone(),
            merchant: part.merchant.clone(),
            month: part.month,
            bytes: 1,
            modified_ms: 0,
            stats: String::new(),
            days: serde_json::to_string(&part.days.iter().map(|held| &held.day).collect::<Vec<_>>()).unwrap_or_default(),
        }));
        files
    }

    fn plan_of(days: &[HeldDay], files: &[TableFile]) -> Option<MonthPlan> {
        let files: Vec<&TableFile> = files.iter().collect();
        plan_month(&merchant(), Month::of(day(1, "", 0).day.pay_date), &days.iter().collect::<Vec<_>>(), &files).expect("day lists")
    }

    #[test]
    fn a_month_is_one_file_until_it_is_too_large() {
        let days: Vec<HeldDay> = (1..=4).map(|number| day(number, "a", 10 * MIB)).collect();
        let plan = plan_of(&days, &[]).expect("a change");
        assert_eq!((plan.parts.len(), plan.removed.len(), plan.days), (1, 0, 4));
        let files = written(&plan, &[]);
        assert_eq!(plan_of(&days, &files), None);

        let large: Vec<HeldDay> = (1..=7).map(|number| day(number, "a", 20 * MIB)).collect();
        let parts = plan_of(&large, &[]).expect("a change").parts;
        assert_eq!(parts.iter().map(|part| part.days.len()).collect::<Vec<_>>(), [3, 3, 1]);
        assert_eq!(plan_of(&[day(1, "a", 99 * MIB), day(2, "a", 1)], &[]).expect("a change").parts.len(), 2);
    }

    #[test]
    fn a_changed_day_rewrites_only_its_own_part() {
        let mut days: Vec<HeldDay> = (1..=9).map(|number| day(number, "a", 20 * MIB)).collect();
        let files = written(&plan_of(&days, &[]).expect("a change"), &[]);
        assert_eq!((files.len(), plan_of(&days, &files)), (3, None));
        // it grows, so that its part no longer fits into one file, and the others stay
        days[1] = day(2, "b", 60 * MIB);
        let plan = plan_of(&days, &files).expect("a change");
        assert_eq!((plan.parts.len(), plan.removed.len(), plan.days), (3, 1, 1));
        let files = written(&plan, &files);
        assert_eq!(plan_of(&days, &files), None);
        // days that arrive, and days that are gone
        days.push(day(10, "a", MIB));
        days.remove(0);
        let plan = plan_of(&days, &files).expect("a change");
        assert_eq!((plan.days, plan.doubtful), (1, vec![day(1, "a", 0).day]));
    }

    #[test]
    fn a_later_version_in_the_table_is_doubtful() {
        let days = [day(1, "a", 1), day(2, "a", 1)];
        let mut later = days.clone();
        later[1].day =
            PackedDay { extracted_at: DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1), digest: "b".into(), ..later[1].day.clone() };
        let files = written(&plan_of(&later, &[]).expect("a change"), &[]);
        assert_eq!(plan_of(&days, &files).map(|plan| plan.doubtful), Some(vec![later[1].day.clone()]));
        // the lake's own later version is what the table is to hold
        let files = written(&plan_of(&days, &[]).expect("a change"), &[]);
        assert_eq!(plan_of(&later, &files).map(|plan| (plan.days, plan.doubtful)), Some((1, Vec::new())));
    }

    #[test]
    fn a_month_that_is_gone_is_removed() {
        let days = [day(1, "a", 1)];
        let files = written(&plan_of(&days, &[]).expect("a change"), &[]);
        let plan = plan_of(&[], &files).expect("a change");
        assert_eq!((plan.parts.len(), plan.removed.len(), plan.days, plan.doubtful.len()), (0, 1, 0, 1));
    }

    #[test]
    fn a_day_from_another_run_counts_as_replaced() {
        let days = [day(1, "a", 1), day(2, "a", 1)];
        let files = written(&plan_of(&days, &[]).expect("a change"), &[]);
        let again = days.map(|held| HeldDay { run_id: "s".into(), ..held });
        assert_eq!(plan_of(&again, &files).map(|plan| plan.days), Some(2));
    }
}
