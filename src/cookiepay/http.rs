//! Sends one request at the run's pace, and interprets its HTTP status. Knows nothing about tokens and retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, Url, redirect};
use tokio::time::timeout;

use super::body::ResponseBody;
use super::error::ApiError;
use super::retry::{self, LONGEST_WAIT};
use super::throttle::Throttle;

/// Bytes of an error's body that are read: far more than are shown, so that a secret is found before the text is cut.
const EXCERPT_WINDOW: usize = 4096;

/// The connection to the API.
pub(super) struct Http {
    client: reqwest::Client,
    base_url: Url,
    timeout: Duration,
    pace: Throttle,
    requests: AtomicU64,
}

impl Http {
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn new(base_url: Url, timeout: Duration, connect_timeout: Duration, pace: Throttle) -> Result<Self, reqwest::Error> {
        let mut client = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(connect_timeout)
            .user_agent(concat!("cookiepay-etl/", env!("CARGO_PKG_VERSION")))
            .tcp_nodelay(true);
        if is_loopback(&base_url) {
            client = client.no_proxy();
        }
        Ok(Self { client: client.build()?, base_url, timeout, pace, requests: AtomicU64::new(0) })
    }

    pub(super) fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// Requests sent so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn body(&self, response: Response) -> ResponseBody {
        ResponseBody::new(response, self.timeout)
    }

    /// Sends one request; the response has a success status.
    ///
    /// # Errors
    /// The connection's failure, or what another status means.
    pub(super) async fn post(&self, path: &str, headers: HeaderMap, body: &serde_json::Value) -> Result<Response, ApiError> {
        self.pace.ready().await;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let request = self.client.post(self.url(path)).headers(headers);
        let request = request.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body.to_string());
        let response = match timeout(self.timeout, request.send()).await {
            Err(_) => return Err(ApiError::Silent(self.timeout)),
            Ok(Err(error)) => {
                let error = Arc::new(error.without_url());
                return Err(if error.is_connect() { ApiError::Connect(error) } else { ApiError::Connection(error) });
            }
            Ok(Ok(response)) => response,
        };
        match response.status().as_u16() {
            200..=299 => Ok(response),
            status @ 300..=399 => Err(ApiError::Redirect(status)),
            status @ (401 | 403) => Err(ApiError::TokenRefused(status)),
            status => Err(self.failed(status, response).await),
        }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base_url.clone();
        let root = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{root}/{path}"));
        url
    }

    /// A status that is neither success nor a refusal. A wait that the API demands holds all walkers back.
    async fn failed(&self, status: u16, response: Response) -> ApiError {
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| retry::retry_after(value.to_str().ok()?, SystemTime::now()));
        if let Some(wait) = retry_after {
            if wait > LONGEST_WAIT {
                return ApiError::WaitTooLong(wait);
            }
            self.pace.pause(wait);
        }
        ApiError::Status { status, retry_after, excerpt: self.excerpt(response).await }
    }

    /// The beginning of a body; `None` if it is empty, or breaks off, perhaps inside a secret.
    async fn excerpt(&self, response: Response) -> Option<String> {
        let mut beginning = Vec::new();
        let mut body = self.body(response);
        while beginning.len() <= EXCERPT_WINDOW {
            match body.chunk().await {
                Ok(Some(chunk)) => beginning.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) => return None,
            }
        }
        Some(String::from_utf8_lossy(&beginning).into_owned()).filter(|text| !text.is_empty())
    }
}

/// Whether a URL's host is certainly this machine.
#[must_use]
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}
