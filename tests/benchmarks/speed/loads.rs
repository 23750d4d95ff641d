//! What is asked of the server, and of the database beside it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::data::{Data, Tenant};
use crate::http::Connection;
use crate::raw::{self, Raw};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// What a request costs that needs nothing of the database: no other can be faster.
    Nothing,
    ById,
    List,
    Stats,
    Start,
    StatusChange,
    Finish,
    Append,
}

impl Load {
    /// In an order in which each finds what it needs: the executions that are started are then changed, then finished.
    pub(crate) const ALL: [Self; 8] = [
        Self::Nothing,
        Self::ById,
        Self::List,
        Self::Stats,
        Self::Start,
        Self::StatusChange,
        Self::Finish,
        Self::Append,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::ById => "execution by id, 15 fields",
            Self::List => "50 newest completed, 12 fields",
            Self::Stats => "statistics of a code agent",
            Self::Start => "start",
            Self::StatusChange => "status change",
            Self::Finish => "finish",
            Self::Append => "append of 100 lines",
        }
    }

    /// How many of a round's requests it makes.
    pub(crate) fn requests(self, requests: usize) -> usize {
        match self {
            Self::Nothing | Self::ById | Self::Stats => 2 * requests,
            Self::List | Self::Start | Self::StatusChange | Self::Finish => requests,
            Self::Append => requests / 4,
        }
    }
}

/// Who asks: the server through GraphQL, or the database itself.
pub(crate) enum Asker {
    Server(Connection),
    Database(Raw),
}

/// What the requests of all tasks share.
pub(crate) struct Loads {
    pub(crate) data: Arc<Data>,
    subjects: Vec<Uuid>,
    figures: Vec<u8>,
    number: AtomicUsize,
    /// By the number of their tenant, those that the server made and those that were made beside it.
    queued: [Mutex<Vec<(usize, Uuid)>>; 2],
    running: [Mutex<Vec<(usize, Uuid)>>; 2],
    /// One running execution of each tenant, for each of both, and the number of its next line.
    logs: [Vec<(Uuid, AtomicUsize)>; 2],
    documents: Documents,
    lines: String,
    stored_lines: String,
}

/// As they stand in the body of a request.
struct Documents {
    by_id: String,
    list: String,
    stats: String,
    start: String,
    update: String,
    finish: String,
    append: String,
}

impl Loads {
    pub(crate) async fn new(data: Arc<Data>) -> Self {
        let lines: Vec<_> =
            (0..100).map(|index| json!({ "message": message(index), "level": "INFO" })).collect();
        let stored = (0..100).map(|index| {
            let line = json!({
                "seq": index, "timestamp": "2026-11-21T09:30:00.125Z", "level": "INFO", "message": message(index),
            });
            format!("{line}\n")
        });
        let mut loads = Self {
            data,
            subjects: Vec::new(),
            figures: Vec::new(),
            number: AtomicUsize::new(0),
            queued: Default::default(),
            running: Default::default(),
            logs: Default::default(),
            documents: Documents::new(),
            lines: json!(lines).to_string(),
            stored_lines: stored.collect(),
        };
        loads.logs[0] = loads.empty_logs().await;
        loads
    }

    /// For those who ask the database itself, too.
    pub(crate) async fn beside_the_database(mut self) -> Self {
        self.figures = raw::figures(&self.data.address).await;
        self.subjects = raw::subjects(&self.data.address, &self.data.tenants).await;
        self.logs[1] = self.empty_logs().await;
        self
    }

    /// One of each tenant.
    async fn empty_logs(&self) -> Vec<(Uuid, AtomicUsize)> {
        let mut connection = Connection::open(&self.data.server.url()).await;
        let mut logs = Vec::with_capacity(self.data.tenants.len());
        for tenant in &self.data.tenants {
            let answer = connection.post(&tenant.token, &self.start_body(tenant, "RUNNING")).await;
            logs.push((id_in(answer), AtomicUsize::new(0)));
        }
        logs
    }

    /// Makes one request of a load.
    pub(crate) async fn ask(&self, load: Load, asker: &mut Asker) {
        match asker {
            Asker::Server(connection) => self.ask_server(load, connection).await,
            Asker::Database(raw) => self.ask_database(load, raw).await,
        }
    }

