//! The one executor, for HTTP and sockets alike.
//!
//! Promises: it runs only a [`GuardedRequest`]; an answer comes within 30 s; a resolver that panics becomes an
//! INTERNAL error of that request and of no other; an answer has at most 25 errors, each with `code`, `retryable`
//! and `requestId`; and it is known whether execution began, on which the HTTP status depends.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use async_graphql::{
    ObjectType, Request, Response, Schema, ServerError, SubscriptionType, ValidationMode, Value,
};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};
use tokio::time::timeout;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::auth::Viewer;
use crate::domain::limits::{GRAPHQL_ERRORS_MAX, REQUEST_TIME_SECONDS_MAX};
use crate::error::Error;
use crate::logs::TailPlace;
use crate::monitor;

use super::budget::Budget;
use super::error::{code_of, complete, is_field_error, server_error};
use super::guard::{Guard, GuardedRequest, OperationKind, Params, Unproven};
use super::json::Trusted;
use super::shared::{Groups, Subscriber};

/// The outcome of an operation without errors, in metrics.
const OK: &str = "ok";

/// Names one HTTP request or one operation of a socket, in its answer and in the log. Resolvers find it in the
/// request's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(Uuid);

impl RequestId {
    /// A new one; none is ever taken from a caller.
    pub fn generate() -> Self {
        Self(crate::clock::new_id())
    }

    /// As it stands in `x-request-id` and in `extensions.requestId`.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

/// What became of a request.
#[derive(Debug)]
pub enum Outcome {
    /// A request error: execution never began, and there is no `data`.
    Refused(Refusal),
    /// It was executed, perhaps with errors in some fields.
    Executed(Response),
}

/// What a subscription says.
#[derive(Debug)]
pub enum Event {
    Outcome(Box<Outcome>),
    /// An outcome without errors that was executed for several that are alike, as it is sent.
    Shared(Arc<str>),
}

impl Event {
    fn word(&self) -> &'static str {
        match self {
            Self::Outcome(outcome) => outcome.word(),
            Self::Shared(_) => OK,
        }
    }
}

/// What a subscription says, one after the other. A stream of them would keep room for a subscriber twice.
pub struct Events {
    subscriber: Subscriber,
    running: monitor::Subscription,
}

impl Events {
    /// The next one; `None` when there are no more. Not to be given up before it is there: a subscription ends with it.
    pub async fn next(&mut self) -> Option<Event> {
        let event = self.subscriber.next().await?;
        self.running.note(event.word());
        Some(event)
    }
}

/// The answer to a request that was not executed: its errors.
#[derive(Debug, Serialize)]
pub struct Refusal {
    errors: Vec<ServerError>,
}

impl Refusal {
    /// For an error found outside the engine.
    pub fn new(request_id: RequestId, error: &Error) -> Self {
        Self::with(request_id, vec![server_error(error)])
    }

    /// What is wrong with the request, at least one thing.
    pub fn errors(&self) -> &[ServerError] {
        &self.errors
    }

    fn with(request_id: RequestId, mut errors: Vec<ServerError>) -> Self {
        finish_errors(request_id, &mut errors);
        Self { errors }
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Outcome {
    fn executed(request_id: RequestId, mut response: Response) -> Self {
        finish_errors(request_id, &mut response.errors);
        Self::Executed(response)
    }

    /// Every error of an executed field names the field. So an answer with errors, without data and without such an
    /// error was refused by validation.
    fn of_response(request_id: RequestId, response: Response) -> Self {
        let is_refusal = response.data == Value::Null
            && !response.errors.is_empty()
            && !response.errors.iter().any(is_field_error);
        if is_refusal {
            Refusal::with(request_id, response.errors).into()
        } else {
            Self::executed(request_id, response)
        }
    }

    /// What became of it in a word: [`OK`], or the code of the first error.
    fn word(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => word(&refusal.errors),
            Self::Executed(response) => word(&response.errors),
        }
    }

    fn failed(request_id: RequestId, error: &Error) -> Self {
        Self::executed(request_id, Response::from_errors(vec![server_error(error)]))
    }
}

/// As the answer is sent: `errors` before `data`, fields in the order of the document.
impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Refused(refusal) => refusal.serialize(serializer),
            Self::Executed(response) => {
                let mut answer = serializer.serialize_struct("Response", 3)?;
                if !response.errors.is_empty() {
                    answer.serialize_field("errors", &response.errors)?;
                }
                answer.serialize_field("data", &Trusted(&response.data))?;
                if !response.extensions.is_empty() {
                    answer.serialize_field("extensions", &response.extensions)?;
                }
                answer.end()
            }
        }
    }
}

