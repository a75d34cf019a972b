//! The token: asked for once, shared by all walkers, renewed in one flight.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;
use reqwest::header::HeaderValue;
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::decode::GZIP_MAGIC;
use super::error::ApiError;

/// No document gives a token's lifetime; integrators keep one for 10 minutes. Renewed before that.
const RENEW_AFTER: Duration = Duration::from_mins(9);

/// A token answer is a line; more than this is no token answer.
pub(crate) const MAX_ANSWER: usize = 64 * 1024;

/// A token as a header, and when it came.
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

    /// The token itself, to be found and taken out of what the API says.
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
    /// The last failed request for one: those who waited for it share its outcome.
    failed: Option<(Instant, Arc<ApiError>)>,
}

impl TokenSource {
    /// A token to use now: the one at hand unless it is `refused` or old, else what `issue` gets.
    /// While one caller asks, the others wait and take what it got.
    ///
    /// # Errors
    /// What `issue` failed with.
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

/// Reads the answer of `POST /payAuth/token`.
///
/// # Errors
/// A refusal (`RTN_CD` other than `0000`), or an answer without a usable token.
pub(crate) fn read_answer(body: &[u8], merchant: &str) -> Result<HeaderValue, ApiError> {
    let mut unzipped = Vec::new();
    let body = if body.starts_with(&GZIP_MAGIC) {
        let read = MultiGzDecoder::new(body).take(MAX_ANSWER as u64).read_to_end(&mut unzipped);
        read.map_err(|_| ApiError::TokenAnswer("its gzip stream is broken"))?;
        &unzipped
    } else {
        body
    };
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    // the text itself is not shown: a server may echo the key in it
    let answer: Value = serde_json::from_str(&text).map_err(|_| ApiError::TokenAnswer("it is not JSON"))?;
    // sister APIs wrap single answers in an array
    let answer = answer.get(0).unwrap_or(&answer);
    let text = |key: &str| match answer.get(key) {
        Some(Value::String(text)) => Some(text.trim().to_owned()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let code = text("RTN_CD").ok_or(ApiError::TokenAnswer("it has no RTN_CD"))?;
    if code != "0000" {
        return Err(ApiError::KeyRefused { merchant: merchant.into(), code, message: text("RTN_MSG").unwrap_or_default() });
    }
    let token = text("TOKEN").or_else(|| text("token")).filter(|token| !token.is_empty());
    let token = token.ok_or(ApiError::TokenAnswer("it has no TOKEN"))?;
    // a header could carry bytes that are not ASCII, but nothing here could then find the token in what is shown
    let plain = Some(&token).filter(|token| token.is_ascii()).and_then(|token| HeaderValue::from_str(token).ok());
    plain.ok_or(ApiError::TokenAnswer("its TOKEN has characters that no header can carry"))
}
