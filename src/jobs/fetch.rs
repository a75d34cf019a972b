//! The job of fetching: plans a range from what the lake holds of each merchant, and reads days from the API.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{NaiveDate, SubsecRound as _};
use futures::TryStreamExt as _;
use futures::future::OptionFuture;
use tokio::sync::mpsc;

use crate::calendar::{Clock, DateRange};
use crate::cookiepay::body::BodyReader;
use crate::cookiepay::client::{ArrivedResponse, Client};
use crate::cookiepay::decode::TextReader;
use crate::cookiepay::error::ReadError;
use crate::cookiepay::redact::Redactor;
use crate::cookiepay::retry::Attempted;
use crate::engine::failure::Failure;
use crate::engine::job::{DayRead, Job, MerchantPlan, NoFirstDay, PlanError, ReadDay, RefusedMerchant, Unplanned, Walked};
use crate::engine::result::Requests;
use crate::errors::chain;
use crate::lake::error::LakeError;
use crate::lake::file::DayFile;
use crate::lake::holdings::NotHeld;
use crate::lake::layout::DayKey;
use crate::lake::ledger::MerchantLedger;
use crate::lake::merchant::{AlikeIds, MerchantName};
use crate::lake::publish::{Origin, OtherSchema, PublishPolicy};
use crate::lake::record::Environment;
use crate::lake::response::ResponseHeader;
use crate::lake::staged::{Staged, StagingWriter};
use crate::lake::store::{Lake, StoredDay};
use crate::plan::{Mode, Plan, PlannedDay, Stored};
use crate::settlement::batch::DayContext;

use super::Reading;
use super::encode::{DayEncoder, EncodedDay};
use super::evidence::{Beginning, EvidenceWriter, encode_refused};

/// A merchant whose days are fetched.
pub struct MerchantClient {
    /// Calls the API for it.
    pub client: Client,
    /// Its id as files are named after it.
    pub merchant: MerchantName,
    /// Its own first pay date for the daily job.
    pub since: Option<NaiveDate>,
}

/// Fetches a range of pay dates.
pub struct FetchJob {
    /// Whose days; none if the shard has no merchant.
    pub merchants: Vec<MerchantClient>,
    /// The first day, unless a merchant has one of its own; `None` for the lake's first day of the merchant.
    pub from: Option<NaiveDate>,
    /// The last day.
    pub to: NaiveDate,
    /// Which of the days are fetched.
    pub mode: Mode,
    /// Which API they come from.
    pub environment: Environment,
    /// The API's root, as records name it.
    pub source_url: String,
    /// How responses are read.
    pub reading: Reading,
    /// Whether a response without rows may replace a day that had rows.
    pub allow_empty_replacement: bool,
    /// Whether responses are kept as received.
    pub keep_raw: bool,
    /// Decides whether a pay date has passed.
    pub clock: Clock,
}

/// What is fetched of one merchant.
pub struct FetchPlan {
    /// Its position among the job's merchants.
    index: usize,
    plan: Plan,
    ledger: MerchantLedger,
}

impl MerchantPlan for FetchPlan {
    fn range(&self) -> Option<DateRange> {
        self.plan.range()
    }

    fn days(&self) -> impl Iterator<Item = PlannedDay> {
        self.plan.days()
    }

    fn ledger(&self) -> &MerchantLedger {
        &self.ledger
    }
}

impl Job for FetchJob {
    type Plan = FetchPlan;

    fn unplanned(&self) -> Unplanned {
        let range = self.from.map(|from| DateRange { from, to: self.to.max(from) });
        Unplanned { merchant_ids: self.merchants.iter().map(|merchant| merchant.client.api_id().to_owned()).collect(), range }
    }

