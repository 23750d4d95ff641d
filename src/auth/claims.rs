//! What the claims of a token mean: from verified claims to a [`Viewer`].

use serde_json::{Map, Value};

use super::tenant::tenant_of;
use super::{Role, Viewer};
use crate::clock::Timestamp;
use crate::config::{ClaimPath, Ownership, Tokens};
use crate::domain::limits::{TOKEN_ID_CHARS_MAX, TOKEN_NOT_BEFORE_LEEWAY_SECONDS};
use crate::error::{Error, Result};

/// The claims of a token whose signature was verified.
pub(super) type Claims = Map<String, Value>;

/// The user id of a service-role token that names no user, as Supabase's do not. No other token may use it.
pub const SERVICE_USER_ID: &str = "service_role";

/// What the settings say about claims.
#[derive(Debug)]
pub(super) struct Rules {
    issuers: Vec<String>,
    audiences: Vec<String>,
    org_claims: Vec<ClaimPath>,
    owner_only: bool,
}

impl Rules {
    pub(super) fn new(tokens: &Tokens) -> Self {
        Self {
            issuers: tokens.issuers.clone(),
            audiences: tokens.audiences.clone(),
            org_claims: tokens.org_claims.clone(),
            owner_only: tokens.ownership == Ownership::User,
        }
    }

    /// The viewer that the claims name, if they are valid at `now`.
    pub(super) fn viewer(&self, claims: &Claims, now: Timestamp) -> Result<Viewer> {
        let expires_at = lifetime(claims, now)?;
        self.issuer_and_audience(claims)?;
        let role = role(claims)?;
        let user = user(claims, role)?;
        let organisation = self.organisation(claims)?;
        let tenant = tenant_of(organisation, user);
        Ok(Viewer::new(user.to_owned(), tenant, role, expires_at, self.owner_only))
    }

    fn issuer_and_audience(&self, claims: &Claims) -> Result<()> {
        let issuer = claims.get("iss").and_then(Value::as_str);
        if !self.issuers.is_empty() && !self.issuers.iter().any(|accepted| issuer == Some(accepted)) {
            return Err(refused("the token's issuer (iss) is not accepted"));
        }
        let audiences = match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().collect(),
            Some(audience) => vec![audience],
            None => vec![],
        };
        if !self.audiences.is_empty() && !audiences.iter().any(|audience| self.is_accepted(audience)) {
            return Err(refused("the token's audience (aud) is not accepted"));
        }
        Ok(())
    }

    fn is_accepted(&self, audience: &Value) -> bool {
        self.audiences.iter().any(|accepted| audience == accepted)
    }

    fn organisation<'a>(&self, claims: &'a Claims) -> Result<Option<&'a str>> {
        let named = self.org_claims.iter().find_map(|path| Some((path, path.find(claims)?)));
        named.map(|(path, value)| id(value, path)).transpose()
    }
}

/// Checks `exp` and `nbf`. An expiry has no leeway, so that whatever a token opened ends on time.
fn lifetime(claims: &Claims, now: Timestamp) -> Result<Timestamp> {
    let expires_at = time(claims, "exp")?.ok_or_else(|| refused("the token has no expiry (exp)"))?;
    if expires_at <= now {
        return Err(refused("the token has expired"));
    }
    let leeway = chrono::TimeDelta::seconds(TOKEN_NOT_BEFORE_LEEWAY_SECONDS);
    if time(claims, "nbf")?.is_some_and(|not_before| not_before > now + leeway) {
        return Err(refused("the token is not valid yet (nbf)"));
    }
    Ok(expires_at)
}

/// A NumericDate (RFC 7519): seconds, which may have a fraction; cut to whole ones.
fn time(claims: &Claims, name: &'static str) -> Result<Option<Timestamp>> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "casts of floats saturate; the range is checked next"
    )]
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64));
    let time = seconds.and_then(|seconds| Timestamp::from_timestamp(seconds, 0));
    time.map(Some).ok_or_else(|| refused(format!("the token's {name} is not a time in seconds since 1970")))
}

/// `role: service_role` and `role: anon` are Supabase's; `org_role: admin` makes an admin.
///
/// Other values of `role` say nothing here: other issuers use the name for other things.
fn role(claims: &Claims) -> Result<Role> {
    match claims.get("role").and_then(Value::as_str) {
        Some("service_role") => return Ok(Role::Service),
        Some("anon") => return Err(refused("the token is for callers who are not signed in (role: anon)")),
        _ => {}
    }
    let in_metadata = || claims.get("app_metadata").and_then(|metadata| metadata.get("org_role"));
    let org_role = claims.get("org_role").filter(|value| !value.is_null()).or_else(in_metadata);
    Ok(if org_role.and_then(Value::as_str) == Some("admin") { Role::Admin } else { Role::Member })
}

fn user(claims: &Claims, role: Role) -> Result<&str> {
    match claims.get("sub").filter(|value| !value.is_null()) {
        None if role == Role::Service => Ok(SERVICE_USER_ID),
        None => Err(refused("the token names no user (sub)")),
        Some(value) => match id(value, "sub")? {
            SERVICE_USER_ID if role != Role::Service => {
                Err(refused("the token's sub is reserved for service-role tokens"))
            }
            user => Ok(user),
        },
    }
}

fn id(value: &Value, name: impl std::fmt::Display) -> Result<&str> {
    value.as_str().filter(|value| is_id(value)).ok_or_else(|| {
        refused(format!(
            "the token's {name} is not a string of 1 to {TOKEN_ID_CHARS_MAX} characters without control characters"
        ))
    })
}

/// Whether a text can be the id of a user or an organisation.
pub(super) fn is_id(value: &str) -> bool {
    let chars = value.chars().take(TOKEN_ID_CHARS_MAX + 1).count();
    (1..=TOKEN_ID_CHARS_MAX).contains(&chars) && !value.chars().any(char::is_control)
}

pub(super) fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::Unauthenticated(message.into())
}
