//! Tries what a run does to a lake, without changing the table: so that `check` fails where a run would.

use object_store::path::Path;
use object_store::{Error as StoreFailure, ObjectStoreExt as _, PutMode, UpdateVersion};

use super::backend::Backend;
use super::error::LakeError;
use super::layout::STAGING;
use super::store::Lake;
use super::store_error::{NO_CONDITIONS, Request};

impl Lake {
    /// Writes, reads and removes a small object beside the table, and tries the steps by which a day is published. Returns what a
    /// run can live with, but somebody should know.
    ///
    /// # Errors
    /// The first step that fails.
    pub(crate) async fn probe(&self, run_id: &str) -> Result<Vec<String>, LakeError> {
        let staging = self.begin(run_id).await?;
        let location = Path::from(format!("{STAGING}/{run_id}/check"));
        let notes = match &self.backend {
            Backend::Disk(disk) => {
                self.put(&location, run_id.into()).await?;
                self.read_back(&location, run_id).await?;
                disk.try_moves(run_id).await?;
                self.backend.store().delete(&location).await.map_err(LakeError::object("remove", &location))?;
                Vec::new()
            }
            Backend::Bucket(_) => self.try_conditions(&location, run_id).await?,
        };
        if let Some(staging) = staging {
            staging.remove().await;
        }
        Ok(notes)
    }

    async fn read_back(&self, location: &Path, content: &str) -> Result<UpdateVersion, LakeError> {
        let read = self.backend.store().get(location).await.map_err(LakeError::object("read", location))?;
        let version = UpdateVersion { e_tag: read.meta.e_tag.clone(), version: read.meta.version.clone() };
        let found = read.bytes().await.map_err(LakeError::object("read", location))?;
        if found == content.as_bytes() {
            return Ok(version);
        }
        let reason = "what was written differs from what is read back".to_owned();
        Err(LakeError::Record { object: location.to_string(), reason })
    }

    /// Creates and replaces an object under the conditions under which a day is published.
    async fn try_conditions(&self, location: &Path, content: &str) -> Result<Vec<String>, LakeError> {
        let put = async |mode: PutMode| self.backend.store().put_opts(location, content.to_owned().into(), mode.into()).await;
        let mut notes = Vec::new();
        match put(PutMode::Create).await {
            Ok(_) => {
                match put(PutMode::Create).await {
                    Err(StoreFailure::AlreadyExists { .. } | StoreFailure::Precondition { .. }) => {}
                    Ok(_) => notes.push("the server ignores the condition of a write, so two runs at once are not kept apart".to_owned()),
                    Err(error) => return Err(LakeError::store("write", location, Request::Conditional)(error)),
                }
                let version = self.read_back(location, content).await?;
                match put(PutMode::Update(version)).await {
                    Ok(_) => {}
                    // a run copes with a server that refuses the very ETag it names
                    Err(StoreFailure::Precondition { .. }) => notes.push(format!(
                        "the server refuses to replace the version that it names, which a run finds out for every day it replaces: {NO_CONDITIONS}"
                    )),
                    Err(error) => return Err(LakeError::store("replace", location, Request::Conditional)(error)),
                }
            }
            Err(StoreFailure::NotImplemented { .. }) => {
                notes.push("AWS_CONDITIONAL_PUT is disabled, so two runs at once are not kept apart".to_owned());
                self.put(location, content.into()).await?;
                self.read_back(location, content).await?;
            }
            Err(error) => return Err(LakeError::store("write", location, Request::Conditional)(error)),
        }
        // a run removes nothing
        if let Err(error) = self.backend.store().delete(location).await {
            notes.push(LakeError::object("remove", location)(error).to_string_with_causes());
        }
        Ok(notes)
    }
}
