//! Refusals of what is no GraphQL: a status for programs, and the errors of GraphQL for those who read them.

use async_graphql::{ServerError, Value};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::error::{Code, Error};
use crate::graphql::{Refusal, RequestId};

/// Says no.
pub(super) fn refuse(error: &Error) -> Response {
    let request_id = RequestId::generate();
    // The cause is logged under the id that the caller is told.
    let refusal = tracing::info_span!("refusal", request_id = %request_id.uuid())
        .in_scope(|| Refusal::new(request_id, error));
    respond(status(error.code()), refusal.errors())
}

/// Says no as GraphQL has said it; the first error chooses the status.
pub(super) fn refuse_as(errors: &[ServerError]) -> Response {
    let code = errors.first().and_then(|error| error.extensions.as_ref()?.get("code"));
    let code = match code {
        Some(Value::String(word)) => Code::of_word(word),
        _ => None,
    };
    respond(status(code.unwrap_or(Code::Internal)), errors)
}

fn respond(status: StatusCode, errors: &[ServerError]) -> Response {
    let body = serde_json::json!({ "errors": errors }).to_string();
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn status(code: Code) -> StatusCode {
    match code {
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::BadInput | Code::TooLarge | Code::TooComplex => StatusCode::BAD_REQUEST,
        Code::Conflict => StatusCode::CONFLICT,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
