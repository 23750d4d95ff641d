//! From [`Settings`] to [`Config`], or to everything that is wrong.

use std::net::SocketAddr;
use std::path::Path;

use reqwest::Url;

use super::problem::Problems;
use super::settings::{self, Settings};
use super::storage::Wrong;
use super::{
    AllowedOrigins, ClaimPath, Config, Database, Executions, KeySource, Log, Logs, MetricsAccess, Ownership,
    PostHog, Problem, Secret, Storage, Synchronous, Tokens, parse,
};

/// The file in the data folder for a secret that nobody configured.
const OWN_SECRET_FILE: &str = "jwt-secret";
/// The file in the data folder for a database that nobody configured.
const DATABASE_FILE: &str = "runledger.db";
/// The least text that may wait to be archived: what a few calls bring.
const LOG_WAITING_BYTES_MIN: u64 = 1 << 20;
/// An exbibyte.
const LOG_WAITING_BYTES_MAX: u64 = 1 << 60;
/// Where a Supabase project publishes its signing keys.
const SUPABASE_JWKS_PATH: &str = "/auth/v1/.well-known/jwks.json";

impl Settings {
    /// Checks all settings together.
    pub fn check(&self) -> Result<Config, Vec<Problem>> {
        let mut problems = Problems::default();
        let listen = problems.parse("RUNLEDGER_LISTEN", &self.server.listen, parse::listen);
        let data_dir = problems.parse("RUNLEDGER_DATA_DIR", &self.server.data_dir, parse::folder);
        let allowed_origins = match &self.server.allowed_origins {
            Some(origins) => problems.parse("RUNLEDGER_ALLOWED_ORIGINS", origins, parse::allowed_origins),
            None => Some(AllowedOrigins::Own),
        };
        let metrics = metrics(self.server.metrics_token.as_ref(), listen, &mut problems);
        let database = database(&self.database, data_dir.as_deref(), &mut problems);
        let project = match &self.tokens.supabase_url {
            Some(url) => problems.parse("SUPABASE_URL", url, parse::base_url).map(Some).ok_or(Wrong),
            None => Ok(None),
        };
        let project = project.as_ref().map(Option::as_ref).map_err(|wrong| *wrong);
        let tokens =
            tokens(&self.tokens, project.unwrap_or_default(), listen, data_dir.as_deref(), &mut problems);
        let storage = Storage::check(&self.storage, project, data_dir.as_deref(), &mut problems);
        let executions = executions(&self.executions, &mut problems);
        let logs = logs(&self.logs, &mut problems);
        let posthog = posthog(&self.analytics, &mut problems);
        let log = log(&self.logging, &mut problems);
        let whole = || {
            Some(Config {
                listen: listen?,
                data_dir: data_dir?,
                allowed_origins: allowed_origins?,
                metrics: metrics?,
                database: database?,
                tokens: tokens?,
                storage: storage?,
                executions: executions?,
                logs: logs?,
                posthog: posthog?,
                log: log?,
            })
        };
        problems.finish(whole())
    }
}

fn metrics(
    token: Option<&Secret>,
    listen: Option<SocketAddr>,
    problems: &mut Problems,
) -> Option<MetricsAccess> {
    let Some(token) = token else {
        let is_private = listen?.ip().to_canonical().is_loopback();
        return Some(if is_private { MetricsAccess::Everybody } else { MetricsAccess::Nobody });
    };
    let token = problems.parse_secret("RUNLEDGER_METRICS_TOKEN", token.expose(), parse::metrics_token);
    token.map(MetricsAccess::Token)
}

fn executions(written: &settings::Executions, problems: &mut Problems) -> Option<Executions> {
    let seconds = &written.stale_after_seconds;
    let seconds = problems.parse("RUNLEDGER_STALE_AFTER_SECONDS", seconds, parse::number(0..=31_536_000));
    let days = &written.execution_retention_days;
    let days = problems.parse("RUNLEDGER_EXECUTION_RETENTION_DAYS", days, parse::number(0..=36_500));
    let permille = &written.deletion_permille;
    let permille = problems.parse("RUNLEDGER_DELETION_PERMILLE", permille, parse::number(1..=500));
    Some(Executions {
        stale_after_seconds: Some(seconds?).filter(|seconds| *seconds > 0),
        retention_days: Some(days?).filter(|days| *days > 0),
        deletion_permille: permille?,
    })
}

