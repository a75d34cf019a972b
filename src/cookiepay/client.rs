//! The client of the settlement API: one merchant's calls, at the run's pace, tried again where that
//! can help. It hands over answers' bodies unread; [`super::envelope`] reads them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDate, SubsecRound as _, TimeDelta, Utc};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, Url, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::calendar::Clock;
use crate::errors::chain;

use super::decode::{BodyEvent, Charset};
use super::error::{ApiError, ReadError, Redactor};
use super::retry::{self, HAD_ITS_TOKEN, LONGEST_WAIT, Retry, TokenUse};
use super::throttle::Throttle;
use super::token::{self, Token, TokenSource};

/// Who asks: a merchant's id at the API, and its key.
pub struct Credentials {
    /// Sent as `pay2_id` and `API_ID`.
    pub api_id: String,
    /// Sent as `pay2_key`, to the token endpoint alone.
    pub key: SecretString,
}

/// Bytes of an error's body that are looked at; far more than are shown.
const EXCERPT_WINDOW: usize = 4096;

/// Bytes a second that a body brings at the least, over each `timeout` that is waited for it.
pub const SLOWEST_PACE: u64 = 1024;

/// How the API is asked.
#[derive(Clone)]
pub struct ClientConfig {
    /// The API's root.
    pub base_url: Url,
    /// The longest silence, before an answer begins or inside it; and how long a body may be slower than
    /// [`SLOWEST_PACE`].
    pub timeout: Duration,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// More tries after the first.
    pub retries: u32,
    /// When it may be asked.
    pub pace: Throttle,
    /// The largest answer taken, decompressed.
    pub max_answer_bytes: u64,
    /// The time.
    pub clock: Clock,
}

/// How often the API was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Requests sent, those for tokens included.
    pub requests: u64,
    /// Requests that repeat a failed one.
    pub retries: u64,
    /// Requests for tokens.
    pub token_requests: u64,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    retries: AtomicU64,
    token_requests: AtomicU64,
}

/// Asks the API for one merchant.
pub struct Client {
    http: reqwest::Client,
    config: ClientConfig,
    credentials: Credentials,
    tokens: TokenSource,
    counters: Counters,
    /// New tokens that were refused since a call last succeeded.
    refused_new_tokens: AtomicU32,
    warned_of_clock: AtomicBool,
}

/// Why a call, retries and all, came to nothing.
#[derive(Debug)]
pub struct CallError<E> {
    /// Tries made.
    pub attempts: u32,
    /// The last try's failure.
    pub cause: ReadError<E>,
}

/// An answer whose headers have arrived.
pub(crate) struct PendingAnswer {
    /// When the headers arrived.
    pub(crate) arrived: DateTime<Utc>,
    pub(crate) charset: Charset,
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    /// For what the answer says in its own words.
    pub(crate) redactor: Redactor,
    /// Its largest size taken, in bytes, decompressed.
    pub(crate) limit: u64,
    pub(crate) body: PendingBody,
}

/// A body as it comes, chunk by chunk: neither silent for long nor without end at a drip.
pub(crate) struct PendingBody {
    response: Response,
    timeout: Duration,
    /// Bytes that have come.
    bytes: u64,
    /// What was waited for the network since the pace was last looked at, and the bytes that came of it. The
    /// time that the receiver takes is its own.
    waited: Duration,
    came: u64,
}

