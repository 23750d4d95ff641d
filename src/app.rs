//! The one place where the parts are put together, started and stopped.

use std::fs::File;
use std::future::Future;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::analytics::Analytics;
use crate::auth::Authenticator;
use crate::blob::{self, BlobError};
use crate::clock::now;
use crate::config::{self, Buckets, Config, Database};
use crate::domain::limits::ARCHIVE_STOP_SECONDS_MAX;
use crate::domain::object::Bucket;
use crate::error::{Error, Result};
use crate::event::{Wakeups, relay_between_processes};
use crate::http::{self, Transport, TransportSettings};
use crate::jobs::Tools;
use crate::logs::{Appender, Archiver, Gate, Health, append_in_groups};
use crate::monitor::Monitor;
use crate::service::{Parts, Service, Writer, write_in_groups};
use crate::storage::{LINK_KEY_BYTES, Links, Storage};
use crate::store::{Compacted, Recount, Store};
use crate::{graphql, jobs};

/// How long requests may take to end after the process was told to stop.
const DRAIN_SECONDS_MAX: u64 = 20;

/// How long sending the last analytics events may take.
const ANALYTICS_SECONDS_MAX: u64 = 3;

/// How long storing the last log lines, and the last executions, may take after that.
const STORE_SECONDS_MAX: u64 = 5;

