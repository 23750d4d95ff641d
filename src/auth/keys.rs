//! Keys that verify tokens. A key has one algorithm, and no token can choose another.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;

use super::claims::Claims;
use crate::config::Secret;
use crate::domain::limits::JWKS_KEYS_MAX;

/// A key, the one algorithm that it is for, and its name in the issuer's document.
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    decoding: DecodingKey,
}

impl Key {
    pub(super) fn from_secret(secret: &Secret) -> Self {
        Self {
            id: None,
            algorithm: Algorithm::HS256,
            decoding: DecodingKey::from_secret(secret.expose().as_bytes()),
        }
    }

    /// The claims, if this key signed the token. Times, issuer and audience are checked by [`super::claims::Rules`],
    /// against a clock that is passed in.
    pub(super) fn verify(&self, token: &str) -> Result<Claims, jsonwebtoken::errors::Error> {
        let mut validation = Validation::new(self.algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        jsonwebtoken::decode(token, &self.decoding, &validation).map(|data| data.claims)
    }

    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
            // Above all not `oct`: a secret in a public document is no secret.
            _ => return None,
        };
        let common = &jwk.common;
        if common.key_algorithm.is_some_and(|declared| declared != KeyAlgorithm::from(algorithm))
            || common.public_key_use.as_ref().is_some_and(|declared| *declared != PublicKeyUse::Signature)
        {
            return None;
        }
        Some(Self { id: common.key_id.clone(), algorithm, decoding: DecodingKey::from_jwk(jwk).ok()? })
    }
}

/// The usable keys of a JWKS document; unknown kinds of keys are passed over (RFC 7517, section 5).
pub(super) fn parse_jwks(document: &[u8]) -> Result<Vec<Key>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<Value>,
    }
    let document: Document = serde_json::from_slice(document)?;
    let jwks = document.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    Ok(jwks.filter_map(|jwk| Key::from_jwk(&jwk)).take(JWKS_KEYS_MAX).collect())
}
