//! The calls that most tests make, named.

use serde_json::{Value, json};

use super::{Client, Refusal};

/// Every plain field of an execution.
const EXECUTION: &str = "
    id status mode name workflowId workflowRunId project { key } ownerId inputs result error
    tokens { input cachedInput output total } costUsd durationMs
    createdAt startedAt completedAt updatedAt heartbeatAt revision
    visual { enabled streaming quality sessionId eventsCaptured streamDurationMs }";

/// A log line as a test writes one.
pub(crate) type Line = Value;

pub(crate) fn line(message: &str) -> Line {
    json!({ "message": message })
}

/// `count` lines, told apart by `name` and number.
pub(crate) fn lines(name: &str, count: usize) -> Vec<Line> {
    (0..count).map(|number| line(&format!("{name} {number}"))).collect()
}

/// The messages of a list of log lines.
pub(crate) fn messages(lines: &Value) -> Vec<&str> {
    let lines = lines.as_array().expect("lines are a list");
    lines.iter().map(|line| line["message"].as_str().expect("a line has a message")).collect()
}

/// The input of a start that says nothing special.
pub(crate) fn execution_input() -> Value {
    json!({ "name": "nightly build" })
}

impl Client {
    /// Starts an execution; its fields.
    pub(crate) async fn start(&self, input: Value) -> Value {
        let document = format!(
            "mutation ($input: StartExecutionInput!) {{ startExecution(input: $input) {{ execution {{ {EXECUTION} }} }} }}"
        );
        self.query(&document, json!({ "input": input })).await["startExecution"]["execution"].take()
    }

    /// Starts an execution of no importance; its id.
    pub(crate) async fn start_any(&self) -> String {
        id_of(&self.start(execution_input()).await)
    }

    /// Publishes JSON as a new code agent; its id.
    pub(crate) async fn new_code_agent(&self, name: &str, source: &str) -> Value {
        let document = "mutation ($input: CreateCodeAgentInput!) { createCodeAgent(input: $input) { codeAgent { id } } }";
        let input = json!({ "name": name, "language": "json", "source": source });
        self.query(document, json!({ "input": input })).await["createCodeAgent"]["codeAgent"]["id"].take()
    }

    /// The execution as it is now, or null.
    pub(crate) async fn execution(&self, id: &str) -> Value {
        let document = format!("query ($id: ID!) {{ execution(id: $id) {{ {EXECUTION} }} }}");
        self.query(&document, json!({ "id": id })).await["execution"].take()
    }

    /// Updates an execution; its fields, or why not.
    pub(crate) async fn update(&self, input: Value) -> Result<Value, Refusal> {
        self.change("updateExecution", "UpdateExecutionInput", input).await
    }

    /// Finishes an execution; its fields, or why not.
    pub(crate) async fn finish(&self, input: Value) -> Result<Value, Refusal> {
        self.change("finishExecution", "FinishExecutionInput", input).await
    }

    /// Finishes an execution that nothing else is asked of.
    pub(crate) async fn complete(&self, id: &str) {
        self.finish(json!({ "id": id, "status": "COMPLETED" })).await.expect("a running execution can end");
    }

    /// Cancels an execution; its fields, or why not.
    pub(crate) async fn cancel(&self, id: &str, reason: Option<&str>) -> Result<Value, Refusal> {
        let document = format!(
            "mutation ($id: ID!, $reason: String) {{
                cancelExecution(id: $id, reason: $reason) {{ execution {{ {EXECUTION} }} }}
            }}"
        );
        let mut data = self.try_query(&document, json!({ "id": id, "reason": reason })).await?;
        Ok(data["cancelExecution"]["execution"].take())
    }

    /// Records finished executions; the payload.
    pub(crate) async fn record(&self, inputs: Value) -> Result<Value, Refusal> {
        let document = "mutation ($inputs: [RecordExecutionInput!]!) {
            recordExecutions(inputs: $inputs) { createdCount executions { id status revision } }
        }";
        let mut data = self.try_query(document, json!({ "inputs": inputs })).await?;
        Ok(data["recordExecutions"].take())
    }

    /// Appends lines; the payload, or why not.
    pub(crate) async fn try_append(
        &self,
        id: &str,
        lines: &[Line],
        first_seq: Option<i64>,
    ) -> Result<Value, Refusal> {
        let input = json!({ "executionId": id, "lines": lines, "firstSeq": first_seq });
        let mut data = self.try_query(APPEND_LOGS, json!({ "input": input })).await?;
        Ok(data["appendLogs"].take())
    }

    /// Appends lines that must be taken; the payload.
    pub(crate) async fn append(&self, id: &str, lines: &[Line]) -> Value {
        self.try_append(id, lines, None).await.expect("the lines are fine")
    }

    /// Appends lines as a careful client does: again, with the same numbers, until there is an answer. The payload.
    pub(crate) async fn append_until_acknowledged(&self, id: &str, lines: &[Line], first_seq: i64) -> Value {
        let input = json!({ "executionId": id, "lines": lines, "firstSeq": first_seq });
        loop {
            self.server().running().await;
            if let Ok(answer) = self.try_post(APPEND_LOGS, json!({ "input": input })).await {
                return answer.into_result().expect("the lines are fine")["appendLogs"].take();
            }
        }
    }

    async fn change(&self, mutation: &str, input_type: &str, input: Value) -> Result<Value, Refusal> {
        let document = format!(
            "mutation ($input: {input_type}!) {{ {mutation}(input: $input) {{ execution {{ {EXECUTION} }} }} }}"
        );
        let mut data = self.try_query(&document, json!({ "input": input })).await?;
        Ok(data[mutation]["execution"].take())
    }
}

const APPEND_LOGS: &str =
    "mutation ($input: AppendLogsInput!) { appendLogs(input: $input) { nextSeq appended } }";

/// The `id` of an object.
pub(crate) fn id_of(object: &Value) -> String {
    object["id"].as_str().expect("it has an id").to_owned()
}
