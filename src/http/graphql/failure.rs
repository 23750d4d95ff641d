//! A request that HTTP itself turns away, before GraphQL: a status, and an error for a body of GraphQL's shape.

use axum::http::StatusCode;

use crate::error::Error;
use crate::http::params::Malformed;

#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) error: Error,
    /// The methods that would do, for `Allow`.
    pub(super) allow: Option<&'static str>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, error: Error) -> Self {
        Self { status, error, allow: None }
    }

    /// Malformed: 400.
    pub(super) fn malformed(field: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Error::bad_input(field, message.into()))
    }

    pub(super) fn unauthenticated(message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Error::Unauthenticated(message.into()))
    }

    pub(super) fn method_not_allowed(allow: &'static str, message: &'static str) -> Self {
        let error = Error::bad_input("method", message);
        Self { status: StatusCode::METHOD_NOT_ALLOWED, error, allow: Some(allow) }
    }

    pub(super) fn not_acceptable() -> Self {
        let message = "answers are application/graphql-response+json or application/json";
        Self::new(StatusCode::NOT_ACCEPTABLE, Error::bad_input("accept", message))
    }

    pub(super) fn unsupported_media_type() -> Self {
        let message = "the content type must be application/json in UTF-8, or multipart/form-data";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Error::bad_input("content-type", message))
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::malformed(malformed.field, malformed.message)
    }
}
