//! HS256 tokens: what is refused, and who the others are.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::fixture::{SECRET, after, authenticator, claims, config, hs256, outcome, start};
use crate::auth::{Issuer, NewToken, Role, bearer};
use crate::error::Code;

const OTHER: &str = "another secret of at least 32 bytes!!";

#[tokio::test]
async fn a_token_that_breaks_a_rule_is_refused_with_the_reason() {
    let authenticator = authenticator(&["--jwt-secret", SECRET]);
    let now = start().timestamp();
    let good = hs256(SECRET, &claims(json!({})));
    let parts: Vec<&str> = good.split('.').collect();
    let unsigned = |header: Value| {
        let header = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
        format!("{header}.{}.{}", parts[1], parts[2])
    };
    let signed = |changes| hs256(SECRET, &claims(changes));
    let cases = [
        (signed(json!({ "exp": now })), "has expired"),
        (signed(json!({ "exp": now - 3600 })), "has expired"),
        (signed(json!({ "exp": null })), "no expiry"),
        (signed(json!({ "exp": "tomorrow" })), "exp is not a time"),
        (signed(json!({ "exp": 1e300 })), "exp is not a time"),
        (signed(json!({ "exp": start().timestamp_millis() * 1000 })), "exp is not a time"),
        (signed(json!({ "nbf": now + 6 })), "not valid yet"),
        (signed(json!({ "nbf": "today" })), "nbf is not a time"),
        (signed(json!({ "sub": null })), "names no user"),
        (signed(json!({ "sub": "" })), "sub is not a string of 1 to 255"),
        (signed(json!({ "sub": 7 })), "sub is not a string"),
        (signed(json!({ "sub": "a\nb" })), "sub is not a string"),
        (signed(json!({ "sub": "x".repeat(256) })), "sub is not a string"),
        (signed(json!({ "sub": "service_role" })), "reserved"),
        (signed(json!({ "org_id": 7 })), "org_id is not a string"),
        (signed(json!({ "org_id": "" })), "org_id is not a string"),
        (signed(json!({ "app_metadata": { "org_id": ["a"] } })), "app_metadata.org_id is not a string"),
        (signed(json!({ "role": "anon", "sub": null })), "not signed in"),
        (hs256(OTHER, &claims(json!({}))), "signature is not valid"),
        (format!("{}.{}.{}", parts[0], parts[1], parts[2].to_uppercase()), "signature is not valid"),
        (format!("{}.{}.", parts[0], parts[1]), "signature is not valid"),
        (unsigned(json!({ "alg": "none" })), "algorithm"),
        (unsigned(json!({ "alg": "None" })), "algorithm"),
        (unsigned(json!({ "alg": "HS512" })), "algorithm"),
        (unsigned(json!({ "alg": "RS256" })), "algorithm"),
        (unsigned(json!({ "alg": "HS256", "crit": ["b64"], "b64": false })), "crit"),
        (unsigned(json!({ "kid": "x" })), "not a JSON Web Token"),
        (format!("{}.{}", parts[0], parts[1]), "not a JSON Web Token"),
        (hs256(SECRET, &json!(["ada"])), "not a JSON Web Token"),
        ("".into(), "not a JSON Web Token"),
        ("ada".into(), "not a JSON Web Token"),
        ("x".repeat(16 * 1024 + 1), "longer than 16384 bytes"),
    ];
    for (token, reason) in cases {
        let (code, message) = outcome(authenticator.authenticate_at(&token, start()).await).unwrap_err();
        assert_eq!(code, Code::Unauthenticated, "{message}");
        assert!(message.contains(reason), "{message:?} should say {reason:?}");
        assert!(!message.contains(SECRET));
    }
}

