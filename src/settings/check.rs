//! Checks of single settings.

use std::path::Path;
use std::time::Duration;

use chrono::NaiveDate;
use reqwest::Url;

use crate::calendar::DateRange;
use crate::files;
use crate::http::is_loopback;
use crate::lake::destination::Destination;
use crate::settlement::values::parse_date;

use super::env;
use super::error::{SettingsError, setting};
use super::groups::{LakeLayer, ResponseLayer, RunLayer, ShardLayer};
use super::layer::HumanDuration;
use super::shard::Shard;

/// Defaults, as the help states them.
pub(super) mod defaults {
    use std::time::Duration;

    pub(crate) const CONCURRENCY: u16 = 4;
    pub(crate) const RATE_LIMIT: u32 = 10;
    pub(crate) const RETRIES: u32 = 5;
    pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);
    pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
    pub(crate) const EMPTY_CODE: &str = "E008";
    /// Some thirteen million rows.
    pub(crate) const MAX_RESPONSE_MIB: u64 = 4096;
    pub(crate) const AHEAD: u32 = 7;
    pub(crate) const LOOKBACK: u32 = 7;
    pub(crate) const RECHECK: u32 = 365;
    pub(crate) const SETTLE_WINDOW: u32 = 60;
}

/// A text as it was meant: without the white space around it that files of variables leave.
///
/// # Errors
/// Quotes around it, which those files keep as well, or control characters in it.
pub(crate) fn text<'t>(name: &str, text: &'t str) -> Result<&'t str, SettingsError> {
    let text = unquoted(name, text)?;
    if let Some(character) = text.chars().find(|character| character.is_control()) {
        return setting(format!("{name} contains {character:?}: remove it"));
    }
    Ok(text)
}

/// The same for a text that may well contain anything, such as a path.
fn unquoted<'t>(name: &str, text: &'t str) -> Result<&'t str, SettingsError> {
    let text = text.trim();
    let quoted = |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    if quoted('"') || quoted('\'') {
        return setting(format!("{name} is in quotes: write it as {}", &text[1..text.len() - 1]));
    }
    Ok(text)
}

/// Checks the variables that name proxies: the HTTP stack passes over one that it cannot read, and would go round the proxy.
///
/// # Errors
/// The first that is not the URL of a proxy.
pub(crate) fn proxies() -> Result<(), SettingsError> {
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let Some(value) = env::set(name) else { continue };
        let Ok(value) = value.into_string() else { return setting(format!("{name} is not UTF-8")) };
        let with_scheme = if value.contains("://") { value.clone() } else { format!("http://{value}") };
        let usable = Url::parse(&with_scheme).is_ok_and(|url| url.has_host());
        // what it holds may be a password
        if value.trim() != value || value.contains(|character: char| character.is_control() || character == '"') || !usable {
            return setting(format!(
                "{name} is not the URL of a proxy, or has a line break, a blank or quotes around it: write it as http://host:3128"
            ));
        }
    }
    for name in ["NO_PROXY", "no_proxy"] {
        let Some(value) = env::set(name) else { continue };
        let Ok(value) = value.into_string() else { return setting(format!("{name} is not UTF-8")) };
        if value.contains(|character: char| character.is_control() || character == '"') {
            return setting(format!("{name} has a line break or quotes in it: write it as localhost,.example.com"));
        }
    }
    Ok(())
}

/// Refuses a file that could not be written, before the run instead of after it.
///
/// # Errors
/// A folder, a file in a folder that does not exist, or one that may not be written.
pub(crate) fn writable_file(flag: &str, path: &Path) -> Result<(), SettingsError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() || !folder.is_dir() {
        return setting(format!("{flag} {}: must name a file in an existing folder", path.display()));
    }
    files::try_replace(path).map_err(|error| SettingsError::Setting(format!("{flag} {} cannot be written: {error}", path.display())))
}

pub(super) fn positive(flag: &str, value: Option<HumanDuration>, default: Duration) -> Result<Duration, SettingsError> {
    match value {
        Some(HumanDuration(Duration::ZERO)) => setting(format!("{flag} must be greater than zero")),
        value => Ok(value.map_or(default, |HumanDuration(duration)| duration)),
    }
}

pub(super) fn api_root(root: &str) -> Result<Url, SettingsError> {
    let text = text("--base-url", root)?;
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return setting(format!("--base-url {text:?} is not a URL: {error}")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return setting("--base-url must not contain credentials");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return setting(format!("--base-url {text:?} must not contain a query or fragment"));
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => {
            setting(format!("--base-url {text:?} would send the key unencrypted: use https (plain http is only allowed on loopback)"))
        }
        _ => setting(format!("--base-url {text:?} must begin with https://")),
    }
}

/// Reads `--dest`.
///
/// # Errors
/// No destination, or one of no known form.
pub(super) fn destination(lake: &LakeLayer) -> Result<Destination, SettingsError> {
    match dest_as_typed(lake)? {
        Some(dest) => Ok(Destination::parse(dest)?),
        None => setting(format!("no destination: set --dest or {} to a folder or s3://bucket/prefix", env::DEST)),
    }
}

/// `--dest` as it was typed, if it is set.
///
/// # Errors
/// Quotes around it.
pub(crate) fn dest_as_typed(lake: &LakeLayer) -> Result<Option<&str>, SettingsError> {
    lake.dest.as_deref().map(|dest| unquoted("--dest", dest)).transpose()
}

pub(super) fn empty_codes(responses: &ResponseLayer) -> Vec<String> {
    responses.empty_codes.clone().unwrap_or_else(|| vec![defaults::EMPTY_CODE.into()])
}

/// Reads `--max-answer-mib`, in bytes.
pub(super) fn max_response_bytes(responses: &ResponseLayer) -> Result<u64, SettingsError> {
    match responses.max_answer_mib {
        Some(0) => setting("--max-answer-mib must be at least 1"),
        value => Ok(value.unwrap_or(defaults::MAX_RESPONSE_MIB).saturating_mul(1 << 20)),
    }
}

/// Reads `--concurrency`. Each day in progress occupies a thread while its response is read.
pub(super) fn concurrency(run: &RunLayer) -> Result<usize, SettingsError> {
    match run.concurrency.unwrap_or(defaults::CONCURRENCY) {
        days @ 1..=256 => Ok(days.into()),
        days => setting(format!("--concurrency {days}: must be from 1 to 256")),
    }
}

/// Reads `--shard`.
///
/// # Errors
/// Anything but I/N, with I from 1 to N.
pub(crate) fn shard(shard: &ShardLayer) -> Result<Shard, SettingsError> {
    shard.shard.as_deref().map_or(Ok(Shard::WHOLE), |shard| Shard::parse(text("--shard", shard)?))
}

/// Reads `--from` and `--to`.
///
/// # Errors
/// Something that is not a date, or a range that runs backwards.
pub(crate) fn range(from: &str, to: &str) -> Result<DateRange, SettingsError> {
    let range = DateRange { from: pay_date("--from", from)?, to: pay_date("--to", to)? };
    if range.from > range.to {
        return setting(format!("--from {} is after --to {}", range.from, range.to));
    }
    Ok(range)
}

/// Reads a pay date, `YYYY-MM-DD` or `YYYYMMDD`.
///
/// # Errors
/// Any other text.
pub(crate) fn pay_date(flag: &str, text: &str) -> Result<NaiveDate, SettingsError> {
    let date = if matches!(text.len(), 8 | 10) { parse_date(text) } else { None };
    date.ok_or_else(|| SettingsError::Setting(format!("{flag} {text:?} is not a date: write it as 2024-01-31 or 20240131")))
}
