//! The settings as they are written: the one definition of flags, variables, `--help` and `.env.example`.
//!
//! Every value is taken as text here and parsed in `check`, because clap stops at the first value that it cannot
//! parse, and all mistakes are to be reported at once. A new setting is a field here and a line there.

use clap::{Args, FromArgMatches as _};

use super::Secret;

/// All settings, unchecked.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    #[command(flatten)]
    pub(super) server: Server,
    #[command(flatten)]
    pub(super) database: Database,
    #[command(flatten)]
    pub(super) tokens: Tokens,
    #[command(flatten)]
    pub(super) storage: Storage,
    #[command(flatten)]
    pub(super) executions: Executions,
    #[command(flatten)]
    pub(super) logs: Logs,
    #[command(flatten)]
    pub(super) analytics: Analytics,
    #[command(flatten)]
    pub(super) logging: Logging,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub(super) struct Server {
    /// Address and port to listen on.
    ///
    /// An address that other machines can reach needs a setting that says whose tokens are accepted: see Tokens.
    #[arg(long, env = "RUNLEDGER_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(super) listen: String,

    /// Folder for everything that is kept on this machine. Made when missing.
    #[arg(long, env = "RUNLEDGER_DATA_DIR", value_name = "FOLDER", default_value = "./data")]
    pub(super) data_dir: String,

    /// Web pages that may call the API from a browser (CORS): origins, comma separated, or `*`.
    ///
    /// Without it only pages that Runledger serves itself can.
    #[arg(long, env = "RUNLEDGER_ALLOWED_ORIGINS", value_name = "ORIGINS")]
    pub(super) allowed_origins: Option<String>,

    /// Token that `/metrics` asks for (`Authorization: Bearer …`), at least 16 characters.
    ///
    /// Without it metrics are shown to whoever reaches a loopback address, and to nobody on other addresses. They have no
    /// tenant's data.
    #[arg(long, env = "RUNLEDGER_METRICS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(super) metrics_token: Option<Secret>,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub(super) struct Database {
    /// `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE` (version 15 or later).
    ///
    /// Without it: the SQLite file `runledger.db` in the data folder.
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(super) database_url: Option<Secret>,

    /// The most connections to the database, 2 to 200.
    ///
    /// Without it: 16 to PostgreSQL, of which half may read at once; to SQLite twice as many that read as there are cores, but
    /// at least 4 and at most 16, and three more.
    #[arg(long, env = "RUNLEDGER_DATABASE_CONNECTIONS_MAX", value_name = "NUMBER")]
    pub(super) database_connections_max: Option<String>,

    /// FULL or NORMAL: whether SQLite has written a commit to the disk before it is acknowledged.
    ///
    /// NORMAL is faster, and a power failure may take back the last commits.
    #[arg(long, env = "RUNLEDGER_SQLITE_SYNCHRONOUS", value_name = "MODE", default_value = "FULL")]
    pub(super) sqlite_synchronous: String,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tokens")]
pub(super) struct Tokens {
    /// Secret of tokens signed with HS256, at least 32 bytes.
    ///
    /// `runledger token` signs with it. Prefer the variable: other users of a machine can see flags.
    ///
    /// With no key setting at all, and on a loopback address only, Runledger makes a secret of its own in the data
    /// folder.
    #[arg(long, env = "RUNLEDGER_JWT_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub(super) jwt_secret: Option<Secret>,

    /// Where the public keys of RS256, ES256 and EdDSA tokens are: JWKS URLs, comma separated.
    #[arg(long, env = "RUNLEDGER_JWKS_URLS", value_name = "URLS")]
    pub(super) jwks_urls: Option<String>,

    /// The "legacy JWT secret" of a Supabase project, whose HS256 tokens are then accepted as they come.
    ///
    /// Beside RUNLEDGER_JWT_SECRET it is a second accepted secret; new tokens are signed with RUNLEDGER_JWT_SECRET.
    #[arg(long, env = "SUPABASE_JWT_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub(super) supabase_jwt_secret: Option<Secret>,

    /// Address of a Supabase project, such as `https://PROJECT.supabase.co`.
    ///
    /// Tokens of its signing keys are accepted (the JWKS under `/auth/v1`), unless RUNLEDGER_JWT_SECRET or
    /// RUNLEDGER_JWKS_URLS says whose tokens count and SUPABASE_JWT_SECRET is absent.
    ///
    /// With SUPABASE_SERVICE_KEY, objects are kept in the project's storage: see Storage.
    #[arg(long, env = "SUPABASE_URL", value_name = "URL")]
    pub(super) supabase_url: Option<String>,

    /// Accepted issuers (`iss`), comma separated. A token without one of them is refused.
    ///
    /// Supabase's users have `https://PROJECT.supabase.co/auth/v1`, its legacy service_role key has `supabase`.
    #[arg(long, env = "RUNLEDGER_JWT_ISSUER", value_name = "ISSUERS")]
    pub(super) jwt_issuer: Option<String>,

    /// Accepted audiences (`aud`), comma separated. A token without one of them is refused.
    ///
    /// Without this setting `aud` is not looked at. Supabase's users have `authenticated`, its legacy service_role
    /// key has none.
    #[arg(long, env = "RUNLEDGER_JWT_AUDIENCE", value_name = "AUDIENCES")]
    pub(super) jwt_audience: Option<String>,

    /// Where a token names the organisation: paths into its claims, comma separated; the first that is there counts.
    ///
    /// A path is names joined by dots, or a whole `https://…` claim name. A token that names no organisation acts in
    /// its user's own tenant.
    #[arg(
        long,
        env = "RUNLEDGER_ORG_CLAIM",
        value_name = "PATHS",
        default_value = "org_id,app_metadata.org_id"
    )]
    pub(super) org_claim: String,

    /// `tenant`: members read all rows of their tenant. `user`: only their own rows.
    #[arg(long, env = "RUNLEDGER_OWNERSHIP", value_name = "RULE", default_value = "tenant")]
    pub(super) ownership: String,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Storage")]
