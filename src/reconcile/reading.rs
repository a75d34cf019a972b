//! Reads the lake's side: the rows of day files, column by column, several files at a time. What needs one row alone (its fee, what is
//! paid out, how long that took) is worked out on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Decimal32Type, Decimal64Type};
use arrow_array::{Array as _, Decimal64Array, RecordBatch, StringArray};
use chrono::NaiveDate;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use parquet::errors::ParquetError;
use tokio::sync::Semaphore;
use xxhash_rust::xxh3::xxh3_64;

use crate::lake::backend::Fetched;
use crate::lake::error::LakeError;
use crate::lake::scan::{PAY_DATE, Scan};
use crate::lake::store::Lake;

use super::books::Hundredths;
use super::deposits::Payouts;
use super::fees::{Charged, FeeStatus, Judged};
use super::join::MerchantIndex;
use super::period::Period;
use super::rates::Rates;
use super::rows::{Kind, Row, Rows};

/// Files fetched at the same time. On S3 each is a request.
const PARALLEL: usize = 16;

/// The columns that are read, in the order of [`Columns`].
const COLUMNS: [&str; 15] = [
    "transaction_id",
    "order_no",
    "payment_status",
    "payoff_status",
    "pay_type",
    "acquirer_code",
    "cpid",
    "auth_amount",
    "fee",
    "vat",
    "payment_amount",
    "final_amount",
    "fee_rate",
    "auth_date",
    PAY_DATE,
];

/// A file of the lake, with rows of one merchant.
#[derive(Debug, Clone)]
pub(super) struct LakeFile {
    pub(super) location: Path,
    pub(super) merchant: MerchantIndex,
    /// The day of all its rows; `None` if each row states its own.
    pub(super) pay_date: Option<NaiveDate>,
}

/// What is read of the lake.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Whether all rows are kept, for cases; otherwise only those whose fee differs.
    pub(super) rows: bool,
    /// The pay dates whose fees are checked; `None` for none.
    pub(super) fees: Option<Period>,
    /// The rates of the contract.
    pub(super) rates: Rates,
}

/// A row whose fee differs.
#[derive(Debug, Clone, Copy)]
pub(super) struct FeeRow {
    /// Its position among the rows that were kept.
    pub(super) row: usize,
    pub(super) judged: Judged,
    /// The rate that the row states.
    pub(super) rate: Option<i32>,
}

/// The approved rows of one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeeSum {
    /// How many there are.
    pub rows: u64,
    /// What they differ by, in hundredths of a won.
    pub difference: Hundredths,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct LakeSide {
    pub(super) rows: Rows,
    pub(super) fees: BTreeMap<FeeStatus, FeeSum>,
    pub(super) fee_rows: Vec<FeeRow>,
    pub(super) payouts: Payouts,
    /// How many approved rows took how many days from approval to payout.
    settled: BTreeMap<u32, u64>,
    /// The merchants' ids at the PG, and whose they are.
    pub(super) cpids: BTreeMap<String, BTreeSet<MerchantIndex>>,
}

