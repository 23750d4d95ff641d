//! What can go wrong, one variant per thing a caller can do about it.
//!
//! The text for the caller and the text for the log are different fields: an [`Error::Internal`] says nothing of its
//! cause to the caller, and the cause is logged once, where the error leaves Runledger.

use std::borrow::Cow;

/// The result of everything that Runledger does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request was not carried out.
///
/// It does not implement `Display`: text for a caller comes from [`Error::message`], text for the log from
/// [`Error::cause`], and nothing can mix them up.
#[derive(Debug, Clone)]
pub enum Error {
    /// There is no valid token: sign in, or renew the token.
    Unauthenticated(Cow<'static, str>),
    /// The row is known to the caller, but not theirs to change.
    Forbidden(Cow<'static, str>),
    /// The row does not exist, or is another tenant's: the answer is the same.
    NotFound { what: &'static str },
    /// The input breaks a rule; `field` is its path, such as `input.lines.3.message`.
    BadInput { field: Cow<'static, str>, message: Cow<'static, str> },
    /// The input was fine, but not for the state that the row is in now.
    Conflict { field: Option<Cow<'static, str>>, message: Cow<'static, str> },
    /// Something is larger than a named limit.
    TooLarge { field: Cow<'static, str>, limit: Limit },
    /// The document asks for more than one request may.
    TooComplex { limit: Limit },
    /// Too many requests; wait.
    RateLimited,
    /// It may work later, unchanged.
    Unavailable { message: Cow<'static, str>, cause: Option<String> },
    /// A fault of Runledger or of what it runs on. The cause is for the log only.
    Internal { cause: String },
}

/// A limit with its name (the unit is its last word) and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// For example `log_message_bytes_max`.
    pub name: &'static str,
    /// The largest value that is allowed.
    pub max: u64,
}

/// The stable word for an error, `extensions.code` in GraphQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Unauthenticated,
    Forbidden,
    NotFound,
    BadInput,
    Conflict,
    TooLarge,
    TooComplex,
    RateLimited,
    Unavailable,
    Internal,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 10] = [
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::BadInput,
        Self::Conflict,
        Self::TooLarge,
        Self::TooComplex,
        Self::RateLimited,
        Self::Unavailable,
        Self::Internal,
    ];

    /// As clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::BadInput => "BAD_INPUT",
            Self::Conflict => "CONFLICT",
            Self::TooLarge => "TOO_LARGE",
            Self::TooComplex => "TOO_COMPLEX",
            Self::RateLimited => "RATE_LIMITED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    /// The code that clients see as this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }

    /// Whether the same request, unchanged, may succeed later.
    pub fn retryable(self) -> bool {
        match self {
            Self::RateLimited | Self::Unavailable | Self::Internal => true,
            Self::Unauthenticated
            | Self::Forbidden
            | Self::NotFound
            | Self::BadInput
            | Self::Conflict
            | Self::TooLarge
            | Self::TooComplex => false,
        }
    }
}

impl Error {
    /// A rule about the input that was broken.
    pub fn bad_input(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::BadInput { field: field.into(), message: message.into() }
    }

    /// The state of the row does not allow it.
    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Conflict { field: None, message: message.into() }
    }

    /// A fault; `cause` goes to the log.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::Internal { cause: cause.to_string() }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Unauthenticated(_) => Code::Unauthenticated,
            Self::Forbidden(_) => Code::Forbidden,
            Self::NotFound { .. } => Code::NotFound,
            Self::BadInput { .. } => Code::BadInput,
            Self::Conflict { .. } => Code::Conflict,
            Self::TooLarge { .. } => Code::TooLarge,
            Self::TooComplex { .. } => Code::TooComplex,
            Self::RateLimited => Code::RateLimited,
            Self::Unavailable { .. } => Code::Unavailable,
            Self::Internal { .. } => Code::Internal,
        }
    }

    /// What the caller is told.
    pub fn message(&self) -> String {
        match self {
            Self::Unauthenticated(message)
            | Self::Forbidden(message)
            | Self::BadInput { message, .. }
            | Self::Conflict { message, .. }
            | Self::Unavailable { message, .. } => message.to_string(),
            Self::NotFound { what } => format!("{what} not found"),
            Self::TooLarge { field, limit } => {
                format!("{field} is too large: {} is {}", limit.name, limit.max)
            }
            Self::TooComplex { limit } => {
                format!("the document asks for too much: {} is {}", limit.name, limit.max)
            }
            Self::RateLimited => "too many requests; wait and try again".into(),
            Self::Internal { .. } => {
                "internal error; the server's log has the cause under this requestId".into()
            }
        }
    }

    /// The part of the input that it is about.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::BadInput { field, .. } | Self::TooLarge { field, .. } => Some(field),
            Self::Conflict { field, .. } => field.as_deref(),
            _ => None,
        }
    }

    /// The limit that was passed.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::TooLarge { limit, .. } | Self::TooComplex { limit } => Some(*limit),
            _ => None,
        }
    }

    /// What only the log may know.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Internal { cause } => Some(cause),
            Self::Unavailable { cause, .. } => cause.as_deref(),
            _ => None,
        }
    }
}

/// What a disk says.
pub mod disk {
    use std::io::ErrorKind;

    use super::Error;

    /// What a caller is told when the disk does not do what they need: that it is full, or nothing.
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub fn failure(error: std::io::Error) -> Error {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::Unavailable {
                message: "the server's disk is full; try again when there is room".into(),
                cause: Some(error.to_string()),
            },
            _ => Error::internal(format_args!("the disk: {error}")),
        }
    }
}
