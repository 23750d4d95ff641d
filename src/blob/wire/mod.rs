//! HTTP to a storage, for all backends: one client, limits in time, failures without secrets.
//!
//! A request may take as long as bytes move: what fails is a connection that takes too long to be made, or on which
//! nothing moves for a while, in either direction. (reqwest's own `read_timeout` runs while a body is being sent, too,
//! and would cut long uploads.)

mod answer;

use std::error::Error as _;
use std::io;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use reqwest::header::{CONTENT_LENGTH, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Body, Client, Request, Response, Url};

use super::{BlobError, Result};
use crate::domain::limits::{
    OBJECT_PIECE_BYTES, STORAGE_ANSWER_BYTES_MAX, STORAGE_ATTEMPT_PAUSE_MILLISECONDS_MIN,
    STORAGE_ATTEMPTS_MAX, STORAGE_CONNECT_SECONDS_MAX, STORAGE_FAST_FAILURE_MILLISECONDS_MAX,
    STORAGE_IDLE_SECONDS_MAX, STORAGE_KEPT_CONNECTION_SECONDS_MAX,
};

pub(super) use answer::{busy, by_status, shortened};

/// How long a storage is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// From the beginning of a connection until it is there.
    pub(super) connect: Duration,
    /// Between two bytes.
    pub(super) idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(STORAGE_CONNECT_SECONDS_MAX),
            idle: Duration::from_secs(STORAGE_IDLE_SECONDS_MAX),
        }
    }
}

/// What is sent along with a request.
pub(super) struct Upload {
    pub(super) size_bytes: u64,
    pub(super) pieces: BoxStream<'static, io::Result<Bytes>>,
}

impl Upload {
    /// Bytes in memory, sent in pieces so that it can be seen whether they move.
    pub(super) fn of_bytes(buffers: Vec<Bytes>) -> Self {
        let size_bytes = buffers.iter().map(|bytes| bytes.len() as u64).sum();
        let pieces = buffers.into_iter().flat_map(|mut rest| {
            std::iter::from_fn(move || {
                let piece = rest.split_to(rest.len().min(OBJECT_PIECE_BYTES));
                (!piece.is_empty()).then_some(Ok(piece))
            })
        });
        Self { size_bytes, pieces: stream::iter(pieces).boxed() }
    }
}

/// The connections to a storage.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    client: Client,
    idle: Duration,
}

impl Wire {
    pub(super) fn new(patience: Patience) -> Result<Self> {
        let client = Client::builder()
            .connect_timeout(patience.connect)
            .pool_idle_timeout(Duration::from_secs(STORAGE_KEPT_CONNECTION_SECONDS_MAX))
            // A storage that sends us elsewhere would get our keys sent there.
            .redirect(Policy::none())
            .build()
            .map_err(|error| BlobError::Refused(format!("no HTTP client can be made: {error}")))?;
        Ok(Self { client, idle: patience.idle })
    }

    /// Sends a request, until the head of its answer is there, whatever its status. The length of what is uploaded is
    /// always said.
    pub(super) async fn send(&self, mut request: Request, upload: Option<Upload>) -> Result<Response> {
        let host = host(request.url());
        let moved = Arc::new(AtomicU64::new(0));
        if let Some(Upload { size_bytes, pieces }) = upload {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size_bytes));
            let moved = moved.clone();
            let seen = pieces.inspect(move |_| {
                moved.fetch_add(1, Ordering::Relaxed);
            });
            *request.body_mut() = Some(Body::wrap_stream(seen));
        }
        let mut answer = pin!(self.client.execute(request));
        let mut moved_before = 0;
        loop {
            match tokio::time::timeout(self.idle, &mut answer).await {
                Ok(answer) => return answer.map_err(|error| away(&host, error)),
                Err(_) if moved.load(Ordering::Relaxed) == moved_before => return Err(self.stalled(&host)),
                Err(_) => moved_before = moved.load(Ordering::Relaxed),
            }
        }
    }

    /// The body of an answer as it comes.
    pub(super) fn body(
        &self,
        answer: Response,
    ) -> impl Stream<Item = Result<Bytes>> + Send + Sync + use<> + 'static {
        let (wire, host) = (self.clone(), host(answer.url()));
        stream::try_unfold((answer, wire, host), async |(mut answer, wire, host)| {
            let piece = wire.piece(&mut answer, &host).await?;
            Ok(piece.map(|piece| (piece, (answer, wire, host))))
        })
    }

    /// A short answer, whole.
    pub(super) async fn whole(&self, mut answer: Response) -> Result<Bytes> {
        let host = host(answer.url());
        let mut whole = BytesMut::new();
        while let Some(piece) = self.piece(&mut answer, &host).await? {
            if whole.len() + piece.len() > STORAGE_ANSWER_BYTES_MAX {
                return Err(BlobError::unavailable(format!("{host} sends an answer without end")));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    async fn piece(&self, answer: &mut Response, host: &str) -> Result<Option<Bytes>> {
        match tokio::time::timeout(self.idle, answer.chunk()).await {
            Ok(piece) => piece.map_err(|error| away(host, error)),
            Err(_) => Err(self.stalled(host)),
        }
    }

    fn stalled(&self, host: &str) -> BlobError {
        BlobError::unavailable(format!("{host} neither took nor gave anything for {:?}", self.idle))
    }
}

/// Makes an attempt again that failed fast, and not because storage is busy: a connection that was cut, a server that is
/// just being restarted. More patience is the caller's.
pub(super) async fn a_few_times<T, F>(mut attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut pause = Duration::from_millis(STORAGE_ATTEMPT_PAUSE_MILLISECONDS_MIN);
    for _ in 1..STORAGE_ATTEMPTS_MAX {
        let begun = Instant::now();
        let result = attempt().await;
        match result {
            Err(BlobError::Unavailable { retry_after: None, .. }) if was_fast(begun) => {}
            result => return result,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    attempt().await
}

/// Whether what began then may be tried again at once.
pub(super) fn was_fast(begun: Instant) -> bool {
    begun.elapsed() < Duration::from_millis(STORAGE_FAST_FAILURE_MILLISECONDS_MAX)
}

/// The value of `Range`. Servers refuse numbers of more than 63 bits, so such an end is left open.
pub(super) fn range_header(range: &Range<u64>) -> Result<HeaderValue> {
    let Range { start, end } = range;
    let last = i64::try_from(end.saturating_sub(1)).map_or(String::new(), |last| last.to_string());
    HeaderValue::from_str(&format!("bytes={start}-{last}"))
        .map_err(|_| BlobError::Refused("a range that no header can have".into()))
}

/// A request that had no answer. Its URL may hold a signature, so it is not told.
fn away(host: &str, error: reqwest::Error) -> BlobError {
    let error = error.without_url();
    let mut message = format!("{host} cannot be reached: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    BlobError::unavailable(message)
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"))
}
