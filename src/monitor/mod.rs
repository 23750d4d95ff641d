//! What happens, counted: every metric of `/metrics`, each with the one function that records it.
//!
//! Promises:
//! - no label has a tenant's data: labels are words of this program, routes as they are written in it, and status codes;
//! - recording takes well below a microsecond, and happens once a request, a transaction or a write, never once a line;
//! - before [`Monitor::install`], which only a server calls, recording does nothing.
//!
//! Names follow Prometheus: units are spelled out and come last, counters end in `_total`. What is known of the database
//! (what waits, jobs) is the same on every server of one database: take the maximum, not the sum.

mod process;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::error::{Error, Result};

const HTTP_REQUESTS: &str = "runledger_http_requests_total";
const HTTP_SECONDS: &str = "runledger_http_request_duration_seconds";
const OPERATIONS: &str = "runledger_graphql_operations_total";
const OPERATION_SECONDS: &str = "runledger_graphql_operation_duration_seconds";
const SOCKETS: &str = "runledger_sockets_open";
const SUBSCRIPTIONS: &str = "runledger_subscriptions_open";
const SUBSCRIPTIONS_SHARED: &str = "runledger_subscriptions_shared";
const LINES_APPENDED: &str = "runledger_log_lines_appended_total";
const BYTES_APPENDED: &str = "runledger_log_bytes_appended_total";
const APPEND_SECONDS: &str = "runledger_log_append_duration_seconds";
const LINES_REFUSED: &str = "runledger_log_appends_refused_total";
const ARCHIVE_LAG: &str = "runledger_log_archive_lag_seconds";
const LOGS_WAITING: &str = "runledger_logs_waiting";
const BYTES_WAITING: &str = "runledger_log_waiting_bytes";
const LINES_ARCHIVED: &str = "runledger_log_lines_archived_total";
const OBJECTS_SENT: &str = "runledger_objects_sent_total";
const OBJECT_BYTES_SENT: &str = "runledger_object_bytes_sent_total";
const STORAGE_FAILURES: &str = "runledger_storage_failures_total";
const STORAGE_SECONDS: &str = "runledger_storage_operation_duration_seconds";
const JOBS: &str = "runledger_jobs_total";
const JOBS_WAITING: &str = "runledger_jobs_waiting";
const ANALYTICS: &str = "runledger_analytics_events_total";
const CONNECTIONS: &str = "runledger_database_connections";
const BUILD: &str = "runledger_build_info";

/// From a millisecond to the time limit of a request.
const SECONDS_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// How often what was recorded is put into its buckets: until then each duration takes memory.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Shows what was recorded. Cheap to clone.
#[derive(Clone)]
pub struct Monitor {
    recorded: PrometheusHandle,
    /// Records what is only known when one looks.
    look: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

impl Monitor {
    /// Begins to record, for the whole process. `look` is called before each look at the result.
    ///
    /// # Errors
    /// When something else in the process records already.
    pub fn install(look: impl Fn() + Send + Sync + 'static) -> Result<Self> {
        let recorder = PrometheusBuilder::new().set_buckets(&SECONDS_BUCKETS).map_err(Error::internal)?;
        let recorded = recorder.install_recorder().map_err(Error::internal)?;
        describe();
        Ok(Self { recorded, look: Arc::new(look) })
    }

    /// Everything, in Prometheus's text format.
    pub fn render(&self) -> String {
        (self.look)();
        let mut text = self.recorded.render();
        text += &process::render();
        text
    }

    /// Keeps what was recorded small, for ever.
    pub async fn keep_up(self) {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            self.recorded.run_upkeep();
        }
    }
}

