//! The names of all environment variables that the tool reads, beside the usual `AWS_*` of the lake and `MALLOC_ARENA_MAX`,
//! `GLIBC_TUNABLES` and `NO_COLOR`.

use std::ffi::OsString;

/// Which API.
pub(crate) const ENV: &str = "COOKIEPAY_ENV";
/// Another API root.
pub(crate) const BASE_URL: &str = "COOKIEPAY_BASE_URL";
/// The merchant's API id.
pub(crate) const API_ID: &str = "COOKIEPAY_API_ID";
/// The key.
pub(crate) const API_KEY: &str = "COOKIEPAY_API_KEY";
/// A file that holds the key.
pub(crate) const API_KEY_FILE: &str = "COOKIEPAY_API_KEY_FILE";
/// Which part of the merchants.
pub(crate) const SHARD: &str = "COOKIEPAY_SHARD";
/// The lake's root.
pub(crate) const DEST: &str = "COOKIEPAY_DEST";
/// The webhook for failures and restatements.
pub(crate) const NOTIFY_URL: &str = "COOKIEPAY_NOTIFY_URL";
/// The lineage collector's root.
pub(crate) const OPENLINEAGE_URL: &str = "OPENLINEAGE_URL";
/// The collector's path below its root.
pub(crate) const OPENLINEAGE_ENDPOINT: &str = "OPENLINEAGE_ENDPOINT";
/// The collector's key.
pub(crate) const OPENLINEAGE_API_KEY: &str = "OPENLINEAGE_API_KEY";
/// The namespace of events.
pub(crate) const OPENLINEAGE_NAMESPACE: &str = "OPENLINEAGE_NAMESPACE";
/// The run that started this one.
pub(crate) const OPENLINEAGE_PARENT_ID: &str = "OPENLINEAGE_PARENT_ID";
/// Turns lineage off.
pub(crate) const OPENLINEAGE_DISABLED: &str = "OPENLINEAGE_DISABLED";

/// A variable's value; one that is set but empty counts as unset.
pub(crate) fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The locale of messages: the first that is set of the variables that name it.
pub(crate) fn locale() -> String {
    ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set).map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}
