//! What is tried again, and when: one total function over every way a call can fail.

use std::time::{Duration, SystemTime};

use super::error::ApiError;

/// What to do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Trying again cannot help.
    Never,
    /// Not before this long.
    After(Duration),
    /// After a growing, jittered wait.
    Backoff,
    /// At once, with a new token.
    NewToken,
}

/// What is known of the token a failed call used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenUse {
    /// It was issued in this try.
    pub(crate) just_issued: bool,
    /// This try has already asked for a new one.
    pub(crate) renewed: bool,
    /// A token that was just issued met the same code in an earlier try: no new one helps against it.
    pub(crate) futile: bool,
}

/// Of a try that is over: it has had its new token, where one could help.
pub(crate) const HAD_ITS_TOKEN: TokenUse = TokenUse { just_issued: true, renewed: true, futile: true };

/// Decides for a failure of a settlement call.
pub(crate) fn decide(error: &ApiError, token: TokenUse) -> Retry {
    match error {
        ApiError::TokenRefused(_) if !token.renewed => Retry::NewToken,
        // an expired token may be answered with a code of its own, which no document names
        ApiError::ResultCode { .. } if !token.just_issued && !token.renewed && !token.futile => Retry::NewToken,
        ApiError::Status { status, retry_after, .. } => match (retriable(*status), retry_after) {
            (false, _) => Retry::Never,
            (true, Some(wait)) => Retry::After(*wait),
            (true, None) => Retry::Backoff,
        },
        ApiError::TokenRefused(_)
        | ApiError::ResultCode { .. }
        | ApiError::Connect(_)
        | ApiError::Connection(_)
        | ApiError::Silent(_)
        | ApiError::Slow { .. }
        | ApiError::BrokenBody { .. }
        | ApiError::Cut { .. }
        | ApiError::Gzip(_)
        | ApiError::NotJson { .. }
        | ApiError::TokenAnswer(_) => Retry::Backoff,
        // asking for a token has its own retries
        ApiError::NoToken { .. }
        | ApiError::Redirect(_)
        | ApiError::WaitTooLong(_)
        | ApiError::KeyRefused { .. }
        | ApiError::TooLarge(_)
        | ApiError::Shape(_)
        | ApiError::Charset { .. }
        | ApiError::Encoding { .. } => Retry::Never,
    }
}

fn retriable(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

/// The longest wait an API may ask for; past it the day fails instead.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Reads a `Retry-After` header: whole seconds, or an HTTP date.
#[must_use]
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // more seconds than fit are more than anyone waits
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let until = httpdate::parse_http_date(header).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

/// The waits between tries: 200 ms doubling to 20 s, each with up to as much again at random.
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
}
