//! What Supabase Storage's answer means when it is no success: by `code` in its body, then by `statusCode` there, then by
//! the HTTP status, which is 400 for nearly everything.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use crate::blob::BlobError;
use crate::blob::wire::{busy, by_status, shortened};

/// The body of an error. All of it may be missing: gateways in front of storage have forms of their own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    code: Option<String>,
    /// A string with digits.
    #[serde(rename = "statusCode")]
    status_code: Value,
    message: Option<String>,
}

/// The error for an answer.
pub(super) fn meaning(what: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> BlobError {
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let code = body.code.unwrap_or_default();
    let said = match &body.status_code {
        Value::String(digits) => digits.parse().ok(),
        number => number.as_u64().and_then(|number| u16::try_from(number).ok()),
    };
    let status = said.and_then(|said| StatusCode::from_u16(said).ok()).unwrap_or(status);
    let message = shortened(&format!(
        "Supabase Storage {what}: {} {code} {}",
        status.as_u16(),
        body.message.unwrap_or_default()
    ));
    match code.as_str() {
        "NoSuchBucket" => BlobError::NoBucket(String::new()),
        "NoSuchKey" => BlobError::NotFound,
        "EntityTooLarge" => BlobError::TooLarge(message),
        "SlowDown" | "InternalError" | "DatabaseTimeout" | "DatabaseReadOnly" | "LockTimeout"
        | "ResourceLocked" => busy(headers, message),
        _ => by_status(status, headers, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_counts_more_than_the_status() {
        let of = |status: u16, body: &str| {
            meaning("GET", StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
        };
        let gone =
            r#"{"statusCode":"404","error":"not_found","message":"Object not found","code":"NoSuchKey"}"#;
        assert_eq!(of(400, gone), BlobError::NotFound);
        let no_bucket =
            r#"{"statusCode":"404","error":"Bucket not found","message":"m","code":"NoSuchBucket"}"#;
        assert!(matches!(of(400, no_bucket), BlobError::NoBucket(_)));
        let large = r#"{"statusCode":"413","error":"Payload too large","message":"m"}"#;
        assert!(matches!(of(400, large), BlobError::TooLarge(_)));
        let denied = r#"{"statusCode":"403","error":"Unauthorized","message":"Invalid Compact JWS","code":"AccessDenied"}"#;
        assert!(matches!(of(400, denied), BlobError::Refused(text) if text.contains("Invalid Compact JWS")));
        assert!(matches!(of(400, r#"{"statusCode":544}"#), BlobError::Unavailable { .. }));
        assert!(matches!(of(429, r#"{"code":"SlowDown"}"#), BlobError::Unavailable { .. }));
        assert!(matches!(of(401, r#"{"message":"No API key found in request"}"#), BlobError::Refused(_)));
        assert!(matches!(of(502, "<html>"), BlobError::Unavailable { .. }));
    }
}
