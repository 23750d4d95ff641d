//! Accepting connections, with limits: so many at once, and a time for the head of each request. What has nothing to
//! say is closed, and cannot lock the others out.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    let connections = GracefulShutdown::new();
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
                Some((place, Ok((stream, _)))) => serve(stream, place, &router, &connections),
                Some((_, Err(error))) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
                None => break,
            }
        }
    }
    drop(listener);
    drop(router);
    connections.shutdown().await;
}

fn serve(stream: TcpStream, place: OwnedSemaphorePermit, router: &Router, connections: &GracefulShutdown) {
    // Small answers go out at once.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = TowerToHyperService::new(router.clone().layer(Extension(Place(Arc::new(place)))));
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(HEAD_SECONDS_MAX));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error, "a connection ended early");
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
