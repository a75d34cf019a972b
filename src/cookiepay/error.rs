//! What can go wrong between a request and the end of its response.

use std::sync::Arc;
use std::time::Duration;

/// A failed call. `Display` shows one layer; the cause, if there is one, is the `source()`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApiError {
    /// No connection to the API could be opened.
    #[error("could not connect to the API at {host}: {reason}")]
    Connect {
        /// The API's host and port.
        host: String,
        /// What the transport reported, and what to do.
        reason: String,
    },
    /// The request could not be sent, or no response began.
    #[error("the connection to the API broke")]
    Connection(#[source] Arc<reqwest::Error>),
    /// The API sent nothing for longer than the timeout.
    #[error("the API sent nothing for {} (--timeout)", humantime::format_duration(*.0))]
    Silent(Duration),
    /// The body arrived too slowly.
    #[error(
        "the response arrived too slowly: {bytes} bytes in {}, and at least 1 KiB/s is expected over each --timeout",
        humantime::format_duration(Duration::from_millis(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX)))
    )]
    Slow {
        /// Bytes that arrived, as sent.
        bytes: u64,
        /// How long they were waited for.
        waited: Duration,
    },
    /// The body broke off.
    #[error("the response broke off after {bytes} bytes")]
    BrokenBody {
        /// Bytes that had arrived, as sent.
        bytes: u64,
        /// What the transport reported.
        source: Arc<reqwest::Error>,
    },
    /// The response ends before its JSON does.
    #[error("the response is cut short: it ends after {bytes} bytes, inside its JSON")]
    Cut {
        /// Bytes read, decompressed.
        bytes: u64,
    },
    /// The gzip stream is damaged or ends early.
    #[error("the gzip stream of the response is broken ({0})")]
    Gzip(String),
    /// Not JSON, but HTML for example.
    #[error("the response is not JSON: expected {expected} at byte {at}, found {excerpt:?}")]
    NotJson {
        /// Offset in the response, decompressed.
        at: u64,
        /// What was expected there.
        expected: &'static str,
        /// What is there.
        excerpt: String,
    },
    /// An HTTP status other than success.
    #[error("the API responded with HTTP {status}{}", shown(excerpt.as_deref()))]
    Status {
        /// The status.
        status: u16,
        /// How long the API demands to wait.
        retry_after: Option<Duration>,
        /// The beginning of the response.
        excerpt: Option<String>,
    },
    /// A redirect, never followed: it would carry the token elsewhere.
    #[error("the API responded with a redirect (HTTP {0}), which is not followed: check --base-url")]
    Redirect(u16),
    /// The API demands a longer wait than a run should take.
    #[error("the API demands a wait of {}, which is longer than a run waits: run again later", humantime::format_duration(*.0))]
    WaitTooLong(Duration),
    /// A `RESULTCODE` that is neither success nor "no rows".
    #[error("the API responded with RESULTCODE {code}: {message:?} (if that means no rows, name it with --empty-code)")]
    ResultCode {
        /// `RESULTCODE`
        code: String,
        /// `RESULTMSG`
        message: String,
    },
    /// The API refused a token it had just issued, or the caller's address (HTTP 401 or 403).
    #[error(
        "the API refused access (HTTP {status}{}): check that the API id may read settlements, and from this address",
        shown(excerpt.as_deref())
    )]
    TokenRefused {
        /// The status.
        status: u16,
        /// The beginning of the response.
        excerpt: Option<String>,
    },
    /// The API refused the credentials.
    #[error(
        "the API refused the credentials of merchant {merchant} (RTN_CD {code}: {message:?}): check the API id, and the key from {key_source}"
    )]
    KeyRefused {
        /// The API id.
        merchant: String,
        /// Where its key comes from.
        key_source: String,
        /// `RTN_CD`
        code: String,
        /// `RTN_MSG`
        message: String,
    },
    /// No token was issued, and the call was not made.
    #[error("the API issued no token")]
    NoToken {
        /// Attempts made.
        attempts: u32,
        /// The last one's failure.
        source: Arc<ApiError>,
    },
    /// A token response without a usable token.
    #[error("the token response cannot be used: {0} (check --base-url)")]
    TokenResponse(&'static str),
    /// The response is larger than the limit.
    #[error("the response is larger than {0} MiB (--max-answer-mib)")]
    TooLarge(u64),
    /// JSON, but none of the shapes that a settlement response has.
    #[error("the response has an unknown shape: {0} (--keep-raw keeps it to be looked at)")]
    Shape(String),
    /// An unknown charset or content encoding.
    #[error("the response has an unknown {what} {name:?} (--keep-raw keeps it to be looked at)")]
    Encoding {
        /// `charset` or `content encoding`.
        what: &'static str,
        /// As the header names it.
        name: String,
    },
}

/// The beginning of a response, behind a status.
fn shown(excerpt: Option<&str>) -> String {
    excerpt.map(|text| format!(": {text:?}")).unwrap_or_default()
}

/// Why reading a response stopped: the API, which may be called again, or the receiver of its rows.
#[derive(Debug)]
pub enum ReadError<E> {
    /// The API's failure.
    Api(ApiError),
    /// The receiver's failure.
    Receiver(E),
}

impl<E> From<ApiError> for ReadError<E> {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// What failed calls have in common; failed days are grouped by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureFamily {
    /// The API, or the connection to it.
    Upstream,
    /// The API demands fewer requests.
    RateLimit,
    /// The credentials.
    Auth,
    /// The response is not what the manual and the notes on it allow.
    Contract,
}

impl ApiError {
    /// The family that the failure belongs to.
    #[must_use]
    pub fn family(&self) -> FailureFamily {
        match self {
            Self::Status { status: 429, .. } | Self::WaitTooLong(_) => FailureFamily::RateLimit,
            Self::Status { .. }
            | Self::Connect { .. }
            | Self::Connection(_)
            | Self::Silent(_)
            | Self::Slow { .. }
            | Self::BrokenBody { .. }
            | Self::Cut { .. }
            | Self::Gzip(_)
            | Self::NotJson { .. }
            | Self::Redirect(_)
            | Self::ResultCode { .. }
            | Self::TokenResponse(_) => FailureFamily::Upstream,
            Self::NoToken { source, .. } => source.family(),
            Self::TokenRefused { .. } | Self::KeyRefused { .. } => FailureFamily::Auth,
            Self::TooLarge(_) | Self::Shape(_) | Self::Encoding { .. } => FailureFamily::Contract,
        }
    }
}
