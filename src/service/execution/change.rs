//! Updating, finishing and cancelling executions.

use std::collections::HashSet;

use uuid::Uuid;

use super::super::Service;
use super::binding::check_generations;
use super::input::{self, Tokens, VisualChange};
use crate::auth::{Role, Viewer};
use crate::clock::Timestamp;
use crate::domain::execution::{DURATION_MS_MAX, Status, duration_ms, is_final, status_word, step};
use crate::domain::limits::{BATCH_EXECUTIONS_MAX, at_most};
use crate::error::{Error, Result};
use crate::store::{ExecutionRow, PayloadChange, end, first_check_at};

/// A change; `None` stays as it is.
#[derive(Debug, Clone)]
pub struct Update {
    pub id: Uuid,
    /// Refuse when the execution has another revision by now.
    pub expected_revision: Option<i32>,
    pub status: Option<Status>,
    pub tokens: Option<Tokens>,
    pub cost_microusd: Option<i64>,
    pub visual: VisualChange,
    pub generation_id: Option<Uuid>,
    /// JSON text.
    pub result: Option<String>,
}

/// The end of an execution.
#[derive(Debug, Clone)]
pub struct Finish {
    pub id: Uuid,
    /// Refuse when the execution has another revision by now.
    pub expected_revision: Option<i32>,
    /// COMPLETED, FAILED or CANCELLED.
    pub status: Status,
    /// JSON text.
    pub result: Option<String>,
    pub error: Option<String>,
    pub tokens: Option<Tokens>,
    pub cost_microusd: Option<i64>,
    /// Otherwise the time from start to completion.
    pub duration_ms: Option<i64>,
    pub visual: VisualChange,
    pub generation_id: Option<Uuid>,
    /// Otherwise now.
    pub completed_at: Option<Timestamp>,
}

/// One change of any kind.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) id: Uuid,
    /// The path of the input, for errors.
    at: String,
    expected_revision: Option<i32>,
    /// Being in this status already means that the change took effect before.
    is_done_in: Option<Status>,
    status: Option<Status>,
    tokens: Option<Tokens>,
    cost_microusd: Option<i64>,
    visual: VisualChange,
    generation_id: Option<Uuid>,
    duration_ms: Option<i64>,
    completed_at: Option<Timestamp>,
    pub(super) payload: PayloadChange,
}

impl Service {
    /// Changes an execution.
    ///
    /// # Errors
    /// `NOT_FOUND`, `FORBIDDEN`; `CONFLICT` for an illegal status, an execution that has ended, or another revision
    /// than expected; `BAD_INPUT`, `TOO_LARGE`.
    pub async fn update_execution(&self, viewer: &Viewer, update: Update) -> Result<ExecutionRow> {
        one(self.change(viewer, vec![from_update("input".into(), update)?]).await?)
    }

    /// Changes up to [`BATCH_EXECUTIONS_MAX`] executions, all or none; gives them in the order of the changes.
    ///
    /// # Errors
    /// As [`Service::update_execution`]; the field says which.
    pub async fn update_executions(
        &self,
        viewer: &Viewer,
        updates: Vec<Update>,
    ) -> Result<Vec<ExecutionRow>> {
        at_most("inputs", updates.len(), BATCH_EXECUTIONS_MAX)?;
        let mut seen = HashSet::new();
        if let Some(index) = updates.iter().position(|update| !seen.insert(update.id)) {
            return Err(Error::bad_input(
                format!("inputs.{index}.id"),
                "an execution may occur once in a batch",
            ));
        }
        let changes = updates.into_iter().enumerate();
        let changes = changes.map(|(index, update)| from_update(format!("inputs.{index}"), update));
        self.change(viewer, changes.collect::<Result<_>>()?).await
    }

    /// Ends an execution. Ending it again with the same status gives it as it is.
    ///
    /// # Errors
    /// As [`Service::update_execution`].
    pub async fn finish_execution(&self, viewer: &Viewer, finish: Finish) -> Result<ExecutionRow> {
        if !is_final(finish.status) {
            return Err(Error::bad_input("input.status", "status must be COMPLETED, FAILED or CANCELLED"));
        }
        let change = Change {
            id: finish.id,
            at: "input".into(),
            expected_revision: finish.expected_revision,
            is_done_in: Some(finish.status),
            status: Some(finish.status),
            tokens: finish.tokens,
            cost_microusd: finish.cost_microusd,
            visual: finish.visual,
            generation_id: finish.generation_id,
            duration_ms: finish.duration_ms,
            completed_at: finish.completed_at,
            payload: PayloadChange {
                inputs: None,
                result: input::json("input.result", finish.result)?,
                error: input::error_text("input.error", finish.error)?,
            },
        };
        one(self.change(viewer, vec![change]).await?)
    }

    /// Cancels an execution; `reason` becomes its error. Cancelling it again gives it as it is.
    ///
    /// # Errors
    /// As [`Service::update_execution`].
    pub async fn cancel_execution(
        &self,
        viewer: &Viewer,
        id: Uuid,
        reason: Option<String>,
        expected_revision: Option<i32>,
    ) -> Result<ExecutionRow> {
        let change = Change {
            id,
            at: "input".into(),
            expected_revision,
            is_done_in: Some(Status::Cancelled),
            status: Some(Status::Cancelled),
            tokens: None,
            cost_microusd: None,
            visual: VisualChange::default(),
            generation_id: None,
            duration_ms: None,
            completed_at: None,
            payload: PayloadChange {
                error: input::error_text("reason", reason)?,
                ..PayloadChange::default()
            },
        };
        one(self.change(viewer, vec![change]).await?)
    }

