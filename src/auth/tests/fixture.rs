//! Keys made for one test run, tokens signed with them, and an issuer that can be told what to answer.

use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::TimeDelta;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::auth::{Authenticator, Viewer};
use crate::clock::Timestamp;
use crate::config::{Config, Settings};
use crate::error::{Code, Result};

pub(super) const SECRET: &str = "a secret of at least thirty-two bytes";

/// A moment that all tests start from.
pub(super) fn start() -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000, 0).unwrap()
}

pub(super) fn after(seconds: i64) -> Timestamp {
    start() + TimeDelta::seconds(seconds)
}

pub(super) fn config(flags: &[&str]) -> Config {
    Settings::from_flags(flags).unwrap().check().unwrap()
}

pub(super) fn authenticator(flags: &[&str]) -> Authenticator {
    Authenticator::new(&config(flags).tokens).unwrap()
}

/// The viewer, or the error's code and text.
pub(super) fn outcome(result: Result<Viewer>) -> std::result::Result<Viewer, (Code, String)> {
    result.map_err(|error| (error.code(), error.message()))
}

/// A private key, with the name and the public half that its issuer publishes.
pub(super) struct TestKey {
    pub(super) id: &'static str,
    pub(super) algorithm: Algorithm,
    pub(super) private: EncodingKey,
    pub(super) public: Value,
}

impl TestKey {
    fn new(id: &'static str, algorithm: Algorithm, pkcs8: &[u8]) -> Self {
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
            BASE64_STANDARD.encode(pkcs8)
        );
        let parse = match algorithm {
            Algorithm::RS256 => EncodingKey::from_rsa_pem,
            Algorithm::ES256 => EncodingKey::from_ec_pem,
            _ => EncodingKey::from_ed_pem,
        };
        let private = parse(pem.as_bytes()).unwrap();
        let mut public = json!(Jwk::from_encoding_key(&private, algorithm).unwrap());
        public["kid"] = json!(id);
        public["use"] = json!("sig");
        Self { id, algorithm, private, public }
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_as(Some(self.id), claims)
    }

    pub(super) fn sign_as(&self, id: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: id.map(Into::into), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.private).unwrap()
    }
}

fn ec(id: &'static str) -> TestKey {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    TestKey::new(id, Algorithm::ES256, key.to_pkcs8v1().unwrap().as_ref())
}

pub(super) static RSA: LazyLock<TestKey> = LazyLock::new(|| {
    let key = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    TestKey::new("rsa", Algorithm::RS256, key.as_der().unwrap().as_ref())
});
pub(super) static EC: LazyLock<TestKey> = LazyLock::new(|| ec("ec"));
pub(super) static NEXT: LazyLock<TestKey> = LazyLock::new(|| ec("next"));
pub(super) static ED: LazyLock<TestKey> = LazyLock::new(|| {
    let key = Ed25519KeyPair::generate().unwrap();
    TestKey::new("ed", Algorithm::EdDSA, key.to_pkcs8v1().unwrap().as_ref())
});

/// A token signed with a secret.
pub(super) fn hs256(secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

/// Claims of a member called `ada` that are valid for an hour, with changes; a `null` removes a claim.
pub(super) fn claims(changes: Value) -> Value {
    let mut claims = json!({ "sub": "ada", "exp": after(3600).timestamp() });
    let Value::Object(changes) = changes else { panic!("not an object") };
    let object = claims.as_object_mut().unwrap();
    object.extend(changes);
    object.retain(|_, value| !value.is_null());
    claims
}

/// Publishes a JWKS document on this machine.
pub(super) struct TestIssuer {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    status: StatusCode,
    body: String,
    fetches: usize,
}

impl TestIssuer {
    pub(super) async fn publish(keys: &[&TestKey]) -> Self {
        let state = Arc::new(Mutex::new(State { status: StatusCode::OK, body: document(keys), fetches: 0 }));
        let answers = Arc::clone(&state);
        let answer = async move || {
            let mut state = answers.lock().unwrap();
            state.fetches += 1;
            (state.status, state.body.clone())
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, Router::new().route("/jwks.json", get(answer))).await });
        Self { url, state }
    }

    pub(super) fn rotate_to(&self, keys: &[&TestKey]) {
        self.answer(StatusCode::OK, document(keys));
    }

    pub(super) fn answer(&self, status: StatusCode, body: impl Into<String>) {
        let mut state = self.state.lock().unwrap();
        state.status = status;
        state.body = body.into();
    }

    pub(super) fn fetches(&self) -> usize {
        self.state.lock().unwrap().fetches
    }
}

fn document(keys: &[&TestKey]) -> String {
    json!({ "keys": keys.iter().map(|key| &key.public).collect::<Vec<_>>() }).to_string()
}
