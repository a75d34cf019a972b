//! The client of the settlement API: one merchant's calls, with tokens and retries. Passes on bodies unread;
//! [`super::envelope`] reads them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, SubsecRound as _, TimeDelta, Utc};
use reqwest::Url;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::time::Instant;

use crate::calendar::Clock;
use crate::errors::chain;

use super::body::ResponseBody;
use super::credentials::Credentials;
use super::decode::Charset;
use super::error::{ApiError, ReadError};
use super::http::Http;
use super::redact::Redactor;
use super::retry::{self, ATTEMPT_OVER, Attempted, Retries, Retry, TokenUse};
use super::throttle::Throttle;
use super::token::{self, Token, TokenSource};

/// How the API is called.
#[derive(Clone)]
pub struct ClientConfig {
    /// The API's root.
    pub base_url: Url,
    /// The longest silence, before a response begins or inside it; and how long a body may be slower than
    /// `SLOWEST_PACE`.
    pub timeout: Duration,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// When requests may be sent.
    pub pace: Throttle,
    /// The largest response accepted, in bytes, decompressed.
    pub max_response_bytes: u64,
    /// Dates responses.
    pub clock: Clock,
}

/// Requests sent to the API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// All of them, those for tokens included.
    pub requests: u64,
    /// Requests that repeated a failed one.
    pub retries: u64,
    /// Requests for tokens.
    pub token_requests: u64,
}

/// Calls the API for one merchant.
pub struct Client {
    http: Http,
    credentials: Credentials,
    retries: u32,
    max_response_bytes: u64,
    clock: Clock,
    tokens: TokenSource,
    token_requests: AtomicU64,
    retried: AtomicU64,
    /// New tokens that were refused since a call last succeeded.
    refused_new_tokens: AtomicU32,
    warned_of_clock: AtomicBool,
}

/// A response whose headers have arrived.
pub(crate) struct ArrivedResponse {
    /// When the headers arrived.
    pub(crate) arrived: DateTime<Utc>,
    pub(crate) charset: Charset,
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    /// Cleans the response's own text.
    pub(crate) redactor: Redactor,
    /// The largest size accepted, in bytes, decompressed.
    pub(crate) limit: u64,
    pub(crate) body: ResponseBody,
}

/// What is requested.
#[derive(Clone, Copy)]
struct Call<'a> {
    pay_date: NaiveDate,
    transaction_id: Option<&'a str>,
}

