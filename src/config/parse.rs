//! From text to one checked value. An error completes the sentence "it must be …".

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use reqwest::Url;
use tracing_subscriber::EnvFilter;

use super::storage::Backend;
use super::{AllowedOrigins, Database, LogFormat, Ownership, Secret, Synchronous};
use crate::domain::limits::{JWT_SECRET_BYTES_MIN, METRICS_TOKEN_CHARS_MIN};

/// One of some words, in any case.
fn word<T: Copy>(value: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(name, _)| name.eq_ignore_ascii_case(value)).map(|(_, value)| *value).ok_or_else(
        || {
            let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
            names.join(" or ")
        },
    )
}

pub(super) fn ownership(value: &str) -> Result<Ownership, String> {
    word(value, &[("tenant", Ownership::Tenant), ("user", Ownership::User)])
}

pub(super) fn log_format(value: &str) -> Result<LogFormat, String> {
    word(value, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}

pub(super) fn synchronous(value: &str) -> Result<Synchronous, String> {
    word(value, &[("FULL", Synchronous::Full), ("NORMAL", Synchronous::Normal)])
}

pub(super) fn backend(value: &str) -> Result<Backend, String> {
    word(value, &[("local", Backend::Local), ("s3", Backend::S3), ("supabase", Backend::Supabase)])
}

pub(super) fn boolean(value: &str) -> Result<bool, String> {
    let words = [("true", true), ("1", true), ("yes", true), ("false", false), ("0", false), ("no", false)];
    word(value, &words).map_err(|_| "true or false".into())
}

/// A whole number in a range.
pub(super) fn number<T>(range: RangeInclusive<T>) -> impl FnOnce(&str) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    move |value| {
        let number = value.trim().parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
    }
}

/// An address and a port; `localhost` is 127.0.0.1.
pub(super) fn listen(value: &str) -> Result<SocketAddr, String> {
    let numeric = match value.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => value.to_owned(),
    };
    numeric.parse().map_err(|_| "an address and a port, such as 127.0.0.1:8080 or [::]:8080".to_owned())
}

pub(super) fn folder(value: &str) -> Result<PathBuf, String> {
    if value.trim().is_empty() || value.contains('\0') {
        return Err("the path of a folder".into());
    }
    Ok(PathBuf::from(value))
}

/// `*`, or origins as a browser sends them.
pub(super) fn allowed_origins(value: &str) -> Result<AllowedOrigins, String> {
    if value.trim() == "*" {
        return Ok(AllowedOrigins::Any);
    }
    let origins: Vec<String> =
        value.split(',').map(|item| item.trim().trim_end_matches('/').to_owned()).collect();
    if origins.iter().all(|origin| is_origin(origin)) {
        return Ok(AllowedOrigins::These(origins));
    }
    Err("*, or origins without a path, comma separated, such as https://app.example.com".into())
}

fn is_origin(value: &str) -> bool {
    Url::parse(value).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == value
    })
}

/// An `http` or `https` URL.
pub(super) fn http_url(value: &str) -> Result<Url, String> {
    Url::parse(value)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| "a URL that begins with https:// or http://".into())
}

/// An `http` or `https` URL that paths are put behind.
pub(super) fn base_url(value: &str) -> Result<Url, String> {
    let is_base = |url: &Url| {
        url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    };
    http_url(value).ok().filter(is_base).ok_or_else(|| {
        "a URL that begins with https:// or http://, without a user, parameters or a fragment".into()
    })
}

/// A key as it is sent in a header.
pub(super) fn credential(value: &str) -> Result<String, String> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("printable ASCII characters without spaces".into());
    }
    Ok(value.to_owned())
}

pub(super) fn region(value: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if value.is_empty() || !value.bytes().all(is_plain) {
        return Err("lower-case letters, digits and hyphens, such as eu-central-1, or auto".into());
    }
    Ok(value.to_owned())
}

/// An issuer or audience: compared as it is, so anything printable.
pub(super) fn text(value: &str) -> Result<String, String> {
    if value.chars().any(char::is_control) {
        return Err("free of control characters".into());
    }
    Ok(value.to_owned())
}

pub(super) fn jwt_secret(value: &str) -> Result<Secret, String> {
    if value.len() < JWT_SECRET_BYTES_MIN {
        return Err(format!("at least {JWT_SECRET_BYTES_MIN} bytes long; it has {}", value.len()));
    }
    Ok(Secret::from(value))
}

