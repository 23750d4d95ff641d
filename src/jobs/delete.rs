//! Deleting the objects of what was deleted.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use uuid::Uuid;

use super::Tools;
use super::worker::Failure;
use crate::blob::{BlobError, BlobStore};
use crate::domain::object::{Doomed, source_number, sources_prefix};
use crate::domain::stream::StreamKind;
use crate::error::Error;
use crate::store::JobRow;

const NO_CLOUD: Failure = Failure::Settings("its objects are in cloud storage, which is not configured now");

/// Deletes them; none of them is no error.
pub(super) async fn delete_objects(tools: &Tools, job: &JobRow) -> Result<(), Failure> {
    let detail = job.detail.as_deref().unwrap_or_default();
    let doomed: Doomed = serde_json::from_str(detail).map_err(Error::internal)?;
    match doomed {
        Doomed::Archive { project_id, version, generation_id } => {
            let name = tools.storage.archive(project_id, version, generation_id);
            gone(tools.storage.cloud().ok_or(NO_CLOUD)?.delete(&name).await)?;
        }
        Doomed::Log { execution_id, in_cloud } => {
            delete_log(tools, StreamKind::Log, execution_id, in_cloud).await?;
        }
        Doomed::Visual { execution_id, in_cloud } => {
            delete_log(tools, StreamKind::Visual, execution_id, in_cloud).await?;
        }
        Doomed::Sources { code_agent_id, in_cloud } => {
            delete_sources(tools, tools.storage.local(), code_agent_id).await?;
            match tools.storage.cloud() {
                // Also when it is not known to have one: an upload may have been cut off after it arrived.
                Some(cloud) => delete_sources(tools, cloud, code_agent_id).await?,
                None if in_cloud => return Err(NO_CLOUD),
                None => {}
            }
        }
    }
    tools.store.finish_job(job).await?;
    Ok(())
}

async fn delete_sources(
    tools: &Tools,
    place: &Arc<dyn BlobStore>,
    code_agent_id: Uuid,
) -> Result<(), BlobError> {
    let found: Vec<_> = match place.list(tools.storage.code_bucket(), &sources_prefix(code_agent_id)).await {
        Ok(objects) => objects.try_collect().await?,
        Err(BlobError::NoBucket(_)) => Vec::new(),
        Err(error) => return Err(error),
    };
    for number in found.iter().filter_map(|object| source_number(&object.key)) {
        gone(place.delete(&tools.storage.source(code_agent_id, number)).await)?;
    }
    Ok(())
}

async fn delete_log(
    tools: &Tools,
    kind: StreamKind,
    execution_id: Uuid,
    in_cloud: Option<bool>,
) -> Result<(), Failure> {
    let name = tools.storage.log(kind, execution_id);
    if in_cloud != Some(true) {
        gone(tools.storage.local().delete(&name).await)?;
    }
    match tools.storage.cloud() {
        Some(cloud) if in_cloud != Some(false) => gone(cloud.delete(&name).await)?,
        None if in_cloud == Some(true) => return Err(NO_CLOUD),
        _ => {}
    }
    Ok(())
}

fn gone(deleted: Result<(), BlobError>) -> Result<(), BlobError> {
    match deleted {
        Err(BlobError::NoBucket(_) | BlobError::NotFound) => Ok(()),
        deleted => deleted,
    }
}
