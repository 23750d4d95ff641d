//! `/metrics` for Prometheus, and counting requests.
//!
//! Whoever can reach an address that only this machine has may read it; elsewhere a token is asked for, because how much a
//! server is used is not everybody's business.

use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::auth;
use crate::config::MetricsAccess;
use crate::monitor::{self, Monitor};

/// Prometheus's text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// What stands for a path that is no route: anybody can make up paths.
const NO_ROUTE: &str = "none";

/// Shows metrics to whom `access` lets see them.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(monitor: Monitor, access: MetricsAccess) -> Router<S> {
    Router::new().route("/metrics", get(show)).with_state((monitor, access))
}

async fn show(State((monitor, access)): State<(Monitor, MetricsAccess)>, headers: HeaderMap) -> Response {
    match access {
        MetricsAccess::Nobody => {
            let text =
                "metrics are shown to who has the token of RUNLEDGER_METRICS_TOKEN, which is not set\n";
            return (StatusCode::FORBIDDEN, text).into_response();
        }
        MetricsAccess::Token(token) if !has_token(&headers, token.expose()) => {
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
            return (StatusCode::UNAUTHORIZED, challenge, "the token for metrics is missing or wrong\n")
                .into_response();
        }
        MetricsAccess::Token(_) | MetricsAccess::Everybody => {}
    }
    ([(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, "no-store")], monitor.render()).into_response()
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let given =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(auth::bearer);
    given.is_some_and(|given| {
        aws_lc_rs::constant_time::verify_slices_are_equal(given.as_bytes(), token.as_bytes()).is_ok()
    })
}

/// Answers a request, and counts it.
pub(super) async fn count(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let answer = next.run(request).await;
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    monitor::http_answered(route, answer.status().as_u16(), began.elapsed());
    answer
}