pub(super) struct Storage {
    /// Where archives, large sources and archived logs are kept: `local` (this machine's disk), `s3` or `supabase`.
    ///
    /// Without it: `supabase` when SUPABASE_URL and SUPABASE_SERVICE_KEY are both set, else `local`.
    #[arg(long, env = "RUNLEDGER_BLOB_BACKEND", value_name = "BACKEND")]
    pub(super) blob_backend: Option<String>,

    /// `false`: nothing is sent to `s3` or `supabase`. What is only there is still read while the keys are set.
    #[arg(long, env = "USE_CLOUD_STORAGE", value_name = "true|false", default_value = "true")]
    pub(super) use_cloud_storage: String,

    /// Access key of an S3 storage; `s3` needs it.
    #[arg(long, env = "AWS_ACCESS_KEY_ID", value_name = "KEY")]
    pub(super) aws_access_key_id: Option<String>,

    /// Secret key of an S3 storage; `s3` needs it.
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", value_name = "SECRET", hide_env_values = true)]
    pub(super) aws_secret_access_key: Option<Secret>,

    /// Address of an S3 storage that is not AWS, such as Cloudflare R2 or MinIO. Buckets are then named in the path.
    #[arg(long, env = "AWS_ENDPOINT_URL", value_name = "URL")]
    pub(super) aws_endpoint_url: Option<String>,

    /// Region of the buckets; `auto` for Cloudflare R2.
    #[arg(long, env = "AWS_REGION", value_name = "REGION", default_value = "us-east-1")]
    pub(super) aws_region: String,

    /// Secret key of the Supabase project, `sb_secret_…` or the legacy service_role key; `supabase` needs it.
    ///
    /// It has no part in whose tokens are accepted.
    #[arg(long, env = "SUPABASE_SERVICE_KEY", value_name = "KEY", hide_env_values = true)]
    pub(super) supabase_service_key: Option<Secret>,

    /// Bucket of the archives of generations, whatever the backend.
    #[arg(long, env = "SUPABASE_BUCKET", value_name = "BUCKET", default_value = "codebegen-projects")]
    pub(super) supabase_bucket: String,

    /// Bucket of the large sources of code agents.
    #[arg(long, env = "RUNLEDGER_CODE_BUCKET", value_name = "BUCKET", default_value = "code-agents")]
    pub(super) code_bucket: String,

    /// Bucket of archived logs.
    #[arg(long, env = "RUNLEDGER_LOG_BUCKET", value_name = "BUCKET", default_value = "agent-logs")]
    pub(super) log_bucket: String,

    /// Folder for local copies of objects. Without it: `cache` in the data folder.
    #[arg(long, env = "CACHE_PATH", value_name = "FOLDER")]
    pub(super) cache_path: Option<String>,

    /// A local copy that nobody has read for this many hours is dropped by the cleanup.
    #[arg(long, env = "CACHE_TTL_HOURS", value_name = "HOURS", default_value = "24")]
    pub(super) cache_ttl_hours: String,

    /// A local copy that was fetched this many hours ago is dropped by the cleanup.
    #[arg(long, env = "MAX_CACHE_AGE_HOURS", value_name = "HOURS", default_value = "24")]
    pub(super) max_cache_age_hours: String,

    /// The most bytes of all local copies together; 10 GiB unless it is set.
    #[arg(long, env = "RUNLEDGER_CACHE_BYTES_MAX", value_name = "BYTES", default_value = "10737418240")]
    pub(super) cache_bytes_max: String,

