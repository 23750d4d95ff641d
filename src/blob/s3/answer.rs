//! What an S3 server's answer means when it is no success: by the code in its body, then by its status.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use crate::blob::BlobError;
use crate::blob::wire::{busy, by_status, shortened};

/// The error for an answer. A body is `<Error><Code>…</Code><Message>…</Message>…</Error>`; what else is in it may be
/// the request with its signature, and is not told.
pub(super) fn meaning(what: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> BlobError {
    let body = String::from_utf8_lossy(body);
    let code = element(&body, "Code").unwrap_or_default();
    let message = shortened(&format!(
        "S3 {what}: {} {code} {}",
        status.as_u16(),
        element(&body, "Message").unwrap_or_default()
    ));
    match code {
        "NoSuchBucket" => BlobError::NoBucket(String::new()),
        "NoSuchKey" => BlobError::NotFound,
        "EntityTooLarge" => BlobError::TooLarge(message),
        "BadDigest" | "InvalidDigest" => BlobError::Torn(message),
        // The upload was aborted by a rule or by somebody; a new one is needed.
        "NoSuchUpload"
        | "IncompleteBody"
        | "RequestTimeout"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "SlowDown"
        | "InternalError"
        | "ServiceUnavailable" => busy(headers, message),
        _ if status.is_redirection() => BlobError::Refused(format!(
            "{message}: the bucket is in another region, or behind another endpoint; set AWS_REGION"
        )),
        _ => by_status(status, headers, message),
    }
}

/// Whether an error says that the server cannot do what was asked, whatever its status.
pub(super) fn is_not_implemented(body: &[u8]) -> bool {
    element(&String::from_utf8_lossy(body), "Code") == Some("NotImplemented")
}

/// The text of the first element with this name.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_counts_more_than_the_status() {
        let of = |status: u16, body: &str| {
            meaning("GET", StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
        };
        let coded =
            |status, code| of(status, &format!("<Error><Code>{code}</Code><Message>m</Message></Error>"));
        assert!(matches!(coded(404, "NoSuchBucket"), BlobError::NoBucket(_)));
        assert!(matches!(coded(404, "NoSuchKey"), BlobError::NotFound));
        assert!(matches!(coded(400, "EntityTooLarge"), BlobError::TooLarge(_)));
        assert!(matches!(coded(400, "RequestTimeout"), BlobError::Unavailable { .. }));
        assert!(matches!(coded(403, "SignatureDoesNotMatch"), BlobError::Refused(_)));
        assert!(matches!(coded(501, "NotImplemented"), BlobError::Refused(_)));
        assert!(matches!(of(404, ""), BlobError::NotFound));
        assert!(matches!(of(503, "<html>"), BlobError::Unavailable { .. }));
        assert!(of(301, "").to_string().contains("AWS_REGION"));
        let refused = of(403, "<Error><Code>X</Code><StringToSign>hunter2</StringToSign></Error>");
        assert_eq!(refused, BlobError::Refused("S3 GET: 403 X".into()));
    }
}
