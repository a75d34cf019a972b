//! Versions of an object, and the condition under which another may replace it.

use object_store::{ObjectMeta, PutMode, UpdateVersion};

/// A version of an object that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Version {
    /// On local disk, where a lock keeps other runs from replacing it.
    Locked,
    /// On S3, with its ETag.
    Tagged(String),
    /// On a server that returns no ETag.
    Untagged,
}

impl Version {
    pub(super) fn of(meta: ObjectMeta) -> Self {
        meta.e_tag.map_or(Self::Untagged, Self::Tagged)
    }
}

/// An object as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct StoredObject {
    /// Changes whenever the object does; `None` if the store returned none.
    pub(crate) etag: Option<String>,
    pub(crate) bytes: u64,
}

impl StoredObject {
    /// Stores quote an ETag or not; an empty one is none.
    pub(super) fn new(etag: Option<String>, bytes: u64) -> Self {
        let etag = etag.map(|etag| etag.trim_matches('"').to_owned()).filter(|etag| !etag.is_empty());
        Self { etag, bytes }
    }

    /// The object that a file is. Its ETag is the one of `object_store`: a file that takes another's place has another inode.
    pub(super) fn of_file(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let modified = metadata.modified().ok().and_then(|modified| modified.duration_since(std::time::UNIX_EPOCH).ok());
        let (inode, modified, bytes) = (metadata.ino(), modified.unwrap_or_default().as_micros(), metadata.len());
        Self { etag: Some(format!("{inode:x}-{modified:x}-{bytes:x}")), bytes }
    }
}

/// What an object may replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Over {
    /// Whatever is there.
    Anything,
    /// Nothing: there must be no such object.
    Nothing,
    /// This version.
    Version(Version),
}

impl Over {
    /// The condition of a PUT.
    pub(super) fn mode(&self) -> PutMode {
        match self {
            Self::Anything | Self::Version(Version::Locked | Version::Untagged) => PutMode::Overwrite,
            Self::Nothing => PutMode::Create,
            // Ceph compares the header with the bare tag, and Amazon accepts either
            Self::Version(Version::Tagged(tag)) => {
                PutMode::Update(UpdateVersion { e_tag: Some(tag.trim_matches('"').into()), version: None })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tagged_version_can_be_a_condition() {
        assert_eq!(Over::Version(Version::Locked).mode(), PutMode::Overwrite);
        assert_eq!(Over::Version(Version::Untagged).mode(), PutMode::Overwrite);
        assert_eq!(Over::Nothing.mode(), PutMode::Create);
        let update = UpdateVersion { e_tag: Some("abc".into()), version: None };
        assert_eq!(Over::Version(Version::Tagged("\"abc\"".into())).mode(), PutMode::Update(update));
    }
}
