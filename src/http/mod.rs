//! The GraphQL endpoint: one path for HTTP and WebSocket.
//!
//! [`graphql`] answers `GET`, `HEAD` and `POST` by the GraphQL-over-HTTP specification, [`socket`] speaks
//! graphql-transport-ws. Both take the same road: authenticate, guard, execute.

mod bearer;
pub mod graphql;
mod params;
pub mod socket;
#[cfg(test)]
mod toy;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use axum::routing::any;
use tokio::sync::watch;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::auth::Authenticator;
use crate::graphql::Engine;

pub use socket::SocketSettings;

/// Where GraphQL is served.
pub const GRAPHQL_PATH: &str = "/graphql";
/// Where a browser that opens [`GRAPHQL_PATH`] is sent.
pub const GRAPHIQL_PATH: &str = "/graphiql";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PREFLIGHT: HeaderName = HeaderName::from_static("graphql-require-preflight");

/// What the GraphQL routes work with. Cheap to clone.
#[derive(Clone)]
pub struct Transport {
    pub engine: Engine,
    pub authenticator: Authenticator,
    /// Becomes true when the server stops; every socket then closes with 1001. Each socket holds a receiver, so that
    /// once the router is dropped, `sender.closed()` waits for the last of them.
    pub shutdown: watch::Receiver<bool>,
    pub settings: Arc<TransportSettings>,
}

/// The settings of the GraphQL routes.
#[derive(Debug, Clone, Default)]
pub struct TransportSettings {
    /// Web pages of other origins that may call; none by default.
    pub allowed_origins: Vec<HeaderValue>,
    pub socket: SocketSettings,
}

/// The GraphQL endpoint, to be merged into the application's router.
pub fn graphql_routes(transport: Transport) -> Router {
    let cors = cors(&transport.settings.allowed_origins);
    let routes = Router::new().route(GRAPHQL_PATH, any(serve)).with_state(transport);
    match cors {
        Some(cors) => routes.layer(cors),
        None => routes,
    }
}

async fn serve(State(transport): State<Transport>, request: Request) -> Response {
    if asks_for_socket(request.headers()) {
        socket::accept(transport, request).await
    } else {
        graphql::answer(&transport, request).await
    }
}

fn asks_for_socket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Callers send a token in a header, never a cookie, so no credentials are allowed.
fn cors(allowed_origins: &[HeaderValue]) -> Option<CorsLayer> {
    if allowed_origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(allowed_origins.iter().cloned()))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::ACCEPT, header::AUTHORIZATION, header::CONTENT_TYPE, PREFLIGHT])
        .expose_headers([REQUEST_ID]);
    Some(layer)
}
