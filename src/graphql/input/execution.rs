//! Starting, changing, ending and recording executions.

use async_graphql::{ID, InputObject};

use crate::auth::OnBehalfOf;
use crate::domain::text;
use crate::error::Result;
use crate::graphql::context::{uuid, uuid_optional};
use crate::graphql::model::{ExecutionMode, ExecutionStatus};
use crate::graphql::scalars::{BigInt, DateTime, Decimal, Json};
use crate::service;

/// Token usage so far: totals, not what was added.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct TokenUsageInput {
    /// Given to the models; at most 10^12, as `output`.
    #[graphql(default_with = "BigInt(0)")]
    input: BigInt,
    /// The part of `input` that came from a cache.
    #[graphql(default_with = "BigInt(0)")]
    cached_input: BigInt,
    /// Given by the models.
    #[graphql(default_with = "BigInt(0)")]
    output: BigInt,
}

/// What is to change about the visual session; what is left out stays as it is.
#[derive(Debug, Default, InputObject)]
pub(in crate::graphql) struct VisualStreamingInput {
    /// Whether the execution has a visual session.
    enabled: Option<bool>,
    /// Whether it is being streamed now. The end of the execution ends it.
    streaming: Option<bool>,
    /// At most 255 characters.
    quality: Option<String>,
    /// At most 255 characters.
    session_id: Option<String>,
    /// Events captured so far.
    events_captured: Option<BigInt>,
    /// Milliseconds streamed so far.
    stream_duration_ms: Option<BigInt>,
}

/// Somebody on whose behalf a service writes.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct OwnerInput {
    /// Their user id, the `sub` of their tokens.
    user_id: String,
    /// Their organisation; without one it is their own tenant.
    org_id: Option<String>,
}

/// An execution to be started. With `id`, starting the same execution again returns it with `created: false`.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct StartExecutionInput {
    /// A UUID of the caller's choice, which makes the call safe to repeat.
    id: Option<ID>,
    /// For people; at most 255 characters, as the other texts.
    name: Option<String>,
    /// QUEUED or RUNNING.
    #[graphql(default_with = "ExecutionStatus::Running")]
    status: ExecutionStatus,
    /// Where it runs.
    #[graphql(default_with = "ExecutionMode::CloudRun")]
    mode: ExecutionMode,
    /// The code agent that it runs.
    code_agent_id: Option<ID>,
    /// The number of the version that it runs; the newest at this moment, if left out.
    code_version: Option<i32>,
    /// The workflow that it belongs to.
    workflow_id: Option<String>,
    /// The run of the workflow that it belongs to.
    workflow_run_id: Option<String>,
    /// The key of its project, which is made when it is new.
    project_key: Option<String>,
    /// The generation that it runs or has made.
    generation_id: Option<ID>,
    /// What it is started with; at most 1 MiB.
    inputs: Option<Json>,
    /// Its visual session.
    visual: Option<VisualStreamingInput>,
    /// When it started; now, unless it is QUEUED.
    started_at: Option<DateTime>,
    /// With false it is live while it runs and gone when it has ended; those who follow it still see its end.
    #[graphql(default = true)]
    keep_history: bool,
    /// How long its runner may give no sign of life while it is RUNNING, in seconds, up to a year: then it becomes FAILED.
    /// As the server is set (900, unless told otherwise), if left out.
    stale_after_seconds: Option<i32>,
    /// Whose it is to be; service role only.
    on_behalf_of: Option<OwnerInput>,
}

/// A change of an execution; what is left out stays as it is.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct UpdateExecutionInput {
    /// Which execution.
    id: ID,
    /// Refuse with CONFLICT when the execution has another `revision` by now.
    expected_revision: Option<i32>,
    /// RUNNING, COMPLETED, FAILED or CANCELLED; see `ExecutionStatus` for the legal steps.
    status: Option<ExecutionStatus>,
    /// Totals so far.
    tokens: Option<TokenUsageInput>,
    /// The total so far.
    cost_usd: Option<Decimal>,
    /// Its visual session.
    visual: Option<VisualStreamingInput>,
    /// The generation that it has made.
    generation_id: Option<ID>,
    /// What it gave; at most 1 MiB.
    result: Option<Json>,
}

/// The end of an execution. Ending it again with the same status is not an error; with another it is CONFLICT.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct FinishExecutionInput {
    /// Which execution.
    id: ID,
    /// Refuse with CONFLICT when the execution has another `revision` by now.
    expected_revision: Option<i32>,
    /// COMPLETED, FAILED or CANCELLED.
    status: ExecutionStatus,
    /// What it gave; at most 1 MiB.
    result: Option<Json>,
    /// What went wrong; at most 64 KiB.
    error: Option<String>,
    /// The totals.
    tokens: Option<TokenUsageInput>,
    /// The total.
    cost_usd: Option<Decimal>,
    /// Milliseconds it ran, if not those from its start to its completion.
    duration_ms: Option<BigInt>,
    /// Its visual session.
    visual: Option<VisualStreamingInput>,
    /// The generation that it has made.
    generation_id: Option<ID>,
    /// When it completed, if not now; what is before its start counts as its start.
    completed_at: Option<DateTime>,
}

