//! Accepting connections, with limits: so many at once, and a time for the head of each request. What has nothing to
//! say is closed, and cannot lock the others out.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// How long a connection may take for the head of a request, also for that of the next one.
const HEAD_SECONDS_MAX: u64 = 30;
/// File descriptors that are kept for the database and the rest.
const OTHER_FILES: u64 = 200;
/// Connections at once, if the system allows so many files.
const CONNECTIONS_MAX: u64 = 50_000;
/// After a failure to accept, such as too many open files.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A place among the connections. A WebSocket takes it along when it leaves HTTP.
#[derive(Debug, Clone)]
pub(super) struct Place(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

/// Serves until `stopped`, then lets requests that are under way end.
pub async fn listen(listener: TcpListener, router: Router, stopped: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(usize::try_from(places()).unwrap_or(Semaphore::MAX_PERMITS)));
    let (stop, stopping) = watch::channel(());
    let mut stopped = std::pin::pin!(stopped);
    loop {
        let next = async {
            // A closed semaphore cannot be: nobody closes it.
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((place, listener.accept().await))
        };
        tokio::select! {
            () = &mut stopped => break,
            next = next => match next {
                Some((place, Ok((stream, _)))) => serve(stream, place, &router, stopping.clone()),
                Some((_, Err(error))) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
                None => break,
            }
        }
    }
    drop((listener, router, stopping));
    stop.send_replace(());
    // Each connection has one of the other ends.
    stop.closed().await;
}

fn serve(stream: TcpStream, place: OwnedSemaphorePermit, router: &Router, mut stopping: watch::Receiver<()>) {
    // Small answers go out at once.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = TowerToHyperService::new(router.clone().layer(Extension(Place(Arc::new(place)))));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(HEAD_SECONDS_MAX));
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::spawn(async move {
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            _ = stopping.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}

/// How many connections there may be, after asking for as many files as the system gives.
fn places() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted =
        limit.maximum.map_or(CONNECTIONS_MAX + OTHER_FILES, |max| max.min(CONNECTIONS_MAX + OTHER_FILES));
    let more = Rlimit { current: limit.current.map(|current| current.max(wanted)), maximum: limit.maximum };
    let allowed = match setrlimit(Resource::Nofile, more) {
        Ok(()) => wanted,
        Err(_) => limit.current.unwrap_or(wanted),
    };
    allowed.saturating_sub(OTHER_FILES).clamp(16, CONNECTIONS_MAX)
}