impl Client {
    /// A client for one merchant.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(config: ClientConfig, credentials: Credentials) -> Result<Self, reqwest::Error> {
        let mut http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(config.connect_timeout)
            .user_agent(concat!("cookiepay-etl/", env!("CARGO_PKG_VERSION")))
            .tcp_nodelay(true);
        if is_loopback(&config.base_url) {
            http = http.no_proxy();
        }
        Ok(Self {
            http: http.build()?,
            config,
            credentials,
            tokens: TokenSource::default(),
            counters: Counters::default(),
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
        &self.config.base_url
    }

    /// How often the API was asked so far.
    #[must_use]
    pub fn counts(&self) -> RequestCounts {
        RequestCounts {
            requests: self.counters.requests.load(Ordering::Relaxed),
            retries: self.counters.retries.load(Ordering::Relaxed),
            token_requests: self.counters.token_requests.load(Ordering::Relaxed),
        }
    }

    /// Asks for a token, with retries: proves that the API is there and takes the credentials.
    ///
    /// # Errors
    /// What the last try met.
    pub async fn authenticate(&self) -> Result<(), ApiError> {
        self.token(None).await.map(drop)
    }

    /// Asks for one pay date, or one transaction of it, and lets `receive` read the answer; tries
    /// again, from the request on, where that can help. Returns what `receive` made of it.
    ///
    /// # Errors
    /// What the last try met, with how many there were.
    pub(crate) async fn settlement<T, E>(
        &self,
        pay_date: NaiveDate,
        tid: Option<&str>,
        mut receive: impl AsyncFnMut(PendingAnswer) -> Result<T, ReadError<E>>,
    ) -> Result<T, CallError<E>> {
        let mut waits = retry::waits();
        let mut attempts = 0;
        let mut futile_code = None;
        loop {
            attempts += 1;
            let cause = match self.one_try(pay_date, tid, &mut futile_code, &mut receive).await {
                Ok(value) => return Ok(value),
                Err(ReadError::Receiver(error)) => return Err(CallError { attempts, cause: ReadError::Receiver(error) }),
                Err(ReadError::Api(error)) => error,
            };
            // the try has already had its new token, where one could help
            let wait = match retry::decide(&cause, HAD_ITS_TOKEN) {
                _ if attempts > self.config.retries || self.refuses_every_token() => None,
                Retry::Never | Retry::NewToken => None,
                Retry::After(wait) => Some(wait.max(waits.next().unwrap_or_default())),
                Retry::Backoff => waits.next(),
            };
            let Some(wait) = wait else {
                let attempts = if let ApiError::NoToken { attempts, .. } = cause { attempts } else { attempts };
                return Err(CallError { attempts, cause: ReadError::Api(cause) });
            };
            tracing::info!(%pay_date, attempt = attempts, error = chain(&cause), wait = ?wait, "trying again");
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(wait).await;
        }
    }

    /// One try: a call, and where its token was refused one more with a new token.
    async fn one_try<T, E>(
        &self,
        pay_date: NaiveDate,
        tid: Option<&str>,
        futile_code: &mut Option<String>,
        receive: &mut impl AsyncFnMut(PendingAnswer) -> Result<T, ReadError<E>>,
    ) -> Result<T, ReadError<E>> {
        let began = Instant::now();
        let mut refused: Option<Token> = None;
        loop {
            let token = self.token(refused.as_ref()).await?;
            let outcome = match self.call(pay_date, tid, &token).await {
                Ok(answer) => receive(answer).await,
                Err(error) => Err(error.into()),
            };
            let error = match outcome {
                Err(ReadError::Api(error)) => self.redactor(Some(&token)).error(error),
                done => {
                    self.refused_new_tokens.store(0, Ordering::Relaxed);
                    return done;
                }
            };
            let code = if let ApiError::ResultCode { code, .. } = &error { Some(code.clone()) } else { None };
            let used =
                TokenUse { just_issued: token.issued >= began, renewed: refused.is_some(), futile: code.is_some() && code == *futile_code };
            if used.just_issued && matches!(error, ApiError::TokenRefused(_)) {
                self.refused_new_tokens.fetch_add(1, Ordering::Relaxed);
            }
            if retry::decide(&error, used) != Retry::NewToken || self.refuses_every_token() {
                if used.just_issued {
                    *futile_code = code;
                }
                return Err(error.into());
            }
            tracing::info!(%pay_date, error = chain(&error), "asking for a new token");
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
            refused = Some(token);
        }
    }

    /// Whether asking on with new tokens is hammering: several in a row were refused at once.
    fn refuses_every_token(&self) -> bool {
        const IN_A_ROW: u32 = 5;
        self.refused_new_tokens.load(Ordering::Relaxed) >= IN_A_ROW
    }

    /// The time by the clock that dates answers.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.config.clock)()
    }

