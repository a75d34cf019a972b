//! The API's two endpoints and the simulator's own two: authorization and faults. Requests are
//! parsed, responses worded and rows generated elsewhere.

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};

use super::body::{Ending, ReplyBody};
use super::counters::{Counters, Counts};
use super::dates;
use super::faults::{FaultContext, InjectedFault, Refusal, TokenFault};
use super::json::SettlementJson;
use super::lifecycle::Shown;
use super::options::Options;
use super::reply::{self, BAD_KEY, OTHER_ID, Refused, Reply, TOKEN_DOWN};
use super::request::{Sent, SettlementRequest, query_value};
use super::tokens::Tokens;

const TOKEN_PATH: &str = "/payAuth/token";
const SETTLEMENT_PATH: &str = "/api/settlement";
const INSPECTION: &str = "/_simulator/";
const REQUESTS_PATH: &str = "/_simulator/requests";
const ROWS_PATH: &str = "/_simulator/rows";

/// The response to a request beyond `--sim-rate-limit`.
const OVER_THE_LIMIT: Refusal = Refusal { status: StatusCode::TOO_MANY_REQUESTS, retry_after: Some(Duration::from_secs(1)) };

/// A connection closed without a response.
#[derive(Debug, thiserror::Error)]
#[error("simulated reset")]
pub(super) struct Reset;

/// The simulated API.
#[derive(Debug)]
pub(super) struct Api {
    options: Options,
    tokens: Tokens,
    counters: Arc<Counters>,
    /// Lets a second's requests through at once, and then as many per second.
    limiter: Option<DefaultDirectRateLimiter>,
}

impl Api {
    pub(super) fn new(options: Options) -> Self {
        let tokens = Tokens::new(options.seed, options.token_ttl);
        let limiter = options.rate_limit.map(|rate| RateLimiter::direct(Quota::per_second(rate)));
        Self { options, tokens, counters: Arc::default(), limiter }
    }

    pub(super) fn credentials(&self) -> (&str, &str) {
        // options always hold a merchant
        let first = self.options.merchants.first();
        first.map_or(("", ""), |merchant| (&merchant.id, &merchant.key))
    }

