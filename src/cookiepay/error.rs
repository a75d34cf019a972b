//! What can go wrong between a request and the end of its answer.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

/// A failed call. `Display` says one layer; the cause, where there is one, is the `source()`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApiError {
    /// No connection to the API could be made.
    #[error("could not connect to the API")]
    Connect(#[source] Arc<reqwest::Error>),
    /// The request could not be sent or its answer not begun.
    #[error("the connection to the API broke")]
    Connection(#[source] Arc<reqwest::Error>),
    /// The API was silent for longer than the timeout.
    #[error("the API was silent for {} (--timeout)", humantime::format_duration(*.0))]
    Silent(Duration),
    /// The answer's body came at a drip.
    #[error(
        "the answer came too slowly: {bytes} bytes in {}, and each --timeout must bring 1 KiB a second",
        humantime::format_duration(Duration::from_millis(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX)))
    )]
    Slow {
        /// Bytes that came, as sent.
        bytes: u64,
        /// While so long was waited for them.
        waited: Duration,
    },
    /// The answer's body broke off.
    #[error("the answer broke off after {bytes} bytes")]
    BrokenBody {
        /// Bytes that had arrived, as sent.
        bytes: u64,
        /// What the transport said.
        source: Arc<reqwest::Error>,
    },
    /// The answer ends before its JSON does.
    #[error("the answer is cut short: it ends after {bytes} bytes, inside its JSON")]
    Cut {
        /// Bytes read, decompressed.
        bytes: u64,
    },
    /// The answer's gzip stream is damaged or ends early.
    #[error("the answer's gzip stream is broken ({0})")]
    Gzip(String),
    /// Not JSON: HTML, say.
    #[error("the answer is not JSON: {expected} was expected at byte {at}, where it reads {excerpt:?}")]
    NotJson {
        /// Offset in the answer, decompressed.
        at: u64,
        /// What should have stood there.
        expected: &'static str,
        /// What stands there.
        excerpt: String,
    },
    /// An HTTP status other than success.
    #[error("the API answered HTTP {status}{}", .excerpt.as_deref().map(|text| format!(": {text:?}")).unwrap_or_default())]
    Status {
        /// The status.
        status: u16,
        /// How long the API asks to wait.
        retry_after: Option<Duration>,
        /// The beginning of the answer.
        excerpt: Option<String>,
    },
    /// A redirect, never followed: it would carry the token elsewhere.
    #[error("the API answered with a redirect (HTTP {0}), which is not followed: check --base-url")]
    Redirect(u16),
    /// The API asks for a longer wait than a run should take.
    #[error("the API asks to wait {}, longer than a run waits: run again later", humantime::format_duration(*.0))]
    WaitTooLong(Duration),
    /// A `RESULTCODE` that is neither success nor "no rows".
    #[error("the API answered RESULTCODE {code}: {message:?} (where that means no rows, name it with --empty-code)")]
    ResultCode {
        /// `RESULTCODE`
        code: String,
        /// `RESULTMSG`
        message: String,
    },
    /// The API refused a token it had just issued (HTTP 401 or 403).
    #[error("the API refused its own new token (HTTP {0}): check that the API id may read settlements from this address")]
    TokenRefused(u16),
    /// The API refused the credentials.
    #[error("the API refused the credentials of merchant {merchant} (RTN_CD {code}: {message:?}): check the API id and COOKIEPAY_API_KEY")]
    KeyRefused {
        /// The API id.
        merchant: String,
        /// `RTN_CD`
        code: String,
        /// `RTN_MSG`
        message: String,
    },
    /// No token could be had; the call was not made.
    #[error("no token could be had")]
    NoToken {
        /// Tries made.
        attempts: u32,
        /// What the last of them met.
        source: Arc<ApiError>,
    },
    /// A token answer without a usable token.
    #[error("the token answer cannot be used: {0}")]
    TokenAnswer(&'static str),
    /// The answer is larger than the bound.
    #[error("the answer is larger than {0} MiB (--max-answer-mib)")]
    TooLarge(u64),
    /// JSON, but none of the shapes a settlement answer has.
    #[error("the answer has an unknown shape: {0}")]
    Shape(String),
    /// Bytes that the declared charset does not have.
    #[error("the answer is not {charset} from byte {at} on: its charset is wrong or it is damaged")]
    Charset {
        /// The charset read.
        charset: &'static str,
        /// Offset in the answer, decompressed.
        at: u64,
    },
    /// A charset or a content encoding that is not known.
    #[error("the answer comes in an unknown {what} {name:?}")]
    Encoding {
        /// `charset` or `content encoding`.
        what: &'static str,
        /// As the header names it.
        name: String,
    },
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

/// Whose fault a failure is; day failures are grouped by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The API or the way to it.
    Upstream,
    /// The API asks for fewer requests.
    RateLimit,
    /// The credentials.
    Auth,
    /// The answer is not what the manual and the notes on it allow.
    Contract,
}

