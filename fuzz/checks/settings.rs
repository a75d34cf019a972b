//! The settings file: TOML or an error that names a line of it, and checks that hold whatever is set.

use cookiepay_etl::settings::{self, RawSettings, SettingsError};

pub(crate) fn check(text: &str) {
    match RawSettings::from_toml(text, "etl.toml") {
        Ok(raw) => {
            if let Ok(days) = settings::concurrency(&raw) {
                assert!((1..=256).contains(&days));
            }
            if let Ok(bytes) = settings::max_answer_bytes(&raw) {
                assert!(bytes >= 1 << 20);
            }
            assert!(raw.empty_codes.is_none() || settings::empty_codes(&raw) == *raw.empty_codes.as_ref().unwrap());
            let _ = (settings::destination(&raw), settings::merchants_of(&raw));
        }
        Err(SettingsError::Toml { line, reason, .. }) => {
            assert!((1..=1 + text.matches('\n').count()).contains(&line), "line {line}");
            assert!(!reason.is_empty());
        }
        Err(other) => panic!("{other}"),
    }
}
