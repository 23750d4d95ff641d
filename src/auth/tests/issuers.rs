//! Tokens signed with an issuer's published keys.

use axum::http::StatusCode;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::fixture::{EC, ED, NEXT, RSA, SECRET, TestIssuer, after, authenticator, claims, outcome};
use crate::auth::{Authenticator, Issuer};
use crate::error::Code;

async fn code(authenticator: &Authenticator, token: &str, seconds: i64) -> Option<Code> {
    outcome(authenticator.authenticate_at(token, after(seconds)).await).err().map(|(code, _)| code)
}

/// Ada's token, unlike any other: the cache must not answer.
fn ada(number: usize) -> Value {
    claims(json!({ "jti": number }))
}

#[tokio::test]
async fn each_kind_of_key_verifies_its_own_algorithm() {
    let (rsa, others) = (TestIssuer::publish(&[&RSA]).await, TestIssuer::publish(&[&EC, &ED]).await);
    let authenticator = authenticator(&["--jwks-urls", &format!("{},{}", rsa.url, others.url)]);
    for key in [&*RSA, &EC, &ED] {
        assert_eq!(code(&authenticator, &key.sign(&ada(1)), 0).await, None, "{}", key.id);
        assert_eq!(code(&authenticator, &key.sign_as(None, &ada(2)), 0).await, None, "{}", key.id);
        let stranger = NEXT.sign_as(Some(key.id), &ada(3));
        assert_eq!(code(&authenticator, &stranger, 0).await, Some(Code::Unauthenticated), "{}", key.id);
    }
    assert_eq!((rsa.fetches(), others.fetches()), (1, 1));
}

#[tokio::test]
async fn a_public_key_is_never_used_as_a_secret() {
    let issuer = TestIssuer::publish(&[&RSA]).await;
    let modulus = RSA.public["n"].as_str().unwrap().as_bytes();
    let header = Header { kid: Some("rsa".into()), ..Header::new(Algorithm::HS256) };
    let forged = jsonwebtoken::encode(&header, &ada(0), &EncodingKey::from_secret(modulus)).unwrap();
    for flags in [vec!["--jwks-urls", &issuer.url], vec!["--jwks-urls", &issuer.url, "--jwt-secret", SECRET]]
    {
        assert_eq!(code(&authenticator(&flags), &forged, 0).await, Some(Code::Unauthenticated));
    }
    // A secret in a published document is not a key either.
    let published = json!({ "keys": [{ "kty": "oct", "kid": "oct", "alg": "HS256", "k": "c2VjcmV0" }] });
    issuer.answer(StatusCode::OK, published.to_string());
    let authenticator = authenticator(&["--jwks-urls", &issuer.url]);
    let header = Header { kid: Some("oct".into()), ..Header::new(Algorithm::HS256) };
    let forged = jsonwebtoken::encode(&header, &ada(0), &EncodingKey::from_secret(b"secret")).unwrap();
    assert_eq!(code(&authenticator, &forged, 0).await, Some(Code::Unauthenticated));
}

#[tokio::test]
async fn a_new_key_is_found_and_a_withdrawn_one_stops_working() {
    let issuer = TestIssuer::publish(&[&EC]).await;
    let authenticator = authenticator(&["--jwks-urls", &issuer.url]);
    let old = EC.sign(&ada(0));
    assert_eq!(code(&authenticator, &old, 0).await, None);
    issuer.rotate_to(&[&NEXT]);
    assert_eq!(code(&authenticator, &NEXT.sign(&ada(1)), 10).await, None);
    // Remembered until it is verified again.
    assert_eq!(code(&authenticator, &old, 20).await, None);
    assert_eq!(code(&authenticator, &old, 600).await, Some(Code::Unauthenticated));
}

