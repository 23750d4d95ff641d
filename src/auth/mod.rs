//! From a token to a [`Viewer`]: the only maker of one.
//!
//! An [`Authenticator`] verifies the signature (`keys`, `jwks`), then what the claims say (`claims`, `tenant`), and
//! remembers the result for a while (`cache`). HS256 tokens are checked against the configured secrets; RS256, ES256
//! and EdDSA tokens against the issuers' published keys, each with its own kind of key only. Nothing else is accepted.
//!
//! What a caller is told is specific about their token and says nothing about the keys.

mod cache;
mod claims;
mod issuer;
mod jwks;
mod keys;
mod own_secret;
mod scope;
mod tenant;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod toy;
mod viewer;

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::errors::ErrorKind;
use serde::Deserialize;
use serde_json::Value;

use crate::clock::{self, Timestamp};
use crate::config::{KeySource, Secret, Tokens};
use crate::domain::limits::TOKEN_BYTES_MAX;
use crate::error::{Error, Result};
use claims::{Claims, refused};

pub use claims::SERVICE_USER_ID;
pub use issuer::{Issuer, NewToken};
pub use scope::{OnBehalfOf, Scope, Stamp};
pub use tenant::{tenant_name, tenant_of, tenant_sql};
pub use viewer::{Delegation, Role, Viewer};

/// Verifies tokens. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator(Arc<Inner>);

struct Inner {
    secrets: Vec<Arc<keys::Key>>,
    jwks: jwks::Jwks,
    rules: claims::Rules,
    cache: cache::Cache,
}

/// The part of a token's header that decides how it is verified.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl Authenticator {
    /// Reads or makes Runledger's own secret when it is used; fetches nothing yet. Needs a tokio runtime later, for
    /// the issuers' keys.
    pub fn new(tokens: &Tokens) -> Result<Self> {
        let secrets = secrets(tokens)?;
        let urls = tokens.keys.iter().filter_map(|key| match key {
            KeySource::Jwks(url) => Some(url.clone()),
            KeySource::Secret(_) | KeySource::OwnSecret(_) => None,
        });
        Ok(Self(Arc::new(Inner {
            secrets: secrets.iter().map(|secret| Arc::new(keys::Key::from_secret(secret))).collect(),
            jwks: jwks::Jwks::new(urls.collect())?,
            rules: claims::Rules::new(tokens),
            cache: cache::Cache::default(),
        })))
    }

    /// The viewer whom the bare token names.
    ///
    /// [`Error::Unauthenticated`] says what is wrong with the token; [`Error::Unavailable`] that the keys it needs
    /// cannot be had right now.
    pub async fn authenticate(&self, token: &str) -> Result<Viewer> {
        self.authenticate_at(token, clock::now()).await
    }

    /// Fetches the issuers' keys, which otherwise happens when a token needs them: shows early that a URL is wrong.
    pub async fn fetch_keys(&self) -> Result<()> {
        self.0.jwks.refresh(clock::now()).await;
        if self.0.jwks.is_any_away() { Err(keys_away()) } else { Ok(()) }
    }

    async fn authenticate_at(&self, token: &str, now: Timestamp) -> Result<Viewer> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused(format!("the token is longer than {TOKEN_BYTES_MAX} bytes")));
        }
        let hash = cache::hash(token);
        if let Some(viewer) = self.0.cache.get(&hash, now) {
            return Ok(viewer);
        }
        let claims = self.0.verify(token, now).await?;
        let viewer = self.0.rules.viewer(&claims, now)?;
        self.0.cache.put(hash, viewer.clone(), now);
        Ok(viewer)
    }
}

impl Inner {
    async fn verify(&self, token: &str, now: Timestamp) -> Result<Claims> {
        let header = header(token).ok_or_else(malformed)?;
        if header.crit.is_some() {
            return Err(refused("the token has critical header parameters (crit), which are not supported"));
        }
        match algorithm(&header.alg) {
            Some(Algorithm::HS256) if !self.secrets.is_empty() => verify_with(&self.secrets, token),
            Some(algorithm) if algorithm != Algorithm::HS256 && !self.jwks.is_empty() => {
                self.verify_with_jwks(token, header.kid.as_deref(), algorithm, now).await
            }
            _ => Err(refused("the token is signed with an algorithm that is not accepted here")),
        }
    }

    async fn verify_with_jwks(
        &self,
        token: &str,
        key_id: Option<&str>,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Result<Claims> {
        let keys = self.jwks.find(key_id, algorithm, now).await;
        if !keys.is_empty() {
            let verified = verify_with(&keys, token);
            // Without a key id, a signature that fits no key may be by a new one.
            if verified.is_ok() || key_id.is_some() {
                return verified;
            }
        }
        self.jwks.refresh(now).await;
        let keys = self.jwks.known(key_id, algorithm);
        let verified = match keys.is_empty() {
            true => Err(refused("the token is signed with a key that is not known")),
            false => verify_with(&keys, token),
        };
        // The key may be one that could not be fetched.
        if verified.is_err() && (keys.is_empty() || key_id.is_none()) && self.jwks.is_any_away() {
            return Err(keys_away());
        }
        verified
    }
}

/// The token of an `Authorization` header, if it is a bearer token.
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim_start();
    let is_token = !token.is_empty() && !token.contains(char::is_whitespace);
    (scheme.eq_ignore_ascii_case("bearer") && is_token).then_some(token)
}

/// The secrets among the keys, in their order; Runledger's own is made when missing.
fn secrets(tokens: &Tokens) -> Result<Vec<Secret>> {
    let secrets = tokens.keys.iter().filter_map(|key| match key {
        KeySource::Secret(secret) => Some(Ok(secret.clone())),
        KeySource::OwnSecret(file) => Some(own_secret::read_or_make(file)),
        KeySource::Jwks(_) => None,
    });
    secrets.collect()
}

fn header(token: &str) -> Option<Header> {
    let (header, _) = token.split_once('.')?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).ok()?).ok()
}

fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "HS256" => Some(Algorithm::HS256),
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

/// The claims, if one of the keys signed the token.
fn verify_with(keys: &[Arc<keys::Key>], token: &str) -> Result<Claims> {
    for key in keys {
        match key.verify(token) {
            Ok(claims) => return Ok(claims),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {}
            Err(_) => return Err(malformed()),
        }
    }
    Err(refused("the token's signature is not valid"))
}

fn malformed() -> Error {
    refused("the token is not a JSON Web Token")
}

fn keys_away() -> Error {
    let message = "the keys that verify tokens cannot be fetched right now; try again";
    Error::Unavailable { message: message.into(), cause: None }
}