#[tokio::test]
async fn a_token_says_who_calls_and_in_which_tenant() {
    let cases = [
        (json!({}), "ada", "user:ada", Role::Member),
        (
            json!({ "nbf": start().timestamp() + 5, "exp": 1.8e9 + 0.5 + 60.0 }),
            "ada",
            "user:ada",
            Role::Member,
        ),
        (json!({ "org_id": "acme" }), "ada", "org:acme", Role::Member),
        (json!({ "org_id": "ada" }), "ada", "org:ada", Role::Member),
        (json!({ "app_metadata": { "org_id": "acme" } }), "ada", "org:acme", Role::Member),
        (json!({ "org_id": "a", "app_metadata": { "org_id": "b" } }), "ada", "org:a", Role::Member),
        (json!({ "org_id": "a", "org_role": "admin" }), "ada", "org:a", Role::Admin),
        (json!({ "app_metadata": { "org_id": "b", "org_role": "admin" } }), "ada", "org:b", Role::Admin),
        (
            json!({ "org_role": "member", "app_metadata": { "org_role": "admin" } }),
            "ada",
            "user:ada",
            Role::Member,
        ),
        // Users write their own user_metadata: it must mean nothing.
        (json!({ "user_metadata": { "org_id": "b", "org_role": "admin" } }), "ada", "user:ada", Role::Member),
        (json!({ "role": ["service_role"] }), "ada", "user:ada", Role::Member),
        (json!({ "role": "service_role" }), "ada", "user:ada", Role::Service),
    ];
    let authenticator = authenticator(&["--jwt-secret", SECRET]);
    for (changes, user, tenant, role) in cases {
        let token = hs256(SECRET, &claims(changes.clone()));
        let viewer = outcome(authenticator.authenticate_at(&token, start()).await).unwrap();
        assert_eq!((viewer.user_id(), viewer.tenant_id(), viewer.role()), (user, tenant, role), "{changes}");
        assert!(!viewer.sees_only_own());
    }
}

#[tokio::test]
async fn supabase_tokens_work_as_they_come() {
    let authenticator = authenticator(&["--supabase-jwt-secret", SECRET]);
    let authenticate =
        async |claims: Value| outcome(authenticator.authenticate_at(&hs256(SECRET, &claims), start()).await);
    let id = "8d8ac610-566d-4ef0-9c22-186b2a5ed793";
    let member = json!({
        "aal": "aal1", "amr": [{ "method": "password", "timestamp": 1_799_999_000 }],
        "app_metadata": { "provider": "email", "providers": ["email"], "org_id": "acme", "org_role": "admin" },
        "aud": "authenticated", "email": "ada@example.com", "exp": after(3600).timestamp(),
        "iat": 1_799_999_000, "is_anonymous": false, "iss": "https://p.supabase.co/auth/v1", "phone": "",
        "role": "authenticated", "session_id": "5b3a4d3e-1c7d-4a4b-8a34-0d3f8f6f5b11", "sub": id,
        "user_metadata": { "email_verified": true },
    });
    let viewer = authenticate(member).await.unwrap();
    assert_eq!((viewer.user_id(), viewer.tenant_id(), viewer.role()), (id, "org:acme", Role::Admin));

    let key = |role| json!({ "iss": "supabase", "ref": "p", "role": role, "iat": 1_700_000_000, "exp": 2_000_000_000 });
    let viewer = authenticate(key("service_role")).await.unwrap();
    assert_eq!((viewer.user_id(), viewer.role()), ("service_role", Role::Service));
    assert!(authenticate(key("anon")).await.unwrap_err().1.contains("anon"));
}

#[tokio::test]
async fn issuer_and_audience_count_when_they_are_configured() {
    let flags =
        ["--jwt-secret", SECRET, "--jwt-issuer", "https://a.example, supabase", "--jwt-audience", "one,two"];
    let authenticator = authenticator(&flags);
    let cases = [
        (json!({ "iss": "https://a.example", "aud": "one" }), None),
        (json!({ "iss": "supabase", "aud": ["zero", "two"] }), None),
        (json!({ "iss": "https://b.example", "aud": "one" }), Some("issuer")),
        (json!({ "iss": ["supabase"], "aud": "one" }), Some("issuer")),
        (json!({ "aud": "one" }), Some("issuer")),
        (json!({ "iss": "supabase", "aud": "three" }), Some("audience")),
        (json!({ "iss": "supabase", "aud": [] }), Some("audience")),
        (json!({ "iss": "supabase" }), Some("audience")),
    ];
    for (changes, refused) in cases {
        let token = hs256(SECRET, &claims(changes.clone()));
        let outcome = outcome(authenticator.authenticate_at(&token, start()).await);
        match refused {
            None => assert!(outcome.is_ok(), "{changes}: {outcome:?}"),
            Some(reason) => assert!(outcome.unwrap_err().1.contains(reason), "{changes}"),
        }
    }
}

