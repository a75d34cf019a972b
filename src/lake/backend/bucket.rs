//! A lake in a bucket of Amazon S3 or of another server that speaks its protocol.

use std::io;
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _};
use reqwest::Url;
use tokio::io::AsyncWriteExt as _;

use crate::lake::error::LakeError;
use crate::lake::file::{DayFile, TAIL, footer_length, read_footer};
use crate::lake::version::StoredObject;
use crate::lake::version::Version;

use super::listing::{self, Listing};
use super::{Fetched, aws, blocking, disk_error};

pub(in crate::lake) struct Bucket {
    pub(super) store: Arc<dyn ObjectStore>,
    /// The same without its prefix, because only the bucket as a whole can be listed by pages.
    whole: AmazonS3,
    prefix: Path,
    /// Whether `AWS_CONDITIONAL_PUT` leaves conditional writes on.
    pub(super) has_conditions: bool,
}

impl Bucket {
    /// Opens a bucket as AWS users have it: `AWS_*` variables, profiles, web identity, container and instance roles.
    pub(super) fn open(url: &Url) -> Result<Self, LakeError> {
        let unusable = |reason: String| LakeError::Destination { dest: url.to_string(), reason };
        let store = aws::bucket(url).map_err(unusable)?;
        let prefix = Path::from_url_path(url.path()).map_err(|error| unusable(error.to_string()))?;
        let whole = store.clone();
        let store: Arc<dyn ObjectStore> =
            if prefix.as_ref().is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix.clone())) };
        Ok(Self { store, whole, prefix, has_conditions: aws::has_conditions() })
    }

    pub(super) async fn list(&self, folder: &str) -> object_store::Result<Listing> {
        listing::in_bucket(&self.whole, &self.prefix, folder).await
    }

    pub(super) async fn read_end(&self, location: &Path) -> Result<Option<DayFile>, LakeError> {
        let unreadable = |reason: String| LakeError::Record { object: location.to_string(), reason };
        let mut wanted = TAIL;
        loop {
            let options = GetOptions { range: Some(GetRange::Suffix(wanted)), ..GetOptions::default() };
            let (meta, tail) = match self.store.get_opts(location, options).await {
                Ok(found) => (found.meta.clone(), found.bytes().await.map_err(LakeError::object("read", location))?),
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(LakeError::object("read", location)(error)),
            };
            let footer = match footer_length(&tail) {
                Some(length) if length + 8 <= meta.size => length + 8,
                _ => return Err(unreadable("it is not a Parquet file".into())),
            };
            if footer > tail.len() as u64 {
                wanted = footer;
                continue;
            }
            let start = tail.len() - usize::try_from(footer).unwrap_or(tail.len());
            let (record, fit) = read_footer(&tail[start..tail.len() - 8]).map_err(unreadable)?;
            let object = StoredObject::new(meta.e_tag.clone(), meta.size);
            return Ok(Some(DayFile { record, fit, version: Version::of(meta), object }));
        }
    }

    pub(super) async fn fetch(&self, location: &Path) -> Result<Option<Fetched>, LakeError> {
        let spool = |error: io::Error| {
            let place = std::env::temp_dir();
            let message = format!("it is fetched into a temporary file in {}: {error}", place.display());
            LakeError::object("read", location)(disk_error(io::Error::new(error.kind(), message)))
        };
        let (meta, mut chunks) = match self.store.get(location).await {
            Ok(found) => (found.meta.clone(), found.into_stream()),
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(LakeError::object("read", location)(error)),
        };
        let mut file = tokio::fs::File::from_std(blocking(tempfile::tempfile).await.map_err(spool)?);
        while let Some(chunk) = chunks.try_next().await.map_err(LakeError::object("read", location))? {
            file.write_all(&chunk).await.map_err(spool)?;
        }
        file.flush().await.map_err(spool)?;
        Ok(Some(Fetched { file: file.into_std().await, modified: meta.last_modified, version: Version::of(meta) }))
    }
}
