//! The actions of a commit, as lines of JSON. Reads only what this tool writes; anything else is another program's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::file::{DAYS_KEY, TableFile, decode_path, encode_path, read_name};
use super::schema::{packing_fingerprint, schema_string};

/// The protocol versions: those that the most engines know, without table features.
pub(super) const PROTOCOL: (i32, i32) = (1, 2);

/// What the table's configuration states about how its files were packed.
pub(super) const PACKING_KEY: &str = "cookiepay_etl.packing";

/// The table's `metaData`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) description: Option<String>,
    pub(super) format: Format,
    pub(super) schema_string: String,
    pub(super) partition_columns: Vec<String>,
    #[serde(default)]
    pub(super) configuration: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) created_time: Option<i64>,
}

/// How the table's files are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Format {
    pub(super) provider: String,
    #[serde(default)]
    pub(super) options: BTreeMap<String, String>,
}

impl Metadata {
    /// Those of this version, for a new table.
    pub(super) fn new(created_ms: i64) -> Self {
        Self {
            id: uuid::Uuid::now_v7().to_string(),
            name: Some("settlements".into()),
            description: Some("CookiePay settlements: one file a merchant and month".into()),
            format: Format { provider: "parquet".into(), options: BTreeMap::new() },
            schema_string: schema_string(),
            partition_columns: Vec::new(),
            configuration: BTreeMap::from([(PACKING_KEY.to_owned(), packing_fingerprint())]),
            created_time: Some(created_ms),
        }
    }

    /// Those of this version, for a table that an earlier one wrote.
    pub(super) fn renewed(self) -> Self {
        let current = Self::new(0);
        Self { id: self.id, created_time: self.created_time, ..current }
    }

    /// Whether the files are packed as this version packs them.
    pub(super) fn is_current(&self) -> bool {
        self.configuration.get(PACKING_KEY) == Some(&packing_fingerprint()) && self.schema_string == schema_string()
    }

    /// What shows that another program wrote them.
    pub(super) fn foreign(&self) -> Option<String> {
        if self.format.provider != "parquet" {
            return Some(format!("states files in the format {}", self.format.provider));
        }
        if !self.partition_columns.is_empty() {
            return Some(format!("states partition columns ({})", self.partition_columns.join(", ")));
        }
        if !self.configuration.contains_key(PACKING_KEY) {
            return Some(format!("states a table of another program: its configuration has no {PACKING_KEY}"));
        }
        let other = self.configuration.keys().find(|key| *key != PACKING_KEY)?;
        Some(format!("sets the table property {other}"))
    }
}

/// A file that is no longer part of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tombstone {
    pub(super) name: String,
    pub(super) bytes: Option<u64>,
    /// When it was removed from the table, in milliseconds since 1970.
    pub(super) removed_ms: i64,
}