    /// Whether local copies are cleaned up.
    #[arg(long, env = "AUTO_CLEANUP_ENABLED", value_name = "true|false", default_value = "true")]
    pub(super) auto_cleanup_enabled: String,

    /// Hours between two cleanups of local copies.
    #[arg(long, env = "CLEANUP_INTERVAL_HOURS", value_name = "HOURS", default_value = "6")]
    pub(super) cleanup_interval_hours: String,

    /// How clients reach Runledger, such as `https://runledger.example.com`: the beginning of the download links that it
    /// makes itself.
    ///
    /// Without it: `http://` and the address that it listens on.
    #[arg(long, env = "RUNLEDGER_PUBLIC_URL", value_name = "URL")]
    pub(super) public_url: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Executions")]
pub(super) struct Executions {
    /// A running execution whose runner gives no sign of life for this many seconds becomes FAILED; 0 waits for ever.
    ///
    /// A change, a log line and a heartbeat are signs of life. An execution may ask for another time when it is started.
    /// After a start of the server, runners have this long to come back. `runledger exec` gives a sign every 15 seconds.
    #[arg(long, env = "RUNLEDGER_STALE_AFTER_SECONDS", value_name = "SECONDS", default_value = "900")]
    pub(super) stale_after_seconds: String,

    /// For how many days after its completion an execution is kept, with its log; 0 keeps it for ever.
    #[arg(long, env = "RUNLEDGER_EXECUTION_RETENTION_DAYS", value_name = "DAYS", default_value = "0")]
    pub(super) execution_retention_days: String,

    /// How many thousandths of the time a deletion in the background has the database while somebody is served, 1 to 500.
    ///
    /// With the 5 that it has, requests hardly ever wait for it, and a million take a day of requests without a pause. While
    /// nobody has asked for anything for a second, and when what is older than the retention has been so for an hour, it
    /// takes a ninth; after five seconds half.
    #[arg(long, env = "RUNLEDGER_DELETION_PERMILLE", value_name = "NUMBER", default_value = "5")]
    pub(super) deletion_permille: String,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs of executions")]
pub(super) struct Logs {
    /// After how many seconds lines are moved from the database to the log's object, 1 to 3600.
    ///
    /// Sooner when 1,000 lines or 1 MiB wait, and when the execution ends.
    #[arg(long, env = "RUNLEDGER_LOG_FLUSH_INTERVAL_SECONDS", value_name = "SECONDS", default_value = "20")]
    pub(super) log_flush_interval_seconds: String,

    /// For how many days after its last line the log of an ended execution is kept; 0 keeps it for ever.
    #[arg(long, env = "RUNLEDGER_LOG_RETENTION_DAYS", value_name = "DAYS", default_value = "7")]
    pub(super) log_retention_days: String,

    /// How many bytes of lines may wait in the database for a storage that does not take them.
    ///
    /// Beyond, lines are refused with UNAVAILABLE until storage takes them again; from half of it on, those of the
    /// executions of which most waits.
    #[arg(
        long,
        env = "RUNLEDGER_LOG_WAITING_BYTES_MAX",
        value_name = "BYTES",
        default_value = "10737418240"
    )]
    pub(super) log_waiting_bytes_max: String,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub(super) struct Logging {
    /// What is logged: a level, or levels by module, such as `info,runledger=debug`.
    #[arg(
        long,
        env = "RUNLEDGER_LOG",
        value_name = "FILTER",
        default_value = "info,sea_orm_migration=warn,sqlx=warn"
    )]
    pub(super) log: String,

    /// `text` or `json`, to standard error.
    #[arg(long, env = "RUNLEDGER_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: String,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Analytics")]
pub(super) struct Analytics {
    /// Project key of PostHog (`phc_…`): what people do is told there. Without it nothing is.
    ///
    /// Told are agents, versions, executions and generations that are made, begin and end: ids, numbers, the user and the
    /// organisation; never names, sources, inputs, results or log lines.
    #[arg(long, env = "POSTHOG_API_KEY", value_name = "KEY", hide_env_values = true)]
    pub(super) posthog_api_key: Option<Secret>,

    /// Address of PostHog.
    #[arg(long, env = "POSTHOG_HOST", value_name = "URL", default_value = "https://us.i.posthog.com")]
    pub(super) posthog_host: String,
}

impl Settings {
    /// Settings from flags alone, such as `["--data-dir", "/tmp/x"]`: the environment is not read. For tests.
    pub fn from_flags<I, T>(flags: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        let command = Self::command().no_binary_name(true).mut_args(|arg| arg.env(None::<&str>));
        Self::from_arg_matches(&command.try_get_matches_from(flags)?)
    }

    /// The definition itself: every setting, and nothing else.
    pub(super) fn command() -> clap::Command {
        Self::augment_args(clap::Command::new("settings").disable_help_flag(true))
    }
}
