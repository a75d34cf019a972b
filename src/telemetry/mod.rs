//! Tells others how a run went: a metrics file, a lineage collector, a webhook. A run is what it is
//! whether they hear of it or not: what fails here is logged, and changes neither result nor exit code.

mod metrics;
mod openlineage;
mod webhook;

use std::path::PathBuf;
use std::time::Duration;

use futures::future::OptionFuture;
use reqwest::header::HeaderMap;
use reqwest::{Client, Url, redirect};
use serde_json::Value as Json;
use tokio::task::JoinHandle;

use crate::command::Command;
use crate::cookiepay::http::is_loopback;
use crate::engine::result::{RunResult, Status};
use crate::errors::chain;
use crate::settings::{RawSettings, SettingsError};

pub use openlineage::Lineage;
pub use webhook::Webhook;

/// The longest that a receiver is waited for.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The same where a signal ended the run: whoever sent it is waiting.
const TIMEOUT_INTERRUPTED: Duration = Duration::from_millis(500);

/// Who is told how a run goes.
#[derive(Debug, Default)]
pub struct Reporting {
    metrics_file: Option<PathBuf>,
    lineage: Option<Lineage>,
    webhook: Option<Webhook>,
    begun: Option<JoinHandle<()>>,
}

impl Reporting {
    /// Checks what is set of it, `OPENLINEAGE_*` variables included.
    ///
    /// # Errors
    /// A metrics file that could not be written, or a URL that is none.
    pub fn new(raw: &RawSettings) -> Result<Self, SettingsError> {
        Ok(Self {
            metrics_file: raw.metrics_file.as_deref().map(metrics::usable).transpose()?,
            lineage: Lineage::from_env()?,
            webhook: raw.notify_url.as_deref().map(Webhook::new).transpose()?,
            begun: None,
        })
    }

    /// Tells that a run begins, while it does.
    pub fn begins(&mut self, command: Command, run_id: &str) {
        if let Some(lineage) = &self.lineage {
            let post = post(lineage.url().clone(), lineage.headers(), lineage.begins(command, run_id));
            self.begun = Some(tokio::spawn(async { note("the OpenLineage collector", post.await) }));
        }
    }

    /// Tells how a run ended.
    pub async fn ended(self, result: &RunResult) {
        if let Some(path) = &self.metrics_file
            && let Err(error) = metrics::write(path, result)
        {
            tracing::warn!("cannot write the metrics to {}: {error}", path.display());
        }
        let lineage = self.lineage.map(|lineage| async move {
            // collectors want the beginning first
            if let Some(begun) = self.begun {
                let _ = begun.await;
            }
            note("the OpenLineage collector", post(lineage.url().clone(), lineage.headers(), lineage.ended(result)).await);
        });
        let webhook = self.webhook.as_ref().zip(webhook::message(result)).map(|(webhook, message)| async move {
            note("--notify-url", post(webhook.url().clone(), HeaderMap::new(), message).await);
        });
        let told = async { tokio::join!(OptionFuture::from(lineage), OptionFuture::from(webhook)) };
        let patience = if result.status == Status::Interrupted { TIMEOUT_INTERRUPTED } else { 2 * TIMEOUT };
        if tokio::time::timeout(patience, told).await.is_err() {
            tracing::warn!("not everybody who was to be told how the run ended has answered in time");
        }
    }
}

/// Sends JSON. The URL, which may hold a secret, is in no error.
async fn post(url: Url, headers: HeaderMap, body: Json) -> Result<(), String> {
    let mut client = Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(TIMEOUT)
        .user_agent(concat!("cookiepay-etl/", env!("CARGO_PKG_VERSION")));
    if is_loopback(&url) {
        client = client.no_proxy();
    }
    let request = async {
        let request = client.build()?.post(url).headers(headers).header("Content-Type", "application/json").body(body.to_string());
        request.send().await
    };
    match request.await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("it answered {}", answer.status())),
        Err(error) => Err(chain(&error.without_url())),
    }
}

fn note(whom: &str, told: Result<(), String>) {
    if let Err(error) = told {
        tracing::warn!("{whom} could not be told of the run: {error}");
    }
}

/// Reads the URL of a receiver; `what` names the setting, since the URL may hold a secret.
fn receiver(what: &str, text: &str) -> Result<Url, SettingsError> {
    match Url::parse(text.trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(SettingsError::Setting(format!("{what} is not a URL that begins with http:// or https://"))),
    }
}
