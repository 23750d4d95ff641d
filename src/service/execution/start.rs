//! Starting an execution.

use uuid::Uuid;

use super::super::Service;
use super::binding::{asked_version, bind_to_version, check_generations};
use super::input::{self, VisualChange};
use super::writes::stamped;
use crate::analytics::Event;
use crate::auth::{OnBehalfOf, Stamp, Viewer};
use crate::clock::{Timestamp, new_id, now};
use crate::domain::execution::{Mode, Status};
use crate::domain::limits::STALE_AFTER_SECONDS_MAX;
use crate::domain::text;
use crate::error::{Error, Result};
use crate::store::{ExecutionRow, NewExecution, PayloadChange, first_check_at};

/// An execution to be started.
#[derive(Debug, Clone)]
pub struct StartExecution {
    /// Makes the call safe to repeat.
    pub id: Option<Uuid>,
    pub name: Option<String>,
    /// QUEUED or RUNNING.
    pub status: Status,
    pub mode: Mode,
    pub code_agent_id: Option<Uuid>,
    /// The newest version, if not given.
    pub code_version: Option<i32>,
    pub workflow_id: Option<String>,
    pub workflow_run_id: Option<String>,
    /// The project is made when it is new.
    pub project_key: Option<String>,
    pub generation_id: Option<Uuid>,
    /// JSON text.
    pub inputs: Option<String>,
    pub visual: VisualChange,
    pub started_at: Option<Timestamp>,
    pub keep_history: bool,
    /// How long its runner may be silent; as long as the server allows, if not given.
    pub stale_after_seconds: Option<i32>,
    pub on_behalf_of: Option<OnBehalfOf>,
}

/// The execution that was started.
#[derive(Debug)]
pub struct Started {
    pub execution: ExecutionRow,
    /// False when an earlier call had started it.
    pub created: bool,
}

impl Service {
    /// Starts an execution. With an id, starting it again gives it as it is now.
    ///
    /// # Errors
    /// `BAD_INPUT`, `TOO_LARGE`; `FORBIDDEN` for `on_behalf_of` without the service role; `CONFLICT` when the id is
    /// taken by something that the viewer cannot see; `NOT_FOUND` for a code agent or a version that is not there.
    pub async fn start_execution(&self, viewer: &Viewer, start: StartExecution) -> Result<Started> {
        let stamp = viewer.stamp(start.on_behalf_of.clone())?;
        if let Some(id) = start.id
            && let Some(started) = self.find_started(viewer, &stamp, id).await?
        {
            return Ok(started);
        }
        let mut new = new_execution(start, now())?;
        if let Some(id) = new.row.code_agent_id {
            let agent = self.store.find_code_agent(viewer, id).await?;
            bind_to_version(&mut new.row, stamp.tenant_id(), agent.as_ref())?;
        }
        let named = new.row.generation_id.map(|id| (stamp.tenant_id().to_owned(), id));
        check_generations(&self.store.reader(viewer), named.as_slice()).await?;
        let execution = stamped(&stamp, &new.row);
        if !self.writer.start(stamp.clone(), new).await? {
            // Somebody was faster, or it is not the viewer's to see.
            let started = self.find_started(viewer, &stamp, execution.id).await?;
            return started.ok_or_else(|| id_is_taken("input.id"));
        }
        let ExecutionRow { id, mode, code_agent_id, .. } = execution;
        let event = Event::ExecutionStarted { id, mode, code_agent_id };
        self.analytics.tell(&execution.owner_id, &execution.tenant_id, &event);
        Ok(Started { execution, created: true })
    }

    /// What an earlier call has started, also when it is not kept and has ended meanwhile.
    async fn find_started(&self, viewer: &Viewer, stamp: &Stamp, id: Uuid) -> Result<Option<Started>> {
        let found = self.store.reader(viewer).find_followed_execution(id).await?;
        // A service sees every tenant's, but acts for one.
        let found = found.filter(|execution| execution.tenant_id == stamp.tenant_id());
        Ok(found.map(|execution| Started { execution, created: false }))
    }
}

pub(super) fn id_is_taken(field: &'static str) -> Error {
    Error::Conflict { field: Some(field.into()), message: "this id cannot be used; choose another".into() }
}

fn new_execution(start: StartExecution, now: Timestamp) -> Result<NewExecution> {
    let started_at = match (start.status, start.started_at) {
        (Status::Running, started_at) => Some(started_at.unwrap_or(now)),
        (Status::Queued, None) => None,
        (Status::Queued, Some(_)) => {
            return Err(Error::bad_input("input.startedAt", "a queued execution has not started"));
        }
        (Status::Completed | Status::Failed | Status::Cancelled, _) => {
            return Err(Error::bad_input(
                "input.status",
                "status must be QUEUED or RUNNING; recordExecutions takes those that have ended",
            ));
        }
    };
    let mut row = ExecutionRow {
        id: start.id.unwrap_or_else(new_id),
        status: start.status,
        mode: start.mode,
        name: text::short_optional("input.name", start.name)?,
        code_agent_id: start.code_agent_id,
        code_version: asked_version("input", start.code_agent_id, start.code_version)?,
        workflow_id: text::short_optional("input.workflowId", start.workflow_id)?,
        workflow_run_id: text::short_optional("input.workflowRunId", start.workflow_run_id)?,
        project_key: text::short_optional("input.projectKey", start.project_key)?,
        generation_id: start.generation_id,
        keep_history: start.keep_history,
        stale_after_seconds: stale_after(start.stale_after_seconds)?,
        started_at,
        ..blank(now)
    };
    row.check_at = (row.status == Status::Running).then(|| first_check_at(&row, now));
    start.visual.apply("input", &mut row)?;
    let inputs = input::json("input.inputs", start.inputs)?;
    Ok(NewExecution { row, payload: PayloadChange { inputs, ..PayloadChange::default() } })
}

fn stale_after(seconds: Option<i32>) -> Result<Option<i32>> {
    if seconds.is_some_and(|seconds| !(1..=STALE_AFTER_SECONDS_MAX).contains(&seconds)) {
        return Err(Error::bad_input(
            "input.staleAfterSeconds",
            format!("staleAfterSeconds must be between 1 and {STALE_AFTER_SECONDS_MAX}"),
        ));
    }
    Ok(seconds)
}

/// An execution of which nothing is known yet.
pub(super) fn blank(now: Timestamp) -> ExecutionRow {
    ExecutionRow {
        id: Uuid::nil(),
        tenant_id: String::new(),
        owner_id: String::new(),
        status: Status::Queued,
        mode: Mode::CloudRun,
        name: None,
        code_agent_id: None,
        code_version: None,
        workflow_id: None,
        workflow_run_id: None,
        project_key: None,
        generation_id: None,
        input_tokens: 0,
        cached_input_tokens: 0,
        output_tokens: 0,
        cost_microusd: 0,
        duration_ms: None,
        visual_enabled: false,
        visual_streaming: false,
        visual_quality: None,
        visual_session_id: None,
        visual_events_captured: 0,
        visual_stream_duration_ms: 0,
        keep_history: true,
        discard_at: None,
        stale_after_seconds: None,
        check_at: None,
        revision: 1,
        created_at: now,
        started_at: None,
        completed_at: None,
        updated_at: now,
    }
}
