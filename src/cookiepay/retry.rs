//! What is retried, and when: one total function over the ways in which a call can fail, and the one loop that obeys it.
//!
//! A token counts as refused after 401 or 403. No document names the code of an expired token, so any error code counts too if the token is
//! older than the attempt. Each attempt may replace it once; the new token is shared by all walkers. After five consecutive refused tokens,
//! none is requested any more. `Retry-After` holds all walkers back. A body must bring 1 KiB/s over each `--timeout`, or the attempt is given
//! up. Redirects are not followed, because the `TOKEN` header would go along; loopback is never reached through a proxy.

use std::time::{Duration, SystemTime};

use super::error::{ApiError, ReadError};

/// What to do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Another attempt cannot help.
    Never,
    /// Not before this long.
    After(Duration),
    /// After a growing, jittered wait.
    Backoff,
    /// At once, with a new token.
    NewToken,
}

/// What is known about the token of a failed call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenUse {
    /// It was issued during this attempt.
    pub(crate) just_issued: bool,
    /// This attempt has already requested a new one.
    pub(crate) renewed: bool,
    /// A token that was just issued met the same code in an earlier attempt: no new one helps against it.
    pub(crate) futile: bool,
}

/// For an attempt that is over: it has had its new token, if one could help.
pub(crate) const ATTEMPT_OVER: TokenUse = TokenUse { just_issued: true, renewed: true, futile: true };

/// Decides for a failure of a settlement call.
pub(crate) fn decide(error: &ApiError, token: TokenUse) -> Retry {
    match error {
        ApiError::TokenRefused { .. } if !token.renewed => Retry::NewToken,
        // an expired token may have a code of its own, which no document names
        ApiError::ResultCode { .. } if !token.just_issued && !token.renewed && !token.futile => Retry::NewToken,
        ApiError::Status { status, retry_after, .. } => match (retriable(*status), retry_after) {
            (false, _) => Retry::Never,
            (true, Some(wait)) => Retry::After(*wait),
            (true, None) => Retry::Backoff,
        },
        ApiError::TokenRefused { .. }
        | ApiError::ResultCode { .. }
        | ApiError::Connect { .. }
        | ApiError::Connection(_)
        | ApiError::Silent(_)
        | ApiError::Slow { .. }
        | ApiError::BrokenBody { .. }
        | ApiError::Cut { .. }
        | ApiError::Gzip(_)
        | ApiError::NotJson { .. }
        | ApiError::TokenResponse(_) => Retry::Backoff,
        // requesting a token has its own retries
        ApiError::NoToken { .. }
        | ApiError::Redirect(_)
        | ApiError::WaitTooLong(_)
        | ApiError::KeyRefused { .. }
        | ApiError::TooLarge(_)
        | ApiError::Shape(_)
        | ApiError::Encoding { .. } => Retry::Never,
    }
}

/// What attempts led to.
pub(crate) struct Attempted<T, E> {
    /// How many were made.
    pub(crate) attempts: u32,
    /// The last one's outcome.
    pub(crate) outcome: Result<T, ReadError<E>>,
}

/// How often a call is retried, and who knows about it.
pub(super) struct Retries<'a> {
    /// Attempts after the first.
    pub(super) most: u32,
    /// Whether further attempts are pointless, whatever the last failure was.
    pub(super) pointless: &'a dyn Fn() -> bool,
    /// Called before each wait with the attempts made, the failure and the wait.
    pub(super) before_wait: &'a dyn Fn(u32, &ApiError, Duration),
}

impl Retries<'_> {
    /// Makes attempts until one succeeds, the receiver fails, or another attempt cannot help.
    pub(super) async fn run<T, E>(&self, mut attempt: impl AsyncFnMut() -> Result<T, ReadError<E>>) -> Attempted<T, E> {
        let mut waits = waits();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let error = match attempt().await {
                Err(ReadError::Api(error)) => error,
                outcome => return Attempted { attempts, outcome },
            };
            let wait = match decide(&error, ATTEMPT_OVER) {
                _ if attempts > self.most || (self.pointless)() => None,
                Retry::Never | Retry::NewToken => None,
                Retry::After(wait) => Some(wait.max(waits.next().unwrap_or_default())),
                Retry::Backoff => waits.next(),
            };
            let Some(wait) = wait else { return Attempted { attempts, outcome: Err(error.into()) } };
            (self.before_wait)(attempts, &error, wait);
            tokio::time::sleep(wait).await;
        }
    }
}

