//! Recording executions that have ended, in bulk.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use super::super::Service;
use super::binding::{asked_version, bind_to_versions, check_generations};
use super::input::{self, Tokens, VisualChange};
use super::start::{blank, id_is_taken};
use super::topics;
use crate::auth::Viewer;
use crate::clock::{Timestamp, new_id, now};
use crate::domain::execution::{DURATION_MS_MAX, Mode, Status, duration_ms, is_final};
use crate::domain::limits::{BATCH_EXECUTIONS_MAX, at_most};
use crate::domain::text;
use crate::error::{Error, Result};
use crate::store::{ExecutionRow, NewExecution, NewProject, PayloadChange};

/// An execution that has ended.
#[derive(Debug, Clone)]
pub struct RecordExecution {
    /// Makes the call safe to repeat.
    pub id: Option<Uuid>,
    pub name: Option<String>,
    /// COMPLETED, FAILED or CANCELLED.
    pub status: Status,
    pub mode: Mode,
    pub code_agent_id: Option<Uuid>,
    /// The newest version, if not given.
    pub code_version: Option<i32>,
    pub workflow_id: Option<String>,
    pub workflow_run_id: Option<String>,
    pub project_key: Option<String>,
    pub generation_id: Option<Uuid>,
    /// JSON text, as `result`.
    pub inputs: Option<String>,
    pub result: Option<String>,
    pub error: Option<String>,
    pub tokens: Option<Tokens>,
    pub cost_microusd: Option<i64>,
    /// Otherwise the time from start to completion.
    pub duration_ms: Option<i64>,
    pub visual: VisualChange,
    pub started_at: Timestamp,
    pub completed_at: Timestamp,
}

/// What was recorded.
#[derive(Debug)]
pub struct Recorded {
    /// In the order of the inputs, those that were there already as they are.
    pub executions: Vec<ExecutionRow>,
    /// How many were new.
    pub created_count: usize,
}

impl Service {
    /// Records up to [`BATCH_EXECUTIONS_MAX`] executions that have ended, all or none. Those whose id is there already
    /// are left as they are.
    ///
    /// # Errors
    /// `BAD_INPUT` and `TOO_LARGE`, whose field says which; `CONFLICT` when an id is taken by something that the viewer
    /// cannot see; `NOT_FOUND` for a code agent or a version that is not there.
    pub async fn record_executions(
        &self,
        viewer: &Viewer,
        records: Vec<RecordExecution>,
    ) -> Result<Recorded> {
        at_most("inputs", records.len(), BATCH_EXECUTIONS_MAX)?;
        let now = now();
        let records = records.into_iter().enumerate();
        let new: Vec<_> = records
            .map(|(index, record)| new_execution(&format!("inputs.{index}"), record, now))
            .collect::<Result<_>>()?;
        let mut seen = HashSet::new();
        if let Some(index) = new.iter().position(|new| !seen.insert(new.row.id)) {
            return Err(Error::bad_input(format!("inputs.{index}.id"), "an id may occur once in a batch"));
        }
        // A second time for the loser of a race between two calls with the same ids: now they are there.
        for _ in 0..2 {
            if let Some(recorded) = self.try_record(viewer, new.clone(), now).await? {
                return Ok(recorded);
            }
        }
        Err(id_is_taken("inputs"))
    }

