//! An HTTP server in front of a storage for tests: it counts, and it fails as it is told.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, HttpBody as _},
    http::{HeaderMap, Request, Response, StatusCode},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{JoinHandle, JoinSet},
};

/// Which requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Any,
    /// Storing an object, or a part of one.
    Upload,
    /// Ending an upload in parts.
    Finish,
    /// Reading an object's bytes, whoever asks.
    Download,
    Other,
}

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// It is not carried out and answered by this.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// The connection is cut once this much of the request's body has come.
    CutUploadAfter(usize),
    /// The connection is cut once this much of the answer's body has gone.
    CutDownloadAfter(usize),
    /// It is carried out after a while.
    Delay(Duration),
    /// Its body arrives with one bit turned.
    TurnBit,
}

impl Fault {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: String::new() }
    }

    /// 429 or 503, to be left alone for a while.
    pub(crate) fn busy(status: u16, retry_after: &str) -> Self {
        Self::Answer { status, headers: vec![("retry-after", retry_after.into())], body: String::new() }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) on: On,
    pub(crate) method: String,
    /// With what follows the `?`.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

/// The storage behind it.
pub(crate) trait Storage: Send + Sync + 'static {
    fn kind(&self, request: &Request<Body>) -> On;
    fn call(self: Arc<Self>, request: Request<Body>) -> BoxFuture<'static, Response<Body>>;
}

/// The server; it ends with this value.
pub(crate) struct Front {
    shared: Arc<Shared>,
    address: SocketAddr,
    listening: Mutex<Option<Listening>>,
}

/// The task that accepts connections, and what ends it.
type Listening = (Arc<Notify>, JoinHandle<()>);

struct Shared {
    storage: Arc<dyn Storage>,
    faults: Mutex<Vec<(On, usize, Fault)>>,
    seen: Mutex<Vec<Seen>>,
    received: Arc<AtomicU64>,
}