fn describe() {
    describe_counter!(HTTP_REQUESTS, "HTTP requests that were answered, by route and status");
    describe_histogram!(HTTP_SECONDS, "From the head of a request to the head of its answer");
    describe_counter!(
        OPERATIONS,
        "GraphQL operations that have ended, by type and outcome: ok, or the code of the first error"
    );
    describe_histogram!(OPERATION_SECONDS, "From a query or mutation to its answer");
    describe_gauge!(SOCKETS, "WebSockets that are open");
    describe_gauge!(SUBSCRIPTIONS, "Subscriptions that are running");
    describe_gauge!(
        SUBSCRIPTIONS_SHARED,
        "Of these, those that are executed together with others that are alike"
    );
    describe_counter!(LINES_APPENDED, "Log lines that were acknowledged");
    describe_counter!(BYTES_APPENDED, "Bytes of these lines, as they are stored");
    describe_histogram!(APPEND_SECONDS, "Transactions that store log lines, each those of many calls");
    describe_counter!(LINES_REFUSED, "Calls of appendLogs that were refused because too much waits");
    describe_gauge!(ARCHIVE_LAG, "Age of the oldest log line that is not in its object");
    describe_gauge!(LOGS_WAITING, "Logs with lines that are not in their object");
    describe_gauge!(BYTES_WAITING, "Bytes of log lines that are not in their object");
    describe_counter!(LINES_ARCHIVED, "Log lines that have left the database for their object");
    describe_counter!(OBJECTS_SENT, "Objects that storage has taken, by kind; of a log, each part");
    describe_counter!(OBJECT_BYTES_SENT, "Bytes of these objects; of a log, those that were new");
    describe_counter!(STORAGE_FAILURES, "Calls of storage that have failed, by place and operation");
    describe_histogram!(STORAGE_SECONDS, "Calls of storage, by place and operation");
    describe_counter!(JOBS, "Attempts at background jobs, by kind and outcome");
    describe_gauge!(JOBS_WAITING, "Background jobs that are not done, by kind");
    describe_counter!(
        ANALYTICS,
        "Analytics events, by outcome: sent, or dropped because PostHog did not take them in time"
    );
    describe_gauge!(CONNECTIONS, "Connections to the database, by pool and state");
    describe_gauge!(BUILD, "1, with the version");
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1);
    // So that a graph begins at 0, not with the first event.
    for name in [LINES_APPENDED, BYTES_APPENDED, LINES_REFUSED, LINES_ARCHIVED] {
        counter!(name).increment(0);
    }
    for name in [SOCKETS, SUBSCRIPTIONS, SUBSCRIPTIONS_SHARED, ARCHIVE_LAG, LOGS_WAITING, BYTES_WAITING] {
        gauge!(name).set(0);
    }
    for outcome in ["sent", "dropped"] {
        counter!(ANALYTICS, "outcome" => outcome).increment(0);
    }
    for kind in [ObjectKind::Log, ObjectKind::Visual, ObjectKind::Generation, ObjectKind::Source] {
        counter!(OBJECTS_SENT, "kind" => kind.word()).increment(0);
        counter!(OBJECT_BYTES_SENT, "kind" => kind.word()).increment(0);
    }
}

/// A request was answered. `route` is as the program writes it, such as `/downloads/{token}`: never a path that was asked for.
pub fn http_answered(route: &str, status: u16, took: Duration) {
    counter!(HTTP_REQUESTS, "route" => route.to_owned(), "status" => status.to_string()).increment(1);
    histogram!(HTTP_SECONDS, "route" => route.to_owned()).record(took);
}

static SERVED: AtomicU64 = AtomicU64::new(0);

/// How often somebody was served since the process began: each answer of a query or mutation, each piece of an export or of a log.
/// What subscribers are sent does not count: it tells of what others do, deletions among them.
pub fn served() -> u64 {
    SERVED.load(Ordering::Relaxed)
}

/// Somebody was given a piece of an export or of a log.
pub fn piece_served() {
    SERVED.fetch_add(1, Ordering::Relaxed);
}

/// A query or mutation has ended.
pub fn operation_ended(kind: &'static str, outcome: &'static str, took: Duration) {
    SERVED.fetch_add(1, Ordering::Relaxed);
    counter!(OPERATIONS, "type" => kind, "outcome" => outcome).increment(1);
    histogram!(OPERATION_SECONDS, "type" => kind).record(took);
}

/// A request was not an operation, or not one that may run.
pub fn operation_refused(outcome: &'static str) {
    counter!(OPERATIONS, "type" => "unknown", "outcome" => outcome).increment(1);
}

/// A subscription that is running, until it is dropped.
#[derive(Debug)]
pub struct Subscription {
    outcome: &'static str,
}

impl Subscription {
    /// One that has begun.
    pub fn begun(outcome: &'static str) -> Self {
        gauge!(SUBSCRIPTIONS).increment(1);
        Self { outcome }
    }

    /// What became of its newest event.
    pub fn note(&mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        gauge!(SUBSCRIPTIONS).decrement(1);
        counter!(OPERATIONS, "type" => "subscription", "outcome" => self.outcome).increment(1);
    }
}