pub(super) fn metrics_token(value: &str) -> Result<Secret, String> {
    let is_sent_as_it_is = value.chars().all(|character| character.is_ascii_graphic());
    if value.len() < METRICS_TOKEN_CHARS_MIN || !is_sent_as_it_is {
        return Err(format!(
            "at least {METRICS_TOKEN_CHARS_MIN} characters that can be printed, without spaces"
        ));
    }
    Ok(Secret::from(value))
}

pub(super) fn log_filter(value: &str) -> Result<String, String> {
    EnvFilter::try_new(value).map(|_| value.to_owned()).map_err(|_| {
        "a level (error, warn, info, debug, trace) or levels by module, such as info,sqlx=warn".into()
    })
}

/// What may stand in `DATABASE_URL`. The value is never repeated: it may hold a password.
pub(super) fn database(
    url: &str,
    synchronous: Synchronous,
    connections_max: Option<u32>,
) -> Result<Database, String> {
    const ALLOWED: &str = "sqlite:PATH, or postgres://USER:PASSWORD@HOST/DATABASE";
    let (scheme, rest) = url.split_once(':').ok_or(ALLOWED)?;
    match scheme {
        "sqlite" => Ok(Database::Sqlite { path: sqlite_path(rest)?, synchronous, connections_max }),
        "postgres" | "postgresql" => match sqlx::postgres::PgConnectOptions::from_str(url) {
            Ok(_) => Ok(Database::Postgres { url: Secret::from(url), connections_max }),
            Err(_) => {
                Err("a complete URL, such as postgres://USER:PASSWORD@HOST:5432/DATABASE, with special \
                           characters of the password percent-encoded"
                    .into())
            }
        },
        _ => Err(format!("{ALLOWED}; it begins with {scheme:?}")),
    }
}

/// `sqlite:a.db`, `sqlite://a.db` and `sqlite:///a.db` are all in use; `?mode=rwc` is what Runledger does anyway.
fn sqlite_path(rest: &str) -> Result<PathBuf, String> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = path.strip_suffix("?mode=rwc").unwrap_or(path);
    if path.contains(":memory:") {
        return Err("the path of a file: a database in memory is lost when Runledger stops".into());
    }
    if path.is_empty() || path.contains(['?', '\0']) {
        return Err("sqlite:PATH, without parameters".into());
    }
    Ok(Path::new(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_names_a_file_or_a_server() {
        let parse = |url| database(url, Synchronous::Full, None);
        for (url, path) in [
            ("sqlite:a.db", "a.db"),
            ("sqlite://a.db", "a.db"),
            ("sqlite:///tmp/a.db", "/tmp/a.db"),
            ("sqlite:/tmp/a.db", "/tmp/a.db"),
            ("sqlite://a.db?mode=rwc", "a.db"),
        ] {
            assert!(
                matches!(parse(url), Ok(Database::Sqlite { path: p, .. }) if p == Path::new(path)),
                "{url}"
            );
        }
        for url in ["postgres://u:p@db/x", "postgresql://u:p@db:5433/x?sslmode=require"] {
            assert!(
                matches!(parse(url), Ok(Database::Postgres { url: u, .. }) if u.expose() == url),
                "{url}"
            );
        }
        for url in ["", "mysql://x/y", "a.db", "sqlite:", "sqlite::memory:", "sqlite:a?cache=shared"] {
            assert!(parse(url).is_err(), "{url}");
        }
        let refused = parse("postgres://u:hunter2@host:port/x").unwrap_err();
        assert!(!refused.contains("hunter2"));
    }

    #[test]
    fn an_address_may_be_called_localhost() {
        assert_eq!(listen("localhost:1").unwrap().to_string(), "127.0.0.1:1");
        assert_eq!(listen("[::1]:8080").unwrap().to_string(), "[::1]:8080");
        for wrong in ["8080", ":8080", "example.com:80", "127.0.0.1", "127.0.0.1:70000"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn origins_have_no_path() {
        assert_eq!(allowed_origins("*"), Ok(AllowedOrigins::Any));
        assert_eq!(
            allowed_origins("https://a.example, http://localhost:3000/"),
            Ok(AllowedOrigins::These(vec!["https://a.example".into(), "http://localhost:3000".into()]))
        );
        for wrong in
            ["a.example", "https://a.example/x", "https://a.example,,", "ftp://a.example", "https://a:443"]
        {
            assert!(allowed_origins(wrong).is_err(), "{wrong}");
        }
    }
}