fn retriable(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

/// The longest wait that the API may demand; beyond it the day fails instead.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Reads a `Retry-After` header: whole seconds, or an HTTP date.
#[must_use]
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // more seconds than fit are longer than any run waits
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let until = httpdate::parse_http_date(header).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

/// The waits between attempts: 200 ms doubling to 20 s, each with up to as much again at random.
pub(crate) fn waits() -> impl Iterator<Item = Duration> {
    use backon::BackoffBuilder as _;
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(20))
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_in_seconds_and_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1983 08:49:37 GMT", now), Some(Duration::ZERO));
        assert!(retry_after("99999999999999999999999", now).is_some_and(|wait| wait > LONGEST_WAIT));
        for nonsense in ["", "-1", "soon", "1.5", "１"] {
            assert_eq!(retry_after(nonsense, now), None, "{nonsense}");
        }
    }

    #[test]
    fn waits_grow_and_are_bounded() {
        let waits: Vec<Duration> = waits().take(12).collect();
        assert!(waits[0] >= Duration::from_millis(200) && waits[0] <= Duration::from_millis(400));
        assert!(waits[11] >= Duration::from_secs(20) && waits[11] <= Duration::from_secs(40));
    }

    /// What becomes of calls that fail as scripted and then succeed: attempts, whether the last succeeded, and seconds waited.
    async fn run(most: u32, failures: &[ApiError]) -> (u32, bool, u64) {
        let began = tokio::time::Instant::now();
        let mut failures = failures.iter();
        let retries = Retries { most, pointless: &|| false, before_wait: &|_, _, _| {} };
        let Attempted { attempts, outcome } = retries
            .run(async || match failures.next() {
                Some(error) => Err(ReadError::<()>::Api(error.clone())),
                None => Ok(()),
            })
            .await;
        (attempts, outcome.is_ok(), began.elapsed().as_secs())
    }

    fn status(status: u16, retry_after: Option<u64>) -> ApiError {
        ApiError::Status { status, retry_after: retry_after.map(Duration::from_secs), excerpt: None }
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_that_the_api_demands_is_obeyed() {
        assert_eq!(run(5, &[status(429, Some(90)), status(503, Some(30))]).await, (3, true, 120));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_end_with_the_retries_or_with_what_another_attempt_cannot_change() {
        let (attempts, succeeded, _) = run(2, &[status(500, None), status(500, None), status(500, None)]).await;
        assert_eq!((attempts, succeeded), (3, false));
        assert_eq!(run(5, &[status(404, None)]).await, (1, false, 0));
        assert_eq!(run(5, &[ApiError::Shape("a bare value".into())]).await, (1, false, 0));
    }

    #[test]
    fn a_token_is_replaced_once_per_attempt_and_not_for_a_code_that_new_tokens_meet() {
        let code = ApiError::ResultCode { code: "E999".into(), message: String::new() };
        let refused = ApiError::TokenRefused { status: 401, excerpt: None };
        let old = TokenUse { just_issued: false, renewed: false, futile: false };
        assert_eq!(decide(&code, old), Retry::NewToken);
        assert_eq!(decide(&refused, TokenUse { just_issued: true, ..old }), Retry::NewToken);
        assert_eq!(decide(&code, TokenUse { futile: true, ..old }), Retry::Backoff);
        assert_eq!(decide(&code, TokenUse { just_issued: true, ..old }), Retry::Backoff);
        assert_eq!(decide(&refused, TokenUse { renewed: true, ..old }), Retry::Backoff);
    }
}