fn logs(written: &settings::Logs, problems: &mut Problems) -> Option<Logs> {
    let interval = &written.log_flush_interval_seconds;
    let interval = problems.parse("RUNLEDGER_LOG_FLUSH_INTERVAL_SECONDS", interval, parse::number(1..=3_600));
    let days = &written.log_retention_days;
    let days = problems.parse("RUNLEDGER_LOG_RETENTION_DAYS", days, parse::number(0..=36_500));
    let bytes = &written.log_waiting_bytes_max;
    let bytes = problems.parse(
        "RUNLEDGER_LOG_WAITING_BYTES_MAX",
        bytes,
        parse::number(LOG_WAITING_BYTES_MIN..=LOG_WAITING_BYTES_MAX),
    );
    Some(Logs {
        flush_interval_seconds: interval?,
        retention_days: Some(days?).filter(|days| *days > 0),
        waiting_bytes_max: bytes?,
    })
}

/// `Some(None)` when it is off.
#[expect(clippy::option_option, reason = "wrong, off, and on")]
fn posthog(written: &settings::Analytics, problems: &mut Problems) -> Option<Option<PostHog>> {
    let host = problems.parse("POSTHOG_HOST", &written.posthog_host, parse::base_url);
    let Some(api_key) = &written.posthog_api_key else { return host.map(|_| None) };
    let api_key = problems.parse_secret("POSTHOG_API_KEY", api_key.expose(), parse::credential);
    Some(Some(PostHog { host: host?, api_key: api_key?.into() }))
}

fn log(written: &settings::Logging, problems: &mut Problems) -> Option<Log> {
    let filter = problems.parse("RUNLEDGER_LOG", &written.log, parse::log_filter);
    let format = problems.parse("RUNLEDGER_LOG_FORMAT", &written.log_format, parse::log_format);
    Some(Log { filter: filter?, format: format? })
}

fn database(
    written: &settings::Database,
    data_dir: Option<&Path>,
    problems: &mut Problems,
) -> Option<Database> {
    let connections = &written.database_connections_max;
    let connections_max = connections.as_ref().and_then(|connections| {
        problems.parse("RUNLEDGER_DATABASE_CONNECTIONS_MAX", connections, parse::number(2..=200))
    });
    let synchronous =
        problems.parse("RUNLEDGER_SQLITE_SYNCHRONOUS", &written.sqlite_synchronous, parse::synchronous);
    let build = |url: &str| parse::database(url, synchronous.unwrap_or(Synchronous::Full), connections_max);
    match &written.database_url {
        Some(url) => problems.parse_secret("DATABASE_URL", url.expose(), build),
        None => Some(Database::Sqlite {
            path: data_dir?.join(DATABASE_FILE),
            synchronous: synchronous?,
            connections_max,
        }),
    }
}

fn tokens(
    written: &settings::Tokens,
    project: Option<&Url>,
    listen: Option<SocketAddr>,
    data_dir: Option<&Path>,
    problems: &mut Problems,
) -> Option<Tokens> {
    let keys = keys(written, project, listen, data_dir, problems);
    let issuers = problems.parse_list("RUNLEDGER_JWT_ISSUER", written.jwt_issuer.as_deref(), parse::text);
    let audiences =
        problems.parse_list("RUNLEDGER_JWT_AUDIENCE", written.jwt_audience.as_deref(), parse::text);
    let org_claims = problems.parse_list("RUNLEDGER_ORG_CLAIM", Some(&written.org_claim), ClaimPath::parse);
    if names_nothing(&written.org_claim) {
        problems.add("RUNLEDGER_ORG_CLAIM", "must name at least one claim, such as org_id");
    }
    let ownership: Option<Ownership> =
        problems.parse("RUNLEDGER_OWNERSHIP", &written.ownership, parse::ownership);
    Some(Tokens { keys, issuers, audiences, org_claims, ownership: ownership? })
}

