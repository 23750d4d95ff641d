//! `runledger serve`: starts the server, and says how to use it.

use std::fmt::Write as _;
use std::net::SocketAddr;

use chrono::TimeDelta;

use super::{Stop, block_on, print};
use crate::auth::{Issuer, NewToken, Role};
use crate::clock;
use crate::config::{Config, KeySource};
use crate::domain::LOCAL_USER_ID;
use crate::error::Result;

/// How to make others.
const MORE_TOKENS: &str = "runledger token --user me";
/// How long that token is valid; `runledger token` makes others.
const FIRST_TOKEN_HOURS: i64 = 24;

pub(super) fn run(config: Config) -> Result<(), Stop> {
    use_small_pages();
    let token = first_token(&config)?;
    block_on(async {
        let shown = config.clone();
        // Printed once it is true, with the port that was chosen if any would do.
        let started = move |address| {
            if let Err(error) = print(&start_message(&shown, address, token.as_deref())) {
                tracing::warn!(?error, "cannot print the start message");
            }
        };
        crate::app::serve(config, started).await
    })
}

/// Takes memory from Linux by 4 KiB: of pages of 2 MiB, which the allocator asks for, each thread uses a part of some. They
/// doubled the memory of a server. A system that refuses leaves it as it is.
fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "memory comes in huge pages");
    }
}

/// A token that works, if the secret is Runledger's own: then nobody else could make one.
fn first_token(config: &Config) -> Result<Option<String>> {
    let is_own = |key: &KeySource| matches!(key, KeySource::OwnSecret(_));
    let issuer = if config.tokens.keys.iter().any(is_own) { Issuer::new(&config.tokens)? } else { None };
    let lifetime = TimeDelta::hours(FIRST_TOKEN_HOURS);
    let token = NewToken { user: LOCAL_USER_ID, organisation: None, role: Role::Member, lifetime };
    issuer.map(|issuer| issuer.sign(&token, clock::now())).transpose()
}

/// What is printed when the server listens on `address`.
fn start_message(config: &Config, address: SocketAddr, token: Option<&str>) -> String {
    let url = crate::app::url(address);
    let mut text = format!("Runledger {} listening on {url}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<9} {value}");
    };
    match token {
        Some(token) => line("GraphiQL", &format!("{url}/graphiql#token={token}")),
        None => line("GraphiQL", &format!("{url}/graphiql")),
    }
    let has_secret = config.tokens.keys.iter().any(|key| !matches!(key, KeySource::Jwks(_)));
    if token.is_some() {
        line("", &format!("(with a token for {LOCAL_USER_ID}, valid for {FIRST_TOKEN_HOURS} hours)"));
    }
    line("Tokens", if has_secret { MORE_TOKENS } else { "from the issuer whose keys are configured" });
    line("API", &format!("{url}/graphql"));
    line("Database", &config.database.to_string());
    line("Data", &config.data_dir.display().to_string());
    if let Some(cloud) = config.storage.cloud.as_ref().filter(|_| config.storage.uses_cloud) {
        line("Storage", &cloud.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Authenticator;
    use crate::config::Settings;

    fn config(flags: &[&str]) -> Config {
        Settings::from_flags(flags).unwrap().check().unwrap()
    }

    #[tokio::test]
    async fn the_first_start_prints_a_token_that_works() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&["--data-dir", folder.path().to_str().unwrap()]);
        let token = first_token(&config).unwrap();
        let message = start_message(&config, "127.0.0.1:4711".parse().unwrap(), token.as_deref());
        let link = message.lines().find(|line| line.contains("GraphiQL")).unwrap();
        let (url, token) = link.split_once("#token=").unwrap();
        assert_eq!(url, "  GraphiQL  http://127.0.0.1:4711/graphiql");
        let viewer = Authenticator::new(&config.tokens).unwrap().authenticate(token).await.unwrap();
        assert_eq!(viewer.user_id(), LOCAL_USER_ID);
        assert!(message.contains("runledger token --user me"), "{message}");
        assert!(message.contains(&format!("SQLite file {}", folder.path().display())), "{message}");
    }

    #[test]
    fn no_token_is_printed_when_the_secret_was_configured() {
        let secret = "a secret of at least thirty-two bytes";
        for (flags, tokens) in [
            (["--jwt-secret", secret], "runledger token --user me"),
            (["--jwks-urls", "https://a.example/k"], "from the issuer"),
        ] {
            let config = config(&flags);
            let token = first_token(&config).unwrap();
            assert_eq!(token, None);
            let message = start_message(&config, "0.0.0.0:80".parse().unwrap(), None);
            assert!(message.contains("http://127.0.0.1:80/graphiql\n"), "{message}");
            assert!(message.contains(tokens) && !message.contains(secret), "{message}");
        }
    }
}
