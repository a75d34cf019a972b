//! `Retry-After`: seconds or a date, and nothing that a wait could not be made of.

use std::time::{Duration, SystemTime};

use cookiepay_etl::cookiepay::retry::retry_after;

pub(crate) fn check(text: &str) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let wait = retry_after(text, now);
    if let Ok(seconds) = text.trim().parse::<u64>()
        && !text.trim().starts_with('+')
    {
        assert_eq!(wait, Some(Duration::from_secs(seconds)));
    }
    if let Some(wait) = wait {
        // to the end of the year 9999, or what somebody counted
        let digits = text.trim().bytes().all(|byte| byte.is_ascii_digit());
        assert!(digits || wait < Duration::from_secs(8000 * 366 * 86_400), "{wait:?}");
        assert!(digits || text.contains(':'));
    }
}
