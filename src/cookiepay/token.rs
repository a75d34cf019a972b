//! The token: requested once, shared by all walkers, and renewed by one of them for all.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;
use reqwest::header::HeaderValue;
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::credentials::Credentials;
use super::decode::{self, GZIP_MAGIC};
use super::error::ApiError;

/// No document states a token's lifetime; integrators keep one for 10 minutes. It is renewed before that.
const RENEW_AFTER: Duration = Duration::from_mins(9);

/// A token response is one line; more than this is something else.
pub(crate) const MAX_RESPONSE: usize = 64 * 1024;

/// A token as a header, and when it was issued.
#[derive(Clone)]
pub(crate) struct Token {
    header: HeaderValue,
    generation: u64,
    pub(crate) issued: Instant,
}

impl Token {
    /// The `TOKEN` header of a settlement call; marked sensitive, so that no HTTP trace prints it.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// The token itself, to be removed from the API's text.
    pub(crate) fn secret(&self) -> SecretString {
        self.header.to_str().unwrap_or_default().into()
    }
}

/// Holds the newest token.
#[derive(Default)]
pub(crate) struct TokenSource {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    generation: u64,
    /// The last failed request for one: those who waited for it share the failure.
    failed: Option<(Instant, Arc<ApiError>)>,
}

impl TokenSource {
    /// A token to use now: the current one unless it is `refused` or old, else a new one from `issue`. While one caller requests it, the
    /// others wait and share the outcome.
    ///
    /// # Errors
    /// The failure of `issue`.
    pub(crate) async fn get(
        &self,
        refused: Option<&Token>,
        issue: impl AsyncFnOnce() -> Result<HeaderValue, ApiError>,
    ) -> Result<Token, ApiError> {
        let arrived = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(token) = &state.token
            && token.issued.elapsed() < RENEW_AFTER
            && refused.is_none_or(|refused| refused.generation != token.generation)
        {
            return Ok(token.clone());
        }
        if let Some((at, error)) = &state.failed
            && *at >= arrived
        {
            return Err(ApiError::clone(error));
        }
        match issue().await {
            Ok(mut header) => {
                header.set_sensitive(true);
                state.generation += 1;
                let token = Token { header, generation: state.generation, issued: Instant::now() };
                state.token = Some(token.clone());
                Ok(token)
            }
            Err(error) => {
                state.failed = Some((Instant::now(), Arc::new(error.clone())));
                Err(error)
            }
        }
    }
}

/// Reads the response of `POST /payAuth/token`.
///
/// # Errors
/// A refusal (`RTN_CD` other than `0000`), or a response without a usable token.
pub(super) fn read_response(body: &[u8], content_type: Option<&str>, credentials: &Credentials) -> Result<HeaderValue, ApiError> {
    let mut unzipped = Vec::new();
    let body = if body.starts_with(&GZIP_MAGIC) {
        let read = MultiGzDecoder::new(body).take(MAX_RESPONSE as u64).read_to_end(&mut unzipped);
        read.map_err(|_| ApiError::TokenResponse("its gzip stream is broken"))?;
        &unzipped
    } else {
        body
    };
    let text = decode::short_text(body, content_type);
    // the text itself is not shown: a server may echo the key in it
    let response: Value = serde_json::from_str(&text).map_err(|_| ApiError::TokenResponse("it is not JSON"))?;
    // sister APIs wrap single responses in an array
    let response = response.get(0).unwrap_or(&response);
    let text = |key: &str| match response.get(key) {
        Some(Value::String(text)) => Some(text.trim().to_owned()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let code = text("RTN_CD").ok_or(ApiError::TokenResponse("it has no RTN_CD"))?;
    if code != "0000" {
        let (merchant, key_source) = (credentials.api_id.clone(), credentials.key_source.clone());
        return Err(ApiError::KeyRefused { merchant, key_source, code, message: text("RTN_MSG").unwrap_or_default() });
    }
    let token = text("TOKEN").or_else(|| text("token")).filter(|token| !token.is_empty());
    let token = token.ok_or(ApiError::TokenResponse("it has no TOKEN"))?;
    // a header could carry bytes that are not ASCII, but the token could then not be found in texts that are shown
    let plain = Some(&token).filter(|token| token.is_ascii()).and_then(|token| HeaderValue::from_str(token).ok());
    plain.ok_or(ApiError::TokenResponse("its TOKEN has characters that no header can carry"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::future::join_all;

    use super::*;

    /// Ten callers at once; the request takes a second, and fails or not.
    async fn ten_callers(tokens: &TokenSource, requests: &AtomicU32, fails: bool) -> Vec<bool> {
        let caller = || async {
            let issue = async || {
                requests.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                if fails { Err(ApiError::Redirect(302)) } else { Ok(HeaderValue::from_static("token")) }
            };
            tokens.get(None, issue).await.is_ok()
        };
        join_all((0..10).map(|_| caller())).await
    }

    #[tokio::test(start_paused = true)]
    async fn callers_that_wait_for_a_token_share_one_request_and_its_outcome() {
        let (tokens, requests) = (TokenSource::default(), AtomicU32::new(0));
        assert_eq!(ten_callers(&tokens, &requests, true).await, [false; 10]);
        assert_eq!(requests.load(Ordering::Relaxed), 1);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(ten_callers(&tokens, &requests, false).await, [true; 10]);
        assert_eq!(requests.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_when_it_is_old_or_refused_but_not_twice_for_one_refusal() {
        let (tokens, requests) = (TokenSource::default(), AtomicU32::new(0));
        let get = async |refused: Option<&Token>| {
            let issue = async || {
                requests.fetch_add(1, Ordering::Relaxed);
                Ok(HeaderValue::from_static("token"))
            };
            tokens.get(refused, issue).await.expect("a token")
        };
        let first = get(None).await;
        get(Some(&first)).await;
        // another walker saw the first one refused, too
        get(Some(&first)).await;
        assert_eq!(requests.load(Ordering::Relaxed), 2);
        tokio::time::sleep(RENEW_AFTER).await;
        get(None).await;
        assert_eq!(requests.load(Ordering::Relaxed), 3);
    }
}
