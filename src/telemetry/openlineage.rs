//! OpenLineage run events: which run wrote the table, from where, and how much.

use chrono::{SecondsFormat, Utc};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::ExposeSecret as _;
use serde_json::{Value as Json, json};

use crate::command::Command;
use crate::engine::result::{RunResult, Status};
use crate::lake::destination::Destination;
use crate::settings::{LineageSettings, ParentRun};
use crate::settlement::columns::COLUMNS;

const PRODUCER: &str = concat!("urn:cookiepay-etl:", env!("CARGO_PKG_VERSION"));
const RUN_EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// The headers of an event.
pub(super) fn headers(lineage: &LineageSettings) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let bearer = lineage.api_key.as_ref().and_then(|key| HeaderValue::try_from(format!("Bearer {}", key.expose_secret())).ok());
    if let Some(mut bearer) = bearer {
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    headers
}

/// What an event is about.
struct Event<'a> {
    kind: &'a str,
    command: Command,
    run_id: &'a str,
    /// Facets of the run.
    facets: Json,
    outputs: &'a [Json],
}

/// The event that a run has started.
pub(super) fn start_event(lineage: &LineageSettings, command: Command, run_id: &str) -> Json {
    event(lineage, Event { kind: "START", command, run_id, facets: json!({}), outputs: &[] })
}

/// The event that a run has ended: completely, in part or not at all, or by a signal.
pub(super) fn end_event(lineage: &LineageSettings, result: &RunResult) -> Json {
    let kind = match result.status {
        Status::Success => "COMPLETE",
        Status::Partial | Status::Failed => "FAIL",
        Status::Interrupted => "ABORT",
    };
    let mut facets = json!({});
    let first = result.failures.first().map(ToString::to_string);
    if let Some(message) = result.error.clone().or(first) {
        facets["errorMessage"] = facet("1-0-1/ErrorMessageRunFacet", json!({ "message": message, "programmingLanguage": "rust" }));
    }
    let outputs: Vec<Json> = table(result).into_iter().collect();
    event(lineage, Event { kind, command: result.command, run_id: &result.run_id, facets, outputs: &outputs })
}

fn event(lineage: &LineageSettings, event: Event<'_>) -> Json {
    let Event { kind, command, run_id, mut facets, outputs } = event;
    let engine = json!({ "name": "cookiepay-etl", "version": env!("CARGO_PKG_VERSION") });
    facets["processing_engine"] = facet("1-1-1/ProcessingEngineRunFacet", engine);
    if let Some(ParentRun { namespace, job, run_id }) = &lineage.parent {
        let parent = json!({ "run": { "runId": run_id.to_string() }, "job": { "namespace": namespace, "name": job } });
        facets["parent"] = facet("1-2-0/ParentRunFacet", parent);
    }
    let job_type = json!({ "processingType": "BATCH", "integration": "COOKIEPAY_ETL", "jobType": "JOB" });
    json!({
        "eventType": kind,
        "eventTime": Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
        "run": { "runId": run_id, "facets": facets },
        "job": {
            "namespace": lineage.namespace,
            "name": format!("cookiepay-etl.{command}"),
            "facets": { "jobType": facet("2-0-4/JobTypeJobFacet", job_type) },
        },
        "inputs": [],
        "outputs": outputs,
        "producer": PRODUCER,
        "schemaURL": RUN_EVENT,
    })
}

/// The table that a run wrote, as OpenLineage names datasets; `None` if the run has no destination.
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
        .map(|column| json!({ "name": column.name, "type": column.type_name(), "description": column.about.en }))
        .chain([json!({ "name": "pay_date", "type": "date", "description": "the requested pay date" })])
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
