//! Workflow runs: what the executions that name the same run add up to.

use std::sync::Arc;

use uuid::Uuid;

use super::Service;
use crate::auth::Viewer;
use crate::clock::Timestamp;
use crate::domain::execution::Status;
use crate::domain::log::{Filter, Line};
use crate::error::Result;
use crate::logs;
use crate::store::{LogsOf, WorkflowRunRow};

/// A workflow run.
#[derive(Debug, Clone)]
pub struct WorkflowRun {
    pub id: String,
    pub totals: WorkflowRunRow,
}

impl WorkflowRun {
    /// RUNNING while any execution runs or some have ended and others wait; QUEUED while all wait; then FAILED or
    /// CANCELLED if any was, else COMPLETED.
    pub fn status(&self) -> Status {
        let totals = &self.totals;
        if totals.queued == totals.executions {
            Status::Queued
        } else if totals.running + totals.queued > 0 {
            Status::Running
        } else if totals.failed > 0 {
            Status::Failed
        } else if totals.cancelled > 0 {
            Status::Cancelled
        } else {
            Status::Completed
        }
    }

    /// When its last execution completed; `None` until all have ended.
    pub fn completed_at(&self) -> Option<Timestamp> {
        let is_over = self.totals.queued + self.totals.running == 0;
        self.totals.completed_at.filter(|_| is_over)
    }
}

impl Service {
    /// A workflow run; `None` when no execution names it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn find_workflow_run(&self, viewer: &Viewer, id: String) -> Result<Option<WorkflowRun>> {
        let totals = self.store.reader(viewer).workflow_run(&id).await?;
        Ok((totals.executions > 0).then_some(WorkflowRun { id, totals }))
    }

    /// The newest lines of all executions of a workflow run, oldest first.
    ///
    /// # Errors
    /// `TOO_LARGE` when the lines are too large together.
    pub async fn workflow_run_logs(
        &self,
        viewer: &Viewer,
        id: &str,
        filter: &Filter,
        rows: usize,
    ) -> Result<Vec<(Uuid, Arc<Line>)>> {
        logs::newest_of_many(&self.log_reader(viewer), LogsOf::WorkflowRun(id), filter, rows).await
    }
}