    /// Warns, once, where the API's clock and this machine's are far apart: which days are over goes by this one.
    fn compare_clocks(&self, headers: &HeaderMap, arrived: DateTime<Utc>) {
        const APART: TimeDelta = TimeDelta::minutes(5);
        let told = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let Some(told) = told.map(DateTime::<Utc>::from) else { return };
        if (arrived - told).abs() > APART && !self.warned_of_clock.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                here = %arrived.trunc_subsecs(0), api = %told,
                "this machine's clock is not the API's: days may be closed too early or too late; set it right"
            );
        }
    }

    fn redactor(&self, token: Option<&Token>) -> Redactor {
        Redactor::new(token.map(Token::secret).into_iter().chain([self.credentials.key.clone()]))
    }

    async fn call(&self, pay_date: NaiveDate, tid: Option<&str>, token: &Token) -> Result<PendingAnswer, ApiError> {
        let mut body = json!({ "API_ID": self.credentials.api_id, "DATE": pay_date.format("%Y%m%d").to_string() });
        if let Some(tid) = tid {
            body["TID"] = tid.into();
        }
        let mut headers = HeaderMap::new();
        headers.insert("token", token.header());
        headers.insert(ACCEPT_ENCODING, reqwest::header::HeaderValue::from_static("gzip"));
        let response = self.post("api/settlement", headers, &body).await?;
        let arrived = self.now();
        self.compare_clocks(response.headers(), arrived);
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        if let Some(encoding) = header(CONTENT_ENCODING.as_str()).map(str::trim)
            && !["gzip", "x-gzip", "identity", ""].contains(&encoding.to_ascii_lowercase().as_str())
        {
            return Err(ApiError::Encoding { what: "content encoding", name: encoding.into() });
        }
        if response.content_length().is_some_and(|length| length > self.config.max_answer_bytes) {
            return Err(ApiError::TooLarge(self.config.max_answer_bytes >> 20));
        }
        let content_type = header(CONTENT_TYPE.as_str()).map(str::to_owned);
        let content_encoding = header(CONTENT_ENCODING.as_str()).map(str::to_owned);
        let charset = Charset::from_content_type(content_type.as_deref())?;
        Ok(PendingAnswer {
            arrived,
            charset,
            content_type,
            content_encoding,
            redactor: self.redactor(Some(token)),
            limit: self.config.max_answer_bytes,
            body: PendingBody::new(response, self.config.timeout),
        })
    }

    /// A token to use now. Asking for one has its own retries, so that those who wait share them.
    async fn token(&self, refused: Option<&Token>) -> Result<Token, ApiError> {
        self.tokens
            .get(refused, async || {
                let mut waits = retry::waits();
                let mut attempts = 0;
                loop {
                    attempts += 1;
                    let error = match self.issue_token().await {
                        Ok(token) => return Ok(token),
                        Err(error) => self.redactor(None).error(error),
                    };
                    let wait = match retry::decide(&error, HAD_ITS_TOKEN) {
                        Retry::Never | Retry::NewToken => return Err(error),
                        _ if attempts > self.config.retries => return Err(ApiError::NoToken { attempts, source: Arc::new(error) }),
                        Retry::After(wait) => wait.max(waits.next().unwrap_or_default()),
                        Retry::Backoff => waits.next().unwrap_or_default(),
                    };
                    tracing::info!(attempt = attempts, error = chain(&error), wait = ?wait, "asking for the token again");
                    self.counters.retries.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(wait).await;
                }
            })
            .await
    }

    async fn issue_token(&self) -> Result<reqwest::header::HeaderValue, ApiError> {
        let key = self.credentials.key.expose_secret();
        let body = json!({ "pay2_id": self.credentials.api_id, "pay2_key": key });
        self.counters.token_requests.fetch_add(1, Ordering::Relaxed);
        let response = match self.post("payAuth/token", HeaderMap::new(), &body).await {
            Err(ApiError::TokenRefused(status)) => {
                let merchant = self.credentials.api_id.clone();
                return Err(ApiError::KeyRefused { merchant, code: format!("HTTP {status}"), message: String::new() });
            }
            // the beginning of an error page may hold a part of the key that no search finds
            Err(ApiError::Status { status, retry_after, .. }) => return Err(ApiError::Status { status, retry_after, excerpt: None }),
            other => other?,
        };
        let mut answer = Vec::new();
        let mut body = PendingBody::new(response, self.config.timeout);
        while let Some(chunk) = body.chunk().await? {
            answer.extend_from_slice(&chunk);
            if answer.len() > token::MAX_ANSWER {
                return Err(ApiError::TokenAnswer("it is longer than 64 KiB"));
            }
        }
        token::read_answer(&answer, &self.credentials.api_id)
    }

    /// Sends one request at the run's pace; its answer has a success status.
    async fn post(&self, path: &str, headers: HeaderMap, body: &serde_json::Value) -> Result<Response, ApiError> {
        self.config.pace.ready().await;
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        let mut url = self.config.base_url.clone();
        let root = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{root}/{path}"));
        let request = self.http.post(url).headers(headers).header(CONTENT_TYPE, "application/json; charset=utf-8").body(body.to_string());
        let response = match timeout(self.config.timeout, request.send()).await {
            Err(_) => return Err(ApiError::Silent(self.config.timeout)),
            Ok(Err(error)) => {
                let error = Arc::new(error.without_url());
                return Err(if error.is_connect() { ApiError::Connect(error) } else { ApiError::Connection(error) });
            }
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        match status.as_u16() {
            200..=299 => return Ok(response),
            300..=399 => return Err(ApiError::Redirect(status.as_u16())),
            401 | 403 => return Err(ApiError::TokenRefused(status.as_u16())),
            _ => {}
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| retry::retry_after(value.to_str().ok()?, SystemTime::now()));
        if let Some(wait) = retry_after {
            if wait > LONGEST_WAIT {
                return Err(ApiError::WaitTooLong(wait));
            }
            self.config.pace.pause(wait);
        }
        // enough to find a secret in before the text is cut, and none of a body that breaks off inside one
        let mut beginning = Vec::new();
        let mut body = PendingBody::new(response, self.config.timeout);
        let excerpt = loop {
            match body.chunk().await {
                Ok(Some(chunk)) => beginning.extend_from_slice(&chunk),
                Ok(None) => break Some(String::from_utf8_lossy(&beginning).into_owned()).filter(|text| !text.is_empty()),
                Err(_) => break None,
            }
            if beginning.len() > EXCERPT_WINDOW {
                break Some(String::from_utf8_lossy(&beginning).into_owned());
            }
        };
        Err(ApiError::Status { status: status.as_u16(), retry_after, excerpt })
    }
}

