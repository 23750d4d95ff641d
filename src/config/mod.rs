//! Settings: from flags and environment variables to a [`Config`] that cannot be wrong.
//!
//! `settings` is what may be written, [`Settings::check`] reads it whole and reports every mistake at once, and
//! [`Config`] is the result. Only clap reads the environment; `cli` has it pass over empty variables.

mod check;
mod claim_path;
#[cfg(test)]
mod example;
mod parse;
mod problem;
mod secret;
mod settings;
mod storage;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use reqwest::Url;

pub use claim_path::ClaimPath;
pub use problem::Problem;
pub use secret::Secret;
pub use settings::Settings;
pub use storage::{Buckets, Cache, Cloud, S3, Storage, Supabase};

/// Everything that can be set, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The folder for everything that is kept on this machine.
    pub data_dir: PathBuf,
    /// Which web pages may call the API.
    pub allowed_origins: AllowedOrigins,
    /// Who may read metrics.
    pub metrics: MetricsAccess,
    /// Where rows are.
    pub database: Database,
    /// Whose tokens are accepted, and what they mean.
    pub tokens: Tokens,
    /// Where objects are.
    pub storage: Storage,
    /// How long executions are kept, and their runners believed to live.
    pub executions: Executions,
    /// How long lines of executions stay in the database, and how long they are kept.
    pub logs: Logs,
    /// Where it is told what people do; `None` for nowhere.
    pub posthog: Option<PostHog>,
    /// What is logged, and how.
    pub log: Log,
}

/// Product analytics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostHog {
    pub host: Url,
    pub api_key: Secret,
}

/// The life of executions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executions {
    /// How long a runner may give no sign of life; `None` for ever.
    pub stale_after_seconds: Option<u32>,
    /// How long after its completion an execution is kept; `None` for ever.
    pub retention_days: Option<u32>,
    /// How many thousandths of the time a deletion in the background has the database while somebody is served.
    pub deletion_permille: u32,
}

/// The logs of executions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// How old lines may get before they are moved to their log's object.
    pub flush_interval_seconds: u32,
    /// How long after its last line a log is kept; `None` for ever.
    pub retention_days: Option<u32>,
    /// How much text may wait for storage.
    pub waiting_bytes_max: u64,
}

/// Where rows are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file, made when missing.
    Sqlite { path: PathBuf, synchronous: Synchronous, connections_max: Option<u32> },
    /// A server; the URL may hold a password.
    Postgres { url: Secret, connections_max: Option<u32> },
}

/// When SQLite acknowledges a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// Once it is on the disk.
    Full,
    /// Before: a power failure may take back the last commits.
    Normal,
}

/// Whose tokens are accepted, and what they mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    /// Keys that sign tokens; never empty. New tokens are signed with the first one that has a secret.
    pub keys: Vec<KeySource>,
    /// Accepted `iss`; when empty, `iss` is not looked at.
    pub issuers: Vec<String>,
    /// Accepted `aud`; when empty, `aud` is not looked at.
    pub audiences: Vec<String>,
    /// Where the organisation is named; the first that is there counts. Never empty.
    pub org_claims: Vec<ClaimPath>,
    /// What a member reads.
    pub ownership: Ownership,
}

/// Where keys come from.
#[derive(Debug, Clone, PartialEq)]
pub enum KeySource {
    /// A secret for HS256.
    Secret(Secret),
    /// A secret for HS256 that Runledger makes itself, in this file, when it is first needed.
    OwnSecret(PathBuf),
    /// A document with public keys for RS256, ES256 and EdDSA.
    Jwks(Url),
}

/// What a member reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// All rows of their tenant.
    Tenant,
    /// Only their own rows.
    User,
}

/// Which web pages may call the API from a browser.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Only those that Runledger serves.
    #[default]
    Own,
    /// All: safe in itself, because a token is never sent by a browser on its own.
    Any,
    /// Those of these origins, such as `https://app.example.com`.
    These(Vec<String>),
}

/// Who may read metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsAccess {
    /// Whoever reaches the address, which only this machine has.
    Everybody,
    /// Whoever has this token.
    Token(Secret),
    /// Nobody: others could reach the address.
    Nobody,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A filter that `tracing_subscriber::EnvFilter` accepts.
    pub filter: String,
    /// How a line is written.
    pub format: LogFormat,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Names the database without its password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path, .. } => write!(f, "SQLite file {}", path.display()),
            Self::Postgres { url, .. } => match Url::parse(url.expose()) {
                Ok(url) => {
                    write!(f, "PostgreSQL {}{}", url.host_str().unwrap_or("on this machine"), url.path())
                }
                Err(_) => f.write_str("PostgreSQL"),
            },
        }
    }
}
