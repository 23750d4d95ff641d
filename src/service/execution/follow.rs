//! Following executions live.

use futures_util::Stream;
use uuid::Uuid;

use super::super::Service;
use crate::auth::Viewer;
use crate::domain::execution::{Filter, is_final};
use crate::error::{Error, Result};
use crate::event::{self, Change, Topic};
use crate::store::ExecutionRow;

impl Service {
    /// The execution as it is now, then after each change; changes that follow each other faster than they can be read
    /// show as one. Ends after a final status, or when it is deleted.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub async fn follow_execution(
        &self,
        viewer: &Viewer,
        id: Uuid,
    ) -> Result<impl Stream<Item = Result<ExecutionRow>> + use<>> {
        let mut wakeup = self.wakeups.follow(Topic::Execution(id)); // before reading, so that nothing falls between
        let (store, viewer) = (self.store.clone(), viewer.clone());
        let first = store.reader(&viewer).find_followed_execution(id).await?;
        let first = first.ok_or(Error::NotFound { what: "execution" })?;
        Ok(async_stream::try_stream! {
            let mut revision = first.revision;
            let mut ended = is_final(first.status);
            yield first;
            while !ended {
                wakeup.wait().await;
                let Some(row) = store.reader(&viewer).find_followed_execution(id).await? else { break };
                if row.revision > revision {
                    revision = row.revision;
                    ended = is_final(row.status);
                    yield row;
                }
            }
        })
    }

    /// The changes of the viewer's executions: see [`event::changes`].
    ///
    /// # Errors
    /// As there.
    pub async fn follow_executions(
        &self,
        viewer: &Viewer,
        filter: Filter,
        after: Option<&str>,
    ) -> Result<impl Stream<Item = Result<Change>> + use<>> {
        event::changes(self.store.clone(), &self.wakeups, viewer.clone(), filter, after).await
    }

    /// Where the change feed stands now, to be followed from later.
    ///
    /// # Errors
    /// What the store says.
    pub async fn changes_cursor(&self, viewer: &Viewer) -> Result<String> {
        event::current_cursor(&self.store, viewer).await
    }
}
