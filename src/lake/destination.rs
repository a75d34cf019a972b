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
        if let Some(reason) = mistaken(dest) {
            return Err(refuse(&reason));
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
            "s3" if url.port().is_some() => {
                let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or_default());
                Err(refuse(&format!(
                    "it names a server in place of a bucket: set AWS_ENDPOINT_URL=http://{host}:{port}, and write s3://bucket/prefix"
                )))
            }
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

/// What a destination that would silently become a folder of that name was meant to be.
fn mistaken(dest: &str) -> Option<String> {
    let home = || std::env::var("HOME").unwrap_or_else(|_| "/home/you".into());
    if dest == "~" || dest.starts_with("~/") {
        return Some(format!("~ is expanded by a shell only: write it as {}{}", home(), &dest[1..]));
    }
    if dest.starts_with('~') {
        return Some("~ is expanded by a shell only: write the path itself".into());
    }
    if let Some(rest) = ["$HOME", "${HOME}"].into_iter().find_map(|variable| dest.strip_prefix(variable)) {
        return Some(format!("variables are expanded by a shell only: write it as {}{rest}", home()));
    }
    let names_variable = |rest: &str| rest.starts_with(|next: char| next == '{' || next == '_' || next.is_ascii_alphabetic());
    if dest.starts_with(['$', '%']) || dest.split('$').skip(1).any(names_variable) || dest.contains("{{") {
        return Some("variables are expanded by a shell only: write the path itself".into());
    }
    let mut characters = dest.chars();
    let names_drive = matches!((characters.next(), characters.next()), (Some(drive), Some(':')) if drive.is_ascii_alphabetic());
    // a name inside a path may hold one
    if names_drive || [r".\", r"..\", r"\\"].iter().any(|windows| dest.starts_with(windows)) {
        return Some("it is a path of Windows: write it as /path/to/lake".into());
    }
    if let Some((_, rest)) = dest.split_once("://").filter(|(scheme, _)| ["s3a", "s3n"].contains(scheme)) {
        return Some(format!("write it as s3://{rest}"));
    }
    if !dest.contains("://") && dest.split('/').next().is_some_and(|first| first.ends_with(".amazonaws.com")) {
        return Some("it names a server of AWS: write it as s3://bucket/prefix".into());
    }
    let bucket = dest.strip_prefix("arn:").and_then(|arn| arn.split(":::").nth(1));
    if dest.starts_with("arn:") {
        return Some(format!("it is an ARN: write it as s3://{}", bucket.unwrap_or("bucket/prefix")));
    }
    None
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::S3(url) => f.write_str(url.as_str()),
        }
    }
}
