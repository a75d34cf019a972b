//! Where a lake lies: `--dest` as typed, and the S3 client behind it.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, RetryConfig};
use reqwest::Url;

use super::error::LakeError;
use super::profile;

/// Where a lake lies, checked for form alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A folder.
    Local(PathBuf),
    /// `s3://bucket/prefix`
    S3(Url),
}

impl Destination {
    /// Reads `--dest`: a folder, `file://`, or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// Any other form.
    pub fn parse(dest: &str) -> Result<Self, LakeError> {
        let refuse = |reason: &str| LakeError::Destination { dest: dest.into(), reason: reason.into() };
        if dest.is_empty() {
            return Err(refuse("it is empty"));
        }
        if let Some(scheme) = ["s3:", "file:"].into_iter().find(|scheme| dest.starts_with(scheme) && !dest.contains("://")) {
            return Err(refuse(&format!("write it with two slashes, {scheme}//")));
        }
        if !dest.contains("://") {
            return Ok(Self::Local(PathBuf::from(dest)));
        }
        let url = Url::parse(dest).map_err(|_| refuse("it is not a URL"))?;
        match url.scheme() {
            "file" => url.to_file_path().map(Self::Local).map_err(|()| refuse("a file URL needs an absolute path")),
            "s3" if url.host_str().is_none_or(str::is_empty) => Err(refuse("it names no bucket: s3://bucket/prefix")),
            "s3" if url.password().is_some() || !url.username().is_empty() => {
                Err(refuse("credentials do not belong in it: use the AWS_* variables"))
            }
            "s3" if url.query().is_some() || url.fragment().is_some() => {
                Err(refuse("it must end with its prefix: ? and # are written %3F and %23"))
            }
            // the parser resolves these, and the lake would lie elsewhere than was written
            "s3" if dest.split('/').any(|part| part == "." || part == "..") => Err(refuse("its prefix must not hold . or ..")),
            "s3" if Path::from_url_path(url.path()).is_err() => Err(refuse("its prefix must not hold // or control characters")),
            "s3" => Ok(Self::S3(url)),
            _ => Err(refuse("it must be a folder, file:// or s3://bucket/prefix")),
        }
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::S3(url) => f.write_str(url.as_str()),
        }
    }
}

/// S3 as AWS users have it: `AWS_*` variables, profiles, web identity, container and instance roles.
pub(super) fn open_s3(url: &Url) -> Result<Arc<dyn ObjectStore>, LakeError> {
    let unusable = |error: object_store::Error| LakeError::Open { dest: url.to_string(), source: Arc::new(error) };
    let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"].iter().find_map(|name| std::env::var(name).ok());
    let retry = RetryConfig { max_retries: 5, retry_timeout: std::time::Duration::from_mins(1), ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(url.host_str().unwrap_or_default()).with_retry(retry);
    if let Some(endpoint) = endpoint {
        // another server than Amazon's, which may well speak plain HTTP
        builder = builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
    }
    let builder = profile::complete(builder).map_err(|reason| LakeError::Destination { dest: url.to_string(), reason })?;
    let store = builder.build().map_err(unusable)?;
    let prefix = Path::from_url_path(url.path()).map_err(|error| unusable(error.into()))?;
    Ok(if prefix.as_ref().is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) })
}
