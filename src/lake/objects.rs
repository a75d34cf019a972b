//! Objects that belong to no day: the files of a table that is a copy, and its log.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt as _};

use super::error::LakeError;
use super::staged::{Created, Staged};
use super::store::Lake;
use super::version::Over;

impl Lake {
    /// Every object below a folder, in no order.
    ///
    /// # Errors
    /// It cannot be listed.
    pub(crate) async fn list_below(&self, folder: &str) -> Result<Vec<ObjectMeta>, LakeError> {
        self.backend.list_below(folder).await
    }

    /// A small object's bytes; `None` if there is no such object.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) async fn read(&self, location: &Path) -> Result<Option<Bytes>, LakeError> {
        match self.backend.store().get(location).await {
            Ok(found) => found.bytes().await.map(Some).map_err(LakeError::object("read", location)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(LakeError::object("read", location)(error)),
        }
    }

    /// Whether [`create`](Self::create) can keep two writers apart.
    pub(crate) fn has_conditions(&self) -> bool {
        self.backend.has_conditions()
    }

    /// Stores an object, only if there is none of that name. On disk it is staged, synced, and linked into its place.
    ///
    /// # Errors
    /// It cannot be stored.
    pub(crate) async fn create(&self, location: &Path, bytes: Bytes, run_id: &str) -> Result<Created, LakeError> {
        self.begin_object(location, run_id).create(bytes).await
    }

    /// Stores an object in place of what is there, in one step.
    ///
    /// # Errors
    /// It cannot be stored.
    pub(crate) async fn replace(&self, location: &Path, bytes: Bytes, run_id: &str) -> Result<(), LakeError> {
        let mut staged = self.begin_object(location, run_id);
        staged.push(bytes).await?;
        staged.publish(&Over::Anything).await.map(drop)
    }

    /// Makes a staged object visible under a name that follows from its content, as one that is new.
    ///
    /// # Errors
    /// It cannot be stored.
    pub(crate) async fn publish_by_name(&self, location: &Path, staged: Staged) -> Result<(), LakeError> {
        match staged.publish_by_name().await? {
            Created::Done => Ok(()),
            Created::Exists => self.backend.renew(location).await,
        }
    }

    /// What the store states of an object, such as when it was stored; `None` if there is no such object.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) async fn found(&self, location: &Path) -> Result<Option<ObjectMeta>, LakeError> {
        match self.backend.store().head(location).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(LakeError::object("read", location)(error)),
        }
    }

    /// Removes an object; one that is gone already is no error.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(crate) async fn remove(&self, location: &Path) -> Result<(), LakeError> {
        match self.backend.store().delete(location).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(LakeError::object("remove", location)(error)),
        }
    }
}
