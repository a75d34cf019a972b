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
use crate::cookiepay::retry::Attempted;
use crate::engine::failure::Failure;
use crate::engine::job::{DayRead, Job, KnownRows, MerchantPlan, PlanError, ReadDay, Unplanned, Walked};
use crate::engine::result::Requests;
use crate::lake::error::LakeError;
use crate::lake::file::DayFile;
use crate::lake::layout::DayKey;
use crate::lake::merchant::MerchantName;
use crate::lake::publish::{Origin, OtherSchema, PublishPolicy, shares_a_table};
use crate::lake::record::Environment;
use crate::lake::response::ResponseHeader;
use crate::lake::staged::{Staged, StagingWriter};
use crate::lake::store::{Lake, day_files};
use crate::plan::{Mode, Plan, PlannedDay, Stored};
use crate::settlement::batch::DayContext;

use super::Reading;
use super::encode::{DayEncoder, EncodedDay};
use super::evidence::EvidenceWriter;

/// A merchant whose days are fetched.
pub struct MerchantClient {
    /// Calls the API for it.
    pub client: Client,
    /// Its id as files are named after it.
    pub merchant: MerchantName,
}

/// Fetches a range of pay dates.
pub struct FetchJob {
    /// Whose days.
    pub merchants: Vec<MerchantClient>,
    /// The first day; `None` for the lake's first day of the merchant.
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
    merchant: MerchantName,
    plan: Plan,
    known_rows: KnownRows,
}

impl MerchantPlan for FetchPlan {
    fn merchant(&self) -> &MerchantName {
        &self.merchant
    }

    fn range(&self) -> Option<DateRange> {
        self.plan.range()
    }

    fn days(&self) -> impl Iterator<Item = PlannedDay> {
        self.plan.days()
    }

    fn known_rows(&self) -> &KnownRows {
        &self.known_rows
    }
}

impl Job for FetchJob {
    type Plan = FetchPlan;

    fn unplanned(&self) -> Unplanned {
        let range = self.from.map(|from| DateRange { from, to: self.to.max(from) });
        Unplanned { merchant_ids: self.merchants.iter().map(|merchant| merchant.client.api_id().to_owned()).collect(), range }
    }

    /// Costs a listing, and the records of the days in question.
    async fn plans(&self, lake: Option<&Lake>) -> Result<Vec<FetchPlan>, PlanError> {
        let days = match lake {
            Some(lake) => lake.days().await?,
            None => Vec::new(),
        };
        let mut plans = Vec::new();
        for (index, MerchantClient { merchant, .. }) in self.merchants.iter().enumerate() {
            plans.push(self.plan(lake, &days, index, merchant).await?);
        }
        Ok(plans)
    }

    fn policy(&self) -> PublishPolicy {
        let Self { reading, allow_empty_replacement, .. } = self;
        PublishPolicy { origin: Origin::Api, bad_rows: reading.bad_rows, allow_empty_replacement: *allow_empty_replacement }
    }

    fn reader<'r>(&'r self, lake: &'r Lake, plan: &'r FetchPlan, run_id: &'r str) -> impl ReadDay + 'r {
        let client = &self.merchants[plan.index].client;
        ApiReader { job: self, client, merchant: &plan.merchant, lake, run_id, warned_of_unknowns: AtomicBool::new(false) }
    }

    fn review(&self, plan: &FetchPlan, walked: &Walked) {
        // the daily job often fetches nothing but days to come
        let telling = matches!(self.mode, Mode::Backfill(_)) || !walked.has_rows;
        if walked.found_no_row && telling {
            tracing::warn!(
                merchant_id = plan.merchant.api_id(),
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
    /// Plans one merchant's days; `days` are all that the lake holds, in their order.
    async fn plan(&self, lake: Option<&Lake>, days: &[DayKey], index: usize, merchant: &MerchantName) -> Result<FetchPlan, PlanError> {
        let first = || days.iter().find(|key| key.merchant == *merchant).map(|key| key.pay_date);
        let from = self.from.or_else(first).ok_or_else(|| PlanError::Since(merchant.api_id()))?;
        let range = DateRange { from, to: self.to.max(from) };
        let (mut wanted, mut unread, mut stored) = (Vec::new(), Vec::new(), BTreeMap::new());
        for key in days.iter().filter(|key| key.merchant == *merchant) {
            if range.contains(key.pay_date) && self.mode.reads_records() {
                wanted.push(key.clone());
            } else {
                if range.contains(key.pay_date) {
                    stored.insert(key.pay_date, Stored::File);
                }
                unread.push(key.clone());
            }
        }
        let mut known = false;
        if let Some(lake) = lake {
            let mut witnessed = false;
            let mut files = std::pin::pin!(day_files(lake, wanted));
            while let Some((key, file)) = files.try_next().await? {
                let found = match file {
                    Ok(file) => {
                        self.admit_planned(&key, &file)?;
                        witnessed = true;
                        known |= file.record.rows > 0;
                        Stored::Record(file.record.into())
                    }
                    Err(reason) => Stored::Unreadable(reason),
                };
                stored.insert(key.pay_date, found);
            }
            // if no planned day shows whose lake it is, any other day does
            if !witnessed && let Some((key, file)) = newest_file(lake, days).await? {
                self.check_environment(&key, &file)?;
            }
        }
        let plan = Plan::new(range, stored, self.mode, (self.clock)());
        Ok(FetchPlan { index, merchant: merchant.clone(), plan, known_rows: KnownRows { known, unread } })
    }

    /// Checks a file that the run may replace, or whose neighbours it writes.
    fn admit_planned(&self, key: &DayKey, file: &DayFile) -> Result<(), PlanError> {
        self.check_environment(key, file)?;
        if shares_a_table(file.fit) { Ok(()) } else { Err(OtherSchema::new(key, &file.record).into()) }
    }

    /// A lake holds the days of one environment.
    fn check_environment(&self, key: &DayKey, file: &DayFile) -> Result<(), PlanError> {
        let (found, requested) = (file.record.environment, self.environment);
        if found == requested {
            return Ok(());
        }
        Err(PlanError::Environment { found, requested, object: key.settlement().to_string() })
    }
}

/// The newest of these days, in their order, whose file can be read.
pub(super) async fn newest_file(lake: &Lake, days: &[DayKey]) -> Result<Option<(DayKey, DayFile)>, LakeError> {
    for key in days.iter().rev() {
        match lake.day(key).await {
            Ok(Some(file)) => return Ok(Some((key.clone(), file))),
            Ok(None) | Err(LakeError::Record { .. }) => {}
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
        let read = self.client.settlement(pay_date, None, async |response| self.read_response(&key, response).await);
        let Attempted { attempts, outcome } = read.await;
        let outcome = outcome.map_err(Failure::from).map(|(encoded, staged)| {
            self.warn_of_unknowns(&encoded);
            encoded.staged(staged.file, staged.response)
        });
        DayRead { attempts, outcome }
    }
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
    async fn read_response(&self, key: &DayKey, response: ArrivedResponse) -> Result<(EncodedDay, StagedFiles), ReadError<Failure>> {
        // to the millisecond, as the file stores it, so that records and rows agree
        let extracted_at = response.arrived.trunc_subsecs(3);
        let merchant_id = self.client.api_id().to_owned();
        let (kept, stored) = match self.job.keep_raw.then(|| self.raw_header(key, &response)) {
            Some(header) => {
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
            let body = BodyReader::new(events, evidence.as_ref().map(EvidenceWriter::tee));
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