    /// Says that the runner of an execution lives; gives the execution as it is, also when it has ended.
    ///
    /// # Errors
    /// `NOT_FOUND`, `FORBIDDEN`.
    pub async fn heartbeat(&self, viewer: &Viewer, id: Uuid) -> Result<ExecutionRow> {
        let nothing = Change {
            id,
            at: "id".into(),
            expected_revision: None,
            is_done_in: None,
            status: None,
            tokens: None,
            cost_microusd: None,
            visual: VisualChange::default(),
            generation_id: None,
            duration_ms: None,
            completed_at: None,
            payload: PayloadChange::default(),
        };
        one(self.change(viewer, vec![nothing]).await?)
    }

    async fn change(&self, viewer: &Viewer, changes: Vec<Change>) -> Result<Vec<ExecutionRow>> {
        let reader = self.store.reader(viewer);
        // A service names no tenant; the executions do.
        let tenants = match viewer.role() {
            Role::Service => {
                let ids: Vec<_> = changes.iter().map(|change| change.id).collect();
                Some(reader.tenants_of_executions(&ids).await?)
            }
            Role::Admin | Role::Member => None,
        };
        let with_tenant = |change: Change| {
            let tenant_id = match &tenants {
                Some(tenants) => {
                    tenants.get(&change.id).ok_or(Error::NotFound { what: "execution" })?.clone()
                }
                None => viewer.tenant_id().to_owned(),
            };
            Ok((tenant_id, change))
        };
        let changes: Vec<_> = changes.into_iter().map(with_tenant).collect::<Result<_>>()?;
        let named =
            changes.iter().filter_map(|(tenant_id, change)| Some((tenant_id.clone(), change.generation_id?)));
        check_generations(&reader, &named.collect::<Vec<_>>()).await?;
        let changed = self.writer.change(viewer.clone(), changes).await?;
        for ended in changed.iter().filter(|changed| changed.has_ended) {
            self.tell_finished(viewer.user_id(), &ended.row);
        }
        Ok(changed.into_iter().map(|changed| changed.row).collect())
    }
}

fn from_update(at: String, update: Update) -> Result<Change> {
    let result = input::json(&format!("{at}.result"), update.result)?;
    Ok(Change {
        id: update.id,
        at,
        expected_revision: update.expected_revision,
        is_done_in: update.status.filter(|status| is_final(*status)),
        status: update.status,
        tokens: update.tokens,
        cost_microusd: update.cost_microusd,
        visual: update.visual,
        generation_id: update.generation_id,
        duration_ms: None,
        completed_at: None,
        payload: PayloadChange { result, ..PayloadChange::default() },
    })
}

/// What came of a change.
pub(super) struct Applied {
    pub(super) before: ExecutionRow,
    pub(super) payload: PayloadChange,
}

/// Applies a change to a row; `None` when there is nothing to change.
pub(super) fn apply(change: &Change, row: &mut ExecutionRow, now: Timestamp) -> Result<Option<Applied>> {
    let Change { at, payload, .. } = change;
    if change.is_done_in == Some(row.status) {
        return Ok(None);
    }
    if row.discard_at.is_some() {
        return Err(Error::NotFound { what: "execution" }); // it was not to be kept
    }
    if change.expected_revision.is_some_and(|expected| expected != row.revision) {
        return Err(Error::Conflict {
            field: Some(format!("{at}.expectedRevision").into()),
            message: format!("the execution has revision {} by now", row.revision).into(),
        });
    }
    let before = row.clone();
    if let Some(status) = change.status
        && step(&format!("{at}.status"), row.status, status)?
    {
        row.status = status;
        enter(row, status, change.completed_at, change.duration_ms, at, now)?;
    }
    if let Some(tokens) = change.tokens {
        tokens.apply(at, row)?;
    }
    if let Some(microusd) = change.cost_microusd {
        row.cost_microusd = input::cost(at, microusd)?;
    }
    change.visual.clone().apply(at, row)?;
    row.generation_id = change.generation_id.or(row.generation_id);
    if *row == before && payload.is_empty() {
        return Ok(None);
    }
    if is_final(before.status) {
        let word = status_word(before.status);
        return Err(Error::conflict(format!("the execution is {word}; it does not change any more")));
    }
    row.revision += 1;
    row.updated_at = now;
    Ok(Some(Applied { before, payload: payload.clone() }))
}

/// What goes with a status.
fn enter(
    row: &mut ExecutionRow,
    status: Status,
    completed_at: Option<Timestamp>,
    duration: Option<i64>,
    at: &str,
    now: Timestamp,
) -> Result<()> {
    if status == Status::Running {
        row.started_at = Some(now);
        row.check_at = Some(first_check_at(row, now));
    }
    if is_final(status) {
        // The start may have been told by another clock than the end: that must not keep an execution from ending.
        let completed_at = completed_at.unwrap_or(now).max(row.started_at.unwrap_or(Timestamp::MIN_UTC));
        let duration = match duration {
            Some(duration) => Some(input::in_range(&format!("{at}.durationMs"), duration, DURATION_MS_MAX)?),
            None => row.started_at.map(|started_at| duration_ms(started_at, completed_at)),
        };
        end(row, completed_at, duration, now);
    }
    Ok(())
}

fn one(rows: Vec<ExecutionRow>) -> Result<ExecutionRow> {
    rows.into_iter().next().ok_or_else(|| Error::internal("a change gave no execution"))
}
