//! Whether the process lives, and whether it can work.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::service::Service;

/// `/livez`: the process answers. `/readyz`: its database does, too; 503 otherwise.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(service: Service) -> Router<S> {
    Router::new().route("/livez", get(|| async { "ok\n" })).route("/readyz", get(ready)).with_state(service)
}

async fn ready(State(service): State<Service>) -> (StatusCode, &'static str) {
    match service.ping().await {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(error) => {
            tracing::warn!(?error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n")
        }
    }
}