/// A subscription that is executed together with others, until it is dropped.
#[derive(Debug)]
pub struct SharedSubscription(());

impl SharedSubscription {
    /// One that follows the others from now on.
    pub fn begun() -> Self {
        gauge!(SUBSCRIPTIONS_SHARED).increment(1);
        Self(())
    }
}

impl Drop for SharedSubscription {
    fn drop(&mut self) {
        gauge!(SUBSCRIPTIONS_SHARED).decrement(1);
    }
}

/// A WebSocket that is open, until it is dropped.
#[derive(Debug)]
pub struct OpenSocket(());

impl OpenSocket {
    /// One that was just opened.
    pub fn opened() -> Self {
        gauge!(SOCKETS).increment(1);
        Self(())
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        gauge!(SOCKETS).decrement(1);
    }
}

/// A group of calls was stored, or not, in so long; these of its lines were.
pub fn lines_appended(lines: usize, bytes: usize, took: Duration) {
    counter!(LINES_APPENDED).increment(lines as u64);
    counter!(BYTES_APPENDED).increment(bytes as u64);
    histogram!(APPEND_SECONDS).record(took);
}

/// Calls were refused because too much waits to be archived.
pub fn appends_refused(calls: usize) {
    counter!(LINES_REFUSED).increment(calls as u64);
}

/// What waits to be archived, in the whole database.
pub fn archive_behind(logs: i64, bytes: i64, lag_seconds: f64) {
    gauge!(LOGS_WAITING).set(logs as f64);
    gauge!(BYTES_WAITING).set(bytes as f64);
    gauge!(ARCHIVE_LAG).set(lag_seconds);
}

/// Lines have left the database.
pub fn lines_archived(lines: u64) {
    counter!(LINES_ARCHIVED).increment(lines);
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    Log,
    Visual,
    Generation,
    Source,
}

impl ObjectKind {
    fn word(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Visual => "visual",
            Self::Generation => "generation",
            Self::Source => "source",
        }
    }
}

/// Storage has taken an object, or a part of a log.
pub fn object_sent(kind: ObjectKind, bytes: u64) {
    counter!(OBJECTS_SENT, "kind" => kind.word()).increment(1);
    counter!(OBJECT_BYTES_SENT, "kind" => kind.word()).increment(bytes);
}

/// A storage is used: its failures are counted from here.
pub fn storage_opened(place: &'static str, operations: &[&'static str]) {
    for operation in operations {
        counter!(STORAGE_FAILURES, "place" => place, "operation" => *operation).increment(0);
    }
}

/// A call of storage has ended.
pub fn storage_answered(place: &'static str, operation: &'static str, has_failed: bool, took: Duration) {
    if has_failed {
        storage_failed(place, operation);
    }
    histogram!(STORAGE_SECONDS, "place" => place, "operation" => operation).record(took);
}

/// A call of storage has failed, or was given up.
pub fn storage_failed(place: &'static str, operation: &'static str) {
    counter!(STORAGE_FAILURES, "place" => place, "operation" => operation).increment(1);
}

/// A kind of job is worked on: its attempts are counted from here.
pub fn jobs_begin(kind: &'static str) {
    for outcome in [true, false].map(job_outcome) {
        counter!(JOBS, "kind" => kind, "outcome" => outcome).increment(0);
    }
}

/// An attempt at a job has ended.
pub fn job_tried(kind: &'static str, is_done: bool) {
    counter!(JOBS, "kind" => kind, "outcome" => job_outcome(is_done)).increment(1);
}

fn job_outcome(is_done: bool) -> &'static str {
    if is_done { "done" } else { "failed" }
}

/// Jobs of a kind that are not done, in the whole database.
pub fn jobs_waiting(kind: &'static str, jobs: i64) {
    gauge!(JOBS_WAITING, "kind" => kind).set(jobs as f64);
}

/// PostHog has taken so many events.
pub fn analytics_sent(events: usize) {
    counter!(ANALYTICS, "outcome" => "sent").increment(events as u64);
}

/// So many events were not sent, and will not be.
pub fn analytics_dropped(events: usize) {
    counter!(ANALYTICS, "outcome" => "dropped").increment(events as u64);
}

/// The connections of a pool now.
pub fn connections(pool: &'static str, used: u32, idle: u32) {
    gauge!(CONNECTIONS, "pool" => pool, "state" => "used").set(used);
    gauge!(CONNECTIONS, "pool" => pool, "state" => "idle").set(idle);
}