    /// Costs a listing, and the records of the days in question.
    async fn plans(&self, lake: Option<&Lake>) -> Result<Vec<Result<FetchPlan, RefusedMerchant>>, PlanError> {
        let days = match lake {
            Some(lake) => lake.days().await?,
            None => Vec::new(),
        };
        let names = || self.merchants.iter().map(|merchant| &merchant.merchant);
        check_merchants(&days, names())?;
        if let (true, Some(lake)) = (self.merchants.is_empty(), lake) {
            // the other shards are refused for the same reason
            self.check_lake(lake, &days).await?;
        }
        let ledgers = match lake {
            Some(lake) => MerchantLedger::load_all(lake, names(), &days).await,
            None => names().map(MerchantLedger::empty).collect(),
        };
        let mut plans = Vec::new();
        for (index, (merchant, ledger)) in self.merchants.iter().zip(ledgers).enumerate() {
            plans.push(match self.range(merchant, &days) {
                Ok(range) => Ok(self.plan(lake, &days, ledger, index, range).await?),
                Err(reason) => Err(RefusedMerchant { merchant_id: merchant.client.api_id().to_owned(), reason }),
            });
        }
        // with nothing at all to do, the settings are wrong
        match plans.first() {
            Some(Err(RefusedMerchant { reason, .. })) if plans.iter().all(Result::is_err) => Err(reason.clone().into()),
            _ => Ok(plans),
        }
    }

    fn policy(&self) -> PublishPolicy {
        let Self { reading, allow_empty_replacement, .. } = self;
        PublishPolicy { origin: Origin::Api, bad_rows: reading.bad_rows, allow_empty_replacement: *allow_empty_replacement }
    }

    fn reader<'r>(&'r self, lake: &'r Lake, plan: &'r FetchPlan, run_id: &'r str) -> impl ReadDay + 'r {
        let client = &self.merchants[plan.index].client;
        ApiReader { job: self, client, merchant: plan.merchant(), lake, run_id, warned_of_unknowns: AtomicBool::new(false) }
    }

    fn review(&self, plan: &FetchPlan, walked: &Walked) {
        // the daily job often fetches nothing but days to come
        let telling = matches!(self.mode, Mode::Backfill(_)) || !walked.has_rows;
        if walked.found_no_row && telling {
            tracing::warn!(
                merchant_id = plan.merchant().api_id(),
                "the API returned no row for any day of this merchant: check that the API id is the right one"
            );
        }
    }

    fn requests(&self) -> Requests {
        let mut all = Requests::default();
        for MerchantClient { client, .. } in &self.merchants {
            let counts = client.counts();
            all.requests += counts.requests;
            all.retries += counts.retries;
            all.token_requests += counts.token_requests;
        }
        all
    }
}

impl FetchJob {
    /// The days of a merchant that are in question; `days` are all that the lake holds, in their order.
    fn range(&self, of: &MerchantClient, days: &[StoredDay]) -> Result<DateRange, NoFirstDay> {
        let first = || days.iter().find(|day| day.key.merchant == of.merchant).map(|day| day.key.pay_date);
        let from = of.since.or(self.from).or_else(first).ok_or_else(|| NoFirstDay(of.merchant.api_id()))?;
        Ok(DateRange { from, to: self.to.max(from) })
    }

    /// Refuses a lake whose newest day belongs to another environment; `days` are all that it holds.
    async fn check_lake(&self, lake: &Lake, days: &[StoredDay]) -> Result<(), PlanError> {
        match newest_file(lake, days).await? {
            Some((key, file)) => check_environment(&key, &file, self.environment),
            None => Ok(()),
        }
    }

    /// Plans one merchant's days.
    async fn plan(
        &self,
        lake: Option<&Lake>,
        days: &[StoredDay],
        ledger: MerchantLedger,
        index: usize,
        range: DateRange,
    ) -> Result<FetchPlan, PlanError> {
        let mut stored: BTreeMap<NaiveDate, Stored> =
            ledger.days().filter(|day| range.contains(*day)).map(|day| (day, Stored::File)).collect();
        if let Some(lake) = lake {
            let wanted: Vec<NaiveDate> = if self.mode.reads_records() { stored.keys().copied().collect() } else { Vec::new() };
            let mut witnessed = false;
            {
                let mut files = std::pin::pin!(ledger.files(lake, wanted));
                while let Some((key, file)) = files.try_next().await? {
                    let found = match file {
                        Ok(file) => {
                            check_environment(&key, &file, self.environment)?;
                            if !file.fit.shares_a_table() {
                                return Err(OtherSchema::new(&key, &file.record).into());
                            }
                            witnessed = true;
                            Stored::Record(file.record.into())
                        }
                        Err(reason) => Stored::Unreadable(reason),
                    };
                    stored.insert(key.pay_date, found);
                }
            }
            // if no planned day shows whose lake it is, any other day does
            let indexed = if witnessed { None } else { ledger.indexed() };
            match indexed {
                Some((key, file)) => check_environment(&key, &file, self.environment)?,
                None if witnessed => {}
                None => self.check_lake(lake, days).await?,
            }
        }
        let plan = Plan::new(range, stored, self.mode, (self.clock)());
        Ok(FetchPlan { index, plan, ledger })
    }
}

