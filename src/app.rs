//! The one place where the parts are put together, started and stopped.

use std::fs::File;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::auth::Authenticator;
use crate::config::{Config, Database};
use crate::error::{Error, Result};
use crate::event::{Wakeups, relay_between_processes};
use crate::http::{self, Transport, TransportSettings};
use crate::logs::{Appender, append_in_groups};
use crate::service::Service;
use crate::store::Store;
use crate::{graphql, jobs};

/// How long requests may take to end after the process was told to stop.
const DRAIN_SECONDS_MAX: u64 = 20;

/// How long storing the last log lines may take after that.
const APPEND_SECONDS_MAX: u64 = 5;

/// Serves until the process is told to stop (SIGTERM, SIGINT); calls `started` with the address once it listens.
///
/// # Errors
/// When a part cannot be started, or one that must run for ever ends.
pub async fn serve(config: Config, started: impl FnOnce(SocketAddr)) -> Result<()> {
    prepare(&config)?;
    let _alone = take_alone(&config.database)?;
    let store = Store::open(&config.database).await?;
    store.migrate(&config.tokens).await?;
    let authenticator = Authenticator::new(&config.tokens)?;
    let wakeups = Wakeups::default();
    let (appender, calls) = Appender::new();
    let service = Service::new(store.clone(), wakeups.clone(), appender);

    let mut workers = JoinSet::new();
    workers.spawn(relay_between_processes(wakeups.clone(), store.listen_pool().cloned()));
    workers.spawn(jobs::sweep(store.clone(), wakeups.clone()));
    let mut appending = tokio::spawn(append_in_groups(calls, store.clone(), wakeups.clone()));

    let (stop, stopped) = watch::channel(false);
    let transport = Transport {
        engine: graphql::engine(service.clone())?,
        authenticator,
        shutdown: stopped.clone(),
        settings: Arc::new(TransportSettings::new(&config.allowed_origins)),
    };
    let router = http::router(transport, service);
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| Error::internal(format!("cannot listen on {}: {error}", config.listen)))?;
    let address = listener.local_addr().map_err(Error::internal)?;
    let mut shutdown = stopped;
    let stopping = async move { while !*shutdown.borrow_and_update() && shutdown.changed().await.is_ok() {} };
    let mut server = tokio::spawn(http::listen(listener, router, stopping));
    started(address);

    let outcome = tokio::select! {
        signal = told_to_stop() => signal,
        // A worker that dies takes the process down: half a server helps nobody.
        _ = workers.join_next() => Err(Error::internal("a background task has ended")),
        _ = &mut appending => Err(Error::internal("the task that appends log lines has ended")),
        ended = &mut server => Err(Error::internal(format!("the listener has ended: {ended:?}"))),
    };
    tracing::info!("stopping");
    // Sockets close with 1001, requests under way are answered.
    stop.send_replace(true);
    let drained = async {
        if !server.is_finished() {
            let _ = (&mut server).await;
        }
        stop.closed().await;
    };
    if tokio::time::timeout(Duration::from_secs(DRAIN_SECONDS_MAX), drained).await.is_err() {
        tracing::warn!(seconds = DRAIN_SECONDS_MAX, "some requests did not end in time");
        server.abort();
    }
    // The last way in is gone with the router, so what was let in gets stored and the task ends.
    if !appending.is_finished() {
        let _ = tokio::time::timeout(Duration::from_secs(APPEND_SECONDS_MAX), appending).await;
    }
    // The other processes hear of the last changes, too.
    let _ = tokio::time::timeout(Duration::from_secs(1), wakeups.told()).await;
    workers.shutdown().await;
    store.close().await;
    outcome
}

/// Applies the schema changes that are missing, or undoes the newest `down`.
///
/// # Errors
/// What the database says.
pub async fn migrate(config: &Config, down: Option<u32>) -> Result<()> {
    prepare(config)?;
    let store = Store::open(&config.database).await?;
    match down {
        None => store.migrate(&config.tokens).await?,
        Some(steps) => store.migrate_down(steps).await?,
    }
    store.close().await;
    Ok(())
}

/// Whether the database answers.
///
/// # Errors
/// What the database says.
pub async fn check_database(config: &Config) -> Result<()> {
    let store = Store::open(&config.database).await?;
    store.ping().await?;
    store.close().await;
    Ok(())
}

fn prepare(config: &Config) -> Result<()> {
    let folder = &config.data_dir;
    // Logs and secrets are nobody else's business.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        Error::internal(format!("cannot make the data folder {}: {error}", folder.display()))
    })
}

/// Takes a SQLite file for this process alone: it would not hear of what another one appends. Held until it is dropped,
/// also by a crash.
fn take_alone(database: &Database) -> Result<Option<File>> {
    let Database::Sqlite { path, .. } = database else { return Ok(None) };
    let lock = path.with_added_extension("lock");
    let taken = File::create(&lock).and_then(|file| file.try_lock().map(|()| file).map_err(Into::into));
    taken.map(Some).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => Error::internal(format!(
            "another Runledger serves {}; for several processes on one database, use PostgreSQL",
            path.display()
        )),
        _ => Error::internal(format!("cannot lock {}: {error}", lock.display())),
    })
}

/// Waits for SIGTERM or SIGINT.
fn told_to_stop() -> impl Future<Output = Result<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    async {
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::internal)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::internal)?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    }
}