impl ApiError {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Status { status: 429, .. } | Self::WaitTooLong(_) => Fault::RateLimit,
            Self::Status { .. }
            | Self::Connect(_)
            | Self::Connection(_)
            | Self::Silent(_)
            | Self::Slow { .. }
            | Self::BrokenBody { .. }
            | Self::Cut { .. }
            | Self::Gzip(_)
            | Self::NotJson { .. }
            | Self::Redirect(_)
            | Self::ResultCode { .. }
            | Self::TokenAnswer(_) => Fault::Upstream,
            Self::NoToken { source, .. } => source.fault(),
            Self::TokenRefused(_) | Self::KeyRefused { .. } => Fault::Auth,
            Self::TooLarge(_) | Self::Shape(_) | Self::Charset { .. } | Self::Encoding { .. } => Fault::Contract,
        }
    }
}

/// Characters of the API's own words that an error shows.
const SHOWN: usize = 160;

/// Makes the API's own words fit to be shown: without the secrets it may repeat, and short.
///
/// Knows each secret as it is and as JSON writes it, with `/` escaped, which PHP does, or not.
#[derive(Clone)]
pub(crate) struct Redactor(Vec<SecretString>);

impl Redactor {
    /// Takes these secrets out.
    pub(crate) fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let mut forms = Vec::new();
        for secret in secrets {
            let plain = secret.expose_secret();
            let quoted = serde_json::to_string(plain).unwrap_or_default();
            let json = quoted.trim_matches('"');
            forms.extend([json.replace('/', "\\/"), json.to_owned(), plain.to_owned()].map(SecretString::from));
        }
        forms.retain(|form| !form.expose_secret().is_empty());
        Self(forms)
    }

    /// Whether a secret stands in `text`.
    pub(crate) fn finds(&self, text: &str) -> bool {
        self.0.iter().any(|secret| memchr::memmem::find(text.as_bytes(), secret.expose_secret().as_bytes()).is_some())
    }

    /// The length of the longest secret, in bytes.
    pub(crate) fn longest(&self) -> usize {
        self.0.iter().map(|secret| secret.expose_secret().len()).max().unwrap_or_default()
    }

    /// `text` without the secrets.
    pub(crate) fn whole(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose_secret(), "[secret]"))
    }

    /// `text` without the secrets, cut to a readable length.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = self.whole(text);
        if let Some((end, _)) = text.char_indices().nth(SHOWN) {
            text.truncate(end);
            text.push('…');
        }
        text
    }

    /// The error with the API's own words in it made presentable.
    pub(crate) fn error(&self, mut error: ApiError) -> ApiError {
        let clean = |text: &mut String| *text = self.text(text);
        match &mut error {
            ApiError::NotJson { excerpt, .. } | ApiError::Status { excerpt: Some(excerpt), .. } => clean(excerpt),
            ApiError::ResultCode { code, message } | ApiError::KeyRefused { code, message, .. } => {
                clean(code);
                clean(message);
            }
            ApiError::Shape(text) | ApiError::Gzip(text) | ApiError::Encoding { name: text, .. } => clean(text),
            _ => {}
        }
        error
    }
}