/// Refuses merchants of which one is probably another one of the lake; `days` are all that it holds.
///
/// # Errors
/// The first two.
pub(crate) fn check_merchants<'m>(days: &'m [StoredDay], named: impl IntoIterator<Item = &'m MerchantName>) -> Result<(), PlanError> {
    AlikeIds::check(days.iter().map(|day| &day.key.merchant).chain(named)).map_err(NotHeld::from)?;
    Ok(())
}

/// Refuses a lake that holds the days of another environment.
///
/// # Errors
/// A file that states it.
pub(crate) fn check_environment(key: &DayKey, file: &DayFile, requested: Environment) -> Result<(), PlanError> {
    let found = file.record.environment;
    if found == requested { Ok(()) } else { Err(PlanError::Environment { found, requested, object: key.settlement().to_string() }) }
}

/// The newest of these days, in their order, whose file can be read.
pub(crate) async fn newest_file(lake: &Lake, days: &[StoredDay]) -> Result<Option<(DayKey, DayFile)>, LakeError> {
    for StoredDay { key, .. } in days.iter().rev() {
        match lake.day(key).await {
            Ok(Some(file)) => return Ok(Some((key.clone(), file))),
            Ok(None) => {}
            Err(error) if error.of_one_object().is_some() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Reads one merchant's days from the API.
struct ApiReader<'a> {
    job: &'a FetchJob,
    client: &'a Client,
    merchant: &'a MerchantName,
    lake: &'a Lake,
    run_id: &'a str,
    warned_of_unknowns: AtomicBool,
}

impl ReadDay for ApiReader<'_> {
    async fn read(&self, pay_date: NaiveDate) -> DayRead {
        let key = DayKey { pay_date, merchant: self.merchant.clone() };
        let mut refused = None;
        let read = self.client.settlement(pay_date, None, async |response| self.read_response(&key, response, &mut refused).await);
        let Attempted { attempts, outcome } = read.await;
        let outcome = match outcome {
            Ok((encoded, staged)) => {
                self.warn_of_unknowns(&encoded);
                Ok(encoded.staged(staged.file, staged.response))
            }
            Err(error) => Err(self.keep_refused(&key, error.into(), refused).await),
        };
        DayRead { attempts, outcome }
    }
}

/// A response that was refused, with `--keep-raw`.
struct RefusedResponse {
    header: ResponseHeader,
    beginning: Beginning,
    redactor: Redactor,
}

/// What one response was stored as.
struct StagedFiles {
    file: Staged,
    /// The response as received, if responses are kept.
    response: Option<Staged>,
}

impl ApiReader<'_> {
    /// Reads one response into a staged file and, if responses are kept, into another. The body is received, read, encoded
    /// and stored at the same time.
    async fn read_response(
        &self,
        key: &DayKey,
        response: ArrivedResponse,
        refused: &mut Option<RefusedResponse>,
    ) -> Result<(EncodedDay, StagedFiles), ReadError<Failure>> {
        *refused = None;
        // to the millisecond, as the file stores it, so that records and rows agree
        let extracted_at = response.arrived.trunc_subsecs(3);
        let merchant_id = self.client.api_id().to_owned();
        let beginning = Beginning::default();
        let (kept, stored) = match self.job.keep_raw.then(|| self.raw_header(key, &response)) {
            Some(header) => {
                *refused =
                    Some(RefusedResponse { header: header.clone(), beginning: beginning.clone(), redactor: response.redactor.clone() });
                let name = key.raw(extracted_at, self.run_id);
                let (chunks, bytes) = mpsc::channel(2);
                (Some((name.to_string(), header, StagingWriter::new(chunks))), Some(self.lake.stage(name, self.run_id, bytes)))
            }
            None => (None, None),
        };
        let day = DayEncoder {
            context: DayContext { merchant_id, pay_date: key.pay_date, extracted_at, run_id: self.run_id.to_owned() },
            environment: self.job.environment,
            source_url: self.job.source_url.clone(),
            reading: self.job.reading.clone(),
            redactor: response.redactor,
        };
        let (body, events) = mpsc::channel(16);
        let (charset, limit) = (response.charset, response.limit);
        let encoded = self.lake.write_staged(key.settlement(), self.run_id, move |out| {
            let evidence = kept.map(|(name, header, out)| EvidenceWriter::new(name, &header, out)).transpose()?;
            let body = BodyReader::new(events, evidence.as_ref().map(|evidence| evidence.tee(beginning)));
            let text = TextReader::new(body, charset, limit)?;
            let Some(evidence) = evidence else { return day.encode(text, || Ok(None), out) };
            let (text, secret_seen) = text.watching(day.redactor.clone());
            let evidence = || evidence.finish().map(|evidence| Some(evidence).filter(|_| !secret_seen.load(Ordering::Relaxed)));
            day.encode(text, evidence, out)
        });
        let ((), encoded, stored) = tokio::join!(response.body.pump(body), encoded, OptionFuture::from(stored));
        match (encoded, stored.transpose()) {
            (Ok((file, encoded)), Ok(response)) => Ok((encoded, StagedFiles { file, response })),
            // if the store failed, the reader only knows that nobody took its bytes
            (encoded, Err(error)) => {
                OptionFuture::from(encoded.ok().map(|(file, _)| file.discard())).await;
                Err(error.into())
            }
            (Err(error), Ok(response)) => {
                OptionFuture::from(response.map(Staged::discard)).await;
                Err(error)
            }
        }
    }

    fn raw_header(&self, key: &DayKey, response: &ArrivedResponse) -> ResponseHeader {
        ResponseHeader {
            environment: self.job.environment,
            source_url: self.job.source_url.clone(),
            merchant_id: self.client.api_id().to_owned(),
            pay_date: key.pay_date,
            extracted_at: response.arrived.trunc_subsecs(3),
            content_type: response.content_type.clone(),
            content_encoding: response.content_encoding.clone(),
            refused: None,
        }
    }

    /// Keeps the last response of a day that failed, if it was received and refused; returns the failure with its place.
    async fn keep_refused(&self, key: &DayKey, failure: Failure, refused: Option<RefusedResponse>) -> Failure {
        let Some(RefusedResponse { header, beginning, redactor }) = refused else { return failure };
        let Some(received) = beginning.without_secrets(&redactor) else { return failure };
        let at = key.raw(header.extracted_at, self.run_id);
        let header = ResponseHeader { refused: Some(failure.message()), ..header };
        let encoded = tokio::task::spawn_blocking(move || encode_refused(&header, &received)).await;
        let Ok(Ok(object)) = encoded else { return failure };
        match self.lake.put(&at, object).await {
            Ok(()) => failure.noting(&format!("what was received is kept as {at}")),
            Err(error) => failure.noting(&format!("what was received could not be kept: {}", chain(&error))),
        }
    }

    /// Warns once about what the manual does not name.
    fn warn_of_unknowns(&self, EncodedDay { record, has_extra, unknown_members, .. }: &EncodedDay) {
        let pay_date = record.pay_date;
        let unknown = *has_extra || !unknown_members.is_empty();
        if !unknown || self.warned_of_unknowns.swap(true, Ordering::Relaxed) {
            return;
        }
        if *has_extra {
            tracing::warn!(%pay_date, "rows have fields that the manual does not name: kept in the column extra");
        }
        if !unknown_members.is_empty() {
            let members = unknown_members.join(", ");
            tracing::warn!(%pay_date, members, "the response has members beside DATA that the manual does not name: not kept");
        }
    }
}
