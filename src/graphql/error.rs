//! From [`Error`] to a GraphQL error: the text for the caller crosses, the text for the log is logged here, once.
//!
//! A resolver returns `Result<T, ApiError>` and uses `?`. A resolver of a nullable field ends with
//! [`Nullable::nullable`] instead, because async-graphql lets a failed `Result<Option<T>>` take its parent with it.

use async_graphql::{ErrorExtensionValues, Name, PathSegment, ServerError, Value};
use uuid::Uuid;

use crate::domain::limits::GRAPHQL_ERROR_MESSAGE_CHARS_MAX;
use crate::error::{Code, Error, Limit};

/// What a resolver fails with.
///
/// It has no `Display`, for async-graphql turns everything that has one into an error with that text and no code.
#[derive(Debug, Clone)]
pub struct ApiError(pub Error);

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<ApiError> for async_graphql::Error {
    fn from(ApiError(error): ApiError) -> Self {
        log_cause(&error);
        let mut answer = Self::new(error.message());
        answer.extensions = Some(extensions(&error));
        answer
    }
}

/// An error that belongs to no field of the document.
pub fn server_error(error: &Error) -> ServerError {
    log_cause(error);
    let mut answer = ServerError::new(error.message(), None);
    answer.extensions = Some(extensions(error));
    answer
}

/// For a resolver of a nullable field: when it fails, the field is null and the rest of the answer stays.
pub trait Nullable<T> {
    /// The type that async-graphql handles as the specification wants it.
    fn nullable(self) -> Option<async_graphql::Result<T>>;
}

impl<T, E: Into<ApiError>> Nullable<T> for Result<Option<T>, E> {
    fn nullable(self) -> Option<async_graphql::Result<T>> {
        self.map_err(|error| async_graphql::Error::from(error.into())).transpose()
    }
}

/// Gives an error that is about to leave the extensions that it must have.
///
/// What async-graphql itself finds wrong (validation, arguments that do not parse) has no code: that is the caller's
/// input. An error made from some foreign error's `Display` has no code either, but a source: its text is not for
/// the caller.
pub(super) fn complete(error: &mut ServerError, request_id: Uuid) {
    if error.extensions.as_ref().and_then(|extensions| extensions.get("code")).is_none() {
        if error.source.is_some() {
            let internal = Error::internal(&error.message);
            log_cause(&internal);
            error.message = internal.message();
            error.extensions = Some(extensions(&internal));
        } else {
            error.message = shortened(&error.message);
            let known = error.extensions.get_or_insert_default();
            set_code(known, Code::BadInput);
        }
    }
    error.extensions.get_or_insert_default().set("requestId", request_id.to_string());
}

/// The code of an error that is about to leave.
pub(super) fn code_of(error: &ServerError) -> Code {
    let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
    let Some(Value::String(code)) = code else { return Code::Internal };
    Code::ALL.into_iter().find(|known| known.as_str() == code).unwrap_or(Code::Internal)
}

/// Whether the error arose while a field was executed: each such error names its field, and no other error does.
pub(super) fn is_field_error(error: &ServerError) -> bool {
    matches!(error.path.first(), Some(PathSegment::Field(_)))
}

fn extensions(error: &Error) -> ErrorExtensionValues {
    let mut extensions = ErrorExtensionValues::default();
    set_code(&mut extensions, error.code());
    if let Some(field) = error.field() {
        extensions.set("field", field);
    }
    if let Some(limit) = error.limit() {
        extensions.set("limit", limit_value(limit));
    }
    extensions
}

fn set_code(extensions: &mut ErrorExtensionValues, code: Code) {
    extensions.set("code", code.as_str());
    extensions.set("retryable", code.retryable());
}

fn limit_value(limit: Limit) -> Value {
    Value::Object([("name", limit.name.into()), ("max", limit.max.into())].map(named).into())
}

fn named((name, value): (&str, Value)) -> (Name, Value) {
    (Name::new(name), value)
}

fn log_cause(error: &Error) {
    match error {
        Error::Internal { cause } => tracing::error!(cause, "a request failed"),
        Error::Unavailable { message, cause } => {
            tracing::warn!(
                cause = cause.as_deref().unwrap_or(message),
                "a request failed and may work later"
            );
        }
        _ => {}
    }
}

/// Text that quotes what the caller sent, which may be a line of 32 KiB or a key of a megabyte.
pub(super) fn shortened(message: &str) -> String {
    let max = GRAPHQL_ERROR_MESSAGE_CHARS_MAX.to_usize();
    match message.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}