/// Serves until the process is told to stop (SIGTERM, SIGINT); calls `started` with the address once it listens.
///
/// # Errors
/// When a part cannot be started, or one that must run for ever ends.
pub async fn serve(config: Config, started: impl FnOnce(SocketAddr)) -> Result<()> {
    prepare(&config)?;
    let _alone = take_alone(&config.database)?;
    let _folder = take_folder(&config.data_dir)?;
    let store = Store::open(&config.database).await?;
    store.migrate(&config.tokens).await?;
    let shown = store.clone();
    let monitor = Monitor::install(move || shown.show_connections())?;
    let authenticator = Authenticator::new(&config.tokens)?;
    let storage = Storage::open(&config.storage, &config.data_dir).await?;
    jobs::prepare_buckets(&storage, config.logs.retention_days).await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| Error::internal(format!("cannot listen on {}: {error}", config.listen)))?;
    let address = listener.local_addr().map_err(Error::internal)?;
    let wakeups = Wakeups::default();
    let (appender, calls) = Appender::new(store.writers());
    let (writer, writes) = Writer::new(store.writers());
    let (health, archive_health) = watch::channel(Health::default());
    let (analytics, telling) = match &config.posthog {
        Some(posthog) => {
            let (analytics, telling) = Analytics::start(posthog)?;
            (analytics, Some(tokio::spawn(telling)))
        }
        None => (Analytics::default(), None),
    };
    let service = Service::new(Parts {
        analytics,
        store: store.clone(),
        wakeups: wakeups.clone(),
        appender,
        writer,
        storage: storage.clone(),
        links: links(&store).await?,
        log_retention_days: config.logs.retention_days,
        archive_health,
        public_url: config.storage.public_url.map_or_else(|| url(address), Into::into),
    });
    let spool = storage.copies().staging().to_owned();
    let deletion_permille = config.executions.deletion_permille;
    let tools = Tools { store: store.clone(), storage, wakeups: wakeups.clone(), deletion_permille };
    jobs::plan(&tools).await?;

    let mut workers = JoinSet::new();
    workers.spawn(relay_between_processes(wakeups.clone(), store.listen_pool().cloned()));
    workers.spawn(monitor.clone().keep_up());
    workers.spawn(jobs::show_waiting(store.clone()));
    workers.spawn(jobs::checkpoint(store.clone()));
    workers.spawn(jobs::merge_words(store.clone()));
    workers.spawn(jobs::sweep(store.clone(), wakeups.clone()));
    workers.spawn(jobs::fill_in_words(store.clone()));
    let stale_after = config.executions.stale_after_seconds;
    workers.spawn(jobs::end_silent(store.clone(), wakeups.clone(), now(), stale_after));
    workers.spawn(jobs::retain_history(tools.clone(), config.executions.retention_days));
    workers.spawn(jobs::work(tools.clone()));
    workers.spawn(jobs::fold(tools.clone()));
    workers.spawn(jobs::expire(tools.clone(), config.logs.retention_days));
    workers.spawn(jobs::clean(tools.clone(), now(), config.storage.cache.cleanup_interval_hours));
    let archive_after = TimeDelta::seconds(config.logs.flush_interval_seconds.into());
    let gate = Gate::default();
    let mut storing = JoinSet::new();
    for calls in calls {
        let (store, wakeups, gate) = (store.clone(), wakeups.clone(), gate.clone());
        storing.spawn(append_in_groups(calls, store, wakeups, archive_after, gate));
    }
    for writes in writes {
        storing.spawn(write_in_groups(writes, store.clone(), wakeups.clone()));
    }
    let (stop_archiving, archiving_stopped) = watch::channel(false);
    let archiver = Archiver {
        store: store.clone(),
        storage: tools.storage,
        archive_after,
        waiting_bytes_max: config.logs.waiting_bytes_max,
        gate,
        health,
    };
    let mut archiving = tokio::spawn(archiver.run(archiving_stopped));

    let (stop, stopped) = watch::channel(false);
    let transport = Transport {
        engine: graphql::engine(service.clone())?,
        authenticator,
        shutdown: stopped.clone(),
        settings: Arc::new(TransportSettings::new(&config.allowed_origins, spool)),
    };
    let router = http::router(transport, service, monitor, config.metrics);
    let mut shutdown = stopped;
    let stopping = async move { while !*shutdown.borrow_and_update() && shutdown.changed().await.is_ok() {} };
    let mut server = tokio::spawn(http::listen(listener, router, stopping));
    started(address);

    let outcome = tokio::select! {
        signal = told_to_stop() => signal,
        // A worker that dies takes the process down: half a server helps nobody.
        _ = workers.join_next() => Err(Error::internal("a background task has ended")),
        _ = storing.join_next() => Err(Error::internal("a task that stores executions or log lines has ended")),
        _ = &mut archiving => Err(Error::internal("the task that archives log lines has ended")),
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
    // The last way in is gone with the router, so what was let in gets stored and the tasks end.
    let stored = async { while storing.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(STORE_SECONDS_MAX), stored).await;
    stop_archiving.send_replace(true);
    if !archiving.is_finished() {
        // What is not archived by then waits in the database for the next start.
        let longest = Duration::from_secs(2 * ARCHIVE_STOP_SECONDS_MAX);
        let _ = tokio::time::timeout(longest, archiving).await;
    }
    if let Some(telling) = telling {
        let _ = tokio::time::timeout(Duration::from_secs(ANALYTICS_SECONDS_MAX), telling).await;
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

/// Counts the statistics anew, also while servers run; `note` hears how many executions have been counted so far.
///
/// # Errors
/// What the database says; when somebody else is at it.
pub async fn recompute(config: &Config, note: impl Fn(u64) + Send) -> Result<Recount> {
    prepare(config)?;
    let store = Store::open(&config.database).await?;
    store.migrate(&config.tokens).await?;
    let recount = store.recount_statistics(note).await;
    store.close().await;
    recount
}

/// Gives back the disk that deleted rows took.
///
/// # Errors
/// What the database says; when a server has the SQLite file.
pub async fn compact(config: &Config) -> Result<Compacted> {
    prepare(config)?;
    let _alone = take_alone(&config.database)?;
    let store = Store::open(&config.database).await?;
    let compacted = store.compact().await;
    store.close().await;
    compacted
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

/// What is wrong with the buckets of the cloud storage, if one is used: none is made.
pub async fn check_storage(storage: &config::Storage) -> Vec<(Bucket, BlobError)> {
    let Some(cloud) = &storage.cloud else { return Vec::new() };
    let Buckets { projects, code, logs } = &storage.buckets;
    let mut problems = Vec::new();
    for bucket in [projects, code, logs] {
        let checked = async { blob::open(cloud)?.check_bucket(bucket).await }.await;
        problems.extend(checked.err().map(|error| (bucket.clone(), error)));
    }
    problems
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
    let taken = lock(&path.with_added_extension("lock"))?;
    taken.map(Some).ok_or_else(|| {
        Error::internal(format!(
            "another Runledger serves {}; for several processes on one database, use PostgreSQL",
            path.display()
        ))
    })
}

/// Takes the data folder for this process alone: it removes files there that it does not know.
fn take_folder(folder: &Path) -> Result<File> {
    lock(&folder.join("lock"))?.ok_or_else(|| {
        Error::internal(format!(
            "another Runledger uses the data folder {}; give each its own, with RUNLEDGER_DATA_DIR",
            folder.display()
        ))
    })
}

/// `None` when somebody else holds it.
fn lock(path: &Path) -> Result<Option<File>> {
    let taken = File::create(path).and_then(|file| file.try_lock().map(|()| file).map_err(Into::into));
    match taken {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(Error::internal(format!("cannot lock {}: {error}", path.display()))),
    }
}

/// The address as a browser on this machine reaches it.
pub fn url(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => format!("http://127.0.0.1:{}", address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => format!("http://[::1]:{}", address.port()),
        _ => format!("http://{address}"),
    }
}

/// What signs links: with a key that all servers on one database share, made when there is none.
async fn links(store: &Store) -> Result<Links> {
    let mut key = [0; LINK_KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| Error::internal("there is no randomness"))?;
    Ok(Links::new(&store.shared_secret("download links", key.to_vec(), now()).await?))
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