impl Front {
    pub(crate) async fn start(storage: Arc<dyn Storage>) -> Self {
        let shared = Arc::new(Shared {
            storage,
            faults: Mutex::default(),
            seen: Mutex::default(),
            received: Arc::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let listening = Mutex::new(Some(listen(listener, shared.clone())));
        Self { shared, address, listening }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next `times` requests of this kind go wrong.
    pub(crate) fn next(&self, on: On, times: usize, fault: Fault) {
        locked(&self.shared.faults).push((on, times, fault));
    }

    /// Nothing goes wrong any more.
    pub(crate) fn mend(&self) {
        locked(&self.shared.faults).clear();
    }

    /// Refuses connections, and cuts those that are there.
    pub(crate) async fn go_away(&self) {
        let listening = locked(&self.listening).take();
        if let Some((stop, listening)) = listening {
            stop.notify_one();
            listening.await.expect("the listener does not panic");
        }
    }

    /// Listens again at the same address.
    pub(crate) async fn come_back(&self) {
        for _ in 0..100 {
            // The old listener may need a moment to go.
            if let Ok(listener) = TcpListener::bind(self.address).await {
                *locked(&self.listening) = Some(listen(listener, self.shared.clone()));
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} is taken", self.address);
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        locked(&self.shared.seen).clone()
    }

    /// The bytes that clients have sent: bodies, and what heads are without compression.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }

    /// How many requests of this kind there were for this key.
    pub(crate) fn count(&self, on: On, key: &str) -> usize {
        let is_for = |seen: &&Seen| {
            seen.on == on && seen.path.split('?').next().is_some_and(|path| path.ends_with(key))
        };
        locked(&self.shared.seen).iter().filter(is_for).count()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some((_, listening)) = locked(&self.listening).take() {
            listening.abort();
        }
    }
}

fn listen(listener: TcpListener, shared: Arc<Shared>) -> Listening {
    let stop = Arc::new(Notify::new());
    let stopped = stop.clone();
    let accept = async move {
        // Dropped with this task, and the connections with it.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stopped.notified() => break,
                accepted = listener.accept() => {
                    if let Ok((socket, _)) = accepted {
                        connections.spawn(serve(socket, shared.clone()));
                    }
                }
            }
            while connections.try_join_next().is_some() {}
        }
        connections.shutdown().await;
    };
    (stop, tokio::spawn(accept))
}

async fn serve(socket: TcpStream, shared: Arc<Shared>) {
    let cut = Arc::new(Notify::new());
    let cutter = cut.clone();
    let service = axum::Router::new().fallback(move |request: Request<Body>| {
        let (shared, cut) = (shared.clone(), cutter.clone());
        async move { shared.answer(request, cut).await }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
    tokio::select! {
        _ = connection => {}
        () = cut.notified() => {}
    }
}

impl Shared {
    async fn answer(&self, request: Request<Body>, cut: Arc<Notify>) -> Response<Body> {
        let on = self.storage.kind(&request);
        let request = self.counted(request);
        locked(&self.seen).push(Seen {
            on,
            method: request.method().to_string(),
            path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            headers: request.headers().clone(),
        });
        let storage = self.storage.clone();
        match self.fault(on, !request.body().is_end_stream()) {
            None => storage.call(request).await,
            Some(Fault::Answer { status, headers, body }) => {
                let mut answer = Response::builder().status(status);
                for (name, value) in headers {
                    answer = answer.header(name, value);
                }
                answer.body(body.into()).expect("a test's answer is well formed")
            }
            Some(Fault::Delay(pause)) => {
                tokio::time::sleep(pause).await;
                storage.call(request).await
            }
            Some(Fault::CutUploadAfter(bytes)) => {
                storage.call(request.map(|body| changed(body, bytes, Change::Cut(cut)))).await
            }
            Some(Fault::TurnBit) => storage.call(request.map(|body| changed(body, 0, Change::TurnBit))).await,
            Some(Fault::CutDownloadAfter(bytes)) => {
                storage.call(request).await.map(|body| changed(body, bytes, Change::Cut(cut)))
            }
        }
    }

    fn counted(&self, request: Request<Body>) -> Request<Body> {
        let line = format!("{} {} HTTP/1.1\r\n\r\n", request.method(), request.uri());
        let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
        self.received.fetch_add((line.len() + headers.sum::<usize>()) as u64, Ordering::Relaxed);
        let received = self.received.clone();
        request.map(|body| {
            // A stream has no length, and that an empty body is empty must be seen.
            if body.is_end_stream() {
                return body;
            }
            Body::from_stream(body.into_data_stream().inspect_ok(move |piece| {
                received.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }))
        })
    }

    /// What happens to bodies waits for a request that has one.
    fn fault(&self, on: On, has_body: bool) -> Option<Fault> {
        let mut faults = locked(&self.faults);
        let at = faults.iter().position(|(wanted, _, fault)| {
            (*wanted == On::Any || *wanted == on)
                && (has_body || !matches!(fault, Fault::CutUploadAfter(_) | Fault::TurnBit))
        })?;
        let (_, times, fault) = &mut faults[at];
        let fault = fault.clone();
        *times -= 1;
        if *times == 0 {
            faults.remove(at);
        }
        Some(fault)
    }
}

enum Change {
    Cut(Arc<Notify>),
    TurnBit,
}

/// A body that is changed after so many bytes.
fn changed(body: Body, after: usize, change: Change) -> Body {
    let state = (body.into_data_stream(), after, Some(change));
    Body::from_stream(stream::unfold(state, |(mut pieces, left, mut change)| async move {
        if let (0, Some(Change::Cut(cut))) = (left, &change) {
            // What came before is on its way first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            cut.notify_one();
            std::future::pending::<()>().await;
        }
        let mut piece: Bytes = match pieces.next().await? {
            Ok(piece) => piece,
            Err(error) => return Some((Err(error), (pieces, left, change))),
        };
        match &change {
            Some(Change::TurnBit) if !piece.is_empty() => {
                let mut turned = piece.to_vec();
                turned[0] ^= 1;
                piece = turned.into();
                change = None;
            }
            Some(Change::Cut(_)) => piece.truncate(left),
            _ => {}
        }
        let left = left.saturating_sub(piece.len());
        Some((Ok(piece), (pieces, left, change)))
    }))
}

/// An answer with a status and a body.
pub(crate) fn answer(status: u16, content_type: &str, body: impl Into<Body>) -> Response<Body> {
    let status = StatusCode::from_u16(status).expect("a test's status is one");
    let answer = Response::builder().status(status).header("content-type", content_type);
    answer.body(body.into()).expect("a test's answer is well formed")
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics")
}

/// A parameter behind the `?`.
pub(crate) fn parameter(request: &Request<Body>, name: &str) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}
