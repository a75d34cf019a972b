//! A lake's objects, on local disk or on S3, read without the extractor.

use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tempfile::TempDir;

/// A destination that a suite runs against.
pub struct Dest {
    /// As `--dest` takes it.
    pub url: String,
    store: Arc<dyn ObjectStore>,
    _folder: Option<TempDir>,
}

impl Dest {
    /// A folder of its own.
    pub fn local() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        Self { url: folder.path().to_str().unwrap().to_owned(), store: Arc::new(store), _folder: Some(folder) }
    }

    /// A prefix of its own in the bucket that `COOKIEPAY_TEST_BUCKET` names, on the server that the
    /// `AWS_*` variables name.
    pub fn s3() -> Self {
        let bucket = std::env::var("COOKIEPAY_TEST_BUCKET").expect("COOKIEPAY_TEST_BUCKET names a bucket");
        let prefix = format!("conformance/{}", uuid::Uuid::now_v7());
        // this store's HTTP client, too, finds the process's one TLS provider
        super::loopback_client();
        let store = AmazonS3Builder::from_env().with_bucket_name(&bucket).with_allow_http(true).build().unwrap();
        let url = format!("s3://{bucket}/{prefix}");
        Self { url, store: Arc::new(PrefixStore::new(store, Path::from(prefix))), _folder: None }
    }

    /// Every object's name, apart from the ledger indexes, which are copies.
    pub async fn names(&self) -> Vec<String> {
        let objects: Vec<_> = self.store.list(None).try_collect().await.unwrap();
        let mut names: Vec<String> = objects.into_iter().map(|object| object.location.to_string()).collect();
        names.retain(|name| !name.starts_with("ledger/"));
        names.sort();
        names
    }

    /// Removes an object.
    pub async fn delete(&self, name: &str) {
        self.store.delete(&Path::parse(name).unwrap()).await.unwrap();
    }

    /// An object's bytes.
    pub async fn get(&self, name: &str) -> Vec<u8> {
        let found = self.store.get(&Path::parse(name).unwrap()).await.unwrap();
        found.bytes().await.unwrap().to_vec()
    }

    /// Puts an object there.
    pub async fn put(&self, name: &str, bytes: Vec<u8>) {
        self.store.put(&Path::parse(name).unwrap(), bytes.into()).await.unwrap();
    }
}
