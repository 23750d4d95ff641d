//! What the tests share: folders with projects, and a server that keeps generations in memory.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use reqwest::Url;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::archive::{Summed, inspect};
use crate::cli::import::api::Api;
use crate::client::{Client, TokenSource};

/// A folder with these files.
pub(super) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    add(&folder, files);
    folder
}

pub(super) fn add(folder: &TempDir, files: &[(&str, &str)]) {
    for (name, content) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
}

/// How the server treats one call, instead of properly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// 503, nothing done.
    Busy,
    /// The call is carried out, and the answer is lost.
    LostAnswer,
    /// A refusal that will not pass.
    Forbidden,
    /// The token is not valid.
    Unauthenticated,
    /// It says that it has other bytes than it was sent.
    Torn,
}

/// A server with `viewer`, `nodes` and `saveGeneration`.
#[derive(Clone, Default)]
pub(super) struct Mock(Arc<Mutex<Shared>>);

#[derive(Default)]
pub(super) struct Shared {
    /// By id, as the server gives them.
    pub generations: BTreeMap<String, Value>,
    /// The `input`s of the calls that were carried out.
    pub saved: Vec<Value>,
    pub look_ups: usize,
    /// For the next saves, one each.
    pub save_faults: VecDeque<Fault>,
    /// For the next look-ups, one each.
    pub look_up_faults: VecDeque<Fault>,
    /// Whether there is cloud storage.
    pub cloud: bool,
    /// What becomes of the uploads, by project, once somebody has looked up a generation twice.
    pub uploads: BTreeMap<String, Value>,
}

impl Mock {
    pub(super) async fn serve(&self) -> Url {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().route("/graphql", post(handle)).with_state(self.clone());
        let router = router.layer(axum::extract::DefaultBodyLimit::disable());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}").parse().unwrap()
    }

    /// A client of it that does not try for long.
    pub(super) async fn api(&self) -> Api {
        api(&self.serve().await)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap()
    }
}

pub(super) fn api(server: &Url) -> Api {
    Api::new(Client::new(server, TokenSource::Given("t".into())).unwrap()).with_tries(3)
}

async fn handle(State(mock): State<Mock>, headers: HeaderMap, request: Request) -> Response {
    let content_type = headers[header::CONTENT_TYPE].to_str().unwrap();
    if !content_type.starts_with("multipart/") {
        let body = Bytes::from_request(request, &()).await.unwrap();
        return mock.lock().answer(&serde_json::from_slice(&body).unwrap());
    }
    assert!(
        headers.contains_key("graphql-require-preflight") && headers.contains_key(header::CONTENT_LENGTH)
    );
    let mut parts = Multipart::from_request(request, &()).await.unwrap();
    let mut read = Vec::new();
    while let Some(part) = parts.next_field().await.unwrap() {
        let name = part.name().unwrap().to_owned();
        let file = part.file_name().map(str::to_owned);
        read.push((name, file, part.bytes().await.unwrap()));
    }
    let [(operations, _, body), (map, _, paths), (file, file_name, content)] = &read[..] else {
        panic!("{read:?}")
    };
    assert_eq!((operations.as_str(), map.as_str(), file.as_str()), ("operations", "map", "0"));
    assert_eq!(serde_json::from_slice::<Value>(paths).unwrap(), json!({ "0": ["variables.input.archive"] }));
    let operations: Value = serde_json::from_slice(body).unwrap();
    let input = &operations["variables"]["input"];
    assert_eq!(input["archive"], Value::Null);
    assert_eq!(file_name.as_deref(), Some(format!("{}.tar.gz", input["id"].as_str().unwrap()).as_str()));
    mock.lock().save(input, content)
}

impl Shared {
    fn answer(&mut self, request: &Value) -> Response {
        if request["query"].as_str().unwrap().contains("viewer") {
            return data(&json!({ "viewer": { "tenantId": "acme" } }));
        }
        self.look_ups += 1;
        if let Some(response) = self.look_up_faults.pop_front().and_then(refusal) {
            return response;
        }
        let ids = request["variables"]["ids"].as_array().unwrap();
        assert!(ids.len() <= 200);
        let nodes: Vec<_> =
            ids.iter().map(|id| self.generations.get(id.as_str().unwrap()).cloned()).collect();
        for id in ids {
            let Some(generation) = self.generations.get_mut(id.as_str().unwrap()) else { continue };
            let key = generation["project"]["key"].as_str().unwrap_or_default();
            if let Some(upload) = self.uploads.get(key) {
                generation["storage"] = upload.clone();
            }
        }
        data(&json!({ "nodes": nodes }))
    }

    fn save(&mut self, input: &Value, content: &[u8]) -> Response {
        let fault = self.save_faults.pop_front();
        if let Some(response) = fault.and_then(refusal) {
            return response;
        }
        let id = input["id"].as_str().unwrap().to_owned();
        let created = !self.generations.contains_key(&id);
        if created {
            let manifest = inspect("input.archive", content).unwrap();
            let mut sum = Summed::new(content);
            std::io::copy(&mut sum, &mut std::io::sink()).unwrap();
            let key = &input["projectKey"];
            let version =
                1 + self.generations.values().filter(|other| other["project"]["key"] == *key).count();
            let state = if self.cloud { "PENDING" } else { "LOCAL_ONLY" };
            let generation = json!({
                "__typename": "Generation",
                "version": version,
                "sizeBytes": content.len(),
                "sha256": if fault == Some(Fault::Torn) { "0".into() } else { sum.finish().1.sha256 },
                "fileCount": manifest.count(),
                "project": { "key": key },
                "storage": { "cloudEnabled": self.cloud, "uploadState": state, "uploadError": null },
            });
            self.generations.insert(id.clone(), generation);
            self.saved.push(input.clone());
        }
        if fault == Some(Fault::LostAnswer) {
            return StatusCode::BAD_GATEWAY.into_response();
        }
        data(&json!({ "saveGeneration": { "created": created, "generation": self.generations[&id] } }))
    }
}

fn refusal(fault: Fault) -> Option<Response> {
    let error = |status: StatusCode, code: &str| {
        let error = json!({ "message": "no", "extensions": { "code": code, "retryable": false } });
        Some((status, json!({ "errors": [error] }).to_string()).into_response())
    };
    match fault {
        Fault::Busy => Some(StatusCode::SERVICE_UNAVAILABLE.into_response()),
        Fault::Forbidden => error(StatusCode::OK, "FORBIDDEN"),
        Fault::Unauthenticated => error(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
        Fault::LostAnswer | Fault::Torn => None,
    }
}

fn data(data: &Value) -> Response {
    ([("content-type", "application/json")], json!({ "data": data }).to_string()).into_response()
}
