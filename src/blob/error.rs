//! What can go wrong with storage, one variant per thing that can be done about it.

use std::time::Duration;

/// Why storage did not do something. The text is for the log and for the operator: it may name hosts and buckets, never
/// keys or signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobError {
    /// There is no such object.
    NotFound,
    /// There is no such bucket.
    NoBucket(String),
    /// The public can read the bucket.
    Public(String),
    /// Storage does not take objects of this size.
    TooLarge(String),
    /// Storage does not let us: keys, rights, or a request that it does not understand.
    Refused(String),
    /// What storage has is not what was sent or is known to be there.
    Torn(String),
    /// Storage is away, busy or broken.
    Unavailable {
        /// What it said.
        message: String,
        /// How long it asked to be left alone.
        retry_after: Option<Duration>,
    },
}

/// Whether the same call may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not without somebody doing something.
    Never,
    /// It may.
    Later {
        /// Not before this long.
        at_least: Duration,
    },
}

impl BlobError {
    /// Storage is away, and did not say for how long.
    pub fn unavailable(message: impl std::fmt::Display) -> Self {
        Self::Unavailable { message: message.to_string(), retry_after: None }
    }

    /// What a user may know of it: nothing of hosts and settings.
    pub fn reason(&self) -> String {
        let reason = match self {
            Self::NotFound => "cloud storage does not have it",
            Self::NoBucket(_) => "the bucket is not there",
            Self::Public(_) => "the bucket can be read by the public",
            Self::TooLarge(_) => "cloud storage does not take anything as large",
            Self::Refused(_) => "cloud storage refused it; the server's log says why",
            Self::Torn(_) => "what arrived in cloud storage is not what was sent",
            Self::Unavailable { .. } => "cloud storage is away or busy",
        };
        reason.to_owned()
    }

    /// Whether the same call may succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Self::NotFound | Self::Public(_) | Self::TooLarge(_) | Self::Refused(_) => Retry::Never,
            Self::NoBucket(_) | Self::Torn(_) => Retry::Later { at_least: Duration::ZERO },
            Self::Unavailable { retry_after, .. } => {
                Retry::Later { at_least: retry_after.unwrap_or_default() }
            }
        }
    }
}

impl std::fmt::Display for BlobError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound => f.write_str("the object is not there"),
            Self::NoBucket(bucket) => write!(f, "the bucket {bucket} is not there"),
            Self::Public(message)
            | Self::TooLarge(message)
            | Self::Refused(message)
            | Self::Torn(message)
            | Self::Unavailable { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for BlobError {}
