//! From a GraphQL document to an answer, for HTTP and sockets alike.
//!
//! - [`guard`] refuses what costs too much before anything walks it, and makes a [`guard::GuardedRequest`];
//! - [`Engine`] is the only thing that runs one, with a request id, a time limit and a net for panics;
//! - subscriptions that are alike share one execution once they have caught up (`shared`);
//! - [`error`] is the only road from [`crate::error::Error`] to a GraphQL error;
//! - `query`, `mutation` and `subscription` hold the resolvers, three lines each: read the context, check the `input`,
//!   call one service method, show the answer as a `model`. What belongs to the rows of a page is read by `siblings`; rows
//!   of which only `plain` fields are selected are written at once.
//!
//! No async-graphql `Extension` is installed: each puts a hook around every field (120 µs on a list of 50 × 12), and
//! what they are for here is done around execution.

mod budget;
mod context;
pub mod engine;
pub mod error;
pub mod guard;
mod input;
mod json;
mod model;
mod mutation;
mod plain;
mod query;
mod scalars;
mod shared;
mod siblings;
mod subscription;

use async_graphql::{Request, SDLExportOptions, ValidationMode};

use crate::auth::Viewer;
use crate::error::Result;
use crate::service::Service;
use mutation::Mutation;
use query::Query;
use subscription::Subscription;

pub use engine::{Engine, Event, Events, Outcome, Refusal, RequestData, RequestId};
pub use error::{ApiError, Nullable};

type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// The engine that runs the schema on a service.
///
/// # Errors
/// When the schema's own definition does not parse, which a test finds.
pub fn engine(service: Service) -> Result<Engine> {
    let attach = move |request: Request, _viewer: Option<&Viewer>| request.data(service.clone());
    Engine::new(schema, attach)
}

/// The schema in the schema definition language: what `schema.graphql` holds.
pub fn sdl() -> String {
    schema(ValidationMode::Strict).sdl_with_options(SDLExportOptions::new())
}

fn schema(mode: ValidationMode) -> Schema {
    Schema::build(Query, Mutation, Subscription).validation_mode(mode).finish()
}
