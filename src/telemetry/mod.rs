//! Reports a run: a metrics file, a lineage collector, a webhook. A run is the same whether or not they receive it: what fails here
//! is logged, and changes neither result nor exit code.

mod metrics;
mod openlineage;
mod webhook;

use std::time::Duration;

use futures::future::OptionFuture;
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde_json::Value as Json;
use tokio::task::JoinHandle;

use crate::command::Command;
use crate::engine::result::{RunResult, Status};
use crate::errors::chain;
use crate::http;
use crate::settings::TelemetrySettings;

/// How long a receiver is waited for.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The same if a signal ended the run: whoever sent it is waiting.
const TIMEOUT_INTERRUPTED: Duration = Duration::from_millis(500);

/// Reports one run.
#[derive(Default)]
pub struct Telemetry {
    settings: TelemetrySettings,
    start_event: Option<JoinHandle<()>>,
}

impl Telemetry {
    /// Reports to the receivers that are set.
    #[must_use]
    pub fn new(settings: TelemetrySettings) -> Self {
        Self { settings, start_event: None }
    }

    /// Reports that a run has started, while it goes on.
    pub fn run_started(&mut self, command: Command, run_id: &str) {
        if let Some(lineage) = &self.settings.lineage {
            let post = post(lineage.url.clone(), openlineage::headers(lineage), openlineage::start_event(lineage, command, run_id));
            self.start_event = Some(tokio::spawn(async { warn("the OpenLineage collector", post.await) }));
        }
    }

    /// Reports how a run ended.
    pub async fn run_ended(self, result: &RunResult) {
        let Self { settings: TelemetrySettings { metrics_file, webhook, lineage, lang }, start_event } = self;
        if let Some(path) = &metrics_file
            && let Err(error) = metrics::write(path, result)
        {
            tracing::warn!("cannot write the metrics to {}: {error}", path.display());
        }
        let lineage = lineage.map(|lineage| async move {
            // collectors expect the start first
            if let Some(start_event) = start_event {
                let _ = start_event.await;
            }
            let event = openlineage::end_event(&lineage, result);
            warn("the OpenLineage collector", post(lineage.url.clone(), openlineage::headers(&lineage), event).await);
        });
        let webhook = webhook.zip(webhook::message(result, lang)).map(|(url, message)| async move {
            warn("--notify-url", post(url, HeaderMap::new(), message).await);
        });
        let reports = async { tokio::join!(OptionFuture::from(lineage), OptionFuture::from(webhook)) };
        let patience = if result.status == Status::Interrupted { TIMEOUT_INTERRUPTED } else { 2 * TIMEOUT };
        if tokio::time::timeout(patience, reports).await.is_err() {
            tracing::warn!("notification timed out");
        }
    }
}

/// Sends a message that is not about a run to the webhook. Slack's characters of its own are escaped.
pub async fn notify(url: Url, mut message: Json) {
    if let Some(text) = message["text"].as_str().map(webhook::escaped) {
        message["text"] = text.into();
    }
    if let Err(error) = post(url, HeaderMap::new(), message).await {
        tracing::warn!("--notify-url could not be notified: {error}");
    }
}

/// Sends JSON. The URL, which may contain a secret, is in no error.
async fn post(url: Url, headers: HeaderMap, body: Json) -> Result<(), String> {
    let request = async {
        let client = http::client(&url).timeout(TIMEOUT).build()?;
        let request = client.post(url).headers(headers).header("Content-Type", "application/json").body(body.to_string());
        request.send().await
    };
    match request.await {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(format!("it responded with {}", response.status())),
        Err(error) => Err(chain(&error.without_url())),
    }
}

fn warn(receiver: &str, sent: Result<(), String>) {
    if let Err(error) = sent {
        tracing::warn!("{receiver} could not be notified of the run: {error}");
    }
}
