//! Tokens for the tests of other modules.

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::Authenticator;
use crate::clock::now;
use crate::config::Settings;

const SECRET: &str = "a secret of at least thirty-two bytes";

pub(crate) fn authenticator() -> Authenticator {
    let settings = Settings::from_flags(["--jwt-secret", SECRET]).unwrap();
    Authenticator::new(&settings.check().unwrap().tokens).unwrap()
}

/// A token that lives for some milliseconds, rounded up to the end of a second; negative: it has expired.
pub(crate) fn token(user: &str, organisation: &str, milliseconds: i64) -> String {
    let expiry = (now().timestamp_millis() + milliseconds).div_euclid(1_000) + i64::from(milliseconds > 0);
    let claims = json!({ "sub": user, "org_id": organisation, "exp": expiry });
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}
