//! Deleting executions with everything that belongs to them.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use uuid::Uuid;

use super::super::Service;
use super::topics;
use crate::auth::Viewer;
use crate::clock::now;
use crate::domain::execution::Filter;
use crate::domain::limits::{
    DELETE_AT_ONCE_EXECUTIONS_MAX, DELETION_HANDOVER_SECONDS, DELETION_LIST_SECONDS_MAX,
};
use crate::error::{Error, Result};
use crate::event::Topic;
use crate::store::{DeletionRow, ExecutionRow, Writable, WriteTx};

/// What became of executions that were to be deleted.
#[derive(Debug)]
pub struct Deleted {
    /// How many are gone by now.
    pub count: u64,
    /// What deletes them, when they are many: it goes on by itself.
    pub deletion: Option<DeletionRow>,
}

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

    /// Deletes, of the executions that match now, those that the viewer may write: up to
    /// [`DELETE_AT_ONCE_EXECUTIONS_MAX`] at once, more in the background.
    ///
    /// # Errors
    /// `BAD_INPUT` for a filter without conditions.
    pub async fn delete_executions(&self, viewer: &Viewer, filter: &Filter) -> Result<Deleted> {
        if *filter == Filter::default() {
            return Err(Error::bad_input(
                "filter",
                "a filter without conditions would delete everything; give one",
            ));
        }
        let max = DELETE_AT_ONCE_EXECUTIONS_MAX;
        let tx = self.store.begin().await?;
        let rows = tx.reader(viewer).writable_matching(viewer, filter, max + 1).await?;
        if rows.len() as u64 > max {
            drop(tx);
            return Ok(Deleted { count: 0, deletion: Some(self.begin_deletion(viewer, filter).await?) });
        }
        Ok(Deleted { count: self.delete(tx, rows).await?, deletion: None })
    }

    /// How far a deletion is.
    ///
    /// # Errors
    /// What the store says.
    pub async fn find_deletion(&self, viewer: &Viewer, id: Uuid) -> Result<Option<DeletionRow>> {
        self.store.reader(viewer).find_deletion(id).await
    }

    /// How many [`Service::delete_executions`] would delete, however many those are.
    ///
    /// # Errors
    /// What the store says.
    pub async fn count_deletable(&self, viewer: &Viewer, filter: &Filter) -> Result<u64> {
        self.store.reader(viewer).count_writable(viewer, filter).await
    }

    /// Lists what is to be deleted, a part at a time so that nobody waits for it, and leaves the rest to a job: of very many
    /// the rest of the list, too. That job goes on also when this is cut off.
    async fn begin_deletion(&self, viewer: &Viewer, filter: &Filter) -> Result<DeletionRow> {
        let began = Instant::now();
        let latest = || now() + TimeDelta::seconds(DELETION_HANDOVER_SECONDS);
        let mut deletion = self.store.begin_deletion(viewer, filter.clone(), now(), latest()).await?;
        loop {
            let is_late = began.elapsed() > Duration::from_secs(DELETION_LIST_SECONDS_MAX);
            let due = if is_late { now() } else { latest() };
            let listed = self.store.list_for_deletion(deletion, now(), due).await?;
            deletion = listed.deletion;
            if listed.is_complete || is_late {
                break;
            }
        }
        self.wakeups.announce([Topic::Jobs]);
        Ok(deletion)
    }

    async fn delete(&self, tx: WriteTx, rows: Vec<Writable<ExecutionRow>>) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        tx.delete_executions(&rows, now()).await?;
        tx.commit().await?;
        // Their logs' objects go in the background.
        self.wakeups.announce(rows.iter().map(Writable::row).flat_map(topics).chain([Topic::Jobs]));
        Ok(rows.len() as u64)
    }
}
