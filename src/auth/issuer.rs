//! Tokens of Runledger's own making, for `runledger token` and for trying it out.

use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::Value;

use super::claims::{Claims, is_id};
use super::{Role, SERVICE_USER_ID, secrets};
use crate::clock::Timestamp;
use crate::config::{ClaimPath, Tokens};
use crate::error::{Error, Result};

/// Signs HS256 tokens with the configured secret.
pub struct Issuer {
    key: EncodingKey,
    issuer: Option<String>,
    audience: Option<String>,
    org_claim: Option<ClaimPath>,
}

/// What a new token says.
#[derive(Debug, Clone)]
pub struct NewToken<'a> {
    /// `sub`.
    pub user: &'a str,
    /// The organisation, where the settings look for it first; without one the user acts in their own tenant.
    pub organisation: Option<&'a str>,
    /// What they may do.
    pub role: Role,
    /// How long it is valid.
    pub lifetime: TimeDelta,
}

impl Issuer {
    /// `None` when only public keys are configured: then only their owner can make tokens.
    pub fn new(tokens: &Tokens) -> Result<Option<Self>> {
        Ok(secrets(tokens)?.first().map(|secret| Self {
            key: EncodingKey::from_secret(secret.expose().as_bytes()),
            issuer: tokens.issuers.first().cloned(),
            audience: tokens.audiences.first().cloned(),
            org_claim: tokens.org_claims.first().cloned(),
        }))
    }

    /// A token that an [`super::Authenticator`] with the same settings accepts from `now` on.
    pub fn sign(&self, token: &NewToken<'_>, now: Timestamp) -> Result<String> {
        let may_be_user = token.user != SERVICE_USER_ID || token.role == Role::Service;
        if !is_id(token.user) || !may_be_user {
            return Err(Error::bad_input("user", "the user id is too long, empty or reserved"));
        }
        let mut claims = Claims::new();
        let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        set("sub", token.user.into());
        set("iat", now.timestamp().into());
        set("exp", (now + token.lifetime).timestamp().into());
        // The names of Supabase's roles, so that row-level security knows them too.
        set("role", if token.role == Role::Service { "service_role" } else { "authenticated" }.into());
        if token.role == Role::Admin {
            set("org_role", "admin".into());
        }
        if let Some(issuer) = &self.issuer {
            set("iss", issuer.as_str().into());
        }
        if let Some(audience) = &self.audience {
            set("aud", audience.as_str().into());
        }
        if let (Some(path), Some(organisation)) = (&self.org_claim, token.organisation) {
            if !is_id(organisation) {
                return Err(Error::bad_input("org", "the organisation id is too long or empty"));
            }
            path.set(&mut claims, organisation.into());
        }
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key).map_err(Error::internal)
    }
}
