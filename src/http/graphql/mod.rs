//! GraphQL over HTTP, by the specification as the official audit suite checks it.
//!
//! | request | answer |
//! |---|---|
//! | `POST` with `application/json` | any operation but a subscription |
//! | `POST` with `multipart/form-data` | the same, with files, behind a header that a foreign web page cannot send |
//! | `GET`, `HEAD` with URL parameters | queries only; else 405 |
//! | anything else | 405, 406, 413, 415 or 400, with a GraphQL body |
//!
//! A bearer token that is not valid is 401; no token is an anonymous caller, whom resolvers turn away.

mod body;
mod failure;
mod media;
mod respond;
#[cfg(test)]
mod tests;
mod upload;

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};

use crate::auth::{self, Authenticator, Viewer};
use crate::domain::limits::{HTTP_ANONYMOUS_BODY_BYTES_MAX, HTTP_BODY_BYTES_MAX};
use crate::error::Error;
use crate::graphql::guard::{OperationKind, Params};
use crate::graphql::{Outcome, RequestId};

use super::{GRAPHIQL_PATH, Transport, params};
use failure::Failure;
use media::{Body, MediaType};

/// Answers one request.
pub(super) async fn answer(transport: &Transport, mut request: Request) -> Response {
    if is_a_browser_looking(&request) {
        return Redirect::temporary(GRAPHIQL_PATH).into_response();
    }
    let request_id = RequestId::generate();
    let accepted = media::negotiate(request.headers());
    let outcome = match accepted {
        Some(_) => run(transport, request_id, &mut request).await,
        None => Err(Failure::not_acceptable()),
    };
    body::drain(request).await;
    let media_type = accepted.unwrap_or(MediaType::Json);
    match outcome {
        Ok(outcome) => respond::outcome(media_type, request_id, &outcome),
        Err(failure) => respond::failed(media_type, request_id, &failure),
    }
}

/// Leaves the body in the request when it answers without reading it.
async fn run(
    transport: &Transport,
    request_id: RequestId,
    request: &mut Request,
) -> Result<Outcome, Failure> {
    let is_read_only = match *request.method() {
        Method::GET | Method::HEAD => true,
        Method::POST => false,
        _ => return Err(Failure::method_not_allowed("GET, HEAD, POST", "use GET or POST")),
    };
    let viewer = viewer(&transport.authenticator, request.headers()).await?;
    let params = if is_read_only {
        params::from_query_string(request.uri().query().unwrap_or_default())?
    } else {
        posted_params(transport, request, viewer.as_ref()).await?
    };
    let guarded = match transport.engine.guard(request_id, params) {
        Ok(guarded) => guarded,
        Err(refusal) => return Ok(refusal.into()),
    };
    if is_read_only && guarded.kind() != OperationKind::Query {
        return Err(Failure::method_not_allowed("POST", "GET runs queries only"));
    }
    Ok(transport.engine.execute(request_id, viewer.as_ref(), guarded).await)
}

async fn posted_params(
    transport: &Transport,
    request: &mut Request,
    viewer: Option<&Viewer>,
) -> Result<Params, Failure> {
    match media::body(request.headers())? {
        Body::Json => {
            let limit = if viewer.is_some() { HTTP_BODY_BYTES_MAX } else { HTTP_ANONYMOUS_BODY_BYTES_MAX };
            Ok(params::from_json(&body::read(std::mem::take(request), limit).await?)?)
        }
        // Files are written to disk before anything else is known of the request.
        Body::Multipart if viewer.is_none() => {
            Err(Failure::unauthenticated("a token is required to send files"))
        }
        Body::Multipart => {
            let (takes_files, spool) = (transport.engine.takes_files(), &transport.settings.spool);
            upload::receive(std::mem::take(request), takes_files, spool).await
        }
    }
}

async fn viewer(authenticator: &Authenticator, headers: &HeaderMap) -> Result<Option<Viewer>, Failure> {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token = authorization.to_str().ok().and_then(auth::bearer);
    let token =
        token.ok_or_else(|| Failure::unauthenticated("the Authorization header has no bearer token"))?;
    match authenticator.authenticate(token).await {
        Ok(viewer) => Ok(Some(viewer)),
        Err(error @ Error::Unauthenticated(_)) => Err(Failure::new(StatusCode::UNAUTHORIZED, error)),
        Err(error @ Error::Unavailable { .. }) => Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, error)),
        Err(error @ Error::Forbidden(_)) => Err(Failure::new(StatusCode::FORBIDDEN, error)),
        Err(error) => Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error)),
    }
}

/// A person who opened the endpoint in a browser wants the editor, not an error.
fn is_a_browser_looking(request: &Request) -> bool {
    *request.method() == Method::GET
        && request.uri().query().is_none_or(str::is_empty)
        && media::prefers_html(request.headers())
}