    async fn ask_server(&self, load: Load, connection: &mut Connection) {
        let (number, tenant) = self.next_tenant();
        match load {
            Load::Nothing => {
                connection.post(&tenant.token, r#"{"query":"{ __typename }"}"#).await;
            }
            Load::ById => {
                let variables = json!({ "id": tenant.own(self.template()) });
                let body = connection.post(&tenant.token, &body(&self.documents.by_id, &variables)).await;
                assert!(body.contains("nightly build"));
            }
            Load::List => {
                let body = connection.post(&tenant.token, &body(&self.documents.list, &json!({}))).await;
                assert!(body.contains("nightly build"));
            }
            Load::Stats => {
                let variables = json!({ "id": tenant.agent });
                let body = connection.post(&tenant.token, &body(&self.documents.stats, &variables)).await;
                assert!(body.contains("totalExecutions"));
            }
            Load::Start => {
                let answer = connection.post(&tenant.token, &self.start_body(tenant, "QUEUED")).await;
                put(&self.queued[0], (number, id_in(answer)));
            }
            Load::StatusChange => {
                let (number, id) = take(&self.queued[0]);
                let input = json!({ "id": id, "status": "RUNNING" });
                let body = body(&self.documents.update, &json!({ "input": input }));
                connection.post(&self.data.tenants[number].token, &body).await;
                put(&self.running[0], (number, id));
            }
            Load::Finish => {
                let (number, id) = take(&self.running[0]);
                let input = json!({
                    "id": id, "status": "COMPLETED", "durationMs": 1234, "costUsd": "0.012500",
                    "tokens": { "input": 7, "output": 7 }, "result": { "files": 7 },
                });
                let body = body(&self.documents.finish, &json!({ "input": input }));
                connection.post(&self.data.tenants[number].token, &body).await;
            }
            Load::Append => {
                let (id, _) = &self.logs[0][number];
                let body = format!(
                    r#"{{"query":{},"variables":{{"input":{{"executionId":"{id}","lines":{}}}}}}}"#,
                    self.documents.append, self.lines
                );
                connection.post(&tenant.token, &body).await;
            }
        }
    }

    async fn ask_database(&self, load: Load, raw: &mut Raw) {
        let (number, tenant) = self.next_tenant();
        match load {
            Load::Nothing => raw.nothing().await,
            Load::ById => raw.by_id(tenant, tenant.own(self.template())).await,
            Load::List => raw.list(tenant).await,
            Load::Stats => raw.stats(tenant, self.subjects[number]).await,
            Load::Start => put(&self.queued[1], (number, raw.start(tenant, &self.figures).await)),
            Load::StatusChange => {
                let (number, id) = take(&self.queued[1]);
                raw.status_change(&self.data.tenants[number], id, &self.figures).await;
                put(&self.running[1], (number, id));
            }
            Load::Finish => {
                let (number, id) = take(&self.running[1]);
                raw.finish(&self.data.tenants[number], id, &self.figures).await;
            }
            Load::Append => {
                let (id, next) = &self.logs[1][number];
                let first_seq = next.fetch_add(100, Ordering::Relaxed) as i64;
                raw.append(tenant, *id, first_seq, &self.stored_lines).await;
            }
        }
    }

    /// The tenants take turns, in an order in which neighbours are far apart.
    fn next_tenant(&self) -> (usize, &Tenant) {
        let number =
            self.number.fetch_add(1, Ordering::Relaxed).wrapping_mul(7_919) % self.data.tenants.len();
        (number, &self.data.tenants[number])
    }

    fn template(&self) -> Uuid {
        let number = self.number.load(Ordering::Relaxed).wrapping_mul(104_729);
        self.data.templates[number % self.data.templates.len()]
    }

    fn start_body(&self, tenant: &Tenant, status: &str) -> String {
        let input = json!({
            "name": "nightly build", "mode": "LOCAL_RUN", "status": status, "workflowId": "workflow 3",
            "codeAgentId": tenant.agent, "inputs": { "branch": "main", "number": 7 },
        });
        body(&self.documents.start, &json!({ "input": input }))
    }
}

impl Documents {
    fn new() -> Self {
        let quoted = |document: &str| Value::from(document).to_string();
        Self {
            by_id: quoted(
                "query ($id: ID!) { execution(id: $id) { id name status mode workflowId workflowRunId projectKey ownerId createdAt
                 startedAt completedAt durationMs costUsd tokens { total } revision } }",
            ),
            list: quoted(
                "{ executions(first: 50, filter: { statuses: [COMPLETED] }) { nodes { id name status mode workflowId ownerId
                 createdAt completedAt durationMs costUsd tokens { total } revision } pageInfo { hasNextPage endCursor } } }",
            ),
            stats: quoted(
                "query ($id: ID!) { codeAgent(id: $id) { stats { totalExecutions successRate
                 p50: durationMs(quantile: 0.5) p95: durationMs(quantile: 0.95) } } }",
            ),
            start: quoted(
                "mutation ($input: StartExecutionInput!) { startExecution(input: $input) { execution { id status } } }",
            ),
            update: quoted(
                "mutation ($input: UpdateExecutionInput!) { updateExecution(input: $input) { execution { id revision } } }",
            ),
            finish: quoted(
                "mutation ($input: FinishExecutionInput!) { finishExecution(input: $input) { execution { id status } } }",
            ),
            append: quoted("mutation ($input: AppendLogsInput!) { appendLogs(input: $input) { nextSeq } }"),
        }
    }
}

fn message(index: usize) -> String {
    format!("compiled module {index} of 812 in 0.{index:03} s, nothing to report")
}

fn body(document: &str, variables: &Value) -> String {
    format!(r#"{{"query":{document},"variables":{variables}}}"#)
}

fn id_in(answer: &str) -> Uuid {
    let at = answer.find(r#""id":""#).expect("it has an id") + 6;
    Uuid::parse_str(&answer[at..at + 36]).expect("it is one")
}

fn put<T>(list: &Mutex<Vec<T>>, item: T) {
    list.lock().expect("no holder panics").push(item);
}

fn take<T>(list: &Mutex<Vec<T>>) -> T {
    list.lock().expect("no holder panics").pop().expect("the load before has made enough")
}
