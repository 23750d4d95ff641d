//! A body in memory: at most as large as its caller may send, and whole within `http_body_time_seconds_max`.
//!
//! A body that is not wanted is still taken from the wire, up to a limit: a client that is writing it while the
//! connection closes sees a broken connection instead of the answer.

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::domain::limits::{HTTP_BODY_TIME_SECONDS_MAX, HTTP_UNREAD_BODY_BYTES_MAX};
use crate::error::{Error, Limit};

use super::failure::Failure;

/// How long a client is waited for that sends what nobody wants.
pub(super) const DRAIN_WAIT: Duration = Duration::from_secs(2);

/// Reads the whole body.
pub(super) async fn read(request: Request, limit: Limit) -> Result<Vec<u8>, Failure> {
    let announced_bytes = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok())
        .unwrap_or_default();
    if limit.is_passed_by(announced_bytes) {
        drain(request).await;
        return Err(too_large(limit));
    }
    let reading = collect(request, announced_bytes, limit);
    match timeout(HTTP_BODY_TIME_SECONDS_MAX.to_duration(), reading).await {
        Ok(read) => read,
        Err(_elapsed) => {
            let limit = HTTP_BODY_TIME_SECONDS_MAX;
            let message = format!("the body took too long: {} is {}", limit.name, limit.max);
            Err(Failure::new(StatusCode::REQUEST_TIMEOUT, Error::bad_input("body", message)))
        }
    }
}

/// Reads what is left of a request and forgets it, within [`DRAIN_WAIT`] and `http_unread_body_bytes_max`.
pub(super) async fn drain(request: Request) {
    drain_chunks(request.into_body().into_data_stream()).await;
}

async fn drain_chunks(mut chunks: BodyDataStream) {
    let draining = async {
        let mut size_bytes = 0;
        while let Some(Ok(chunk)) = chunks.next().await {
            size_bytes += chunk.len();
            if HTTP_UNREAD_BODY_BYTES_MAX.is_passed_by(size_bytes) {
                break;
            }
        }
    };
    let _ = timeout(DRAIN_WAIT, draining).await;
}

async fn collect(request: Request, announced_bytes: usize, limit: Limit) -> Result<Vec<u8>, Failure> {
    let mut chunks = request.into_body().into_data_stream();
    let mut bytes = Vec::with_capacity(announced_bytes);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_cut| Failure::malformed("body", "the body ended too early"))?;
        if limit.is_passed_by(bytes.len() + chunk.len()) {
            drain_chunks(chunks).await;
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_large(limit: Limit) -> Failure {
    let error = Error::TooLarge { field: "body".into(), limit };
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, error)
}
