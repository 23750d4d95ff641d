//! Workflow runs.

use async_graphql::{Context, Object};

use super::{ExecutionConnection, ExecutionStatus, LogLine, TokenUsage, lines};
use crate::domain::execution::{Filter, Order, duration_ms};
use crate::domain::page::PageArgs;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::ApiError;
use crate::graphql::input::LogFilter;
use crate::graphql::scalars::{BigInt, DateTime, Decimal};
use crate::service;

/// What the executions that name the same workflow run add up to.
pub(in crate::graphql) struct WorkflowRun(pub service::WorkflowRun);

/// What the executions that name the same workflow run add up to.
#[Object]
impl WorkflowRun {
    /// As the executions name it.
    fn id(&self) -> &str {
        &self.0.id
    }

    /// The workflow that its executions name; the greatest id, should they differ.
    fn workflow_id(&self) -> Option<&str> {
        self.0.totals.workflow_id.as_deref()
    }

    /// QUEUED while all executions wait; RUNNING until all have ended; then FAILED or CANCELLED if any was, else
    /// COMPLETED.
    fn status(&self) -> ExecutionStatus {
        self.0.status().into()
    }

    /// When its first execution started.
    fn started_at(&self) -> Option<DateTime> {
        self.0.totals.started_at.map(DateTime)
    }

    /// When its last execution completed; null until all have ended.
    fn completed_at(&self) -> Option<DateTime> {
        self.0.completed_at().map(DateTime)
    }

    /// Milliseconds from `startedAt` to `completedAt`.
    fn duration_ms(&self) -> Option<BigInt> {
        Some(BigInt(duration_ms(self.0.totals.started_at?, self.0.completed_at()?)))
    }

    /// Its executions, oldest first.
    async fn executions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows from the start; 50 by default, 200 at most.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "Rows from the end, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> Result<ExecutionConnection, ApiError> {
        let filter = Filter { workflow_run_ids: Some(vec![self.0.id.clone()]), ..Filter::default() };
        let args = PageArgs { first, after, last, before };
        ExecutionConnection::load(context, filter, Order::Oldest, args).await
    }

    /// The newest lines of all its executions, oldest first: sorted by timestamp, except that the lines of one execution
    /// keep their order. With a filter this looks back through at most 8 MiB of log.
    async fn logs(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only lines that pass.")] filter: Option<LogFilter>,
        #[graphql(desc = "How many lines, 10,000 at most.", default = 1000)] last: Option<i32>,
    ) -> Result<Vec<LogLine>, ApiError> {
        let rows = lines("last", last.unwrap_or(1000))?;
        let filter = filter.unwrap_or_default().check("filter")?;
        let lines = context.service().workflow_run_logs(context.viewer()?, &self.0.id, &filter, rows).await?;
        context.charge("logs", lines.iter().map(|(_, line)| line.bytes()).sum())?;
        Ok(lines.into_iter().map(|(execution_id, line)| LogLine::new(execution_id, line)).collect())
    }

    /// The tokens of all its executions.
    fn tokens(&self) -> TokenUsage {
        let totals = &self.0.totals;
        TokenUsage::new(totals.input_tokens, totals.cached_input_tokens, totals.output_tokens)
    }

    /// The cost of all its executions.
    fn cost_usd(&self) -> Decimal {
        Decimal { micros: self.0.totals.cost_microusd }
    }
}

impl From<service::WorkflowRun> for WorkflowRun {
    fn from(run: service::WorkflowRun) -> Self {
        Self(run)
    }
}
