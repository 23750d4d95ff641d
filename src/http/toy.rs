//! A small schema with the names of the real one, to test the transport with: fields that fail, panic, count and
//! tick.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use async_graphql::{Context, InputObject, Object, Schema, SimpleObject, Subscription, Upload};
use futures_util::{Stream, StreamExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::auth::{Viewer, toy};
use crate::error::Error;
use crate::graphql::{ApiError, Engine, Nullable as _};

use super::{Transport, TransportSettings, graphql_routes};
use crate::config::AllowedOrigins;

/// How often `startExecution` ran.
#[derive(Clone, Default)]
pub(super) struct Started(Arc<AtomicI32>);

impl Started {
    pub(super) fn count(&self) -> i32 {
        self.0.load(Ordering::SeqCst)
    }
}

pub(super) struct Query;
pub(super) struct Mutation;
pub(super) struct Changes;

#[derive(SimpleObject)]
#[graphql(name = "Viewer")]
struct ViewerNode {
    user_id: String,
    tenant_id: String,
}

#[derive(SimpleObject)]
struct Execution {
    id: String,
    name: String,
}

#[derive(SimpleObject)]
struct Executions {
    nodes: Vec<Execution>,
}

#[derive(SimpleObject)]
struct ExecutionPayload {
    execution: Execution,
}

#[derive(SimpleObject)]
struct ExecutionChange {
    kind: &'static str,
    cursor: String,
}

#[derive(SimpleObject)]
struct LogBatch {
    next_seq: i32,
    padding: String,
}

#[derive(InputObject)]
struct StartExecutionInput {
    name: String,
    #[graphql(default = 1)]
    retries: i32,
    labels: Option<Vec<String>>,
}

fn viewer<'a>(context: &Context<'a>) -> Result<&'a Viewer, ApiError> {
    let viewer = context.data_opt::<Viewer>();
    viewer.ok_or_else(|| Error::Unauthenticated("a token is required".into()).into())
}

fn in_a_panic() -> Option<i32> {
    panic!("this resolver panics")
}

fn execution(id: i32) -> Execution {
    Execution { id: id.to_string(), name: format!("execution {id}") }
}

#[Object]
impl Query {
    async fn viewer(&self, context: &Context<'_>) -> Result<ViewerNode, ApiError> {
        let viewer = viewer(context)?;
        Ok(ViewerNode { user_id: viewer.user_id().into(), tenant_id: viewer.tenant_id().into() })
    }

    async fn executions(&self, context: &Context<'_>, first: Option<i32>) -> Result<Executions, ApiError> {
        viewer(context)?;
        Ok(Executions { nodes: (0..first.unwrap_or(2)).map(execution).collect() })
    }

    async fn execution(&self, id: async_graphql::ID) -> Option<async_graphql::Result<Execution>> {
        let found: Result<Option<Execution>, Error> = match id.as_str() {
            "broken" => Err(Error::internal("the disk is on fire")),
            "absent" => Ok(None),
            _ => Ok(Some(execution(7))),
        };
        found.nullable()
    }

    async fn broken(&self) -> Result<i32, ApiError> {
        Err(Error::conflict("it is broken").into())
    }

    async fn leaky(&self) -> async_graphql::Result<i32> {
        Err(std::io::Error::other("a password in plain text"))?
    }

    async fn panics(&self) -> Option<i32> {
        in_a_panic()
    }

    async fn slow(&self, milliseconds: i32) -> i32 {
        tokio::time::sleep(Duration::from_millis(milliseconds.unsigned_abs().into())).await;
        milliseconds
    }

    async fn many(&self, count: i32) -> Vec<Option<async_graphql::Result<i32>>> {
        (0..count).map(|_| Some(Err(ApiError(Error::conflict("one of many")).into()))).collect()
    }
}

#[Object]
impl Mutation {
    async fn start_execution(
        &self,
        context: &Context<'_>,
        input: StartExecutionInput,
    ) -> Result<ExecutionPayload, ApiError> {
        viewer(context)?;
        let _ = (input.retries, input.labels);
        let started = context.data_unchecked::<Started>();
        let id = started.0.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(ExecutionPayload { execution: Execution { id: id.to_string(), name: input.name } })
    }

    async fn upload(&self, context: &Context<'_>, file: Upload) -> Result<String, ApiError> {
        let file = file.value(context).map_err(|error| Error::internal(&error))?;
        let size = file.size().map_err(|error| Error::internal(&error))?;
        Ok(format!("{} {size}", file.filename))
    }
}

#[Subscription(name = "Subscription")]
impl Changes {
    async fn executions_changed(
        &self,
        context: &Context<'_>,
        after: Option<String>,
    ) -> Result<impl Stream<Item = ExecutionChange> + use<>, ApiError> {
        viewer(context)?;
        let first: i32 = after.and_then(|after| after.parse().ok()).unwrap_or_default();
        Ok(ticks(first).map(|tick| ExecutionChange { kind: "UPDATED", cursor: tick.to_string() }))
    }

    async fn execution_changed(
        &self,
        id: async_graphql::ID,
    ) -> Result<impl Stream<Item = Execution> + use<>, ApiError> {
        match id.as_str() {
            "absent" => Err(Error::NotFound { what: "execution" }.into()),
            _ => Ok(futures_util::stream::iter((0..3).map(execution))),
        }
    }

    /// As fast as it is read.
    async fn log_tail(&self, execution_id: async_graphql::ID) -> impl Stream<Item = LogBatch> + use<> {
        let _ = execution_id;
        futures_util::stream::iter((0..).map(|next_seq| LogBatch { next_seq, padding: "x".repeat(16_000) }))
    }

    async fn panics(&self) -> impl Stream<Item = i32> + use<> {
        futures_util::stream::iter(0..3)
            .map(|tick| if tick == 1 { panic!("this stream panics") } else { tick })
    }
}

fn ticks(first: i32) -> impl Stream<Item = i32> + use<> {
    futures_util::stream::unfold(first, |tick| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((tick, tick + 1))
    })
}

pub(super) fn engine(started: &Started) -> Engine {
    let schema =
        |mode| Schema::build(Query, Mutation, Changes).validation_mode(mode).data(started.clone()).finish();
    Engine::new(schema, |request: async_graphql::Request, _: Option<&Viewer>| request).ok().unwrap()
}

/// A server on a port of its own, which ends with this value.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) started: Started,
    pub(super) shutdown: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Settings that say nothing special.
pub(super) fn settings() -> TransportSettings {
    TransportSettings::new(&AllowedOrigins::default(), std::env::temp_dir())
}

impl Server {
    pub(super) async fn start(settings: TransportSettings) -> Self {
        let started = Started::default();
        let (shutdown, receiver) = watch::channel(false);
        let routes = graphql_routes(Transport {
            engine: engine(&started),
            authenticator: toy::authenticator(),
            shutdown: receiver,
            settings: Arc::new(settings),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, started, shutdown, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/graphql", self.address)
    }

    pub(super) fn socket_url(&self) -> String {
        format!("ws://{}/graphql", self.address)
    }
}
