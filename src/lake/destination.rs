//! Where a lake is: `--dest` as typed.

use std::path::PathBuf;

use object_store::path::Path;
use reqwest::Url;

use super::error::LakeError;

/// Where a lake is. Only its form is checked.
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
            "s3" if url.host_str().is_none_or(str::is_empty) => Err(refuse("it names no bucket: write it as s3://bucket/prefix")),
            "s3" if url.password().is_some() || !url.username().is_empty() => {
                Err(refuse("it must not contain credentials: use the AWS_* variables"))
            }
            "s3" if url.query().is_some() || url.fragment().is_some() => {
                Err(refuse("it must not contain a query or fragment: write ? as %3F and # as %23"))
            }
            // the parser resolves these, and the lake would be in another place than was written
            "s3" if dest.split('/').any(|part| part == "." || part == "..") => Err(refuse("its prefix must not contain . or ..")),
            "s3" if Path::from_url_path(url.path()).is_err() => Err(refuse("its prefix must not contain // or control characters")),
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