    pub(super) fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// Responds to one request, or closes its connection.
    pub(super) async fn reply(self: Arc<Self>, request: Request<Incoming>) -> Result<Reply, Reset> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let allowed = match path {
            TOKEN_PATH | SETTLEMENT_PATH => Some(Method::POST),
            REQUESTS_PATH | ROWS_PATH => Some(Method::GET),
            _ => None,
        };
        let reply = match (path, allowed) {
            (_, None) => reply::page(StatusCode::NOT_FOUND),
            (_, Some(allowed)) if head.method != allowed => reply::not_allowed(&allowed),
            (REQUESTS_PATH, _) => reply::inspected(serde_json::to_vec(&self.counts()).unwrap_or_default()),
            (ROWS_PATH, _) => self.rows(head.uri.query().unwrap_or_default()).await,
            _ if self.is_over_the_limit() => reply::refusal(OVER_THE_LIMIT),
            (TOKEN_PATH, _) => self.token(&Sent::read(&head, body).await),
            _ => self.settlement(&head, &Sent::read(&head, body).await).await?,
        };
        let status = reply.status().as_u16();
        tracing::debug!(path, status, "simulator responded");
        if !path.starts_with(INSPECTION) {
            self.counters.responded(status);
        }
        Ok(reply)
    }

    fn is_over_the_limit(&self) -> bool {
        self.limiter.as_ref().is_some_and(|limiter| limiter.check().is_err())
    }

    fn token(&self, sent: &Sent) -> Reply {
        let earlier = self.counters.token_request();
        let fault = self.options.faults.token(self.options.seed, earlier);
        if let Some(fault) = fault {
            tracing::debug!(earlier, ?fault, "simulator fault");
        }
        match fault {
            Some(TokenFault::Status(refusal)) => reply::refusal(refusal),
            Some(TokenFault::Refused) => reply::token_refused(TOKEN_DOWN),
            None => match self.issue(sent) {
                Ok(token) => reply::token(&token),
                Err(refused) => reply::token_refused(refused),
            },
        }
    }

    fn issue(&self, sent: &Sent) -> Result<String, Refused> {
        let request = sent.token_request()?;
        let mut merchants = self.options.merchants.iter();
        let known = merchants.position(|known| known.id == request.id && known.key == request.key);
        known.map(|merchant| self.tokens.issue(merchant)).ok_or(BAD_KEY)
    }

    async fn settlement(&self, head: &Parts, sent: &Sent) -> Result<Reply, Reset> {
        self.counters.settlement_request(sent.pay_date().ok());
        let token = head.headers.get("TOKEN").and_then(|token| token.to_str().ok());
        let token = token.unwrap_or_default();
        let Some(merchant) = self.tokens.merchant(token) else {
            return Ok(reply::unauthorized());
        };
        let id = &self.options.merchants[merchant].id;
        let SettlementRequest { pay_date, transaction, .. } = match sent.settlement_request() {
            Ok(request) if request.api_id == id => request,
            Ok(_) => return Ok(reply::settlement_refused(OTHER_ID)),
            Err(refused) => return Ok(reply::settlement_refused(refused)),
        };
        // only now: how often a refused token is sent depends on the client's timing, and faults
        // must not
        let earlier = self.counters.earlier_requests(merchant, pay_date);
        let request = FaultContext { seed: self.options.seed, merchant: id, pay_date, earlier };
        if let Some(latency) = self.options.faults.latency(request) {
            tokio::time::sleep(latency).await;
        }
        let fault = self.options.faults.settlement(request);
        if let Some(fault) = &fault {
            tracing::debug!(%pay_date, earlier, ?fault, "simulator fault");
        }
        let ending = match fault {
            None => Ending::Whole,
            Some(InjectedFault::CutFraming) => Ending::CutFraming,
            Some(InjectedFault::CutJson) => Ending::CutJson,
            Some(InjectedFault::Stall) => Ending::Stall,
            Some(InjectedFault::Reset) => return Err(Reset),
            Some(InjectedFault::Status(refusal)) => return Ok(reply::refusal(refusal)),
            Some(InjectedFault::Html) => return Ok(reply::maintenance()),
            Some(InjectedFault::Code(code)) => return Ok(reply::settlement_failed(&code)),
            Some(InjectedFault::Expire) => {
                self.tokens.forget(token);
                return Ok(reply::unauthorized());
            }
        };
        let json = SettlementJson::new(self.shown(merchant, pay_date), transaction.map(Into::into));
        let counters = Some(Arc::clone(&self.counters));
        Ok(reply::settlement(ReplyBody::streamed(json, ending, counters).await))
    }

    /// The response that a settlement request would receive, without token and faults.
    async fn rows(&self, query: &str) -> Reply {
        let pay_date = query_value(query, "date");
        let Some(pay_date) = pay_date.as_deref().and_then(dates::parse) else {
            return reply::bad_query("date: expected YYYY-MM-DD");
        };
        let mut merchants = self.options.merchants.iter();
        let merchant = match query_value(query, "merchant") {
            None => Some(0),
            Some(id) => merchants.position(|merchant| merchant.id == id),
        };
        let Some(merchant) = merchant else {
            return reply::bad_query("merchant: expected an id from --sim-merchant");
        };
        let json = SettlementJson::new(self.shown(merchant, pay_date), None);
        reply::settlement(ReplyBody::streamed(json, Ending::Whole, None).await)
    }

    fn shown(&self, merchant: usize, pay_date: NaiveDate) -> Shown {
        let Options { seed, volume, merchants, .. } = &self.options;
        let today = self.options.today.unwrap_or_else(dates::seoul_today);
        Shown::new(*seed, &merchants[merchant].id, *volume, pay_date, today)
    }
}