/// One line of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Protocol((i32, i32)),
    Metadata(Metadata),
    Add(TableFile),
    Remove(Tombstone),
    /// About the commit, not about the table.
    CommitInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReadProtocol {
    min_reader_version: i32,
    min_writer_version: i32,
    reader_features: Option<Vec<String>>,
    writer_features: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadAdd {
    path: String,
    #[serde(default)]
    partition_values: BTreeMap<String, Option<String>>,
    size: u64,
    modification_time: i64,
    #[serde(default)]
    stats: Option<String>,
    #[serde(default)]
    tags: Option<BTreeMap<String, Option<String>>>,
    #[serde(default)]
    deletion_vector: Option<Json>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadRemove {
    path: String,
    #[serde(default)]
    deletion_timestamp: Option<i64>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    deletion_vector: Option<Json>,
}

/// Checks a file's path and tag, and returns the file.
pub(super) fn table_file(
    path: &str,
    bytes: u64,
    modified_ms: i64,
    stats: Option<String>,
    days: Option<String>,
) -> Result<TableFile, String> {
    let name = decode_path(path);
    let (merchant, month) = read_name(&name).ok_or_else(|| format!("adds {name:?}, which is no file of this tool"))?;
    let days = days.ok_or_else(|| format!("adds {name:?} without the tag {DAYS_KEY}"))?;
    Ok(TableFile { merchant, month, bytes, modified_ms, stats: stats.unwrap_or_default(), days, name })
}

impl Action {
    /// Reads a line.
    ///
    /// # Errors
    /// What it holds that this tool does not write.
    pub(super) fn read(line: &str) -> Result<Self, String> {
        let action: Map<String, Json> =
            serde_json::from_str(line).map_err(|error| format!("holds a line that is not an action: {error}"))?;
        let mut entries = action.into_iter();
        let (Some((name, value)), None) = (entries.next(), entries.next()) else {
            return Err("holds a line that is not one action".into());
        };
        match name.as_str() {
            "protocol" => {
                let read: ReadProtocol = parse("protocol", value)?;
                if read.reader_features.is_some() || read.writer_features.is_some() {
                    return Err("states table features".into());
                }
                protocol(read.min_reader_version, read.min_writer_version).map(Self::Protocol)
            }
            "metaData" => {
                let metadata: Metadata = parse("metaData", value)?;
                metadata.foreign().map_or(Ok(Self::Metadata(metadata)), Err)
            }
            "add" => {
                let read: ReadAdd = parse("add", value)?;
                if read.deletion_vector.is_some() || !read.partition_values.is_empty() {
                    return Err(format!("adds {:?} with a deletion vector or partition values", read.path));
                }
                let days = read.tags.and_then(|mut tags| tags.remove(DAYS_KEY)).flatten();
                table_file(&read.path, read.size, read.modification_time, read.stats, days).map(Self::Add)
            }
            "remove" => {
                let read: ReadRemove = parse("remove", value)?;
                if read.deletion_vector.is_some() {
                    return Err(format!("removes {:?} with a deletion vector", read.path));
                }
                let removed_ms = read.deletion_timestamp.unwrap_or_default();
                Ok(Self::Remove(Tombstone { name: decode_path(&read.path), bytes: read.size, removed_ms }))
            }
            "commitInfo" => Ok(Self::CommitInfo),
            other => Err(format!("holds the action {other}")),
        }
    }
}

fn parse<T: for<'de> Deserialize<'de>>(name: &str, value: Json) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| format!("holds the action {name} in another form: {error}"))
}

/// Checks the protocol's versions.
///
/// # Errors
/// They are not this tool's.
pub(super) fn protocol(reader: i32, writer: i32) -> Result<(i32, i32), String> {
    if (reader, writer) == PROTOCOL {
        Ok(PROTOCOL)
    } else {
        Err(format!("states protocol ({reader},{writer}), and this tool writes (1,2)"))
    }
}

/// What a commit states about itself.
pub(super) struct CommitInfo<'a> {
    pub(super) timestamp_ms: i64,
    pub(super) run_id: &'a str,
    pub(super) files_added: u64,
    pub(super) files_removed: u64,
}

/// Lines of a commit that is being put together.
#[derive(Default)]
pub(super) struct Commit(String);

impl Commit {
    /// Begins a commit.
    pub(super) fn new(info: &CommitInfo<'_>) -> Self {
        let mut commit = Self::default();
        commit.push(&json!({ "commitInfo": {
            "timestamp": info.timestamp_ms,
            "operation": "WRITE",
            "operationParameters": { "mode": "Overwrite" },
            "isBlindAppend": false,
            "engineInfo": format!("cookiepay-etl/{}", env!("CARGO_PKG_VERSION")),
            "runId": info.run_id,
            "operationMetrics": {
                "numAddedFiles": info.files_added.to_string(),
                "numRemovedFiles": info.files_removed.to_string(),
            },
        } }));
        commit
    }

    fn push(&mut self, line: &Json) {
        self.0.push_str(&line.to_string());
        self.0.push('\n');
    }

    /// States the protocol.
    pub(super) fn protocol(&mut self) {
        self.push(&json!({ "protocol": { "minReaderVersion": PROTOCOL.0, "minWriterVersion": PROTOCOL.1 } }));
    }

    /// States what the table is.
    pub(super) fn metadata(&mut self, metadata: &Metadata) {
        self.push(&json!({ "metaData": metadata }));
    }

    /// Adds a file.
    pub(super) fn add(&mut self, file: &TableFile) {
        self.push(&json!({ "add": {
            "path": encode_path(&file.name),
            "partitionValues": {},
            "size": file.bytes,
            "modificationTime": file.modified_ms,
            "dataChange": true,
            "stats": file.stats,
            "tags": { (DAYS_KEY): file.days },
        } }));
    }

    /// Removes a file.
    pub(super) fn remove(&mut self, tombstone: &Tombstone) {
        self.push(&json!({ "remove": {
            "path": encode_path(&tombstone.name),
            "deletionTimestamp": tombstone.removed_ms,
            "dataChange": true,
            "extendedFileMetadata": true,
            "partitionValues": {},
            "size": tombstone.bytes,
        } }));
    }

    /// The commit's bytes.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}