/// Where keys come from, Runledger's own settings first.
///
/// `SUPABASE_URL` also serves storage (with `SUPABASE_SERVICE_KEY`, which plays no part here), so it alone does not open a server whose operator said whose tokens count: its
/// keys are used when `SUPABASE_JWT_SECRET` asks for Supabase's users, or when no other key is configured. They are
/// used beside that secret, because a project that moves to signing keys has valid tokens of both kinds. No issuer is
/// derived from the URL: only the project has its keys, a self-hosted project's `iss` is its public address, and its
/// service_role key says `supabase`.
fn keys(
    written: &settings::Tokens,
    project: Option<&Url>,
    listen: Option<SocketAddr>,
    data_dir: Option<&Path>,
    problems: &mut Problems,
) -> Vec<KeySource> {
    let mut secret = |variable, value: Option<&Secret>| {
        value.and_then(|value| problems.parse_secret(variable, value.expose(), parse::jwt_secret))
    };
    let own = secret("RUNLEDGER_JWT_SECRET", written.jwt_secret.as_ref());
    let supabase = secret("SUPABASE_JWT_SECRET", written.supabase_jwt_secret.as_ref());
    let second = supabase.filter(|supabase| own.as_ref() != Some(supabase));
    let urls = problems.parse_list("RUNLEDGER_JWKS_URLS", written.jwks_urls.as_deref(), parse::http_url);
    let project = project.and_then(|url| problems.parse("SUPABASE_URL", url.as_str(), supabase_jwks));

    let decided = written.jwt_secret.is_some() || written.jwks_urls.is_some();
    let project = project.filter(|_| !decided || written.supabase_jwt_secret.is_some());
    let mut keys: Vec<KeySource> = own.into_iter().chain(second).map(KeySource::Secret).collect();
    let mut jwks: Vec<Url> = urls.into_iter().chain(project).collect();
    jwks.dedup();
    keys.extend(jwks.into_iter().map(KeySource::Jwks));

    let nothing_configured =
        !decided && written.supabase_jwt_secret.is_none() && written.supabase_url.is_none();
    if nothing_configured && let (Some(listen), Some(data_dir)) = (listen, data_dir) {
        if listen.ip().to_canonical().is_loopback() {
            keys.push(KeySource::OwnSecret(data_dir.join(OWN_SECRET_FILE)));
        } else {
            problems.add("RUNLEDGER_LISTEN", unsafe_address(listen));
        }
    }
    if written.jwks_urls.as_deref().is_some_and(names_nothing) {
        problems.add("RUNLEDGER_JWKS_URLS", "must name at least one URL");
    }
    keys
}

fn names_nothing(list: &str) -> bool {
    list.split(',').all(|item| item.trim().is_empty())
}

fn unsafe_address(listen: SocketAddr) -> String {
    format!(
        "is {listen}, which other machines can reach, and nothing says whose tokens are accepted; set \
         RUNLEDGER_JWT_SECRET, RUNLEDGER_JWKS_URLS, SUPABASE_JWT_SECRET or SUPABASE_URL, or listen on 127.0.0.1"
    )
}

