//! Where the files are: a path, a pattern, or the same in a bucket; `#SHEET` behind it names a sheet of a workbook.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt as _;
use glob::{MatchOptions, Pattern};
use object_store::aws::AmazonS3;
use object_store::path::Path as Key;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use reqwest::Url;
use tokio::runtime::Handle;

use crate::http;
use crate::lake::backend;

use super::error::BooksError;

/// As a shell matches: a `*` stays within a folder, and hidden files are not meant.
const MATCH: MatchOptions = MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A file that is open.
#[derive(Debug)]
pub(super) struct Found {
    /// As people would find it again, without the sheet.
    pub(super) name: String,
    /// At any position; it can be read from its start.
    pub(super) file: File,
    pub(super) sheet: Option<String>,
}

/// A file that is known to exist.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) name: String,
    pub(super) sheet: Option<String>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Local(PathBuf),
    Object(Arc<AmazonS3>, Key),
}

impl Located {
    /// The name with the sheet.
    pub(super) fn full_name(&self) -> String {
        self.sheet.as_ref().map_or_else(|| self.name.clone(), |sheet| format!("{}#{sheet}", self.name))
    }

    /// Opens the file. An object is fetched into a temporary file, and so is what cannot be read twice, such as a pipe.
    pub(super) fn open(self, runtime: &Handle) -> Result<Found, BooksError> {
        let Self { name, sheet, place } = self;
        let io = |source: io::Error| BooksError::Io { file: name.clone(), source };
        let file = match place {
            Place::Local(path) => {
                let mut file = File::open(path).map_err(io)?;
                if !file.metadata().map_err(io)?.is_file() {
                    let mut copy = tempfile::tempfile().map_err(io)?;
                    io::copy(&mut file, &mut copy).map_err(io)?;
                    file = copy;
                }
                file
            }
            Place::Object(store, key) => runtime.block_on(fetch(&store, &key, &name))?,
        };
        Ok(Found { name, file, sheet })
    }
}

async fn fetch(store: &AmazonS3, key: &Key, name: &str) -> Result<File, BooksError> {
    let failed = |error: object_store::Error| store_error(name, &error);
    let io = |source: io::Error| BooksError::Io { file: name.into(), source };
    let mut chunks = store.get(key).await.map_err(failed)?.into_stream();
    let mut file = tempfile::tempfile().map_err(io)?;
    while let Some(chunk) = chunks.try_next().await.map_err(failed)? {
        file.write_all(&chunk).map_err(io)?;
    }
    file.rewind().map_err(io)?;
    Ok(file)
}

fn store_error(name: &str, error: &object_store::Error) -> BooksError {
    match error {
        object_store::Error::NotFound { .. } => BooksError::NotFound { file: name.into(), reason: "there is no such object".into() },
        error => BooksError::Store { file: name.into(), reason: http::explained(error) },
    }
}

/// Finds the files that are named, in the order in which they are; those of a pattern in the order of their names.
///
/// # Errors
/// A name or a pattern that stands for no file, a file that is named twice, a store that fails.
pub(super) async fn all(names: &[String]) -> Result<Vec<Located>, BooksError> {
    let mut all: Vec<Located> = Vec::new();
    for name in names {
        let found = if name.starts_with("s3://") { objects(name).await? } else { local(name)? };
        for located in found {
            if all.iter().any(|other| other.sheet == located.sheet && is_same(&other.place, &located.place)) {
                return Err(BooksError::Twice { file: located.full_name() });
            }
            all.push(located);
        }
    }
    Ok(all)
}

fn is_same(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Local(one), Place::Local(other)) => one == other,
        (Place::Object(store, one), Place::Object(other_store, other)) => one == other && store.to_string() == other_store.to_string(),
        _ => false,
    }
}

