//! Where a lake is, as engines write it: object names as they are, not percent-encoded as in the URL of `--dest`.

use std::path::PathBuf;

use object_store::path::Path;

use crate::lake::destination::Destination;
use crate::lake::error::LakeError;

use super::Format;
use super::error::DdlError;

/// The root of a lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// A folder, without a slash at its end.
    Folder {
        /// As it was typed.
        typed: String,
        /// From the root of the file system.
        absolute: String,
    },
    /// A prefix in a bucket.
    Bucket {
        /// `s3`, `s3a` or `gs`.
        scheme: &'static str,
        /// The bucket.
        bucket: String,
        /// The prefix, without slashes at its ends; may be empty.
        prefix: String,
    },
}

/// Schemes by which engines reach a bucket, beside `s3`: Hadoop's client for S3, and Google's storage, to which a lake can be copied.
const ALIASES: [&str; 2] = ["s3a", "gs"];

impl Root {
    /// Where a lake is if no destination is set: to be filled in.
    #[must_use]
    pub fn placeholder() -> Self {
        Self::Bucket { scheme: "s3", bucket: "bucket".into(), prefix: "prefix".into() }
    }

    /// Reads a destination; also one that begins with a scheme that only engines know.
    ///
    /// # Errors
    /// A destination of no known form, as for [`Destination::parse`].
    pub fn parse(dest: &str) -> Result<Self, RootError> {
        for alias in ALIASES {
            if let Some(rest) = dest.strip_prefix(alias).filter(|rest| rest.starts_with("://")) {
                return Self::at(&Destination::parse(&format!("s3{rest}"))?, alias);
            }
        }
        Self::at(&Destination::parse(dest)?, "s3")
    }

    fn at(dest: &Destination, scheme: &'static str) -> Result<Self, RootError> {
        match dest {
            Destination::Local(folder) => {
                let text = |path: PathBuf| match path.into_os_string().into_string() {
                    Ok(text) => Ok(text.trim_end_matches('/').to_owned()),
                    Err(path) => Err(DdlError::NotText { root: path.to_string_lossy().into_owned() }),
                };
                let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
                Ok(Self::Folder { typed: text(folder.clone())?, absolute: text(absolute)? })
            }
            Destination::S3(url) => {
                let refused =
                    |error: object_store::path::Error| LakeError::Destination { dest: url.to_string(), reason: error.to_string() };
                let prefix = Path::from_url_path(url.path()).map_err(refused)?;
                let bucket = url.host_str().unwrap_or_default().to_owned();
                Ok(Self::Bucket { scheme, bucket, prefix: prefix.as_ref().to_owned() })
            }
        }
    }

    /// As it is written for engines that know the working folder.
    pub(super) fn typed(&self) -> String {
        match self {
            Self::Folder { typed, .. } => typed.clone(),
            Self::Bucket { scheme, bucket, prefix } if prefix.is_empty() => format!("{scheme}://{bucket}"),
            Self::Bucket { scheme, bucket, prefix } => format!("{scheme}://{bucket}/{prefix}"),
        }
    }

    /// As it is written for engines that have a working folder of their own.
    pub(super) fn absolute(&self) -> String {
        match self {
            Self::Folder { absolute, .. } => absolute.clone(),
            Self::Bucket { .. } => self.typed(),
        }
    }

    /// The name of what it is in, for messages.
    pub(super) fn shown(&self) -> String {
        match self.typed() {
            root if root.is_empty() => "/".into(),
            root => root,
        }
    }

    /// The URL of a bucket, for an engine that reads buckets of these schemes alone.
    pub(super) fn in_bucket(&self, format: Format, schemes: &[&str], remedy: &str) -> Result<String, DdlError> {
        match self {
            Self::Bucket { scheme, .. } if schemes.contains(scheme) => Ok(self.typed()),
            _ => Err(DdlError::NotReadable { format, root: self.shown(), remedy: remedy.to_owned() }),
        }
    }
}

/// A name as it is written in a URL: what is no letter, digit or harmless sign, percent-encoded.
pub(super) fn encoded(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'=' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(byte).collect()
}

/// Whether a name holds what a reader that decodes it once more takes for another character.
pub(super) fn holds_escapes(name: &str) -> bool {
    name.as_bytes().windows(3).any(|found| matches!(found, [b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()))
}

/// A root that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A destination of no known form.
    #[error(transparent)]
    Destination(#[from] LakeError),
    /// One that engines cannot read.
    #[error(transparent)]
    Unreadable(#[from] DdlError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_they_are() {
        let typed = |dest: &str| Root::parse(dest).map_or_else(|error| error.to_string(), |root| root.typed());
        assert_eq!(typed("s3://b/a%20b/%5Bx%5D+%25/"), "s3://b/a b/[x]+%");
        assert_eq!(typed("s3://b/정산%2F1"), "s3://b/정산/1");
        assert_eq!(typed("s3a://b"), "s3a://b");
        assert_eq!(typed("gs://b/x"), "gs://b/x");
        assert_eq!(typed("./a%20b/"), "./a%20b");
        assert_eq!(typed("file:///a%20b"), "/a b");
        assert_eq!(typed("/"), "");
        assert_eq!(encoded("a b/정=100%"), "a%20b/%EC%A0%95=100%25");
        assert!(holds_escapes("a%20b") && !holds_escapes("100%") && !holds_escapes("5%정"));
        assert!(Root::parse("ftp://b/x").is_err() && Root::parse("s3://").is_err());
    }
}
