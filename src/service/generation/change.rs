//! Deleting generations, uploading them again, and following their uploads.

use chrono::TimeDelta;
use futures_util::Stream;
use uuid::Uuid;

use super::super::Service;
use crate::auth::Viewer;
use crate::clock::{new_id, now};
use crate::domain::generation::UploadState;
use crate::domain::limits::JOB_LEASE_SECONDS;
use crate::domain::object::Doomed;
use crate::error::{Error, Result};
use crate::event::Topic;
use crate::store::{GenerationRow, JobKind, NewJob, upload_job};

impl Service {
    /// Deletes a generation everywhere; says how many that were: none when it is not there (any more). Its number is not
    /// given again. What cloud storage has of it goes in the background.
    ///
    /// # Errors
    /// `FORBIDDEN` when the viewer can see it but not change it.
    pub async fn delete_generation(&self, viewer: &Viewer, id: Uuid) -> Result<u64> {
        let tx = self.store.begin().await?;
        let Some(row) = tx.reader(viewer).writable_generation(viewer, id).await? else { return Ok(0) };
        let now = now();
        let leased_until = tx.remove_jobs(JobKind::UploadGeneration, &[id]).await?;
        let deleted = tx.delete_generation(&row).await?;
        let generation = row.into_row();
        if generation.upload_state != UploadState::LocalOnly {
            // An upload under way finds its lease gone and stops, before the lease would have ended.
            let run_at = leased_until.map_or(now, |until| until + TimeDelta::seconds(1));
            let doomed = Doomed::Archive {
                project_id: generation.project_id,
                version: generation.version,
                generation_id: id,
            };
            let job = NewJob {
                kind: JobKind::DeleteObjects,
                tenant_id: generation.tenant_id.clone(),
                // Of its own: another generation may get this id, and be deleted, too.
                subject_id: new_id(),
                node_id: None,
                detail: Some(serde_json::to_string(&doomed).map_err(Error::internal)?),
                run_at: run_at.min(now + TimeDelta::seconds(2 * JOB_LEASE_SECONDS)),
            };
            tx.insert_jobs(vec![job], now).await?;
        }
        tx.commit().await?;
        self.wakeups.announce([Topic::Generation(id), Topic::Jobs]);
        let name = self.archive_name(&generation);
        if let Err(error) = self.on_disk(move |copies| copies.remove(&name)).await {
            // The next cleaning finds it.
            tracing::warn!(?error, "the archive of a deleted generation could not be removed");
        }
        Ok(deleted)
    }

    /// Uploads a generation again that was given up, or sooner than planned.
    ///
    /// # Errors
    /// `NOT_FOUND`, `FORBIDDEN`; `CONFLICT` when there is no cloud storage.
    pub async fn retry_upload(&self, viewer: &Viewer, id: Uuid) -> Result<GenerationRow> {
        let tx = self.store.begin().await?;
        let row = tx.reader(viewer).writable_generation(viewer, id).await?;
        let mut row = row.ok_or(Error::NotFound { what: "generation" })?;
        if row.row().upload_state == UploadState::Uploaded {
            return Ok(row.into_row());
        }
        if !self.storage.uses_cloud() {
            return Err(Error::conflict(
                "there is no cloud storage to upload to: it is not configured, or off",
            ));
        }
        let now = now();
        row.row_mut().upload_state = UploadState::Pending;
        row.row_mut().upload_error = None;
        tx.save_upload_state(&mut row).await?;
        tx.insert_jobs(vec![upload_job(row.row(), now)], now).await?;
        tx.commit().await?;
        self.wakeups.announce([Topic::Generation(id), Topic::Jobs]);
        Ok(row.into_row())
    }

    /// The generation as it is now, then after each change of its upload; changes that follow each other faster than they
    /// can be read show as one. Ends when it is deleted.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub async fn follow_generation(
        &self,
        viewer: &Viewer,
        id: Uuid,
    ) -> Result<impl Stream<Item = Result<GenerationRow>> + use<>> {
        let mut wakeup = self.wakeups.follow(Topic::Generation(id)); // before reading, so that nothing falls between
        let (store, viewer) = (self.store.clone(), viewer.clone());
        let first = store.reader(&viewer).generations_by_ids(&[id]).await?.remove(&id);
        let first = first.ok_or(Error::NotFound { what: "generation" })?;
        Ok(async_stream::try_stream! {
            let mut revision = first.revision;
            yield first;
            loop {
                wakeup.wait().await;
                let Some(row) = store.reader(&viewer).generations_by_ids(&[id]).await?.remove(&id) else { break };
                if row.revision > revision {
                    revision = row.revision;
                    yield row;
                }
            }
        })
    }
}