impl Client {
    /// A client for one merchant.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(config: ClientConfig, credentials: Credentials) -> Result<Self, reqwest::Error> {
        let ClientConfig { base_url, timeout, connect_timeout, retries, pace, max_response_bytes, clock } = config;
        Ok(Self {
            http: Http::new(base_url, timeout, connect_timeout, pace)?,
            credentials,
            retries,
            max_response_bytes,
            clock,
            tokens: TokenSource::default(),
            token_requests: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            refused_new_tokens: AtomicU32::new(0),
            warned_of_clock: AtomicBool::new(false),
        })
    }

    /// The merchant's API id.
    #[must_use]
    pub fn api_id(&self) -> &str {
        &self.credentials.api_id
    }

    /// The API's root, as records name it.
    #[must_use]
    pub fn base_url(&self) -> &Url {
        self.http.base_url()
    }

    /// Requests sent so far.
    #[must_use]
    pub fn counts(&self) -> RequestCounts {
        RequestCounts {
            requests: self.http.requests(),
            retries: self.retried.load(Ordering::Relaxed),
            token_requests: self.token_requests.load(Ordering::Relaxed),
        }
    }

    /// Requests a token, with retries: shows that the API can be reached and accepts the credentials.
    ///
    /// # Errors
    /// The last attempt's failure.
    pub async fn authenticate(&self) -> Result<(), ApiError> {
        self.token(None).await.map(drop)
    }

    /// Requests one pay date, or one transaction of it, and lets `receive` read the response. If another attempt can help, starts
    /// again with the request. Returns what `receive` returned.
    pub(crate) async fn settlement<T, E>(
        &self,
        pay_date: NaiveDate,
        transaction_id: Option<&str>,
        mut receive: impl AsyncFnMut(ArrivedResponse) -> Result<T, ReadError<E>>,
    ) -> Attempted<T, E> {
        let call = Call { pay_date, transaction_id };
        let mut futile_code = None;
        let retries = Retries {
            most: self.retries,
            pointless: &|| self.refuses_every_token(),
            before_wait: &|attempt, error, wait| {
                tracing::info!(%pay_date, attempt, error = chain(error), wait = ?wait, "retrying");
                self.retried.fetch_add(1, Ordering::Relaxed);
            },
        };
        let attempted = retries.run(async || self.attempt(call, &mut futile_code, &mut receive).await).await;
        match attempted {
            // no call was made: the attempts are those to get a token
            Attempted { outcome: Err(ReadError::Api(error @ ApiError::NoToken { attempts, .. })), .. } => {
                Attempted { attempts, outcome: Err(error.into()) }
            }
            attempted => attempted,
        }
    }

    /// One attempt: a call and, if its token was refused, another with a new token.
    async fn attempt<T, E>(
        &self,
        call: Call<'_>,
        futile_code: &mut Option<String>,
        receive: &mut impl AsyncFnMut(ArrivedResponse) -> Result<T, ReadError<E>>,
    ) -> Result<T, ReadError<E>> {
        let began = Instant::now();
        let mut refused: Option<Token> = None;
        loop {
            let token = self.token(refused.as_ref()).await?;
            let outcome = match self.call(call, &token).await {
                Ok(response) => receive(response).await,
                Err(error) => Err(error.into()),
            };
            let error = match outcome {
                Err(ReadError::Api(error)) => self.redactor(Some(&token)).error(error),
                outcome => {
                    self.refused_new_tokens.store(0, Ordering::Relaxed);
                    return outcome;
                }
            };
            let code = code_of(&error);
            let just_issued = token.issued >= began;
            let token_use = TokenUse { just_issued, renewed: refused.is_some(), futile: code.is_some() && code == *futile_code };
            if just_issued && matches!(error, ApiError::TokenRefused { .. }) {
                self.refused_new_tokens.fetch_add(1, Ordering::Relaxed);
            }
            if retry::decide(&error, token_use) != Retry::NewToken || self.refuses_every_token() {
                if just_issued {
                    *futile_code = code;
                }
                return Err(error.into());
            }
            tracing::info!(pay_date = %call.pay_date, error = chain(&error), "requesting a new token");
            self.retried.fetch_add(1, Ordering::Relaxed);
            refused = Some(token);
        }
    }

    /// Whether requesting more tokens would be hammering: several consecutive new ones were refused at once.
    fn refuses_every_token(&self) -> bool {
        const IN_A_ROW: u32 = 5;
        self.refused_new_tokens.load(Ordering::Relaxed) >= IN_A_ROW
    }

    fn redactor(&self, token: Option<&Token>) -> Redactor {
        Redactor::new(token.map(Token::secret).into_iter().chain([self.credentials.key.clone()]))
    }

    /// Sends one settlement call, and interprets the headers of its response.
    async fn call(&self, call: Call<'_>, token: &Token) -> Result<ArrivedResponse, ApiError> {
        let mut body = json!({ "API_ID": self.credentials.api_id, "DATE": call.pay_date.format("%Y%m%d").to_string() });
        if let Some(transaction_id) = call.transaction_id {
            body["TID"] = transaction_id.into();
        }
        let mut headers = HeaderMap::new();
        headers.insert("token", token.header());
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let response = self.http.post("api/settlement", headers, &body).await?;
        let arrived = (self.clock)();
        self.compare_clocks(response.headers(), arrived);
        let content_encoding = header(response.headers(), &CONTENT_ENCODING);
        check_content_encoding(content_encoding.as_deref())?;
        if response.content_length().is_some_and(|length| length > self.max_response_bytes) {
            return Err(ApiError::TooLarge(self.max_response_bytes >> 20));
        }
        let content_type = header(response.headers(), &CONTENT_TYPE);
        Ok(ArrivedResponse {
            arrived,
            charset: Charset::from_content_type(content_type.as_deref())?,
            content_type,
            content_encoding,
            redactor: self.redactor(Some(token)),
            limit: self.max_response_bytes,
            body: self.http.body(response),
        })
    }

    /// Warns once if the API's clock and the local one are far apart: the local clock decides whether a pay date has passed.
    fn compare_clocks(&self, headers: &HeaderMap, arrived: DateTime<Utc>) {
        const APART: TimeDelta = TimeDelta::minutes(5);
        let stated = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let Some(stated) = stated.map(DateTime::<Utc>::from) else { return };
        if (arrived - stated).abs() > APART && !self.warned_of_clock.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                local = %arrived.trunc_subsecs(0), api = %stated,
                "the local clock differs from the API's: days may be closed too early or too late; set the clock"
            );
        }
    }

    /// A token to use now. A request for one has its own retries, so that those who wait for it share them.
    async fn token(&self, refused: Option<&Token>) -> Result<Token, ApiError> {
        self.tokens.get(refused, async || self.request_token().await).await
    }

    async fn request_token(&self) -> Result<HeaderValue, ApiError> {
        let retries = Retries {
            most: self.retries,
            pointless: &|| false,
            before_wait: &|attempt, error, wait| {
                tracing::info!(attempt, error = chain(error), wait = ?wait, "retrying to get a token");
                self.retried.fetch_add(1, Ordering::Relaxed);
            },
        };
        let attempt = async || {
            let issued = self.issue_token().await.map_err(|error| self.redactor(None).error(error));
            issued.map_err(ReadError::<std::convert::Infallible>::Api)
        };
        let Attempted { attempts, outcome } = retries.run(attempt).await;
        outcome.map_err(|error| match error {
            ReadError::Api(error) => match retry::decide(&error, ATTEMPT_OVER) {
                Retry::Never | Retry::NewToken => error,
                Retry::After(_) | Retry::Backoff => ApiError::NoToken { attempts, source: Arc::new(error) },
            },
            ReadError::Receiver(never) => match never {},
        })
    }

    /// One request for a token.
    async fn issue_token(&self) -> Result<HeaderValue, ApiError> {
        let api_id = &self.credentials.api_id;
        let body = json!({ "pay2_id": api_id, "pay2_key": self.credentials.key.expose_secret() });
        self.token_requests.fetch_add(1, Ordering::Relaxed);
        let response = self.http.post("payAuth/token", HeaderMap::new(), &body).await.map_err(|error| match error {
            // the beginning of an error page may contain a part of the key that no search finds
            ApiError::Status { status, retry_after, .. } => ApiError::Status { status, retry_after, excerpt: None },
            error => error,
        })?;
        let content_type = header(response.headers(), &CONTENT_TYPE);
        let mut text = Vec::new();
        let mut body = self.http.body(response);
        while let Some(chunk) = body.chunk().await? {
            text.extend_from_slice(&chunk);
            if text.len() > token::MAX_RESPONSE {
                return Err(ApiError::TokenResponse("it is longer than 64 KiB"));
            }
        }
        token::read_response(&text, content_type.as_deref(), &self.credentials)
    }
}

/// The error code that an API responded with.
fn code_of(error: &ApiError) -> Option<String> {
    if let ApiError::ResultCode { code, .. } = error { Some(code.clone()) } else { None }
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn check_content_encoding(encoding: Option<&str>) -> Result<(), ApiError> {
    match encoding.map(str::trim) {
        Some(name) if !["gzip", "x-gzip", "identity", ""].contains(&name.to_ascii_lowercase().as_str()) => {
            Err(ApiError::Encoding { what: "content encoding", name: name.into() })
        }
        Some(_) | None => Ok(()),
    }
}
