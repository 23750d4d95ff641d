//! What an HTTP status means, for storages that say nothing more exact.

use std::time::Duration;

use chrono::DateTime;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::blob::BlobError;
use crate::clock::{self, Timestamp};
use crate::domain::limits::{STORAGE_ERROR_MESSAGE_CHARS_MAX, STORAGE_RETRY_AFTER_SECONDS_MAX};

/// The error for an answer that is no success.
pub(in crate::blob) fn by_status(status: StatusCode, headers: &HeaderMap, message: String) -> BlobError {
    match status {
        StatusCode::NOT_FOUND => BlobError::NotFound,
        StatusCode::PAYLOAD_TOO_LARGE => BlobError::TooLarge(message),
        StatusCode::REQUEST_TIMEOUT | StatusCode::LOCKED | StatusCode::TOO_EARLY => busy(headers, message),
        // Repeating it does not help.
        StatusCode::NOT_IMPLEMENTED => BlobError::Refused(message),
        status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
            busy(headers, message)
        }
        _ => BlobError::Refused(message),
    }
}

/// The error for a storage that is away, busy or broken.
pub(in crate::blob) fn busy(headers: &HeaderMap, message: String) -> BlobError {
    BlobError::Unavailable { message, retry_after: retry_after(headers, clock::now()) }
}

/// A storage's own words, cut to a readable length and on one line.
pub(in crate::blob) fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(STORAGE_ERROR_MESSAGE_CHARS_MAX).collect()
}

/// `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (DateTime::parse_from_rfc2822(value).ok()?.to_utc() - now).to_std().unwrap_or_default(),
    };
    Some(pause.min(Duration::from_secs(STORAGE_RETRY_AFTER_SECONDS_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-11-21T09:00:00Z").unwrap().to_utc();
        for (value, seconds) in [
            ("7", Some(7)),
            ("Sat, 21 Nov 2026 09:00:30 GMT", Some(30)),
            ("Sat, 21 Nov 2026 08:00:00 GMT", Some(0)),
            ("999999999", Some(STORAGE_RETRY_AFTER_SECONDS_MAX)),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{value}");
        }
    }
}