/// Attaches what resolvers need to a request: loaders, services. Called once per query and mutation, and once per
/// subscription, not per event. The [`Viewer`] (when there is one) and the [`RequestId`] are there already.
pub trait RequestData: Send + Sync + 'static {
    fn attach(&self, request: Request, viewer: Option<&Viewer>) -> Request;
}

impl<F> RequestData for F
where
    F: Fn(Request, Option<&Viewer>) -> Request + Send + Sync + 'static,
{
    fn attach(&self, request: Request, viewer: Option<&Viewer>) -> Request {
        self(request, viewer)
    }
}

/// A schema, its guard, and how to run the one behind the other. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    /// For documents that are not known to be valid.
    validating: Arc<dyn Run>,
    /// For those that are: it leaves out the rules that depend on the document alone.
    trusting: Arc<dyn Run>,
    guard: Guard,
    request_data: Box<dyn RequestData>,
    groups: Groups,
}

impl Engine {
    /// For a schema, which is made twice: see [`ValidationMode`].
    ///
    /// # Errors
    /// When the schema's own definition does not parse, which a test of the schema finds.
    pub fn new<Q, M, S>(
        schema: impl Fn(ValidationMode) -> Schema<Q, M, S>,
        request_data: impl RequestData,
    ) -> Result<Self, Error>
    where
        Q: ObjectType + 'static,
        M: ObjectType + 'static,
        S: SubscriptionType + 'static,
    {
        let validating = schema(ValidationMode::Strict);
        let guard = Guard::new(&validating.sdl())?;
        Ok(Self(Arc::new(Inner {
            validating: Arc::new(validating),
            trusting: Arc::new(schema(ValidationMode::Fast)),
            guard,
            request_data: Box::new(request_data),
            groups: Groups::default(),
        })))
    }

    /// Lets a request pass to execution, or gives the answer that refuses it.
    ///
    /// # Errors
    /// What is wrong with it: execution must not begin.
    pub fn guard(&self, request_id: RequestId, params: Params) -> Result<GuardedRequest, Refusal> {
        self.0.guard.check(params).map_err(|errors| {
            let refusal = Refusal::with(request_id, errors);
            monitor::operation_refused(word(&refusal.errors));
            refusal
        })
    }

    /// Whether any input of the schema can be a file.
    pub fn takes_files(&self) -> bool {
        self.0.guard.takes_files()
    }

    /// Runs a query or a mutation.
    pub async fn execute(
        &self,
        request_id: RequestId,
        viewer: Option<&Viewer>,
        guarded: GuardedRequest,
    ) -> Outcome {
        if guarded.kind() == OperationKind::Subscription {
            let message = "subscriptions are served on a WebSocket (graphql-transport-ws)";
            return Refusal::new(request_id, &Error::bad_input("query", message)).into();
        }
        let span = span(request_id, viewer, &guarded);
        let (kind, began) = (guarded.kind(), Instant::now());
        let is_mutation = kind == OperationKind::Mutation;
        let (schema, unproven) = self.schema_for(viewer, &guarded);
        let request = self.request(request_id, viewer, guarded).data(Budget::default());
        let engine = self.clone();
        let run = async move {
            match AssertUnwindSafe(schema.execute(request)).catch_unwind().await {
                Ok(response) => {
                    let outcome = Outcome::of_response(request_id, response);
                    engine.remember(&outcome, unproven);
                    outcome
                }
                Err(panic) => Outcome::failed(request_id, &panicked(&*panic)),
            }
        }
        .instrument(span);
        let run = if is_mutation { to_its_end(run).boxed() } else { run.boxed() };
        let outcome = timeout(REQUEST_TIME_SECONDS_MAX.to_duration(), run).await;
        let outcome = outcome.unwrap_or_else(|_elapsed| Outcome::failed(request_id, &took_too_long()));
        monitor::operation_ended(kind.as_str(), outcome.word(), began.elapsed());
        outcome
    }

    /// Follows a subscription. When the first outcome is a refusal it is also the last. Poll it inside
    /// [`Self::span`], so that what resolvers log can be found.
    ///
    /// Subscriptions that are alike may be executed once for all: see `super::shared`.
    pub fn subscribe(
        &self,
        request_id: RequestId,
        viewer: Option<&Viewer>,
        guarded: GuardedRequest,
    ) -> Events {
        let subscriber = Subscriber::new(self.clone(), request_id, viewer, guarded);
        Events { subscriber, running: monitor::Subscription::begun(OK) }
    }