/// An execution that has ended. With `id`, recording it again leaves it as it is.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct RecordExecutionInput {
    /// A UUID of the caller's choice, which makes the call safe to repeat.
    id: Option<ID>,
    /// For people; at most 255 characters, as the other texts.
    name: Option<String>,
    /// COMPLETED, FAILED or CANCELLED.
    status: ExecutionStatus,
    /// Where it ran.
    #[graphql(default_with = "ExecutionMode::CloudRun")]
    mode: ExecutionMode,
    /// The code agent that it runs.
    code_agent_id: Option<ID>,
    /// The number of the version that it runs; the newest at this moment, if left out.
    code_version: Option<i32>,
    /// The workflow that it belongs to.
    workflow_id: Option<String>,
    /// The run of the workflow that it belongs to.
    workflow_run_id: Option<String>,
    /// The key of its project, which is made when it is new.
    project_key: Option<String>,
    /// The generation that it runs or has made.
    generation_id: Option<ID>,
    /// What it was started with; at most 1 MiB.
    inputs: Option<Json>,
    /// What it gave; at most 1 MiB.
    result: Option<Json>,
    /// What went wrong; at most 64 KiB.
    error: Option<String>,
    /// The totals.
    tokens: Option<TokenUsageInput>,
    /// The total.
    cost_usd: Option<Decimal>,
    /// Milliseconds it ran, if not those from `startedAt` to `completedAt`.
    duration_ms: Option<BigInt>,
    /// Its visual session.
    visual: Option<VisualStreamingInput>,
    /// When it started; also its `createdAt`.
    started_at: DateTime,
    /// When it completed; not before `startedAt`.
    completed_at: DateTime,
}

impl From<TokenUsageInput> for service::Tokens {
    fn from(tokens: TokenUsageInput) -> Self {
        Self { input: tokens.input.0, cached_input: tokens.cached_input.0, output: tokens.output.0 }
    }
}

impl From<Option<VisualStreamingInput>> for service::VisualChange {
    fn from(visual: Option<VisualStreamingInput>) -> Self {
        let visual = visual.unwrap_or_default();
        Self {
            enabled: visual.enabled,
            streaming: visual.streaming,
            quality: visual.quality,
            session_id: visual.session_id,
            events_captured: visual.events_captured.map(|events| events.0),
            stream_duration_ms: visual.stream_duration_ms.map(|duration| duration.0),
        }
    }
}

impl StartExecutionInput {
    pub(in crate::graphql) fn check(self) -> Result<service::StartExecution> {
        Ok(service::StartExecution {
            id: uuid_optional("input.id", self.id)?,
            name: self.name,
            status: self.status.into(),
            mode: self.mode.into(),
            code_agent_id: uuid_optional("input.codeAgentId", self.code_agent_id)?,
            code_version: self.code_version,
            workflow_id: self.workflow_id,
            workflow_run_id: self.workflow_run_id,
            project_key: self.project_key,
            generation_id: uuid_optional("input.generationId", self.generation_id)?,
            inputs: json(self.inputs)?,
            visual: self.visual.into(),
            started_at: self.started_at.map(|time| time.0),
            keep_history: self.keep_history,
            stale_after_seconds: self.stale_after_seconds,
            on_behalf_of: self.on_behalf_of.map(OwnerInput::check).transpose()?,
        })
    }
}

impl OwnerInput {
    fn check(self) -> Result<OnBehalfOf> {
        Ok(OnBehalfOf {
            user_id: text::short("input.onBehalfOf.userId", self.user_id)?,
            org_id: text::short_optional("input.onBehalfOf.orgId", self.org_id)?,
        })
    }
}

impl UpdateExecutionInput {
    /// `at` is the path of the input.
    pub(in crate::graphql) fn check(self, at: &str) -> Result<service::Update> {
        Ok(service::Update {
            id: uuid(&format!("{at}.id"), &self.id)?,
            expected_revision: self.expected_revision,
            status: self.status.map(Into::into),
            tokens: self.tokens.map(Into::into),
            cost_microusd: self.cost_usd.map(|cost| cost.micros),
            visual: self.visual.into(),
            generation_id: uuid_optional(&format!("{at}.generationId"), self.generation_id)?,
            result: json(self.result)?,
        })
    }
}

impl FinishExecutionInput {
    pub(in crate::graphql) fn check(self) -> Result<service::Finish> {
        Ok(service::Finish {
            id: uuid("input.id", &self.id)?,
            expected_revision: self.expected_revision,
            status: self.status.into(),
            result: json(self.result)?,
            error: self.error,
            tokens: self.tokens.map(Into::into),
            cost_microusd: self.cost_usd.map(|cost| cost.micros),
            duration_ms: self.duration_ms.map(|duration| duration.0),
            visual: self.visual.into(),
            generation_id: uuid_optional("input.generationId", self.generation_id)?,
            completed_at: self.completed_at.map(|time| time.0),
        })
    }
}

impl RecordExecutionInput {
    /// `at` is the path of the input.
    pub(in crate::graphql) fn check(self, at: &str) -> Result<service::RecordExecution> {
        Ok(service::RecordExecution {
            id: uuid_optional(&format!("{at}.id"), self.id)?,
            name: self.name,
            status: self.status.into(),
            mode: self.mode.into(),
            code_agent_id: uuid_optional(&format!("{at}.codeAgentId"), self.code_agent_id)?,
            code_version: self.code_version,
            workflow_id: self.workflow_id,
            workflow_run_id: self.workflow_run_id,
            project_key: self.project_key,
            generation_id: uuid_optional(&format!("{at}.generationId"), self.generation_id)?,
            inputs: json(self.inputs)?,
            result: json(self.result)?,
            error: self.error,
            tokens: self.tokens.map(Into::into),
            cost_microusd: self.cost_usd.map(|cost| cost.micros),
            duration_ms: self.duration_ms.map(|duration| duration.0),
            visual: self.visual.into(),
            started_at: self.started_at.0,
            completed_at: self.completed_at.0,
        })
    }
}

fn json(json: Option<Json>) -> Result<Option<String>> {
    Ok(json.map(Json::into_text).transpose()?.flatten())
}
