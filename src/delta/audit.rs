//! Compares a file of the table with the day records of the same versions: by rows, by sums, and by content.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::lake::error::LakeError;
use crate::lake::record::DayRecord;
use crate::lake::store::Lake;
use crate::settlement::columns::fingerprint;
use crate::settlement::sums::sums_json;
use crate::settlement::totals::ArrayTotals;

use super::file::{PackedDay, TableFile};
use super::read::rows;

/// What is wrong with a file, by day. Days of which the lake holds another version are only behind, and not compared.
///
/// # Errors
/// The file cannot be fetched.
pub(crate) async fn audit(
    lake: &Lake,
    file: &TableFile,
    records: &BTreeMap<NaiveDate, &DayRecord>,
) -> Result<Vec<(NaiveDate, String)>, LakeError> {
    let days = match file.days() {
        Ok(days) => days,
        Err(what) => return Ok(vec![(NaiveDate::default(), format!("its add action {what}"))]),
    };
    let first = days.first().map(|day| day.pay_date).unwrap_or_default();
    let read = rows(lake, file, BTreeMap::<NaiveDate, ArrayTotals>::new(), |totals, pay_date, batch| {
        totals.entry(pay_date).or_default().add(batch);
        Ok(())
    });
    let mut totals = match read.await? {
        Ok(totals) => totals,
        Err(reason) => return Ok(vec![(first, reason)]),
    };
    let mut found = Vec::new();
    for day in &days {
        let has = totals.remove(&day.pay_date).unwrap_or_default();
        let record = records.get(&day.pay_date).filter(|record| (record.extracted_at, &record.digest) == (day.extracted_at, &day.digest));
        found.extend(differences(day, &has, record.copied()).into_iter().map(|what| (day.pay_date, what)));
    }
    found.extend(totals.into_keys().map(|pay_date| (pay_date, format!("it has rows of {pay_date}, which is not in its day list"))));
    Ok(found)
}

fn differences(day: &PackedDay, has: &ArrayTotals, record: Option<&DayRecord>) -> Vec<String> {
    let pay_date = day.pay_date;
    if has.rows() != day.rows {
        return vec![format!("it has {} rows of {pay_date}, and its day list states {}", has.rows(), day.rows)];
    }
    let Some(record) = record else { return Vec::new() };
    let mut found = Vec::new();
    if has.rows() != record.rows {
        found.push(format!("it has {} rows of {pay_date}, and the day file has {}", has.rows(), record.rows));
    }
    for (column, sum) in sums_json(has.sums()) {
        let stated = record.sums.get(&column).cloned().unwrap_or_default();
        if sum != stated {
            found.push(format!("its sum of {column} of {pay_date} is {sum}, and that of the day file {stated}"));
        }
    }
    // files of an earlier version have fewer columns, and another digest
    if found.is_empty() && record.schema_fingerprint == fingerprint() && has.digest().to_string() != record.digest {
        found.push(format!("its rows of {pay_date} are not those of the day file"));
    }
    found
}
