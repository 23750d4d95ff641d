//! Whether the process lives, and whether it can work.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::clock::now;
use crate::logs::{Admitted, Health};
use crate::service::Service;

/// `/livez`: the process answers. `/readyz`: its database does, too; 503 otherwise. It also says how far archiving log lines is
/// behind: a storage that is away keeps no request from being answered.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(service: Service) -> Router<S> {
    Router::new().route("/livez", get(|| async { "ok\n" })).route("/readyz", get(ready)).with_state(service)
}

async fn ready(State(service): State<Service>) -> (StatusCode, String) {
    match service.ping().await {
        Ok(()) => (StatusCode::OK, format!("ok\n{}", archiving(&service.archive_health()))),
        Err(error) => {
            tracing::warn!(?error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n".into())
        }
    }
}

fn archiving(health: &Health) -> String {
    let Health { behind, failure, admitted } = health;
    let mut text = format!("log archive: {} logs wait, {} bytes", behind.logs, behind.bytes);
    if let Some(due_at) = behind.due_at {
        let late = (now() - due_at).num_seconds().max(0);
        text += &format!(", {late} s late");
    }
    if let Some(failure) = failure {
        text += &format!("; {failure}");
    }
    match admitted {
        Admitted::All => {}
        Admitted::AllBut(logs) => {
            text += &format!("; new lines of {} logs are refused until storage takes theirs", logs.len());
        }
        Admitted::None => text += "; new lines are refused until storage takes these",
    }
    text + "\n"
}
