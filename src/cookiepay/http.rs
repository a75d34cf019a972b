//! Sends one request at the run's pace, and interprets its HTTP status. Knows nothing about tokens and retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, Url};
use tokio::time::timeout;

use crate::http;

use super::body::ResponseBody;
use super::decode;
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
        let client = http::client(&base_url).connect_timeout(connect_timeout).tcp_nodelay(true).build()?;
        Ok(Self { client, base_url, timeout, pace, requests: AtomicU64::new(0) })
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
                let error = error.without_url();
                return Err(if error.is_connect() {
                    ApiError::Connect { host: self.host(), reason: http::explained(&error) }
                } else {
                    ApiError::Connection(Arc::new(error))
                });
            }
            Ok(Ok(response)) => response,
        };
        match response.status().as_u16() {
            200..=299 => Ok(response),
            status @ 300..=399 => Err(ApiError::Redirect(status)),
            status @ (401 | 403) => Err(ApiError::TokenRefused { status, excerpt: self.excerpt(response).await }),
            status => Err(self.failed(status, response).await),
        }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base_url.clone();
        let root = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{root}/{path}"));
        url
    }

    fn host(&self) -> String {
        let host = self.base_url.host_str().unwrap_or_default();
        self.base_url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
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
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut beginning = Vec::new();
        let mut body = self.body(response);
        while beginning.len() <= EXCERPT_WINDOW {
            match body.chunk().await {
                Ok(Some(chunk)) => beginning.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) => return None,
            }
        }
        Some(decode::short_text(&beginning, content_type.as_deref())).filter(|text| !text.is_empty())
    }
}