impl LakeSide {
    /// Reads these files.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub(super) async fn read(lake: &Lake, files: Vec<LakeFile>, wanted: &Arc<Wanted>) -> Result<Self, LakeError> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let decoding = Arc::new(Semaphore::new(threads));
        let parts = futures::stream::iter(files).map(|file| {
            let (wanted, decoding) = (Arc::clone(wanted), Arc::clone(&decoding));
            async move {
                let LakeFile { location, merchant, pay_date } = file;
                let missing =
                    || LakeError::Record { object: location.to_string(), reason: "it was removed meanwhile: run this again".into() };
                let Fetched { file, .. } = lake.fetch(&location).await?.ok_or_else(missing)?;
                // decoded rows are what takes memory: never those of more files than there are processors
                let _permit = decoding.acquire_owned().await.ok();
                let read = move || read_file(file, &wanted, Owner { merchant, pay_date }, threads);
                let part = tokio::task::spawn_blocking(read).await.map_err(LakeError::panicked(&location))?;
                part.map_err(|error| LakeError::Record {
                    object: location.to_string(),
                    reason: format!("its rows cannot be read: {error}"),
                })
            }
        });
        let whole = parts.buffered(PARALLEL).try_fold(Self::default(), async |mut whole, part| {
            whole.append(part);
            Ok(whole)
        });
        whole.await
    }

    fn append(&mut self, part: Self) {
        let before = self.rows.len();
        self.rows.append(&part.rows);
        self.fee_rows.extend(part.fee_rows.into_iter().map(|found| FeeRow { row: before + found.row, ..found }));
        for (status, sum) in part.fees {
            let of_status = self.fees.entry(status).or_default();
            of_status.rows += sum.rows;
            of_status.difference += sum.difference;
        }
        for (date, payout) in part.payouts {
            let of_date = self.payouts.entry(date).or_default();
            of_date.expected += payout.expected;
            of_date.cancelled += payout.cancelled;
        }
        for (days, rows) in part.settled {
            *self.settled.entry(days).or_default() += rows;
        }
        for (cpid, merchants) in part.cpids {
            self.cpids.entry(cpid).or_default().extend(merchants);
        }
    }

    /// The days from approval to payout that all but one in a hundred approved rows stay within.
    pub(super) fn settle_days(&self) -> u32 {
        const PERCENT: u64 = 99;
        let rows: u64 = self.settled.values().sum();
        let within = (rows * PERCENT).div_ceil(100);
        let mut seen = 0;
        let reached = self.settled.iter().find(|(_, rows)| {
            seen += **rows;
            seen >= within
        });
        reached.map_or(0, |(days, _)| *days)
    }
}

/// Whose rows a file has.
#[derive(Debug, Clone, Copy)]
struct Owner {
    merchant: MerchantIndex,
    pay_date: Option<NaiveDate>,
}

/// Reads a file. The row groups of a large one are shared among threads.
fn read_file(file: File, wanted: &Wanted, owner: Owner, threads: usize) -> Result<LakeSide, ParquetError> {
    let scan = Scan::open(file, &COLUMNS)?;
    let groups = scan.row_groups();
    let read = |group: usize| {
        let mut part = LakeSide::default();
        scan.read(group, |batch| part.add(batch, wanted, owner))?;
        Ok::<_, ParquetError>(part)
    };
    let mut whole = LakeSide::default();
    if groups < 2 {
        if groups == 1 {
            whole = read(0)?;
        }
        return Ok(whole);
    }
    let next = AtomicUsize::new(0);
    let mut parts: Vec<(usize, LakeSide)> = thread::scope(|scope| {
        let take = || {
            let mut parts = Vec::new();
            loop {
                let group = next.fetch_add(1, Ordering::Relaxed);
                if group >= groups {
                    return Ok(parts);
                }
                parts.push((group, read(group)?));
            }
        };
        let workers: Vec<_> = (0..threads.min(groups)).map(|_| scope.spawn(take)).collect();
        let parts = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        parts.collect::<Result<Vec<Vec<_>>, ParquetError>>().map(|parts| parts.into_iter().flatten().collect())
    })?;
    parts.sort_by_key(|(group, _)| *group);
    for (_, part) in parts {
        whole.append(part);
    }
    Ok(whole)
}

/// The columns of a batch.
struct Columns<'b> {
    texts: [&'b StringArray; 7],
    amounts: [&'b Decimal64Array; 5],
    batch: &'b RecordBatch,
}

impl<'b> Columns<'b> {
    fn of(batch: &'b RecordBatch) -> Self {
        let texts = std::array::from_fn(|column| batch.column(column).as_string::<i32>());
        let amounts = std::array::from_fn(|amount| batch.column(7 + amount).as_primitive::<Decimal64Type>());
        Self { texts, amounts, batch }
    }

    fn text(&self, column: usize, row: usize) -> Option<&'b str> {
        self.texts[column].is_valid(row).then(|| self.texts[column].value(row))
    }

    fn amount(&self, amount: usize, row: usize) -> Option<i64> {
        self.amounts[amount].is_valid(row).then(|| self.amounts[amount].value(row))
    }

    fn rate(&self, row: usize) -> Option<i32> {
        let rates = self.batch.column(12).as_primitive::<Decimal32Type>();
        rates.is_valid(row).then(|| rates.value(row))
    }

    fn date(&self, column: usize, row: usize) -> Option<NaiveDate> {
        let dates = self.batch.column(column).as_primitive::<Date32Type>();
        dates.is_valid(row).then(|| NaiveDate::from_epoch_days(dates.value(row))).flatten()
    }
}

