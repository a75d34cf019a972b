//! Tries what a commit needs, so that `check` fails where a run would.

use object_store::path::Path;

use crate::lake::layout::STAGING;
use crate::lake::staged::Created;
use crate::lake::store::Lake;

use super::error::DeltaError;

/// Creates an object that exists already, which must be refused, beside the table.
///
/// # Errors
/// The lake cannot be written, or does not keep two writers apart.
pub(crate) async fn probe(lake: &Lake, run_id: &str) -> Result<(), DeltaError> {
    if !lake.has_conditions() {
        return Err(DeltaError::Unconditional);
    }
    let staging = lake.begin(run_id).await?;
    let at = Path::from(format!("{STAGING}/{run_id}/check-delta"));
    let first = lake.create(&at, "first".into(), run_id).await;
    let second = lake.create(&at, "second".into(), run_id).await;
    let removed = lake.remove(&at).await;
    if let Some(staging) = staging {
        staging.remove().await;
    }
    first?;
    if second? == Created::Done {
        return Err(DeltaError::Ignored);
    }
    // a run removes only what is out of use, and can do without
    if let Err(error) = removed {
        tracing::warn!("{}", error.to_string_with_causes());
    }
    Ok(())
}