    /// `None` when an id is taken that was not there to be seen.
    async fn try_record(
        &self,
        viewer: &Viewer,
        mut new: Vec<NewExecution>,
        now: Timestamp,
    ) -> Result<Option<Recorded>> {
        let stamp = viewer.stamp(None)?;
        let tx = self.store.begin().await?;
        let ids: Vec<_> = new.iter().map(|new| new.row.id).collect();
        let there = tx.reader(viewer).executions_by_ids(&ids).await?;
        let rows = new.iter_mut().map(|new| &mut new.row).filter(|row| !there.contains_key(&row.id));
        bind_to_versions(&tx.reader(viewer), stamp.tenant_id(), rows).await?;
        let named = new.iter().filter(|new| !there.contains_key(&new.row.id));
        let named = named.filter_map(|new| Some((stamp.tenant_id().to_owned(), new.row.generation_id?)));
        check_generations(&tx.reader(viewer), &named.collect::<Vec<_>>()).await?;
        let mut executions = Vec::with_capacity(new.len());
        let mut created = Vec::with_capacity(new.len());
        for mut new in new {
            if let Some(row) = there.get(&new.row.id) {
                executions.push(row.clone());
                continue;
            }
            stamp.tenant_id().clone_into(&mut new.row.tenant_id);
            stamp.owner_id().clone_into(&mut new.row.owner_id);
            executions.push(new.row.clone());
            created.push(new);
        }
        created.sort_by_key(|new| new.row.id); // so that two batches cannot wait for each other
        let created_rows: Vec<_> = created.iter().map(|new| new.row.clone()).collect();
        let keys: BTreeSet<_> = created_rows.iter().filter_map(|row| row.project_key.clone()).collect();
        let project = |key: String| NewProject::named_by_key(stamp.clone(), new_id(), &key);
        tx.ensure_projects(keys.into_iter().map(project).collect(), now).await?;
        let created = created.into_iter().map(|new| (stamp.clone(), new)).collect();
        if tx.insert_executions(created).await?.len() < created_rows.len() {
            return Ok(None);
        }
        tx.record_created(&created_rows.iter().collect::<Vec<_>>(), now).await?;
        tx.commit().await?;
        self.wakeups.announce(created_rows.iter().flat_map(topics));
        created_rows.iter().for_each(|row| self.tell_finished(&row.owner_id, row));
        Ok(Some(Recorded { executions, created_count: created_rows.len() }))
    }
}

fn new_execution(at: &str, record: RecordExecution, now: Timestamp) -> Result<NewExecution> {
    if !is_final(record.status) {
        return Err(Error::bad_input(
            format!("{at}.status"),
            "status must be COMPLETED, FAILED or CANCELLED",
        ));
    }
    if record.completed_at < record.started_at {
        return Err(Error::bad_input(
            format!("{at}.completedAt"),
            "completedAt must not be before startedAt",
        ));
    }
    let duration = match record.duration_ms {
        Some(duration) => input::in_range(&format!("{at}.durationMs"), duration, DURATION_MS_MAX)?,
        None => duration_ms(record.started_at, record.completed_at),
    };
    let mut row = ExecutionRow {
        id: record.id.unwrap_or_else(new_id),
        status: record.status,
        mode: record.mode,
        name: text::short_optional(&format!("{at}.name"), record.name)?,
        code_agent_id: record.code_agent_id,
        code_version: asked_version(at, record.code_agent_id, record.code_version)?,
        workflow_id: text::short_optional(&format!("{at}.workflowId"), record.workflow_id)?,
        workflow_run_id: text::short_optional(&format!("{at}.workflowRunId"), record.workflow_run_id)?,
        project_key: text::short_optional(&format!("{at}.projectKey"), record.project_key)?,
        generation_id: record.generation_id,
        duration_ms: Some(duration),
        // Where it would stand had it been recorded while it ran.
        created_at: record.started_at.min(now),
        started_at: Some(record.started_at),
        completed_at: Some(record.completed_at),
        ..blank(now)
    };
    if let Some(tokens) = record.tokens {
        tokens.apply(at, &mut row)?;
    }
    if let Some(microusd) = record.cost_microusd {
        row.cost_microusd = input::cost(at, microusd)?;
    }
    record.visual.apply(at, &mut row)?;
    let payload = PayloadChange {
        inputs: input::json(&format!("{at}.inputs"), record.inputs)?,
        result: input::json(&format!("{at}.result"), record.result)?,
        error: input::error_text(&format!("{at}.error"), record.error)?,
    };
    Ok(NewExecution { row, payload })
}
