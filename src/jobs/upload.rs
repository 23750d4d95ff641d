//! Uploading the archive of a generation.

use super::Tools;
use super::worker::Failure;
use crate::blob::{BlobError, Content, Retry};
use crate::domain::generation::UploadState;
use crate::domain::limits::UPLOAD_ATTEMPTS_MAX;
use crate::domain::object::Place;
use crate::error::Result;
use crate::event::Topic;
use crate::store::JobRow;

/// What archives are.
const ARCHIVE_TYPE: &str = "application/gzip";

/// Uploads the archive; storage has compared size and checksum when that returns.
pub(super) async fn upload(tools: &Tools, job: &JobRow) -> Result<(), Failure> {
    let Some(generation) = tools.store.generation_of_job(job).await? else {
        tools.store.finish_job(job).await?;
        return Ok(());
    };
    if !tools.storage.uses_cloud() {
        return Ok(end(tools, job, UploadState::LocalOnly, None).await?);
    }
    let name = tools.storage.archive(generation.project_id, generation.version, generation.id);
    let Some(path) = tools.storage.copies().find(&name) else {
        let reason = "the archive is not on the server that saved it any more";
        tracing::error!(%name, node_id = %generation.node_id, reason);
        return Ok(end(tools, job, UploadState::Failed, Some(reason)).await?);
    };
    match tools.storage.put(Place::Cloud, &name, Content::File(path), ARCHIVE_TYPE).await {
        Ok(()) => {
            end(tools, job, UploadState::Uploaded, None).await?;
            let copies = tools.storage.clone();
            let moved = tokio::task::spawn_blocking(move || copies.copies().hand_over(&name)).await;
            if let Ok(Err(error)) = moved {
                // It stays where it is, until the next cleaning.
                tracing::warn!(?error, "an uploaded archive could not be moved to the cache");
            }
            Ok(())
        }
        Err(error) if gives_up(&error, job) => {
            tracing::error!(%error, %name, attempts = job.attempts, "an upload was given up");
            Ok(end(tools, job, UploadState::Failed, Some(&error.reason())).await?)
        }
        Err(error) => Err(error.into()),
    }
}

fn gives_up(error: &BlobError, job: &JobRow) -> bool {
    error.retry() == Retry::Never || job.attempts >= UPLOAD_ATTEMPTS_MAX
}

async fn end(tools: &Tools, job: &JobRow, state: UploadState, reason: Option<&str>) -> Result<()> {
    let shown = tools.store.end_upload(job, state, reason).await?;
    tools.wakeups.announce(shown.map(|row| Topic::Generation(row.id)));
    Ok(())
}
