//! What every test stands on: a real server on either database, callers of every kind, sockets that can be cut.

mod api;
mod backend;
mod client;
mod cloud;
mod generation;
mod janitor;
mod postgres;
mod server;
mod socket;
#[path = "../../support/mod.rs"]
#[expect(dead_code, reason = "each test binary uses a part of them")]
pub(crate) mod support;
mod tail;
mod team;
mod token;
mod visual;

use std::time::Duration;

use runledger::error::Limit;

pub(crate) use api::{execution_input, id_of, line, lines, messages};
pub(crate) use backend::{Backend, ForBackend, for_each_backend, for_postgres, for_sqlite, run};
pub(crate) use client::{Client, Refusal};
pub(crate) use cloud::{CODE, Cloud, CloudKind, LOGS, PROJECTS};
pub(crate) use generation::{
    Downloaded, Files, Tar, as_input, files, get, gzip, noise, request, sha256, unpacked,
};
pub(crate) use postgres::Database;
pub(crate) use server::{Server, runledger, signal};
pub(crate) use socket::{Event, Socket, Subscription};
pub(crate) use tail::{LOG_TAIL, ResumingTail, Session, Tail};
pub(crate) use team::Team;
pub(crate) use token::{Claims, SECRET};
pub(crate) use visual::{FIRST_MS, Watch, event, events};

/// How long a test waits for something that should come at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `event`, and names it in the failure when it does not come in time.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not come within {PATIENCE:?}"),
    }
}

/// A fresh name, so that tests on one server never meet.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", runledger::clock::new_id())
}

/// How many schema changes there are from this number on, as `migrate --down` takes it.
pub(crate) fn schema_changes_from(number: u32) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migration/src");
    let files = std::fs::read_dir(folder).expect("the schema changes are there").flatten();
    let numbers = files.filter_map(|file| file.file_name().to_str()?.get(1..5)?.parse::<u32>().ok());
    numbers.filter(|of| *of >= number).count().to_string()
}

/// A number below `bound`, different on each run: for cuts at moments that nobody chose.
pub(crate) fn chance(bound: u64) -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(bound) % bound
}

/// One more than is allowed.
pub(crate) fn one_over(limit: Limit) -> usize {
    limit.to_usize() + 1
}

/// A text that is one character longer than is allowed.
pub(crate) fn too_long(limit: Limit) -> String {
    "x".repeat(one_over(limit))
}
