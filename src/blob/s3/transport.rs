//! How opendal's requests get to the server and back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::request::Parts;
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport};
use reqwest::header::ETAG;
use reqwest::{Method, Request, Response, StatusCode, Url};

use super::answer;
use crate::blob::wire::{Upload, Wire, a_few_times};
use crate::blob::{BlobError, Result};

/// What a server has shown that it cannot do; forgotten at the next start.
#[derive(Debug, Default)]
pub(super) struct Lacks {
    copies: AtomicBool,
    conditions: AtomicBool,
}

/// What a server cannot do, as far as is known now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lacking {
    /// Copying a range of an object into a part of an upload.
    pub(super) copies: bool,
    /// Writing on a condition. A server that only ignores conditions is not known by it.
    pub(super) conditions: bool,
}

impl Lacks {
    pub(super) fn now(&self) -> Lacking {
        Lacking {
            copies: self.copies.load(Ordering::Relaxed),
            conditions: self.conditions.load(Ordering::Relaxed),
        }
    }

    /// The server does not implement something about this request.
    fn note(&self, head: &Parts) {
        let has = |name| head.headers.contains_key(name);
        let (lack, what) = if has("x-amz-copy-source") {
            (&self.copies, "copy into a part: objects that grow are sent again as a whole")
        } else if has("if-match") || has("if-none-match") {
            (&self.conditions, "write on a condition")
        } else {
            return;
        };
        if !lack.swap(true, Ordering::Relaxed) {
            tracing::info!("the S3 server cannot {what}");
        }
    }
}

/// Where the ETag of the part that was sent last is found.
pub(super) type PartEtag = Arc<Mutex<Option<String>>>;

/// Sends over our own client.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    wire: Wire,
    lacks: Arc<Lacks>,
    part_etag: Option<PartEtag>,
}

impl Transport {
    pub(super) fn new(wire: Wire, lacks: Arc<Lacks>) -> Self {
        Self { wire, lacks, part_etag: None }
    }

    /// One that tells what storage says of the parts that it sends: opendal does not.
    pub(super) fn recording(&self) -> (Self, PartEtag) {
        let part_etag = PartEtag::default();
        (Self { part_etag: Some(part_etag.clone()), ..self.clone() }, part_etag)
    }

    async fn answer(&self, head: &Parts, url: &Url, body: &Buffer) -> Result<Response> {
        let mut request = Request::new(head.method.clone(), url.clone());
        *request.headers_mut() = head.headers.clone();
        let is_part = head.method == Method::PUT && !body.is_empty();
        let upload = (!body.is_empty()).then(|| Upload::of_bytes(Vec::<Bytes>::from_iter(body.clone())));
        let answer = self.wire.send(request, upload).await?;
        let status = answer.status();
        if let Some(recorded) = self.part_etag.as_ref().filter(|_| is_part && status.is_success()) {
            let etag = answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
            *recorded.lock().unwrap_or_else(PoisonError::into_inner) = etag;
        }
        // A condition that is not fulfilled is no failure of storage: asking again does not help. opendal reports it.
        if status.is_success() || status == StatusCode::PRECONDITION_FAILED {
            return Ok(answer);
        }
        let headers = answer.headers().clone();
        let body = self.wire.whole(answer).await?;
        if status == StatusCode::NOT_IMPLEMENTED || answer::is_not_implemented(&body) {
            self.lacks.note(head);
        }
        Err(answer::meaning(head.method.as_str(), status, &headers, &body))
    }
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: http::Request<Buffer>) -> opendal::Result<http::Response<HttpBody>> {
        let (head, body) = request.into_parts();
        let url = Url::parse(&head.uri.to_string())
            .map_err(|_| carried(BlobError::Refused("the endpoint of S3 is no URL".into())))?;
        let attempt = || self.answer(&head, &url, &body);
        // Beginning a multipart upload twice would leave one behind; ending it twice fails the second time.
        let answer = if head.method == Method::POST { attempt().await } else { a_few_times(attempt).await };
        let answer = answer.map_err(carried)?;
        let mut response = http::Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        // A body that ends early is an error, but an answer to HEAD names a length and has no body.
        let length = answer.content_length().filter(|_| head.method != Method::HEAD);
        let pieces = Box::pin(self.wire.body(answer).map_ok(Buffer::from).map_err(carried));
        let body = HttpBody::new(pieces, length);
        response.body(body).map_err(|_| Error::new(ErrorKind::Unexpected, "the answer is no answer"))
    }
}

/// Our error, inside one of opendal's.
fn carried(error: BlobError) -> Error {
    let kind = match error {
        BlobError::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Unexpected,
    };
    Error::new(kind, error.to_string()).set_source(error)
}