/// The name itself, and what it is if a sheet is cut off, from the shortest one.
fn readings(name: &str) -> impl Iterator<Item = (&str, Option<String>)> {
    // a sheet's name may have the mark, too
    let without = name.rmatch_indices('#').map(|(at, mark)| (&name[..at], &name[at + mark.len()..]));
    let without = without.filter(|(file, sheet)| !file.is_empty() && !sheet.is_empty());
    std::iter::once((name, None)).chain(without.map(|(file, sheet)| (file, Some(sheet.to_owned()))))
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

fn local(name: &str) -> Result<Vec<Located>, BooksError> {
    let not_found = |reason: &str| BooksError::NotFound { file: name.into(), reason: reason.into() };
    for (path, sheet) in readings(name) {
        let found = if Path::new(path).exists() {
            vec![PathBuf::from(path)]
        } else if is_pattern(path) {
            matching(path).map_err(|reason| not_found(&reason))?
        } else {
            Vec::new()
        };
        if found.is_empty() {
            continue;
        }
        let located = |path: PathBuf| {
            let name = path.display().to_string();
            if path.is_dir() {
                let reason = "it is a folder: name its files, or use a pattern such as FOLDER/*.csv".into();
                return Err(BooksError::NotFound { file: name, reason });
            }
            let place = Place::Local(path.canonicalize().unwrap_or(path));
            Ok(Located { name, sheet: sheet.clone(), place })
        };
        return found.into_iter().map(located).collect();
    }
    Err(not_found(if is_pattern(name) { "no file matches" } else { "there is no such file" }))
}

/// The files that a pattern matches, without those that a spreadsheet keeps beside an open one.
fn matching(pattern: &str) -> Result<Vec<PathBuf>, String> {
    let paths = glob::glob_with(pattern, MATCH).map_err(|error| format!("it is not a pattern: {error}"))?;
    let mut found = Vec::new();
    for path in paths {
        let path = path.map_err(|error| error.to_string())?;
        let is_lock = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("~$"));
        if !is_lock && !path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

async fn objects(name: &str) -> Result<Vec<Located>, BooksError> {
    let not_found = |reason: &str| BooksError::NotFound { file: name.into(), reason: reason.into() };
    let (bucket, rest) = name["s3://".len()..].split_once('/').unwrap_or_default();
    if bucket.is_empty() || rest.is_empty() {
        return Err(not_found("write it as s3://bucket/key"));
    }
    let url = Url::parse(&format!("s3://{bucket}")).map_err(|_| not_found("it names no bucket"))?;
    let opened = tokio::task::spawn_blocking(move || backend::bucket(&url)).await;
    let store = opened.map_err(|panic| BooksError::Panicked(panic.to_string()))?.map_err(|reason| not_found(&reason))?;
    let store = Arc::new(store);
    for (key, sheet) in readings(rest) {
        let keys = matching_keys(&store, name, key).await?;
        if !keys.is_empty() {
            let located = |key: Key| Located {
                name: format!("s3://{bucket}/{key}"),
                sheet: sheet.clone(),
                place: Place::Object(Arc::clone(&store), key),
            };
            return Ok(keys.into_iter().map(located).collect());
        }
    }
    Err(not_found(if is_pattern(rest) { "no object matches" } else { "there is no such object" }))
}

/// The object of a key; or those that it matches as a pattern.
async fn matching_keys(store: &AmazonS3, name: &str, key: &str) -> Result<Vec<Key>, BooksError> {
    let invalid = |reason: String| BooksError::NotFound { file: name.into(), reason };
    let exact = Key::parse(key).map_err(|error| invalid(error.to_string()))?;
    match store.head(&exact).await {
        Ok(_) => return Ok(vec![exact]),
        Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => return Err(store_error(name, &error)),
    }
    if !is_pattern(key) {
        return Ok(Vec::new());
    }
    let pattern = Pattern::new(key).map_err(|error| invalid(format!("it is not a pattern: {error}")))?;
    let fixed = key.split(['*', '?', '[']).next().unwrap_or_default();
    let folder = fixed.rsplit_once('/').map(|(folder, _)| Key::from(folder));
    let mut keys: Vec<Key> = store
        .list(folder.as_ref())
        .try_filter(|object| std::future::ready(pattern.matches_with(object.location.as_ref(), MATCH)))
        .map_ok(|object| object.location)
        .try_collect()
        .await
        .map_err(|error| store_error(name, &error))?;
    keys.sort();
    Ok(keys)
}
