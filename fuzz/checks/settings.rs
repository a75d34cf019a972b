//! The settings file: TOML or an error that names a line of it, and checks that hold whatever is set.

use cookiepay_etl::config::{self, ConfigError, RawSettings};

pub(crate) fn check(text: &str) {
    match RawSettings::from_toml(text, "etl.toml") {
        Ok(raw) => {
            if let Ok(days) = config::concurrency(&raw) {
                assert!((1..=256).contains(&days));
            }
            if let Ok(bytes) = config::max_answer_bytes(&raw) {
                assert!(bytes >= 1 << 20);
            }
            assert!(raw.empty_codes.is_none() || config::empty_codes(&raw) == *raw.empty_codes.as_ref().unwrap());
            let _ = (config::destination(&raw), config::merchants_of(&raw));
        }
        Err(ConfigError::Toml { line, reason, .. }) => {
            assert!((1..=1 + text.matches('\n').count()).contains(&line), "line {line}");
            assert!(!reason.is_empty());
        }
        Err(other) => panic!("{other}"),
    }
}