    /// Executes a subscription for one subscriber; a tail says at `place` where it stands.
    pub(super) fn run_subscription(
        &self,
        request_id: RequestId,
        viewer: Option<&Viewer>,
        guarded: GuardedRequest,
        place: TailPlace,
    ) -> BoxStream<'static, Box<Outcome>> {
        let (schema, mut unproven) = self.schema_for(viewer, &guarded);
        let events = schema.subscribe(self.request(request_id, viewer, guarded).data(place));
        let engine = self.clone();
        let outcome = move |event: Result<Response, Box<dyn Any + Send>>| {
            let outcome = Box::new(match event {
                Ok(response) => Outcome::of_response(request_id, response),
                Err(panic) => Outcome::failed(request_id, &panicked(&*panic)),
            });
            engine.remember(&outcome, unproven.take());
            outcome
        };
        AssertUnwindSafe(events).catch_unwind().map(outcome).boxed()
    }

    /// Subscriptions that are alike.
    pub(super) fn groups(&self) -> &Groups {
        &self.0.groups
    }

    /// The span of one request, around everything that it does.
    pub fn span(request_id: RequestId, viewer: Option<&Viewer>, guarded: &GuardedRequest) -> Span {
        span(request_id, viewer, guarded)
    }

    /// What executes a request, and its document when that is to be remembered, should it be valid: a stranger's is not.
    fn schema_for(
        &self,
        viewer: Option<&Viewer>,
        guarded: &GuardedRequest,
    ) -> (Arc<dyn Run>, Option<Unproven>) {
        match guarded.unproven() {
            None => (Arc::clone(&self.0.trusting), None),
            unproven => (Arc::clone(&self.0.validating), unproven.filter(|_| viewer.is_some())),
        }
    }

    fn remember(&self, outcome: &Outcome, unproven: Option<Unproven>) {
        if let (Outcome::Executed(_), Some(unproven)) = (outcome, unproven) {
            self.0.guard.found_valid(unproven);
        }
    }

    fn request(&self, request_id: RequestId, viewer: Option<&Viewer>, guarded: GuardedRequest) -> Request {
        let mut request = guarded.into_request().data(request_id);
        if let Some(viewer) = viewer {
            request = request.data(viewer.clone());
        }
        self.0.request_data.attach(request, viewer)
    }
}

/// Runs a mutation to its end, also when its caller leaves or loses patience: were it cut off while it commits, the
/// change would be made and nobody who follows it would hear of it.
async fn to_its_end(run: impl Future<Output = Outcome> + Send + 'static) -> Outcome {
    match tokio::spawn(run).await {
        Ok(outcome) => outcome,
        // Its panics are caught inside, so this is the runtime going down.
        Err(error) => Outcome::failed(RequestId::generate(), &Error::internal(error)),
    }
}

/// A schema whose root types are of no interest.
trait Run: Send + Sync {
    fn execute(&self, request: Request) -> BoxFuture<'_, Response>;
    fn subscribe(&self, request: Request) -> BoxStream<'static, Response>;
}

impl<Q, M, S> Run for Schema<Q, M, S>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    fn execute(&self, request: Request) -> BoxFuture<'_, Response> {
        Schema::execute(self, request).boxed()
    }

    fn subscribe(&self, request: Request) -> BoxStream<'static, Response> {
        self.execute_stream(request)
    }
}

fn span(request_id: RequestId, viewer: Option<&Viewer>, guarded: &GuardedRequest) -> Span {
    tracing::info_span!(
        "graphql",
        request_id = %request_id.uuid(),
        operation_kind = guarded.kind().as_str(),
        operation_name = guarded.operation_name(),
        user_id = viewer.map(Viewer::user_id),
        tenant_id = viewer.map(Viewer::tenant_id),
    )
}

fn word(errors: &[ServerError]) -> &'static str {
    errors.first().map_or(OK, |error| code_of(error).as_str())
}

fn finish_errors(request_id: RequestId, errors: &mut Vec<ServerError>) {
    errors.truncate(GRAPHQL_ERRORS_MAX.to_usize());
    for error in errors {
        complete(error, request_id.uuid());
    }
}

fn took_too_long() -> Error {
    let limit = REQUEST_TIME_SECONDS_MAX;
    let message = format!("the request took too long: {} is {}", limit.name, limit.max);
    Error::Unavailable { message: message.into(), cause: None }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    Error::internal(format_args!("a resolver panicked: {text}"))
}
