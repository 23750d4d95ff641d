//! Tokens of every kind of caller.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde::Serialize;
use serde_json::Value;

/// What every server of the tests verifies tokens with.
pub(crate) const SECRET: &str = "a-secret-that-only-the-tests-know-0123456789abcdef";
const OTHER_SECRET: &str = "a-secret-that-the-servers-do-not-know-0123456789ab";

/// Longer than any benchmark.
const DAY_SECONDS: i64 = 24 * 3600;

/// What a token says.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Claims {
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    exp: i64,
}

impl Claims {
    /// A user in a tenant of their own, for a day.
    pub(crate) fn user(sub: &str) -> Self {
        let exp = runledger::clock::now().timestamp() + DAY_SECONDS;
        Self { sub: sub.into(), org_id: None, org_role: None, role: Some("authenticated"), exp }
    }

    /// A member of an organisation.
    pub(crate) fn member(sub: &str, org: &str) -> Self {
        Self { org_id: Some(org.into()), ..Self::user(sub) }
    }

    /// An administrator of an organisation.
    pub(crate) fn admin(sub: &str, org: &str) -> Self {
        Self { org_role: Some("admin"), ..Self::member(sub, org) }
    }

    /// The service role, as Supabase names it.
    pub(crate) fn service(sub: &str) -> Self {
        Self { role: Some("service_role"), ..Self::user(sub) }
    }

    /// The same, ending in `seconds` from now; in the past when negative.
    pub(crate) fn expiring_in(self, seconds: i64) -> Self {
        Self { exp: runledger::clock::now().timestamp() + seconds, ..self }
    }

    /// The token, as the servers accept it.
    pub(crate) fn token(&self) -> String {
        sign(self, SECRET)
    }

    /// The token, signed by somebody else.
    pub(crate) fn forged(&self) -> String {
        sign(self, OTHER_SECRET)
    }

    /// As `request.jwt.claims` of a PostgreSQL session has them.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("claims are plain")
    }

    /// A token that says whatever the test wants.
    pub(crate) fn sign_any(claims: &Value) -> String {
        sign(claims, SECRET)
    }
}

fn sign(claims: &impl Serialize, secret: &str) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes()))
        .expect("claims are plain")
}
