//! Where a run is reported.

use std::path::{Path, PathBuf};

use reqwest::Url;
use secrecy::SecretString;
use uuid::Uuid;

use crate::http::is_loopback;
use crate::lang::Lang;

use super::check::writable_file;
use super::env;
use super::error::{SettingsError, setting};
use super::groups::TelemetryLayer;

/// Where a run is reported.
#[derive(Default)]
pub struct TelemetrySettings {
    /// A file for Prometheus metrics.
    pub metrics_file: Option<PathBuf>,
    /// The webhook for failures and restatements. Its URL is a secret.
    pub webhook: Option<Url>,
    /// The collector of lineage events.
    pub lineage: Option<LineageSettings>,
    /// The language of the webhook's text.
    pub lang: Lang,
}

/// A collector of lineage events, and the names under which they are filed.
pub struct LineageSettings {
    /// Where events are sent.
    pub url: Url,
    /// Sent as a bearer token.
    pub api_key: Option<SecretString>,
    /// The namespace of jobs.
    pub namespace: String,
    /// The run that started this one.
    pub parent: Option<ParentRun>,
}

/// The run that started this one.
#[derive(Debug)]
pub struct ParentRun {
    /// The namespace of its job.
    pub namespace: String,
    /// Its job.
    pub job: String,
    /// Its id.
    pub run_id: Uuid,
}

impl TelemetrySettings {
    /// Checks where a run is reported, including the `OPENLINEAGE_*` variables.
    ///
    /// # Errors
    /// A metrics file that could not be written, or something that is not a URL.
    pub(crate) fn new(layer: &TelemetryLayer, lang: Lang) -> Result<Self, SettingsError> {
        Ok(Self {
            lang,
            metrics_file: layer.metrics_file.as_deref().map(metrics_file).transpose()?,
            lineage: LineageSettings::from_env()?,
            webhook: layer.notify_url.as_deref().map(webhook).transpose()?,
        })
    }
}

fn metrics_file(path: &Path) -> Result<PathBuf, SettingsError> {
    writable_file("--metrics-file", path)?;
    // the collector reads *.prom and passes over everything else
    if path.extension().is_none_or(|extension| extension != "prom") {
        return setting(format!("--metrics-file {}: its name must end in .prom", path.display()));
    }
    Ok(path.to_owned())
}

fn webhook(text: &str) -> Result<Url, SettingsError> {
    let url = receiver("--notify-url", text)?;
    if url.scheme() == "http" && !is_loopback(&url) {
        return setting("--notify-url must use https (plain http is only allowed on loopback)");
    }
    Ok(url)
}

/// Reads the URL of a receiver; `what` names the setting, because the URL may contain a secret.
fn receiver(what: &str, text: &str) -> Result<Url, SettingsError> {
    match Url::parse(text.trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => setting(format!("{what} is not a URL that begins with http:// or https://")),
    }
}

impl LineageSettings {
    /// The collector that the environment names, if it names one.
    fn from_env() -> Result<Option<Self>, SettingsError> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let disabled =
            set(env::OPENLINEAGE_DISABLED).is_some_and(|value| matches!(value.trim().to_ascii_lowercase().as_str(), "true" | "1"));
        let Some(root) = set(env::OPENLINEAGE_URL).filter(|_| !disabled) else { return Ok(None) };
        let mut url = receiver(env::OPENLINEAGE_URL, &root)?;
        let endpoint = set(env::OPENLINEAGE_ENDPOINT).unwrap_or_else(|| "api/v1/lineage".into());
        url.set_path(&format!("{}/{}", url.path().trim_end_matches('/'), endpoint.trim_start_matches('/')));
        let parent = set(env::OPENLINEAGE_PARENT_ID);
        let read = parent.as_deref().and_then(ParentRun::parse);
        if parent.is_some() && read.is_none() {
            tracing::warn!("ignoring OPENLINEAGE_PARENT_ID: expected namespace/job/run-id");
        }
        Ok(Some(Self {
            url,
            api_key: set(env::OPENLINEAGE_API_KEY).map(SecretString::from),
            namespace: set(env::OPENLINEAGE_NAMESPACE).unwrap_or_else(|| "default".into()),
            parent: read,
        }))
    }
}

impl ParentRun {
    /// Reads `namespace/job/run id`; a namespace may contain slashes.
    fn parse(text: &str) -> Option<Self> {
        let (rest, run_id) = text.rsplit_once('/')?;
        let (namespace, job) = rest.rsplit_once('/')?;
        Some(Self { namespace: namespace.to_owned(), job: job.to_owned(), run_id: run_id.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parents_namespace_may_be_a_url() {
        let parent = ParentRun::parse("s3://lake/jobs/daily.sync/0199f0a0-0000-7000-8000-000000000001");
        let parts = parent.map(|parent| (parent.namespace, parent.job));
        assert_eq!(parts, Some(("s3://lake/jobs".to_owned(), "daily.sync".to_owned())));
        assert!(ParentRun::parse("daily.sync/0199f0a0-0000-7000-8000-000000000001").is_none());
        assert!(ParentRun::parse("ns/daily.sync/no-id").is_none());
    }
}
