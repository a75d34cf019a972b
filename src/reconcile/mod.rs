//! Compares the merchant's books and the bank's statement with the lake. Reads the lake and files; never calls the API.
//!
//! `reconcile` is the whole of it. [`files`] reads files, and [`books`] is what they come to. On the lake's side `source` finds the files,
//! `reading` reads their rows, and `days` the days' records. `merchants` finds out whose a line is, `join` puts lines and rows together that share a number, and [`cases`] compares
//! them; [`fees`] and [`deposits`] compare the rest. [`outcome`] is what was found: [`difference`] lists what differs, [`reason`] why
//! that can be, [`result`] is its JSON, [`export`] its files for programs, and `page` and `workbook` those for people, of the same `lists`.

pub mod books;
pub mod cases;
pub mod days;
pub mod deposits;
pub mod difference;
pub mod error;
pub mod export;
pub mod fees;
pub mod files;
mod groups;
mod join;
mod lists;
mod merchants;
pub mod outcome;
pub(crate) mod page;
pub mod period;
#[cfg(test)]
mod properties;
mod rates;
mod reading;
pub mod reason;
pub mod result;
mod rows;
mod source;
pub(crate) mod workbook;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;

use chrono::{Days, NaiveDate};

use crate::lake::holdings::Holdings;
use crate::lake::merchant::MerchantName;
use crate::lake::store::Lake;
use crate::scope::Scope;

use books::{Deposits, Meaning, OrderLine, Orders};
use cases::{CaseStatus, Cases, Rules};
use days::LakeDays;
use error::ReconcileError;
use files::{Books, FileOptions};
use join::{Joined, join};
use merchants::{Known, Resolved};
use outcome::{CaseSum, DepositsFound, FeesFound, OrdersFound, Outcome};
use period::Period;
use rates::Rates;
use reading::{LakeSide, Wanted};
use rows::Rows;

/// What to reconcile, and how.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `--orders`: the files of the merchant's books.
    pub orders: Vec<String>,
    /// `--deposits`: the files of the bank's statement.
    pub deposits: Vec<String>,
    /// How files are read.
    pub files: FileOptions,
    /// `--rates`: the contracted rates.
    pub rates: Option<PathBuf>,
    /// `--settle-days`: days from a line's date after which it is due.
    pub settle_days: Option<u32>,
    /// `--deposit-days`: how many days late a deposit may be.
    pub deposit_days: u32,
    /// The settings file's API ids by the merchants' names.
    pub names: BTreeMap<String, String>,
}

/// Compares the books, the lake and the statement. `scope` has the merchants, and the period as far as it is set.
///
/// # Errors
/// What of the lake, of the files or of the rates cannot be used.
pub(crate) async fn reconcile(lake: &Lake, scope: &Scope, holdings: &Holdings, request: &Request) -> Result<Outcome, ReconcileError> {
    let has_orders = !request.orders.is_empty();
    let period = Period { from: scope.from, to: scope.to };
    let (examined, others): (BTreeSet<_>, BTreeSet<_>) =
        holdings.days.iter().map(|day| &day.key.merchant).partition(|merchant| scope.merchants.include(merchant));
    let examined: Vec<MerchantName> = examined.into_iter().cloned().collect();
    let wanted = Wanted { rows: has_orders, fees: Some(period), rates: rates(request)? };
    let lake_side = async {
        let days = if has_orders { LakeDays::load(lake, holdings, &examined).await? } else { LakeDays::default() };
        let reach = reach(period, request);
        let side = source::read(lake, holdings, &examined, reach, wanted).await?;
        Ok::<_, ReconcileError>((days, side))
    };
    let books = async { Ok(files::read(&request.orders, &request.deposits, &request.files).await?) };
    let (books, (days, mut side)) = futures::try_join!(books, lake_side)?;
    let Books { orders, deposits } = books;
    let ids: Vec<String> = examined.iter().map(MerchantName::api_id).collect();
    let settle_days = request.settle_days.or_else(|| has_orders.then(|| side.settle_days()));
    let (orders, merchants) = match orders {
        None => (None, ids),
        Some(mut orders) => {
            let resolved = resolve(lake, holdings, scope, request, &ids, &others, &side, &mut orders).await?;
            let rows = std::mem::take(&mut side.rows);
            let compare = move || compare(orders, resolved, rows, period, settle_days.unwrap_or_default(), days);
            let compared = tokio::task::spawn_blocking(compare).await.map_err(|panic| ReconcileError::Panicked(panic.to_string()))?;
            let (found, merchants, rows) = compared?;
            side.rows = rows;
            (Some(found), merchants)
        }
    };
    let deposits = deposits.map(|found| deposits_found(found, period, &side, request.deposit_days));
    let LakeSide { rows, fees, fee_rows, .. } = side;
    let of_lake = || {
        period.or_span(Period::spanning(
            holdings.days.iter().filter(|day| scope.merchants.include(&day.key.merchant)).map(|day| day.key.pay_date),
        ))
    };
    Ok(Outcome {
        dest: lake.dest().to_string(),
        period: match (&orders, &deposits) {
            (Some(orders), _) => orders.period,
            (None, Some(deposits)) => deposits.period,
            (None, None) => of_lake(),
        },
        settle_days,
        orders,
        fees: FeesFound { period, statuses: fees },
        deposits,
        merchants,
        rows,
        fee_rows,
    })
}

