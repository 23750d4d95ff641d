//! Links to what Runledger serves itself: whoever has one may download this one thing until it expires.
//!
//! A link carries a JWT (HS256, RFC 7519) of a key that all servers on one database share.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// The length of the key: as long as the hash (RFC 7518, section 3.2).
pub const LINK_KEY_BYTES: usize = 32;

/// Makes links, and checks them. Cheap to clone.
#[derive(Clone)]
pub struct Links {
    signing: EncodingKey,
    checking: DecodingKey,
}

/// What the token of a link can say.
pub trait Linkable: Serialize + DeserializeOwned {
    /// What such tokens say in `aud`: a token of another kind is none.
    const AUDIENCE: &str;
}

/// A link to one stored thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Whose it is.
    pub tenant_id: String,
    pub what: Linked,
    pub id: Uuid,
    /// What the download is called.
    pub file_name: String,
}

/// The kinds of things that can be downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Linked {
    /// The archive of a generation.
    Generation,
    /// The log of an execution.
    Log,
    /// The visual session of an execution.
    Visual,
}

impl Linkable for Link {
    const AUDIENCE: &str = "runledger:download";
}

#[derive(Serialize, Deserialize)]
struct Claims<T> {
    aud: String,
    exp: i64,
    #[serde(flatten)]
    what: T,
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Links(***)")
    }
}

impl Links {
    /// With this key.
    pub fn new(key: &[u8]) -> Self {
        Self { signing: EncodingKey::from_secret(key), checking: DecodingKey::from_secret(key) }
    }

    /// The token of a link.
    ///
    /// # Errors
    /// What the signature says.
    pub fn sign<T: Linkable>(&self, what: T, expires_at: Timestamp) -> Result<String> {
        let claims = Claims { aud: T::AUDIENCE.into(), exp: expires_at.timestamp(), what };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing).map_err(Error::internal)
    }

    /// What a token gives at `now`, and until when; `None` for one that was tampered with, has expired or is of another kind.
    pub fn check<T: Linkable>(&self, token: &str, now: Timestamp) -> Option<(T, Timestamp)> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_audience(&[T::AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "aud"]);
        // Compared here, with the one clock.
        rules.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims<T>>(token, &self.checking, &rules).ok()?.claims;
        let expires_at = Timestamp::from_timestamp(claims.exp, 0)?;
        (claims.exp > now.timestamp()).then_some((claims.what, expires_at))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn link() -> Link {
        let file_name = "a-v1.tar.gz".into();
        Link { tenant_id: "org:acme".into(), what: Linked::Generation, id: Uuid::from_u128(7), file_name }
    }

    #[test]
    fn a_link_works_until_it_expires_and_not_with_another_key() {
        let (links, now) = (Links::new(&[1; LINK_KEY_BYTES]), crate::clock::now());
        let token = links.sign(link(), now + TimeDelta::seconds(60)).unwrap();
        assert_eq!(links.check(&token, now).map(|(link, _)| link), Some(link()));
        assert_eq!(links.check::<Link>(&token, now + TimeDelta::seconds(61)), None);
        assert_eq!(Links::new(&[2; LINK_KEY_BYTES]).check::<Link>(&token, now), None);
    }

    #[test]
    fn a_token_that_was_tampered_with_or_is_of_another_kind_is_refused() {
        let (links, now) = (Links::new(&[1; LINK_KEY_BYTES]), crate::clock::now());
        let token = links.sign(link(), now + TimeDelta::seconds(60)).unwrap();
        for at in [3, token.len() / 2, token.len() - 3] {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(links.check::<Link>(&String::from_utf8(bytes).unwrap(), now), None, "{at}");
        }
        let claims = serde_json::json!({ "sub": "ada", "exp": now.timestamp() + 60, "aud": "authenticated" });
        let key = EncodingKey::from_secret(&[1; LINK_KEY_BYTES]);
        let other = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
        assert_eq!(links.check::<Link>(&other, now), None);
    }
}