impl LakeSide {
    fn add(&mut self, batch: &RecordBatch, wanted: &Wanted, owner: Owner) -> Result<(), ParquetError> {
        let columns = Columns::of(batch);
        for row in 0..batch.num_rows() {
            let [transaction_id, order_no, payment_status, payoff_status, pay_type, acquirer_code, cpid] =
                std::array::from_fn(|column| columns.text(column, row));
            let amounts @ [auth_amount, fee, vat, payment_amount, _] = std::array::from_fn(|amount| columns.amount(amount, row));
            let (fee_rate, auth_date) = (columns.rate(row), columns.date(13, row));
            let pay_date = owner.pay_date.or_else(|| columns.date(14, row));
            let pay_date = pay_date.ok_or_else(|| ParquetError::General("a row has no pay_date".into()))?;
            let kind = Kind::of(payment_status.unwrap_or_default());
            if let Some(cpid) = cpid
                && self.cpids.get(cpid).is_none_or(|merchants| !merchants.contains(&owner.merchant))
            {
                self.cpids.entry(cpid.to_owned()).or_default().insert(owner.merchant);
            }
            if payoff_status == Some("03")
                && let Some(paid) = payment_amount
            {
                let payout = self.payouts.entry(pay_date).or_default();
                payout.expected += i128::from(paid);
                if matches!(kind, Kind::CancelledSameDay | Kind::CancelledLater) {
                    payout.cancelled += i128::from(paid.min(0));
                }
            }
            let mut differs = None;
            if kind == Kind::Approved {
                if let Some(auth_date) = auth_date {
                    let days = (pay_date - auth_date).num_days();
                    *self.settled.entry(u32::try_from(days).unwrap_or_default()).or_default() += 1;
                }
                if wanted.fees.is_some_and(|period| period.contains(pay_date)) {
                    let charged = Charged { auth_amount, fee_rate, fee, vat, payment_amount };
                    let judged = charged.judge(wanted.rates.find(pay_type, acquirer_code, auth_date.unwrap_or(pay_date)));
                    let sum = self.fees.entry(judged.status).or_default();
                    sum.rows += 1;
                    sum.difference += judged.difference();
                    differs = Some(judged).filter(|judged| judged.status.differs());
                }
            }
            if wanted.rows || differs.is_some() {
                let transaction_id = transaction_id.unwrap_or_default();
                let kept = Row {
                    amount: kind.counts(auth_amount.unwrap_or_default()),
                    same: same(transaction_id, payment_status.unwrap_or_default(), amounts),
                    merchant: owner.merchant,
                    pay_date,
                    auth_date,
                    kind,
                    unstated: auth_amount.is_none(),
                };
                if let Some(judged) = differs {
                    self.fee_rows.push(FeeRow { row: self.rows.len(), judged, rate: fee_rate });
                }
                self.rows.push(kept, order_no.unwrap_or_default(), transaction_id);
            }
        }
        Ok(())
    }
}

/// A hash of what duplicate rows have in common.
fn same(transaction_id: &str, payment_status: &str, amounts: [Option<i64>; 5]) -> u64 {
    let texts = [xxh3_64(transaction_id.as_bytes()), xxh3_64(payment_status.as_bytes())];
    // no amount is this small
    let amounts = amounts.map(|amount| amount.unwrap_or(i64::MIN).cast_unsigned());
    let mut bytes = [0; 56];
    for (part, value) in bytes.chunks_exact_mut(8).zip(texts.into_iter().chain(amounts)) {
        part.copy_from_slice(&value.to_le_bytes());
    }
    xxh3_64(&bytes)
}