fn rates(request: &Request) -> Result<Rates, ReconcileError> {
    let Some(path) = &request.rates else { return Ok(Rates::default()) };
    let file = path.display().to_string();
    let bytes = fs::read(path).map_err(|source| ReconcileError::RatesFile { file: file.clone(), source })?;
    // what Excel saves in Korea, if it is not UTF-8
    let text = String::from_utf8(bytes).unwrap_or_else(|error| encoding_rs::EUC_KR.decode(error.as_bytes()).0.into_owned());
    Rates::parse(&text).map_err(|source| ReconcileError::Rates { file, source })
}

/// The pay dates whose files are read. Numbers of orders can be anywhere.
fn reach(period: Period, request: &Request) -> Period {
    if !request.orders.is_empty() {
        return Period::default();
    }
    let before = if request.deposits.is_empty() { 0 } else { request.deposit_days };
    Period { from: period.from.map(|from| from.checked_sub_days(Days::new(before.into())).unwrap_or(NaiveDate::MIN)), to: period.to }
}

/// Finds the merchants of the lines.
#[expect(clippy::too_many_arguments, reason = "all that a line's merchant can be compared with")]
async fn resolve(
    lake: &Lake,
    holdings: &Holdings,
    scope: &Scope,
    request: &Request,
    examined: &[String],
    others: &BTreeSet<&MerchantName>,
    side: &LakeSide,
    orders: &mut Orders,
) -> Result<Resolved, ReconcileError> {
    let other_ids: BTreeSet<String> = others.iter().map(|merchant| merchant.api_id()).collect();
    let mut known = Known {
        examined,
        others: &other_ids,
        names: &request.names,
        cpids: &side.cpids,
        other_cpids: BTreeSet::new(),
        limited: !scope.merchants.named().is_empty(),
    };
    if !others.is_empty() && known.needs_cpids(&orders.lines) {
        let merchants: Vec<MerchantName> = others.iter().map(|merchant| (*merchant).clone()).collect();
        let read = source::read(lake, holdings, &merchants, Period::default(), Wanted::default()).await?;
        known.other_cpids = read.cpids.into_keys().collect();
    }
    Ok(known.resolve(orders)?)
}

/// Joins and compares lines and rows.
fn compare(
    orders: Orders,
    resolved: Resolved,
    mut rows: Rows,
    period: Period,
    settle_days: u32,
    days: LakeDays,
) -> Result<(OrdersFound, Vec<String>, Rows), ReconcileError> {
    let Orders { are, lines, read } = orders;
    let Resolved { merchants, named } = resolved;
    let joined: Joined = join(&lines, named, &mut rows);
    let (are, period) = (are.unwrap_or(Meaning::Totals), period.or_span(read.span));
    let rules = Rules { meaning: are, period, settle_days, days: &days };
    let cases = rules.compare(&lines, &rows, joined)?;
    let mut statuses: BTreeMap<CaseStatus, CaseSum> = BTreeMap::new();
    for case in &cases.examined {
        let sum = statuses.entry(case.status).or_default();
        sum.cases += 1;
        sum.order_amount += case.order_amount;
        sum.pg_amount += case.pg_amount;
    }
    let zeros = with_leading_zeros(&lines, &rows, &cases);
    let found = OrdersFound { read, are, period, unstated: cases.unstated, statuses, lines, cases, settle_days, days, zeros };
    Ok((found, merchants, rows))
}

/// The order numbers of the lake that are those of lines the PG does not have, but for leading zeros, by the sets of their cases:
/// Excel takes such zeros away.
fn with_leading_zeros(lines: &[OrderLine], rows: &Rows, cases: &Cases) -> HashMap<u32, String> {
    let mut wanted: HashMap<&str, Vec<(u32, Option<u32>)>> = HashMap::new();
    for case in cases.examined.iter().filter(|case| case.status == CaseStatus::MissingAtPg) {
        for line in cases.members.of(case.set as usize).iter().filter_map(|node| lines.get(*node as usize)) {
            if let Some(number) = &line.order_no {
                wanted.entry(number.trim_start_matches('0')).or_default().push((case.set, case.merchant));
            }
        }
    }
    let mut found: HashMap<u32, String> = HashMap::new();
    if wanted.is_empty() {
        return found;
    }
    for row in 0..rows.len() {
        let Some(number) = rows.order_numbers.get(row).filter(|number| number.starts_with('0')) else { continue };
        for (set, merchant) in wanted.get(number.trim_start_matches('0')).into_iter().flatten() {
            if merchant.is_none_or(|merchant| merchant == rows.all[row].merchant) {
                // of several the least, whatever the order of the rows
                let of_set = found.entry(*set).or_insert_with(|| number.to_owned());
                if number < of_set.as_str() {
                    number.clone_into(of_set);
                }
            }
        }
    }
    found
}

fn deposits_found(found: Deposits, period: Period, side: &LakeSide, days: u32) -> DepositsFound {
    let Deposits { lines, read } = found;
    let period = period.or_span(read.span);
    // without any date there is nothing to compare
    let days = if period.is_unknown() { Vec::new() } else { deposits::compare(period, &side.payouts, &lines, days) };
    DepositsFound { read, lines: lines.len() as u64, period, days }
}
