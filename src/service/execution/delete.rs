//! Deleting executions with everything that belongs to them.

use uuid::Uuid;

use super::super::Service;
use super::topics;
use crate::auth::Viewer;
use crate::clock::now;
use crate::domain::execution::Filter;
use crate::domain::limits::DELETE_EXECUTIONS_MAX;
use crate::error::{Error, Result};
use crate::event::Topic;
use crate::store::{ExecutionRow, Writable, WriteTx};

impl Service {
    /// Deletes one execution; says how many that were: none when it is not there (any more).
    ///
    /// # Errors
    /// `FORBIDDEN` when the viewer can see it but not change it.
    pub async fn delete_execution(&self, viewer: &Viewer, id: Uuid) -> Result<u64> {
        let tx = self.store.begin().await?;
        let rows = tx.reader(viewer).writable_executions(viewer, vec![id]).await?;
        self.delete(tx, rows.into_values().collect()).await
    }

    /// Deletes, of the executions that match, those that the viewer may write; says how many.
    ///
    /// # Errors
    /// `BAD_INPUT` for a filter without conditions; `TOO_LARGE` when more than [`DELETE_EXECUTIONS_MAX`] match: then
    /// none is deleted.
    pub async fn delete_executions(&self, viewer: &Viewer, filter: &Filter) -> Result<u64> {
        if *filter == Filter::default() {
            return Err(Error::bad_input(
                "filter",
                "a filter without conditions would delete everything; give one",
            ));
        }
        let max = DELETE_EXECUTIONS_MAX.max;
        let tx = self.store.begin().await?;
        let rows = tx.reader(viewer).writable_matching(viewer, filter, max + 1).await?;
        if rows.len() as u64 > max {
            return Err(Error::TooLarge { field: "filter".into(), limit: DELETE_EXECUTIONS_MAX });
        }
        self.delete(tx, rows).await
    }

    /// How many [`Service::delete_executions`] would delete, however many those are.
    ///
    /// # Errors
    /// What the store says.
    pub async fn count_deletable(&self, viewer: &Viewer, filter: &Filter) -> Result<u64> {
        self.store.reader(viewer).count_writable(viewer, filter).await
    }

    async fn delete(&self, tx: WriteTx, rows: Vec<Writable<ExecutionRow>>) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let gone: Vec<_> = rows.iter().map(Writable::row).collect();
        tx.record_deleted(&gone, now()).await?;
        tx.delete_executions(&rows).await?;
        tx.commit().await?;
        // Their logs' objects go in the background.
        self.wakeups.announce(gone.into_iter().flat_map(topics).chain([Topic::Jobs]));
        Ok(rows.len() as u64)
    }
}