impl PendingBody {
    fn new(response: Response, timeout: Duration) -> Self {
        Self { response, timeout, bytes: 0, waited: Duration::ZERO, came: 0 }
    }

    /// The next chunk; none at the end.
    async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, ApiError> {
        let began = Instant::now();
        let chunk = match timeout(self.timeout, self.response.chunk()).await {
            Err(_) => return Err(ApiError::Silent(self.timeout)),
            Ok(Err(error)) => return Err(ApiError::BrokenBody { bytes: self.bytes, source: Arc::new(error.without_url()) }),
            Ok(Ok(None)) => return Ok(None),
            Ok(Ok(Some(chunk))) => chunk,
        };
        self.bytes += chunk.len() as u64;
        self.came += chunk.len() as u64;
        self.waited += began.elapsed();
        if self.waited >= self.timeout {
            let due = u128::from(SLOWEST_PACE) * self.waited.as_millis() / 1000;
            if u128::from(self.came) < due {
                return Err(ApiError::Slow { bytes: self.came, waited: self.waited });
            }
            (self.waited, self.came) = (Duration::ZERO, 0);
        }
        Ok(Some(chunk))
    }

    /// Sends the body, chunk by chunk as it comes, to the thread that reads it. Returns when the
    /// body has ended, failed, or nobody reads any more.
    pub(crate) async fn pump(mut self, events: mpsc::Sender<BodyEvent>) {
        loop {
            let event = match self.chunk().await {
                Ok(Some(chunk)) => BodyEvent::Chunk(chunk),
                Ok(None) => BodyEvent::End,
                Err(error) => BodyEvent::Failed(error),
            };
            let last = !matches!(event, BodyEvent::Chunk(_));
            if events.send(event).await.is_err() || last {
                return;
            }
        }
    }
}

/// Whether a URL's host is this machine, for certain.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}
