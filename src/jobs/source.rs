//! Moving the source of a version to where large sources belong.

use super::Tools;
use super::worker::Failure;
use crate::storage::MoveFailure;
use crate::store::JobRow;

/// Moves it, unless it is there already or its version is gone.
pub(super) async fn move_source(tools: &Tools, job: &JobRow) -> Result<(), Failure> {
    let Some(version) = tools.store.code_version_of_job(job).await? else {
        tools.store.finish_job(job).await?;
        return Ok(());
    };
    tools.storage.move_source(&tools.store, &version).await.map_err(|failure| match failure {
        MoveFailure::Storage(error) => Failure::Storage(error),
        MoveFailure::Database(error) => Failure::Here(error),
    })?;
    tools.store.finish_job(job).await?;
    Ok(())
}
