//! Downloads by link: no token of a user is asked for, the link itself says what it gives and until when.

use std::fs::File;
use std::io::SeekFrom;
use std::ops::Range;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::TryStreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use crate::domain::limits::OBJECT_PIECE_BYTES;
use crate::error::{Error, Result};
use crate::http::refusal::refuse;
use crate::monitor;
use crate::service::{Archive, Behind, Service, WholeLog};

/// Where downloads are; the name after it is only what a browser saves the file as.
const DOWNLOADS_PATH: &str = "/downloads/{file_name}";

pub(super) fn routes(service: Service) -> Router {
    Router::new().route(DOWNLOADS_PATH, get(download)).with_state(service)
}

/// Sends the archive, or the range of it that is asked for.
async fn download(State(service): State<Service>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
    let token = token.map(|(_, token)| token.into_owned()).unwrap_or_default();
    match service.linked(&token).await {
        Ok(Behind::Archive(archive)) => {
            send(archive, request.headers()).await.unwrap_or_else(|error| refuse(&error))
        }
        Ok(Behind::Log(log)) => stream(log),
        Err(error) => refuse(&error),
    }
}

/// The archive never changes, so its checksum is its ETag, and times say nothing: each copy of it has another.
async fn send(archive: Archive, asked: &HeaderMap) -> Result<Response> {
    let etag = format!("\"{}\"", archive.sha256);
    let size_bytes = archive.size_bytes;
    let mut response = match answer(asked, &etag, size_bytes) {
        Answer::Known => StatusCode::NOT_MODIFIED.into_response(),
        Answer::Beyond => {
            let whole = format!("bytes */{size_bytes}");
            (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, whole)]).into_response()
        }
        Answer::Whole => file(archive.file, 0..size_bytes).await?,
        Answer::Part(part) => {
            let range = format!("bytes {}-{}/{size_bytes}", part.start, part.end - 1);
            let body = file(archive.file, part).await?;
            (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, range)], body).into_response()
        }
    };
    let is_sent = response.status().is_success();
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::ETAG, &etag);
    set(header::ACCEPT_RANGES, "bytes");
    set(header::CACHE_CONTROL, "private, no-transform");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if is_sent {
        set(header::CONTENT_TYPE, "application/gzip");
        set(header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{}\"", archive.file_name));
    }
    Ok(response)
}

/// A part of a file. Its length is told; the answer to HEAD has it, too.
async fn file(file: File, part: Range<u64>) -> Result<Response> {
    let mut file = tokio::fs::File::from_std(file);
    file.seek(SeekFrom::Start(part.start)).await.map_err(Error::internal)?;
    let length = part.end - part.start;
    let pieces = ReaderStream::with_capacity(file.take(length), OBJECT_PIECE_BYTES);
    Ok(([(header::CONTENT_LENGTH, length)], Body::from_stream(pieces)).into_response())
}

/// What a client is to be sent (RFC 9110, sections 13 and 14).
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Whole,
    Part(Range<u64>),
    /// The client has it.
    Known,
    /// The client asks for what comes after the end.
    Beyond,
}

fn answer(asked: &HeaderMap, etag: &str, size_bytes: u64) -> Answer {
    let value = |name: HeaderName| asked.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    let is_it = |known: &str| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag;
    if value(header::IF_NONE_MATCH).is_some_and(|known| known.split(',').map(str::trim).any(is_it)) {
        return Answer::Known;
    }
    // A part is of no use to a client that has parts of something else.
    if value(header::IF_RANGE).is_some_and(|known| known != etag) {
        return Answer::Whole;
    }
    value(header::RANGE).and_then(|range| part(range, size_bytes)).unwrap_or(Answer::Whole)
}

/// `None` for what is no single range: it may be left alone.
fn part(range: &str, size_bytes: u64) -> Option<Answer> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let number =
        |text: &str| Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok();
    let part = match (first, last) {
        ("", last) => size_bytes.saturating_sub(number(last)?)..size_bytes,
        (first, "") => number(first)?..size_bytes,
        (first, last) => {
            let (first, last): (u64, u64) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size_bytes)
        }
    };
    Some(if part.start < part.end { Answer::Part(part) } else { Answer::Beyond })
}

/// Sends a log as it is read. When that fails half-way the connection breaks, so that nobody takes a part for the whole.
fn stream(log: WholeLog) -> Response {
    let disposition = format!("attachment; filename=\"{}\"", log.file_name);
    let lines = log.lines.inspect_ok(|_| monitor::piece_served()).map_err(|error| {
        tracing::warn!(?error, "the download of a log was cut off");
        std::io::Error::other("the log cannot be read to its end now")
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, Body::from_stream(lines)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_part_of_what_there_is() {
        for (range, expected) in [
            ("bytes=0-0", Some(Answer::Part(0..1))),
            ("bytes=2-", Some(Answer::Part(2..10))),
            ("bytes=2-99", Some(Answer::Part(2..10))),
            ("bytes=-3", Some(Answer::Part(7..10))),
            ("bytes=-99", Some(Answer::Part(0..10))),
            ("bytes=-0", Some(Answer::Beyond)),
            ("bytes=10-", Some(Answer::Beyond)),
            ("bytes=10-18446744073709551615", Some(Answer::Beyond)),
            ("bytes=18446744073709551616-", None),
            ("bytes=3-2", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes", None),
            ("chars=0-1", None),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
        assert_eq!(part("bytes=0-", 0), Some(Answer::Beyond));
    }
}