#[tokio::test]
async fn keys_are_fetched_again_when_they_are_old() {
    let issuer = TestIssuer::publish(&[&EC]).await;
    let authenticator = authenticator(&["--jwks-urls", &issuer.url]);
    for (number, seconds) in [0, 1, 599].into_iter().enumerate() {
        assert_eq!(code(&authenticator, &EC.sign(&ada(number)), seconds).await, None);
    }
    assert_eq!(issuer.fetches(), 1);
    issuer.rotate_to(&[&NEXT]);
    assert_eq!(code(&authenticator, &EC.sign(&ada(9)), 600).await, Some(Code::Unauthenticated));
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn unknown_keys_cannot_hammer_the_issuer() {
    let issuer = TestIssuer::publish(&[&EC]).await;
    let authenticator = authenticator(&["--jwks-urls", &issuer.url]);
    let tokens: Vec<String> = (0..50).map(|n| EC.sign_as(Some(&format!("garbage-{n}")), &ada(n))).collect();
    for (seconds, fetches) in [(0, 1), (9, 1), (10, 2)] {
        let codes = join_all(tokens.iter().map(|token| code(&authenticator, token, seconds))).await;
        assert!(codes.iter().all(|code| *code == Some(Code::Unauthenticated)));
        assert_eq!(issuer.fetches(), fetches);
    }
}

#[tokio::test]
async fn known_keys_work_while_the_issuer_is_away() {
    let issuer = TestIssuer::publish(&[&EC]).await;
    let authenticator = authenticator(&["--jwks-urls", &issuer.url]);
    assert_eq!(code(&authenticator, &EC.sign(&ada(0)), 0).await, None);
    let too_large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(256 * 1024));
    let failures = [
        (StatusCode::BAD_GATEWAY, "".into()),
        (StatusCode::FOUND, "".into()),
        (StatusCode::OK, "<html>".into()),
        (StatusCode::OK, "{}".into()),
        (StatusCode::OK, too_large),
    ];
    for (number, (status, body)) in failures.into_iter().enumerate() {
        issuer.answer(status, body);
        let seconds = 1000 * (1 + i64::try_from(number).unwrap());
        let later = |claims: Value| EC.sign(&claims);
        let valid = claims(json!({ "jti": seconds, "exp": after(1_000_000).timestamp() }));
        assert_eq!(code(&authenticator, &later(valid), seconds).await, None);
        assert_eq!(code(&authenticator, &NEXT.sign(&ada(number)), seconds).await, Some(Code::Unavailable));
    }
    issuer.rotate_to(&[&NEXT]);
    let valid = claims(json!({ "exp": after(1_000_000).timestamp() }));
    assert_eq!(code(&authenticator, &NEXT.sign(&valid), 9000).await, None);
}

#[tokio::test]
async fn an_issuer_that_never_answered_makes_only_its_tokens_wait() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", gone.local_addr().unwrap());
    drop(gone);
    let issuer = TestIssuer::publish(&[&RSA]).await;
    let authenticator =
        authenticator(&["--jwks-urls", &format!("{url},{}", issuer.url), "--jwt-secret", SECRET]);
    assert_eq!(code(&authenticator, &RSA.sign(&ada(0)), 0).await, None);
    assert_eq!(code(&authenticator, &EC.sign(&ada(0)), 0).await, Some(Code::Unavailable));
    assert_eq!(code(&authenticator, &super::fixture::hs256(SECRET, &ada(0)), 0).await, None);
}

#[tokio::test]
async fn keys_that_cannot_be_used_are_passed_over() {
    let issuer = TestIssuer::publish(&[&EC]).await;
    let mut for_encryption = RSA.public.clone();
    for_encryption["use"] = json!("enc");
    let mut other_algorithm = RSA.public.clone();
    other_algorithm["alg"] = json!("RS512");
    let strange =
        [json!(7), json!({ "kty": "AKP" }), json!({ "kty": "EC", "crv": "secp256k1", "x": "", "y": "" })];
    let keys: Vec<Value> =
        strange.into_iter().chain([for_encryption, other_algorithm, EC.public.clone()]).collect();
    issuer.answer(StatusCode::OK, json!({ "keys": keys }).to_string());
    let authenticator = authenticator(&["--jwks-urls", &issuer.url]);
    assert_eq!(code(&authenticator, &EC.sign(&ada(0)), 0).await, None);
    assert_eq!(code(&authenticator, &RSA.sign(&ada(0)), 0).await, Some(Code::Unauthenticated));
}

#[test]
fn public_keys_alone_sign_nothing() {
    let config = super::fixture::config(&["--supabase-url", "https://p.supabase.co"]);
    assert!(Issuer::new(&config.tokens).unwrap().is_none());
}
