//! Where the bearer token comes from.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fmt, fs};

use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

use super::ClientError;
use crate::clock::{self, Timestamp};
use crate::domain::LOCAL_USER_ID;

/// How long a token that is signed here lives.
const LIFETIME: TimeDelta = TimeDelta::minutes(15);
/// A token with less left than this is signed anew before it is used.
const LIFETIME_LEFT_MIN: TimeDelta = TimeDelta::minutes(5);

/// Who vouches for the caller. It prints without the secret.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A token that was given, sent as it is.
    Given(String),
    /// The file with the secret of a server on this machine: whoever can read it may sign their own token.
    LocalSecret(PathBuf),
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given(***)"),
            Self::LocalSecret(path) => f.debug_tuple("LocalSecret").field(path).finish(),
        }
    }
}

/// Hands out a token that is valid now, for as long as the process runs.
pub(super) struct Tokens {
    source: TokenSource,
    signed: Mutex<Option<Signed>>,
}

struct Signed {
    token: String,
    expires_at: Timestamp,
}

impl Tokens {
    pub(super) fn new(source: TokenSource) -> Self {
        Self { source, signed: Mutex::new(None) }
    }

    pub(super) fn token(&self) -> Result<String, ClientError> {
        let path = match &self.source {
            TokenSource::Given(token) => return Ok(token.clone()),
            TokenSource::LocalSecret(path) => path,
        };
        let now = clock::now();
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signed) = signed.as_ref().filter(|signed| signed.expires_at - now >= LIFETIME_LEFT_MIN) {
            return Ok(signed.token.clone());
        }
        let expires_at = now + LIFETIME;
        let token = sign(path, expires_at)?;
        *signed = Some(Signed { token: token.clone(), expires_at });
        Ok(token)
    }

    /// Forgets a token that the server refused. Says whether there can be a better one.
    pub(super) fn renew(&self) -> bool {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: i64,
}

/// Signs a token with the secret in the file at `path`. Its user is the one whom the server's start message signs in, so
/// that what is recorded shows up there.
fn sign(path: &Path, expires_at: Timestamp) -> Result<String, ClientError> {
    let secret = fs::read_to_string(path)
        .map_err(|error| ClientError::token(format!("cannot read {}: {error}", path.display())))?;
    let claims = Claims { sub: LOCAL_USER_ID, exp: expires_at.timestamp() };
    let key = EncodingKey::from_secret(secret.trim().as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|error| ClientError::token(format!("cannot sign a token: {error}")))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_token_signed_here_is_valid_reused_and_renewed_on_demand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt-secret");
        fs::write(&path, "a-secret-of-the-server\n").unwrap();

        let tokens = Tokens::new(TokenSource::LocalSecret(path));
        let token = tokens.token().unwrap();
        assert_eq!(tokens.token().unwrap(), token);

        let key = DecodingKey::from_secret(b"a-secret-of-the-server");
        let claims = decode::<Value>(&token, &key, &Validation::new(Algorithm::HS256)).unwrap().claims;
        assert_eq!(claims["sub"], LOCAL_USER_ID);

        assert!(tokens.renew());
        assert!(!tokens.renew());
    }

    #[test]
    fn a_secret_that_is_gone_is_a_final_error_that_names_the_file() {
        let error =
            Tokens::new(TokenSource::LocalSecret("/nonexistent/jwt-secret".into())).token().unwrap_err();
        assert!(!error.retryable);
        assert!(error.message.contains("/nonexistent/jwt-secret"));
    }

    #[test]
    fn a_given_token_is_not_printed() {
        assert_eq!(format!("{:?}", TokenSource::Given("secret".into())), "Given(***)");
        assert!(!Tokens::new(TokenSource::Given("secret".into())).renew());
    }
}
