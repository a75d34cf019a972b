//! The settings file: TOML or an error that names a line of it, and checks that hold whatever is set.

use cookiepay_etl::settings::{RawSettings, ReadSettings, RebuildSettings, RunSettings, SettingsError};

pub(crate) fn check(text: &str) {
    match RawSettings::from_toml(text, "etl.toml") {
        Ok(raw) => {
            if let Ok(run) = RunSettings::new(&raw) {
                assert!((1..=256).contains(&run.concurrency));
            }
            if let Ok(rebuild) = RebuildSettings::new(&raw) {
                assert!(rebuild.max_response_bytes >= 1 << 20);
            }
            let _ = ReadSettings::new(&raw);
        }
        Err(SettingsError::Toml { line, reason, .. }) => {
            assert!((1..=1 + text.matches('\n').count()).contains(&line), "line {line}");
            assert!(!reason.is_empty());
        }
        Err(other) => panic!("{other}"),
    }
}