#[tokio::test]
async fn the_org_claim_and_the_ownership_rule_are_settings() {
    let flags =
        ["--jwt-secret", SECRET, "--org-claim", "https://x.example/org,team.id", "--ownership", "user"];
    let authenticator = authenticator(&flags);
    for (changes, tenant) in [
        (json!({ "org_id": "acme" }), "user:ada"),
        (json!({ "team": { "id": "red" } }), "org:red"),
        (json!({ "team": "red" }), "user:ada"),
        (json!({ "https://x.example/org": "blue", "team": { "id": "red" } }), "org:blue"),
    ] {
        let token = hs256(SECRET, &claims(changes));
        let viewer = outcome(authenticator.authenticate_at(&token, start()).await).unwrap();
        assert_eq!(viewer.tenant_id(), tenant);
        assert!(viewer.sees_only_own());
    }
}

#[tokio::test]
async fn a_remembered_token_still_expires_on_time() {
    let authenticator = authenticator(&["--jwt-secret", SECRET]);
    let token = hs256(SECRET, &claims(json!({})));
    assert!(authenticator.authenticate_at(&token, after(0)).await.is_ok());
    assert!(authenticator.authenticate_at(&token, after(3599)).await.is_ok());
    let (_, message) = outcome(authenticator.authenticate_at(&token, after(3600)).await).unwrap_err();
    assert_eq!(message, "the token has expired");
}

#[tokio::test]
async fn both_secrets_are_accepted_and_the_first_one_signs() {
    let flags = ["--jwt-secret", SECRET, "--supabase-jwt-secret", OTHER];
    let both = authenticator(&flags);
    for secret in [SECRET, OTHER] {
        assert!(both.authenticate_at(&hs256(secret, &claims(json!({}))), start()).await.is_ok());
    }
    let made = Issuer::new(&config(&flags).tokens).unwrap().unwrap();
    let token =
        NewToken { user: "ada", organisation: None, role: Role::Member, lifetime: TimeDelta::hours(1) };
    let token = made.sign(&token, start()).unwrap();
    assert!(authenticator(&["--jwt-secret", SECRET]).authenticate_at(&token, start()).await.is_ok());
}

#[tokio::test]
async fn a_token_of_our_own_is_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let flags =
        ["--data-dir", folder.path().to_str().unwrap(), "--jwt-issuer", "us", "--jwt-audience", "api"];
    let (authenticator, tokens) = (authenticator(&flags), config(&flags).tokens);
    let issuer = Issuer::new(&tokens).unwrap().unwrap();
    for (user, organisation, role, tenant) in [
        ("ada", None, Role::Member, "user:ada"),
        ("ada", Some("acme"), Role::Admin, "org:acme"),
        ("service_role", None, Role::Service, "user:service_role"),
    ] {
        let token = NewToken { user, organisation, role, lifetime: TimeDelta::seconds(90) };
        let viewer =
            outcome(authenticator.authenticate_at(&issuer.sign(&token, start()).unwrap(), start()).await)
                .unwrap();
        assert_eq!((viewer.user_id(), viewer.tenant_id(), viewer.role()), (user, tenant, role));
        assert_eq!(viewer.expires_at(), after(90));
    }
    for (user, organisation) in [("", None), ("service_role", None), ("ada", Some(""))] {
        let token = NewToken { user, organisation, role: Role::Member, lifetime: TimeDelta::seconds(90) };
        assert_eq!(issuer.sign(&token, start()).unwrap_err().code(), Code::BadInput);
    }
}

#[test]
fn a_bearer_header_holds_one_token() {
    assert_eq!(bearer("Bearer a.b.c"), Some("a.b.c"));
    assert_eq!(bearer("bearer  a.b.c "), Some("a.b.c"));
    for header in ["", "Bearer", "Bearer ", "Basic abc", "a.b.c", "Bearer a b"] {
        assert_eq!(bearer(header), None, "{header:?}");
    }
}
