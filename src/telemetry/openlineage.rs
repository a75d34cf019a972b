//! OpenLineage run events: which run wrote the table, from where, and how much. Set by the variables
//! that other tools honour, too: `OPENLINEAGE_URL`, `OPENLINEAGE_ENDPOINT`, `OPENLINEAGE_API_KEY`,
//! `OPENLINEAGE_NAMESPACE`, `OPENLINEAGE_PARENT_ID` and `OPENLINEAGE_DISABLED`.

use std::env;

use chrono::{SecondsFormat, Utc};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::command::Command;
use crate::engine::result::{RunResult, Status};
use crate::lake::destination::Destination;
use crate::settings::SettingsError;
use crate::settlement::columns::COLUMNS;

use super::receiver;

const PRODUCER: &str = concat!("urn:cookiepay-etl:", env!("CARGO_PKG_VERSION"));
const RUN_EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// A collector of lineage, and what its events are filed under.
#[derive(Debug)]
pub struct Lineage {
    url: Url,
    api_key: Option<SecretString>,
    namespace: String,
    parent: Option<Parent>,
}

/// The run that started this one.
#[derive(Debug)]
struct Parent {
    namespace: String,
    job: String,
    run_id: Uuid,
}

impl Parent {
    /// Reads `namespace/job/run id`; a namespace may hold slashes of its own.
    fn parse(text: &str) -> Option<Self> {
        let (rest, run_id) = text.rsplit_once('/')?;
        let (namespace, job) = rest.rsplit_once('/')?;
        Some(Self { namespace: namespace.to_owned(), job: job.to_owned(), run_id: run_id.parse().ok()? })
    }
}

impl Lineage {
    /// The collector that the environment names, if it names one.
    ///
    /// # Errors
    /// An `OPENLINEAGE_URL` that is none.
    pub(super) fn from_env() -> Result<Option<Self>, SettingsError> {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
        let disabled = set("OPENLINEAGE_DISABLED").is_some_and(|value| matches!(value.trim().to_ascii_lowercase().as_str(), "true" | "1"));
        let Some(root) = set("OPENLINEAGE_URL").filter(|_| !disabled) else { return Ok(None) };
        let mut url = receiver("OPENLINEAGE_URL", &root)?;
        let endpoint = set("OPENLINEAGE_ENDPOINT").unwrap_or_else(|| "api/v1/lineage".into());
        url.set_path(&format!("{}/{}", url.path().trim_end_matches('/'), endpoint.trim_start_matches('/')));
        let parent = set("OPENLINEAGE_PARENT_ID");
        let read = parent.as_deref().and_then(Parent::parse);
        if parent.is_some() && read.is_none() {
            tracing::warn!("OPENLINEAGE_PARENT_ID is not namespace/job/run id, and was left out");
        }
        Ok(Some(Self {
            url,
            api_key: set("OPENLINEAGE_API_KEY").map(SecretString::from),
            namespace: set("OPENLINEAGE_NAMESPACE").unwrap_or_else(|| "default".into()),
            parent: read,
        }))
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let bearer = self.api_key.as_ref().and_then(|key| HeaderValue::try_from(format!("Bearer {}", key.expose_secret())).ok());
        if let Some(mut bearer) = bearer {
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        headers
    }

    /// The event that a run begins.
    pub(super) fn begins(&self, command: Command, run_id: &str) -> Json {
        self.event("START", command, run_id, json!({}), &[])
    }

    /// The event that a run has ended: whole, in part or not at all, or stopped.
    pub(super) fn ended(&self, result: &RunResult) -> Json {
        let kind = match result.status {
            Status::Success => "COMPLETE",
            Status::Partial | Status::Failed => "FAIL",
            Status::Interrupted => "ABORT",
        };
        let mut facets = json!({});
        let first = result.failures.first().map(|failure| format!("{}: {}", failure.pay_date, failure.message));
        if let Some(message) = result.error.clone().or(first) {
            facets["errorMessage"] = facet("1-0-1/ErrorMessageRunFacet", json!({ "message": message, "programmingLanguage": "rust" }));
        }
        self.event(kind, result.command, &result.run_id, facets, table(result).as_slice())
    }

    fn event(&self, kind: &str, command: Command, run_id: &str, mut facets: Json, outputs: &[Json]) -> Json {
        let engine = json!({ "name": "cookiepay-etl", "version": env!("CARGO_PKG_VERSION") });
        facets["processing_engine"] = facet("1-1-1/ProcessingEngineRunFacet", engine);
        if let Some(Parent { namespace, job, run_id }) = &self.parent {
            let parent = json!({ "run": { "runId": run_id.to_string() }, "job": { "namespace": namespace, "name": job } });
            facets["parent"] = facet("1-2-0/ParentRunFacet", parent);
        }
        let job_type = json!({ "processingType": "BATCH", "integration": "COOKIEPAY_ETL", "jobType": "JOB" });
        json!({
            "eventType": kind,
            "eventTime": Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            "run": { "runId": run_id, "facets": facets },
            "job": {
                "namespace": self.namespace,
                "name": format!("cookiepay-etl.{command}"),
                "facets": { "jobType": facet("2-0-4/JobTypeJobFacet", job_type) },
            },
            "inputs": [],
            "outputs": outputs,
            "producer": PRODUCER,
            "schemaURL": RUN_EVENT,
        })
    }
}

/// The table that a run wrote, as OpenLineage names datasets; none where the run knew no destination.
fn table(result: &RunResult) -> Option<Json> {
    let (namespace, root) = match Destination::parse(&result.dest).ok()? {
        Destination::Local(path) => {
            let path = std::path::absolute(&path).unwrap_or(path);
            ("file".to_owned(), path.to_string_lossy().trim_end_matches('/').to_owned())
        }
        Destination::S3(url) => (format!("s3://{}", url.host_str().unwrap_or_default()), url.path().trim_matches('/').to_owned()),
    };
    let name = if root.is_empty() { "settlements".to_owned() } else { format!("{root}/settlements") };
    let fields: Vec<Json> = COLUMNS
        .iter()
        .map(|column| json!({ "name": column.name, "type": column.type_name(), "description": column.about }))
        .chain([json!({ "name": "pay_date", "type": "date", "description": "the pay date asked for" })])
        .collect();
    let written = json!({
        "rowCount": result.tally.rows_written,
        "size": result.tally.bytes_written,
        "fileCount": result.tally.dates.published,
    });
    Some(json!({
        "namespace": namespace,
        "name": name,
        "facets": { "schema": facet("1-2-0/SchemaDatasetFacet", json!({ "fields": fields })) },
        "outputFacets": { "outputStatistics": facet("1-0-2/OutputStatisticsOutputDatasetFacet", written) },
    }))
}

/// A facet of a schema such as `1-0-0/ParentRunFacet`.
fn facet(schema: &str, mut content: Json) -> Json {
    let name = schema.rsplit('/').next().unwrap_or_default();
    content["_producer"] = PRODUCER.into();
    content["_schemaURL"] = format!("https://openlineage.io/spec/facets/{schema}.json#/$defs/{name}").into();
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parents_namespace_may_be_a_url() {
        let parent = Parent::parse("s3://lake/jobs/daily.sync/0199f0a0-0000-7000-8000-000000000001");
        let parts = parent.map(|parent| (parent.namespace, parent.job));
        assert_eq!(parts, Some(("s3://lake/jobs".to_owned(), "daily.sync".to_owned())));
        assert!(Parent::parse("daily.sync/0199f0a0-0000-7000-8000-000000000001").is_none());
        assert!(Parent::parse("ns/daily.sync/no-id").is_none());
    }
}
