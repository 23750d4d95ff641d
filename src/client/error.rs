//! Why a call did not succeed, in terms of what the caller can do about it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

use crate::error::Code;

/// A call that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientError {
    /// The server's `extensions.code` (see [`Code`]), or `UNREACHABLE` or `BAD_ANSWER`, which are the client's own.
    /// A string, because a newer server may have codes that this client does not know.
    pub code: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// One line for a person.
    pub message: String,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
}

const UNREACHABLE: &str = "UNREACHABLE";
const BAD_ANSWER: &str = "BAD_ANSWER";

impl ClientError {
    /// Whether it is this code of Runledger's.
    pub fn is(&self, code: Code) -> bool {
        self.code == code.as_str()
    }

    /// A fault on this side, before anything was sent.
    pub(super) fn setup(error: impl fmt::Display) -> Self {
        Self::of(Code::Internal.as_str(), false, format!("cannot make the request: {error}"))
    }

    /// There is no usable token.
    pub(super) fn token(message: String) -> Self {
        Self::of(Code::Unauthenticated.as_str(), false, message)
    }

    /// The request or its answer did not get through. The server may have carried it out.
    pub(super) fn transport(error: reqwest::Error) -> Self {
        let retryable = !error.is_builder();
        let error = error.without_url();
        // reqwest says "error sending request" and keeps the reason in the chain below.
        let mut reason: &dyn Error = &error;
        while let Some(below) = reason.source() {
            reason = below;
        }
        let message = if error.is_timeout() { "no answer in time".into() } else { reason.to_string() };
        Self::of(UNREACHABLE, retryable, message)
    }

    /// The answer ended in the middle.
    pub(super) fn cut_off() -> Self {
        Self::of(UNREACHABLE, true, "the answer was cut off".into())
    }

    /// An answer that no Runledger server gives; asking again would not change it.
    pub fn answer(message: impl Into<String>) -> Self {
        Self::of(BAD_ANSWER, false, message.into())
    }

    /// An answer that is not GraphQL, from the server or from a proxy before it.
    pub(super) fn http(status: StatusCode) -> Self {
        let code = match status.as_u16() {
            401 => Code::Unauthenticated,
            403 => Code::Forbidden,
            404 => Code::NotFound,
            413 => Code::TooLarge,
            429 => Code::RateLimited,
            408 | 425 | 500..=599 => Code::Unavailable,
            _ => return Self::of(BAD_ANSWER, false, format!("HTTP status {status}")),
        };
        Self::of(code.as_str(), code.retryable(), format!("HTTP status {status}"))
    }

    /// The server's answer means that the call cannot be made.
    pub fn refused(code: Code, message: String) -> Self {
        Self::of(code.as_str(), code.retryable(), message)
    }

    /// With the time that the server asks to wait.
    pub(super) fn after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }

    fn of(code: &str, retryable: bool, message: String) -> Self {
        Self { code: code.into(), retryable, message, retry_after: None }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl Error for ClientError {}

/// One entry of `errors`.
#[derive(Deserialize)]
pub(super) struct GraphqlError {
    message: String,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Extensions {
    code: Option<String>,
    retryable: bool,
}

impl From<GraphqlError> for ClientError {
    fn from(error: GraphqlError) -> Self {
        let GraphqlError { message, extensions } = error;
        let code = extensions.code.unwrap_or_else(|| Code::BadInput.as_str().into());
        Self { code, retryable: extensions.retryable, message, retry_after: None }
    }
}
