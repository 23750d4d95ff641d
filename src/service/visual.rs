//! Visual events: those that rrweb records of a page, to be watched live and replayed.
//!
//! They are kept as log lines are, in a second stream of the execution; see [`crate::logs`].

use std::collections::HashMap;

use futures_util::Stream;
use uuid::Uuid;

use super::Service;
use super::execution::topics;
use crate::auth::{Role, Viewer};
use crate::clock::now;
use crate::domain::execution::is_final;
use crate::domain::stream::{Entries, StreamKind};
use crate::domain::visual::{EncodedEvents, Event};
use crate::error::{Error, Result};
use crate::logs::{self, EventRange, TailBatch, TailPlace, TailStart};
use crate::store::{Append, Appended, has_ended};

impl Service {
    /// Appends events to an execution's visual session, numbered without holes, as [`Service::append_logs`] does lines. The
    /// first ones mark the execution as one that has a session.
    ///
    /// # Errors
    /// `NOT_FOUND`, `FORBIDDEN`, `BAD_INPUT`, `TOO_LARGE`; `CONFLICT` for a hole before `first_seq` and for an
    /// execution that has ended; after `UNAVAILABLE` the events may or may not be stored.
    pub async fn append_visual_events(
        &self,
        viewer: &Viewer,
        execution_id: Uuid,
        first_seq: Option<i64>,
        events: Vec<Option<String>>,
    ) -> Result<Appended> {
        if first_seq.is_some_and(|seq| seq < 0) {
            return Err(Error::bad_input("input.firstSeq", "events are numbered from 0"));
        }
        let lines = Entries::Events(EncodedEvents::new("input.events", events)?);
        let tenant_id = match viewer.role() {
            // A service names no tenant; the execution does.
            Role::Service => self.visible(viewer, execution_id).await?.tenant_id,
            Role::Admin | Role::Member => viewer.tenant_id().to_owned(),
        };
        let key = (tenant_id, execution_id);
        let open =
            self.store.reader(viewer).log_streams(StreamKind::Visual, std::slice::from_ref(&key)).await?;
        if open.is_empty() {
            self.open_visual_session(viewer, execution_id).await?;
        }
        let (tenant_id, execution_id) = key;
        self.appender
            .append(Append { viewer: viewer.clone(), tenant_id, execution_id, first_seq, lines })
            .await
    }

    /// In a transaction of its own: appends lock streams, and whoever locks an execution does so before its streams.
    async fn open_visual_session(&self, viewer: &Viewer, execution_id: Uuid) -> Result<()> {
        let now = now();
        let tx = self.store.begin().await?;
        let mut executions = tx.reader(viewer).writable_executions(viewer, vec![execution_id]).await?;
        let mut execution = executions.remove(&execution_id).ok_or(Error::NotFound { what: "execution" })?;
        if is_final(execution.row().status) {
            return Err(has_ended(StreamKind::Visual));
        }
        let mut woken = Vec::new();
        if !execution.row().visual_enabled {
            let before = execution.row().clone();
            let row = execution.row_mut();
            row.visual_enabled = true;
            row.revision += 1;
            row.updated_at = now;
            tx.record_changed(&[(&before, execution.row())], now).await?;
            tx.save_executions(vec![execution.clone()]).await?;
            woken.extend(topics(execution.row()));
        }
        tx.open_visual_stream(&execution).await?;
        tx.commit().await?;
        self.wakeups.announce(woken);
        Ok(())
    }

    /// The events of each of some executions that have been read, from number `from` on, at most `rows` of each; none of an
    /// execution without a session.
    ///
    /// # Errors
    /// What the store says; for one of them `NOT_FOUND` when its events have expired.
    pub async fn visual_events(
        &self,
        viewer: &Viewer,
        executions: &[(String, Uuid)],
        from: i64,
        rows: usize,
    ) -> Result<HashMap<Uuid, Result<EventRange>>> {
        logs::event_ranges(&self.log_reader(viewer), executions, from, rows).await
    }

    /// Follows an execution's visual session from number `from` on: stored events, then live ones, each once and in order. It says
    /// at `place` where it stands.
    ///
    /// # Errors
    /// `NOT_FOUND`, also later, when the execution is deleted before it has ended.
    pub async fn follow_visual_events(
        &self,
        viewer: &Viewer,
        execution_id: Uuid,
        from: i64,
        place: TailPlace,
    ) -> Result<impl Stream<Item = Result<TailBatch<Event>>> + use<>> {
        // One that is being discarded can still be followed to its end after a cut.
        let execution = self.visible(viewer, execution_id).await?;
        let key = (execution.tenant_id, execution.id);
        logs::tail(self.log_reader(viewer), &self.wakeups, key, TailStart::From(from), (), place).await
    }
}
