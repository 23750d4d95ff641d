//! From what became of a request to an HTTP answer; [`status`] is the one place that chooses its status.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

use crate::graphql::{Outcome, RequestId};
use crate::http::REQUEST_ID;

use super::failure::Failure;
use super::media::MediaType;

/// Answers depend on the token as much as on the type.
const VARY: HeaderValue = HeaderValue::from_static("accept, authorization");

/// The status of an answer that GraphQL gave, by the text of the specification that the audit suite 1.23 checks.
///
/// Newer drafts say 422 for what is 400 here, 294 for an answer with both data and errors, and treat
/// `application/json` no differently.
fn status(media_type: MediaType, outcome: &Outcome) -> StatusCode {
    match (outcome, media_type) {
        (Outcome::Executed(_), _) | (Outcome::Refused(_), MediaType::Json) => StatusCode::OK,
        (Outcome::Refused(_), MediaType::GraphqlResponse) => StatusCode::BAD_REQUEST,
    }
}

/// What GraphQL answered.
pub(super) fn outcome(media_type: MediaType, request_id: RequestId, outcome: &Outcome) -> Response<Body> {
    respond(status(media_type, outcome), media_type, request_id, outcome)
}

/// What HTTP turned away.
pub(super) fn failed(media_type: MediaType, request_id: RequestId, failure: &Failure) -> Response<Body> {
    let outcome = Outcome::refused(request_id, &failure.error);
    let mut response = respond(failure.status, media_type, request_id, &outcome);
    let headers = response.headers_mut();
    if let Some(allow) = failure.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    if failure.status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
    }
    response
}

fn respond(
    status: StatusCode,
    media_type: MediaType,
    request_id: RequestId,
    outcome: &Outcome,
) -> Response<Body> {
    let (status, body) = match serde_json::to_vec(outcome) {
        Ok(body) => (status, body),
        Err(error) => {
            tracing::error!(request_id = %request_id.uuid(), cause = %error, "an answer could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, br#"{"errors":[{"message":"internal error"}]}"#.to_vec())
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type.content_type()));
    headers.insert(header::VARY, VARY);
    if let Ok(request_id) = HeaderValue::try_from(request_id.uuid().to_string()) {
        headers.insert(REQUEST_ID, request_id);
    }
    response
}
