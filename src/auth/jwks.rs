//! Public keys from an issuer's JWKS document.
//!
//! Promises: a document is fetched at most once in [`JWKS_FETCH_INTERVAL_SECONDS_MIN`], by one task at a time, however
//! many tokens with unknown keys arrive; it is fetched again when it is older than [`JWKS_AGE_SECONDS_MAX`] and in use;
//! keys that are known go on working while the issuer is away.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use jsonwebtoken::Algorithm;
use reqwest::{Client, Url};

use super::keys::{Key, parse_jwks};
use crate::clock::Timestamp;
use crate::domain::limits::{
    JWKS_AGE_SECONDS_MAX, JWKS_BYTES_MAX, JWKS_FETCH_INTERVAL_SECONDS_MIN, JWKS_FETCH_MILLISECONDS_MAX,
};
use crate::error::{Error, Result};

/// The documents of all configured issuers.
pub(super) struct Jwks(Vec<Arc<Document>>);

struct Document {
    url: Url,
    client: Client,
    known: RwLock<Known>,
    /// Held while fetching.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    keys: Vec<Arc<Key>>,
    fetched_at: Option<Timestamp>,
    attempted_at: Option<Timestamp>,
}

impl Jwks {
    pub(super) fn new(urls: Vec<Url>) -> Result<Self> {
        if urls.is_empty() {
            return Ok(Self(Vec::new()));
        }
        for url in urls.iter().filter(|url| url.scheme() == "http" && !is_loopback(url)) {
            tracing::warn!(%url, "keys are fetched without TLS: whoever can change the answer can sign tokens");
        }
        let client = client().map_err(Error::internal)?;
        let document = |url| {
            Arc::new(Document {
                url,
                client: client.clone(),
                known: RwLock::default(),
                fetching: tokio::sync::Mutex::default(),
            })
        };
        Ok(Self(urls.into_iter().map(document).collect()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that a token with this header may be signed with, fetched again first if they are old; without a key
    /// id, all of its algorithm.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: Algorithm, now: Timestamp) -> Vec<Arc<Key>> {
        let is_used = |document: &&Arc<Document>| !document.find(id, algorithm).is_empty();
        let old = self.0.iter().filter(|document| document.is_old(now)).filter(is_used);
        join_all(old.map(|document| async {
            let refreshed = tokio::spawn(Arc::clone(document).refresh(now));
            // While the issuer is away its known keys will do, and nobody waits for it.
            if !document.is_away() {
                let _ = refreshed.await;
            }
        }))
        .await;
        self.known(id, algorithm)
    }

    /// The same, of the keys that are known.
    pub(super) fn known(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<Arc<Key>> {
        self.0.iter().flat_map(|document| document.find(id, algorithm)).collect()
    }

    /// Fetches every document again that may be fetched by now, and waits for it.
    pub(super) async fn refresh(&self, now: Timestamp) {
        // Tasks of their own: a caller that goes away must not leave a fetch half done.
        join_all(self.0.iter().map(|document| tokio::spawn(Arc::clone(document).refresh(now)))).await;
    }

    /// Whether the newest attempt to fetch some document failed.
    pub(super) fn is_any_away(&self) -> bool {
        self.0.iter().any(|document| document.is_away())
    }
}

impl Document {
    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<Arc<Key>> {
        let is_named = |key: &Key| id.is_none() || key.id.is_none() || key.id.as_deref() == id;
        let known = self.known();
        known.keys.iter().filter(|key| key.algorithm == algorithm && is_named(key)).cloned().collect()
    }

    fn is_old(&self, now: Timestamp) -> bool {
        is_past(self.known().fetched_at, JWKS_AGE_SECONDS_MAX, now)
    }

    fn is_away(&self) -> bool {
        let known = self.known();
        known.attempted_at != known.fetched_at
    }

    async fn refresh(self: Arc<Self>, now: Timestamp) {
        let _one_at_a_time = self.fetching.lock().await;
        // Whoever waited for another's fetch finds it done.
        if !is_past(self.known().attempted_at, JWKS_FETCH_INTERVAL_SECONDS_MIN, now) {
            return;
        }
        let fetched = self.fetch().await;
        match &fetched {
            Ok(keys) => tracing::info!(url = %self.url, keys = keys.len(), "fetched signing keys"),
            Err(error) => tracing::warn!(url = %self.url, error, "cannot fetch signing keys"),
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.attempted_at = Some(now);
        if let Ok(keys) = fetched {
            known.keys = keys.into_iter().map(Arc::new).collect();
            known.fetched_at = Some(now);
        }
    }

    async fn fetch(&self) -> Result<Vec<Key>, String> {
        let request = self.client.get(self.url.clone()).header("accept", "application/json");
        let mut response = request.send().await.map_err(|error| chain(&error))?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(format!("the answer was {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
            if body.len() + chunk.len() > JWKS_BYTES_MAX {
                return Err(format!("the answer is larger than {JWKS_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        parse_jwks(&body).map_err(|error| format!("the answer is not a JWKS document: {error}"))
    }
}

/// Redirects are not followed: keys come from the configured place only.
fn client() -> reqwest::Result<Client> {
    Client::builder()
        .timeout(Duration::from_millis(JWKS_FETCH_MILLISECONDS_MAX))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("runledger/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Whether `then` is absent or so many seconds away from `now`. In both directions, because a clock can be set back.
fn is_past(then: Option<Timestamp>, seconds: i64, now: Timestamp) -> bool {
    then.is_none_or(|then| (now - then).abs() >= TimeDelta::seconds(seconds))
}

/// An error with its causes: reqwest names only the first.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
