//! What the tests of this module share: small values, and a server that keeps executions in memory and misbehaves on
//! demand.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{FinishInput, StartInput, Status};
use super::lines::{Block, Stream};
use super::spool::Header;
use crate::clock::{self, Timestamp};

pub(super) const TOKEN: &str = "a-token";

pub(super) fn block(text: &str) -> Block {
    Block {
        stream: Stream::Stdout,
        at: Timestamp::UNIX_EPOCH,
        continued: false,
        bytes: text.as_bytes().to_vec(),
    }
}

pub(super) fn start_input() -> StartInput {
    StartInput {
        id: clock::new_id(),
        name: "test".into(),
        mode: "LOCAL_RUN".into(),
        code_agent_name: None,
        code_agent_id: None,
        code_version: None,
        workflow_id: None,
        workflow_run_id: None,
        project_key: None,
        inputs: json!({ "command": ["test"] }),
        started_at: "2026-11-21T09:30:00.125000Z".into(),
        keep_history: true,
    }
}

pub(super) fn header() -> Header {
    Header { server: "http://127.0.0.1:8080/".into(), start: start_input(), first_seq: 0 }
}

pub(super) fn finish_input() -> FinishInput {
    FinishInput {
        id: Uuid::nil(),
        status: Status::Completed,
        result: Some(json!({ "exitCode": 0 })),
        error: None,
        duration_ms: Some(1),
        completed_at: "2026-11-21T09:30:01.125000Z".into(),
    }
}

/// How the server treats one call, instead of properly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// 503, nothing done.
    Busy,
    /// A GraphQL error that may pass, nothing done.
    Unavailable,
    /// The call is carried out, but the connection closes in the middle of the answer.
    LostAnswer,
    /// A GraphQL error that will not pass.
    Forbidden,
}

/// A mock of a Runledger server: `startExecution`, `appendLogs`, `updateExecution`, `finishExecution`, `execution`.
#[derive(Clone, Default)]
pub(super) struct Mock {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
pub(super) struct Shared {
    /// What was given to `startExecution`.
    pub start: Option<Value>,
    pub status: Option<String>,
    pub lines: Vec<Value>,
    /// What was given to `finishExecution`.
    pub finish: Option<Value>,
    pub appends: usize,
    pub touches: usize,
    /// For the next calls, one each; `None` is a call that goes well.
    pub faults: VecDeque<Option<Fault>>,
    /// Lines that another writer adds before the next `appendLogs`.
    pub foreign_lines: usize,
}

impl Shared {
    pub(super) fn messages(&self) -> Vec<String> {
        self.lines.iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }
}

impl Mock {
    /// Serves on any free port.
    pub(super) async fn serve(&self) -> SocketAddr {
        self.serve_at(([127, 0, 0, 1], 0).into()).await
    }

    pub(super) async fn serve_at(&self, address: SocketAddr) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().route("/graphql", post(handle)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }
}

async fn handle(State(mock): State<Mock>, headers: HeaderMap, body: Bytes) -> Response {
    if headers.get("authorization").is_none_or(|value| value != format!("Bearer {TOKEN}").as_str()) {
        let text = failure("UNAUTHENTICATED", false, "the token is not valid").to_string();
        return (StatusCode::UNAUTHORIZED, text).into_response();
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    let mut shared = mock.lock();
    let fault = shared.faults.pop_front().flatten();
    match fault {
        Some(Fault::Busy) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(Fault::Unavailable) => return answer(&failure("UNAVAILABLE", true, "busy")),
        Some(Fault::Forbidden) => return answer(&failure("FORBIDDEN", false, "not yours")),
        Some(Fault::LostAnswer) | None => {}
    }
    let proper = shared.execute(&request);
    if fault == Some(Fault::LostAnswer) {
        let half: Vec<Result<Bytes, std::io::Error>> =
            vec![Ok(Bytes::from_static(b"{\"data\":{")), Err(std::io::Error::other("cut"))];
        return Body::from_stream(futures_util::stream::iter(half)).into_response();
    }
    answer(&proper)
}

fn answer(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

fn failure(code: &str, retryable: bool, message: &str) -> Value {
    json!({ "data": null, "errors": [{
        "message": message,
        "extensions": { "code": code, "retryable": retryable, "requestId": "r" },
    }] })
}

fn ended() -> Value {
    failure("CONFLICT", false, "the execution has ended")
}

impl Shared {
    fn execute(&mut self, request: &Value) -> Value {
        let document = request["query"].as_str().unwrap();
        let input = &request["variables"]["input"];
        let status = |status: &Option<String>| json!({ "status": status });
        if document.contains("startExecution") {
            if self.start.is_none() {
                self.start = Some(input.clone());
                self.status.get_or_insert("RUNNING".into());
            }
            let last = self.lines.len().checked_sub(1).map(|seq| json!({ "seq": seq }));
            let nodes: Vec<_> = last.into_iter().collect();
            let execution = json!({ "status": self.status, "logs": { "nodes": nodes } });
            json!({ "data": { "startExecution": { "execution": execution } } })
        } else if document.contains("appendLogs") {
            self.append(input)
        } else if document.contains("updateExecution") {
            self.touches += 1;
            if let Some(new) = input["status"].as_str() {
                self.status = Some(new.to_owned());
            }
            json!({ "data": { "updateExecution": { "execution": status(&self.status) } } })
        } else if document.contains("finishExecution") {
            let wanted = input["status"].as_str().unwrap();
            match self.status.as_deref() {
                Some("RUNNING") => {
                    self.status = Some(wanted.to_owned());
                    self.finish = Some(input.clone());
                }
                Some(status) if status == wanted => {}
                _ => return ended(),
            }
            json!({ "data": { "finishExecution": { "execution": status(&self.status) } } })
        } else {
            json!({ "data": { "execution": self.status.as_ref().map(|status| json!({ "status": status })) } })
        }
    }

    fn append(&mut self, input: &Value) -> Value {
        if self.status.as_deref() != Some("RUNNING") {
            return ended();
        }
        for _ in 0..std::mem::take(&mut self.foreign_lines) {
            self.lines.push(json!({ "message": "foreign" }));
        }
        self.appends += 1;
        let lines = input["lines"].as_array().unwrap();
        let first = usize::try_from(input["firstSeq"].as_u64().unwrap()).unwrap();
        if first > self.lines.len() {
            return failure("CONFLICT", false, "a line is missing before this one");
        }
        let new = lines.get(self.lines.len() - first..).unwrap_or_default();
        self.lines.extend_from_slice(new);
        json!({ "data": { "appendLogs": { "nextSeq": self.lines.len(), "appended": new.len() } } })
    }
}
