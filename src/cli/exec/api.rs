//! The calls that a recording makes, as types.

use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::lines::LogLine;
use crate::client::{Client, ClientError};
use crate::clock::Timestamp;
use crate::error::Code;

const START: &str = "mutation Start($input: StartExecutionInput!) { startExecution(input: $input) { \
     execution { status logs(last: 1) { nodes { seq } } } } }";
const APPEND: &str =
    "mutation Append($input: AppendLogsInput!) { appendLogs(input: $input) { nextSeq appended } }";
const UPDATE: &str = "mutation Update($input: UpdateExecutionInput!) { updateExecution(input: $input) { execution { status } } }";
const FINISH: &str = "mutation Finish($input: FinishExecutionInput!) { finishExecution(input: $input) { execution { status } } }";
const AGENTS: &str =
    "query Agents($name: String!) { codeAgents(filter: { name: $name }, first: 2) { nodes { id } } }";
const STATUS: &str = "query Status($id: ID!) { execution(id: $id) { status } }";

/// `StartExecutionInput`, as far as `exec` uses it. Times are text, so that a spool gives back exactly what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartInput {
    pub id: Uuid,
    pub name: String,
    pub mode: String,
    /// The name of a code agent whose id is not known yet: asked for right before the start, and never sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_agent_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_agent_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_version: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_run_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_key: Option<String>,
    pub inputs: Value,
    pub started_at: String,
    pub keep_history: bool,
}

/// `FinishExecutionInput`, as far as `exec` uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FinishInput {
    pub id: Uuid,
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    pub completed_at: String,
}

/// `ExecutionStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Status {
    Queued,
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl Status {
    /// Whether nothing can be added any more.
    pub(super) fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// As a word in a sentence.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What is known of an execution after it was started.
pub(super) struct Started {
    pub status: Status,
    /// The number of the next line: not 0 when the execution was there before and has lines.
    pub next_seq: u64,
}

/// `AppendLogsPayload`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Appended {
    pub next_seq: u64,
    pub appended: u64,
}

/// The text form of a time in every input.
pub(super) fn time_text(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A server, as a recording sees it.
pub(super) struct Api {
    client: Client,
}

#[derive(Deserialize)]
struct Execution {
    status: Status,
}

#[derive(Deserialize)]
struct ExecutionPayload {
    execution: Execution,
}

impl Api {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Idempotent by the id in `input`.
    pub(super) async fn start(&self, input: &StartInput) -> Result<Started, ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            start_execution: Payload,
        }
        #[derive(Deserialize)]
        struct Payload {
            execution: WithLogs,
        }
        #[derive(Deserialize)]
        struct WithLogs {
            status: Status,
            logs: Logs,
        }
        #[derive(Deserialize)]
        struct Logs {
            nodes: Vec<Line>,
        }
        #[derive(Deserialize)]
        struct Line {
            seq: u64,
        }
        let mut input = input.clone();
        if let Some(name) = input.code_agent_name.take() {
            input.code_agent_id = match self.agent_named(&name).await {
                Ok(id) => Some(id),
                // It may have gone since an earlier process started the execution, which then is as it is.
                Err(_) if self.status(input.id).await?.is_some() => None,
                Err(error) => return Err(error),
            };
            input.code_version = input.code_version.filter(|_| input.code_agent_id.is_some());
        }
        let data: Data = self.client.graphql(START, json!({ "input": input })).await?;
        let execution = data.start_execution.execution;
        let next_seq = execution.logs.nodes.last().map_or(0, |line| line.seq + 1);
        Ok(Started { status: execution.status, next_seq })
    }

    /// The one code agent with this name. Names are not unique, and nobody should run what they did not mean.
    async fn agent_named(&self, name: &str) -> Result<Uuid, ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            code_agents: Agents,
        }
        #[derive(Deserialize)]
        struct Agents {
            nodes: Vec<Agent>,
        }
        #[derive(Deserialize)]
        struct Agent {
            id: Uuid,
        }
        let data: Data = self.client.graphql(AGENTS, json!({ "name": name })).await?;
        match data.code_agents.nodes.as_slice() {
            [agent] => Ok(agent.id),
            [] => Err(ClientError::refused(Code::NotFound, format!("no code agent is named {name}"))),
            _ => Err(ClientError::refused(
                Code::Conflict,
                format!("several code agents are named {name}; give the id of one"),
            )),
        }
    }

    /// Idempotent by `first_seq`.
    pub(super) async fn append(
        &self,
        id: Uuid,
        first_seq: u64,
        lines: &[LogLine],
    ) -> Result<Appended, ClientError> {
        #[derive(Serialize)]
        struct Variables<'a> {
            input: Input<'a>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Input<'a> {
            execution_id: Uuid,
            first_seq: u64,
            lines: &'a [LogLine],
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            append_logs: Appended,
        }
        let variables = Variables { input: Input { execution_id: id, first_seq, lines } };
        let data: Data = self.client.graphql(APPEND, variables).await?;
        Ok(data.append_logs)
    }

    /// Shows that the recording is alive, and may set RUNNING. Gives the status on the server.
    pub(super) async fn touch(&self, id: Uuid, running: bool) -> Result<Status, ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            update_execution: ExecutionPayload,
        }
        let mut input = json!({ "id": id });
        if running {
            input["status"] = json!(Status::Running);
        }
        let data: Data = self.client.graphql(UPDATE, json!({ "input": input })).await?;
        Ok(data.update_execution.execution.status)
    }

    /// The status on the server; `None` when the execution has been deleted.
    pub(super) async fn status(&self, id: Uuid) -> Result<Option<Status>, ClientError> {
        #[derive(Deserialize)]
        struct Data {
            execution: Option<Execution>,
        }
        let data: Data = self.client.graphql(STATUS, json!({ "id": id })).await?;
        Ok(data.execution.map(|execution| execution.status))
    }

    /// Idempotent: finishing again with the same status changes nothing.
    pub(super) async fn finish(&self, input: &FinishInput) -> Result<Status, ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            finish_execution: ExecutionPayload,
        }
        let data: Data = self.client.graphql(FINISH, json!({ "input": input })).await?;
        Ok(data.finish_execution.execution.status)
    }
}
