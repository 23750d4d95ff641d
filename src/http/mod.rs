//! HTTP: the GraphQL endpoint (one path for HTTP and WebSocket), GraphiQL, downloads, health, metrics.
//!
//! [`graphql`] answers `GET`, `HEAD` and `POST` by the GraphQL-over-HTTP specification, [`socket`] speaks
//! graphql-transport-ws. Both take the same road: authenticate, guard, execute.

mod downloads;
mod exports;
mod graphiql;
pub mod graphql;
mod health;
mod listen;
mod monitoring;
mod params;
mod refusal;
pub mod socket;
#[cfg(test)]
mod toy;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware;
use axum::response::{Redirect, Response};
use axum::routing::{any, get};
use tokio::sync::watch;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::auth::Authenticator;
use crate::config::{AllowedOrigins, MetricsAccess};
use crate::graphql::Engine;
use crate::monitor::Monitor;
use crate::service::Service;

pub use listen::listen;
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
#[derive(Debug, Clone)]
pub struct TransportSettings {
    /// Web pages that may call; those of the server's own origin by default.
    pub allowed_origins: AllowedOrigins,
    pub socket: SocketSettings,
    /// Where uploads are written until they are taken: on the disk that will keep them.
    pub spool: PathBuf,
}

impl TransportSettings {
    /// As the settings say.
    pub fn new(allowed_origins: &AllowedOrigins, spool: PathBuf) -> Self {
        Self { allowed_origins: allowed_origins.clone(), socket: SocketSettings::default(), spool }
    }
}

/// Everything that is served.
pub fn router(
    transport: Transport,
    service: Service,
    monitor: Monitor,
    metrics_access: MetricsAccess,
) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary(GRAPHIQL_PATH) }))
        .merge(exports::routes(transport.clone(), service.clone()))
        .merge(graphql_routes(transport))
        .merge(graphiql::routes())
        .merge(downloads::routes(service.clone()))
        .merge(health::routes(service))
        .merge(monitoring::routes(monitor, metrics_access))
        .layer(middleware::from_fn(monitoring::count))
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
fn cors(allowed_origins: &AllowedOrigins) -> Option<CorsLayer> {
    let origins = match allowed_origins {
        AllowedOrigins::Own => return None,
        AllowedOrigins::Any => AllowOrigin::any(),
        AllowedOrigins::These(origins) => {
            AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
        }
    };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::ACCEPT, header::AUTHORIZATION, header::CONTENT_TYPE, PREFLIGHT])
        .expose_headers([REQUEST_ID]);
    Some(layer)
}
