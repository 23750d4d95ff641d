//! Log lines.

use std::collections::HashMap;

use futures_util::Stream;
use uuid::Uuid;

use super::Service;
use crate::auth::{Role, Viewer};
use crate::domain::limits::{APPEND_LINES_MAX, at_most};
use crate::domain::log::{EncodedLines, Filter, NewLine};
use crate::domain::page::Page;
use crate::error::{Error, Result};
use crate::logs::{self, LogPage, TailBatch, TailStart};
use crate::store::{Append, Appended, ExecutionRow};

impl Service {
    /// Appends lines to an execution's log, numbered without holes. With `first_seq` the call is safe to repeat: lines
    /// that are there already are skipped.
    ///
    /// # Errors
    /// `NOT_FOUND`, `FORBIDDEN`, `BAD_INPUT`, `TOO_LARGE`; `CONFLICT` for a hole before `first_seq` and for an
    /// execution that has ended; after `UNAVAILABLE` the lines may or may not be stored.
    pub async fn append_logs(
        &self,
        viewer: &Viewer,
        execution_id: Uuid,
        first_seq: Option<i64>,
        lines: Vec<NewLine>,
    ) -> Result<Appended> {
        if lines.is_empty() {
            return Err(Error::bad_input("input.lines", "give at least one line"));
        }
        at_most("input.lines", lines.len(), APPEND_LINES_MAX)?;
        if first_seq.is_some_and(|seq| seq < 0) {
            return Err(Error::bad_input("input.firstSeq", "lines are numbered from 0"));
        }
        let lines = EncodedLines::new("input.lines", lines)?;
        let tenant_id = match viewer.role() {
            // A service names no tenant; the execution does.
            Role::Service => self.visible(viewer, execution_id).await?.tenant_id,
            Role::Admin | Role::Member => viewer.tenant_id().to_owned(),
        };
        self.appender
            .append(Append { viewer: viewer.clone(), tenant_id, execution_id, first_seq, lines })
            .await
    }

    /// A page of the log of each of some executions that have been read.
    ///
    /// # Errors
    /// `TOO_LARGE` when their lines are too large together.
    pub async fn log_pages(
        &self,
        viewer: &Viewer,
        executions: &[(String, Uuid)],
        filter: &Filter,
        page: &Page<i64>,
    ) -> Result<HashMap<Uuid, LogPage>> {
        logs::pages(&self.log_reader(viewer), executions, filter, page).await
    }

    /// How many lines of an execution's log pass the filter.
    ///
    /// # Errors
    /// `TOO_LARGE` when that would look through too much of the log.
    pub async fn log_count(
        &self,
        viewer: &Viewer,
        execution: &(String, Uuid),
        filter: &Filter,
    ) -> Result<i64> {
        logs::count(&self.log_reader(viewer), execution, filter).await
    }

    /// Follows an execution's log: stored lines, then live ones, each once and in order.
    ///
    /// # Errors
    /// `NOT_FOUND`, also later, when the execution is deleted before its log has ended.
    pub async fn tail_log(
        &self,
        viewer: &Viewer,
        execution_id: Uuid,
        start: TailStart,
        filter: Filter,
    ) -> Result<impl Stream<Item = Result<TailBatch>> + use<>> {
        let reader = self.store.reader(viewer);
        // One that is being discarded can still be tailed to its end after a cut.
        let execution = reader.find_followed_execution(execution_id).await?;
        let execution = execution.ok_or(Error::NotFound { what: "execution" })?;
        let key = (execution.tenant_id, execution.id);
        logs::tail(self.log_reader(viewer), &self.wakeups, key, start, filter).await
    }

    async fn visible(&self, viewer: &Viewer, execution_id: Uuid) -> Result<ExecutionRow> {
        let execution = self.store.reader(viewer).find_followed_execution(execution_id).await?;
        execution.ok_or(Error::NotFound { what: "execution" })
    }
}