fn supabase_jwks(url: &str) -> Result<Url, String> {
    parse::http_url(&format!("{}{SUPABASE_JWKS_PATH}", url.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of at least thirty-two bytes";
    const OTHER: &str = "another secret of at least 32 bytes!!";

    fn check(flags: &[&str]) -> Result<Config, Vec<Problem>> {
        Settings::from_flags(flags).unwrap().check()
    }

    fn keys(flags: &[&str]) -> Vec<String> {
        let name = |key: &KeySource| match key {
            KeySource::Secret(secret) => secret.expose().to_owned(),
            KeySource::OwnSecret(path) => path.display().to_string(),
            KeySource::Jwks(url) => url.to_string(),
        };
        check(flags).unwrap().tokens.keys.iter().map(name).collect()
    }

    #[test]
    fn metrics_are_shown_to_this_machine_or_to_who_has_the_token() {
        const TOKEN: &str = "sixteen-letters!";
        let access = |flags: &[&str]| {
            let others = ["--jwt-secret", SECRET];
            check(&[flags, &others].concat()).map(|config| config.metrics)
        };
        let token = MetricsAccess::Token(TOKEN.into());
        assert_eq!(access(&[]), Ok(MetricsAccess::Everybody));
        assert_eq!(access(&["--listen", "[::1]:80"]), Ok(MetricsAccess::Everybody));
        assert_eq!(access(&["--listen", "0.0.0.0:80"]), Ok(MetricsAccess::Nobody));
        assert_eq!(access(&["--metrics-token", TOKEN]), Ok(token.clone()));
        assert_eq!(access(&["--listen", "0.0.0.0:80", "--metrics-token", TOKEN]), Ok(token));
        for wrong in ["", "too short", "sixteen letters!", "fünfzehn-zeichen"] {
            assert!(access(&["--metrics-token", wrong]).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn nothing_needs_to_be_set() {
        let config = check(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.tokens.keys, [KeySource::OwnSecret("./data/jwt-secret".into())]);
        assert_eq!(
            config.database,
            Database::Sqlite {
                path: "./data/runledger.db".into(),
                synchronous: Synchronous::Full,
                connections_max: None
            }
        );
        let paths: Vec<String> = config.tokens.org_claims.iter().map(ToString::to_string).collect();
        assert_eq!(paths, ["org_id", "app_metadata.org_id"]);
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let mistakes = [
            ("--listen", "8080", "RUNLEDGER_LISTEN"),
            ("--data-dir", "", "RUNLEDGER_DATA_DIR"),
            ("--allowed-origins", "app.example.com", "RUNLEDGER_ALLOWED_ORIGINS"),
            ("--metrics-token", "hunter2", "RUNLEDGER_METRICS_TOKEN"),
            ("--database-connections-max", "1", "RUNLEDGER_DATABASE_CONNECTIONS_MAX"),
            ("--sqlite-synchronous", "OFF", "RUNLEDGER_SQLITE_SYNCHRONOUS"),
            ("--database-url", "mysql://u:hunter2@h/d", "DATABASE_URL"),
            ("--jwt-secret", "hunter2", "RUNLEDGER_JWT_SECRET"),
            ("--supabase-jwt-secret", "hunter2", "SUPABASE_JWT_SECRET"),
            ("--jwt-issuer", "a\u{1}b", "RUNLEDGER_JWT_ISSUER"),
            ("--jwt-audience", "a\u{1}b", "RUNLEDGER_JWT_AUDIENCE"),
            ("--jwks-urls", "https://a.example/x,nonsense", "RUNLEDGER_JWKS_URLS"),
            ("--supabase-url", "project.supabase.co", "SUPABASE_URL"),
            ("--org-claim", "a..b", "RUNLEDGER_ORG_CLAIM"),
            ("--ownership", "all", "RUNLEDGER_OWNERSHIP"),
            ("--blob-backend", "ftp", "RUNLEDGER_BLOB_BACKEND"),
            ("--use-cloud-storage", "perhaps", "USE_CLOUD_STORAGE"),
            ("--aws-access-key-id", "two words", "AWS_ACCESS_KEY_ID"),
            ("--aws-secret-access-key", "hunter2 hunter2", "AWS_SECRET_ACCESS_KEY"),
            ("--aws-endpoint-url", "s3.example.com", "AWS_ENDPOINT_URL"),
            ("--aws-region", "Frankfurt (Main)", "AWS_REGION"),
            ("--supabase-service-key", "hunter2\n", "SUPABASE_SERVICE_KEY"),
            ("--supabase-bucket", "a", "SUPABASE_BUCKET"),
            ("--code-bucket", "Code", "RUNLEDGER_CODE_BUCKET"),
            ("--log-bucket", "../logs", "RUNLEDGER_LOG_BUCKET"),
            ("--cache-path", " ", "CACHE_PATH"),
            ("--cache-ttl-hours", "0", "CACHE_TTL_HOURS"),
            ("--max-cache-age-hours", "1.5", "MAX_CACHE_AGE_HOURS"),
            ("--cache-bytes-max", "10GB", "RUNLEDGER_CACHE_BYTES_MAX"),
            ("--auto-cleanup-enabled", "maybe", "AUTO_CLEANUP_ENABLED"),
            ("--cleanup-interval-hours", "-1", "CLEANUP_INTERVAL_HOURS"),
            ("--public-url", "runledger.example.com", "RUNLEDGER_PUBLIC_URL"),
            ("--stale-after-seconds", "soon", "RUNLEDGER_STALE_AFTER_SECONDS"),
            ("--execution-retention-days", "-1", "RUNLEDGER_EXECUTION_RETENTION_DAYS"),
            ("--deletion-permille", "0", "RUNLEDGER_DELETION_PERMILLE"),
            ("--log-flush-interval-seconds", "0", "RUNLEDGER_LOG_FLUSH_INTERVAL_SECONDS"),
            ("--log-retention-days", "-1", "RUNLEDGER_LOG_RETENTION_DAYS"),
            ("--log-waiting-bytes-max", "1", "RUNLEDGER_LOG_WAITING_BYTES_MAX"),
            ("--posthog-api-key", "hunter2\n", "POSTHOG_API_KEY"),
            ("--posthog-host", "posthog.com", "POSTHOG_HOST"),
            ("--log", "a=b=c", "RUNLEDGER_LOG"),
            ("--log-format", "xml", "RUNLEDGER_LOG_FORMAT"),
        ];
        let flags: Vec<String> = mistakes.iter().map(|(flag, value, _)| format!("{flag}={value}")).collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();

        let problems = check(&flags).unwrap_err();
        let mut found: Vec<&str> = problems.iter().map(|problem| problem.variable).collect();
        let mut expected: Vec<&str> = mistakes.iter().map(|(_, _, variable)| *variable).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);

        // Whoever adds a setting adds a mistake above.
        let command = Settings::command();
        for argument in command.get_arguments() {
            let variable = argument.get_env().unwrap().to_str().unwrap();
            assert!(found.contains(&variable), "{variable} cannot be wrong");
        }
        let all: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        assert!(all.contains("RUNLEDGER_OWNERSHIP is \"all\"; it must be tenant or user"), "{all}");
        assert!(!all.contains("hunter2"), "{all}");
    }

    #[test]
    fn an_address_that_others_reach_needs_keys() {
        for address in ["0.0.0.0:80", "[::]:80", "192.168.1.2:80", "[::ffff:10.0.0.1]:80"] {
            let problems = check(&["--listen", address]).unwrap_err();
            assert_eq!(problems.len(), 1);
            assert!(problems[0].message.contains("RUNLEDGER_JWT_SECRET"), "{}", problems[0]);
            assert!(check(&["--listen", address, "--jwt-secret", SECRET]).is_ok());
        }
        for address in ["127.0.0.1:0", "127.0.0.9:80", "[::1]:80", "localhost:80"] {
            assert!(check(&["--listen", address]).is_ok(), "{address}");
        }
    }

    #[test]
    fn keys_come_from_where_the_operator_says() {
        const PROJECT: &str = "https://p.supabase.co/auth/v1/.well-known/jwks.json";
        let own = ["--jwt-secret", SECRET];
        let supabase = ["--supabase-jwt-secret", OTHER];
        let url = ["--supabase-url", "https://p.supabase.co/"];
        assert_eq!(keys(&own), [SECRET]);
        assert_eq!(keys(&supabase), [OTHER]);
        assert_eq!(keys(&[own, supabase].concat()), [SECRET, OTHER]);
        assert_eq!(keys(&[own, ["--supabase-jwt-secret", SECRET]].concat()), [SECRET]);
        assert_eq!(keys(&url), [PROJECT]);
        assert_eq!(keys(&[supabase, url].concat()), [OTHER, PROJECT]);
        // The URL alone, beside keys of Runledger's own, is for storage.
        assert_eq!(keys(&[own, url].concat()), [SECRET]);
        assert_eq!(keys(&[own, supabase, url].concat()), [SECRET, OTHER, PROJECT]);
        let several = ["--jwks-urls", "https://a.example/k, https://b.example/k"];
        assert_eq!(keys(&several), ["https://a.example/k", "https://b.example/k"]);
        assert_eq!(keys(&[several, url].concat()), ["https://a.example/k", "https://b.example/k"]);
        assert_eq!(check(&["--jwks-urls", ","]).unwrap_err()[0].variable, "RUNLEDGER_JWKS_URLS");
    }

    #[test]
    fn secrets_print_as_stars() {
        let flags = ["--jwt-secret", SECRET, "--database-url", "postgres://u:hunter2@db.example/runs"];
        let settings = Settings::from_flags(flags).unwrap();
        let config = settings.check().unwrap();
        let printed = format!("{settings:?} {config:?} {}", config.database);
        assert!(!printed.contains(SECRET) && !printed.contains("hunter2"), "{printed}");
        assert_eq!(config.database.to_string(), "PostgreSQL db.example/runs");
    }
}
