//! Log lines.

use std::collections::HashMap;

use chrono::TimeDelta;
use futures_util::Stream;
use uuid::Uuid;

use super::Service;
use super::download::{Download, check_lifetime};
use crate::auth::{Role, Viewer};
use crate::clock::Timestamp;
use crate::domain::limits::{APPEND_LINES_MAX, at_most};
use crate::domain::log::{EncodedLines, Filter, Line, NewLine};
use crate::domain::page::Page;
use crate::domain::stream::{Entries, StreamKind};
use crate::error::{Error, Result};
use crate::logs::{self, LogPage, TailBatch, TailPlace, TailStart};
use crate::storage::{Link, Linked};
use crate::store::{Append, Appended, ExecutionRow, LogStream};

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
        let lines = Entries::Lines(EncodedLines::new("input.lines", lines)?);
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

    /// Follows an execution's log: stored lines, then live ones, each once and in order. It says at `place` where it stands.
    ///
    /// # Errors
    /// `NOT_FOUND`, also later, when the execution is deleted before its log has ended.
    pub async fn tail_log(
        &self,
        viewer: &Viewer,
        execution_id: Uuid,
        start: TailStart,
        filter: Filter,
        place: TailPlace,
    ) -> Result<impl Stream<Item = Result<TailBatch<Line>>> + use<>> {
        let reader = self.store.reader(viewer);
        // One that is being discarded can still be tailed to its end after a cut.
        let execution = reader.find_followed_execution(execution_id).await?;
        let execution = execution.ok_or(Error::NotFound { what: "execution" })?;
        let key = (execution.tenant_id, execution.id);
        logs::tail(self.log_reader(viewer), &self.wakeups, key, start, filter, place).await
    }

    /// How far the logs, or the visual sessions, of some executions that have been read are written and archived, by id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn log_streams(
        &self,
        viewer: &Viewer,
        kind: StreamKind,
        executions: &[(String, Uuid)],
    ) -> Result<HashMap<Uuid, LogStream>> {
        self.store.reader(viewer).log_streams(kind, executions).await
    }

    /// The key of the object of a log, or of a visual session.
    pub fn log_key(&self, stream: &LogStream) -> String {
        self.storage.log(stream.kind, stream.execution_id).key.as_str().to_owned()
    }

    /// When a log that has ended is removed; `None` while it has not ended, and when logs are kept for ever.
    pub fn log_expires_at(&self, stream: &LogStream) -> Option<Timestamp> {
        let days = self.log_retention_days?;
        stream.last_line_at.filter(|_| stream.ended).map(|last| last + TimeDelta::days(days.into()))
    }

    /// A link to the whole log, or visual session, of an execution as it is when the link is followed: archived lines and those that wait.
    ///
    /// # Errors
    /// `BAD_INPUT` for a time that is too short or too long.
    pub fn link_to_log(&self, stream: &LogStream, expires_in_seconds: i32) -> Result<Download> {
        check_lifetime(expires_in_seconds)?;
        let file_name = self.log_key(stream);
        let link = Link {
            tenant_id: stream.tenant_id.clone(),
            what: match stream.kind {
                StreamKind::Log => Linked::Log,
                StreamKind::Visual => Linked::Visual,
            },
            id: stream.execution_id,
            file_name: file_name.clone(),
        };
        self.own_link(link, expires_in_seconds)
    }

    pub(super) async fn visible(&self, viewer: &Viewer, execution_id: Uuid) -> Result<ExecutionRow> {
        let execution = self.store.reader(viewer).find_followed_execution(execution_id).await?;
        execution.ok_or(Error::NotFound { what: "execution" })
    }
}
