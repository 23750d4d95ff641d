//! How much one execution's log may hold.

use runledger::domain::limits::{LOG_BYTES_MAX, LOG_LINES_MAX};
use runledger::error::Limit;

use super::{Archive, NEVER};
use crate::harness::{Backend, Refusal, for_each_backend, line, lines};

for_each_backend!(a_log_takes_no_more_lines_than_its_limit, a_log_takes_no_more_bytes_than_its_limit);

/// A server whose one execution's log is as long as is said, as if all had been archived.
async fn with_a_log_of(backend: Backend, lines: u64, bytes: u64) -> (Archive, String) {
    let mut archive = Archive::after(backend, NEVER).await;
    let id = archive.owner().start_any().await;
    archive.server.terminate().await;
    let statement = format!(
        "UPDATE log_stream SET next_seq = {lines}, archived_seq = {lines}, byte_count = {bytes}, archived_bytes = {bytes}"
    );
    archive.server.alter(&statement).await;
    archive.restart().await;
    (archive, id)
}

fn names(refusal: &Refusal, limit: Limit) {
    assert_eq!((refusal.code(), refusal.field()), ("TOO_LARGE", Some("input.lines")));
    let told = &refusal.errors[0]["extensions"]["limit"];
    assert_eq!((told["name"].as_str(), told["max"].as_u64()), (Some(limit.name), Some(limit.max)));
}

async fn a_log_takes_no_more_lines_than_its_limit(backend: Backend) {
    let (archive, id) = with_a_log_of(backend, LOG_LINES_MAX.max - 2, 1_000).await;
    let refusal = archive.owner().try_append(&id, &lines("line", 3), None).await.expect_err("one too many");
    names(&refusal, LOG_LINES_MAX);
    archive.owner().append(&id, &lines("line", 2)).await;
    let refusal = archive.owner().try_append(&id, &[line("another")], None).await.expect_err("it is full");
    names(&refusal, LOG_LINES_MAX);
}

async fn a_log_takes_no_more_bytes_than_its_limit(backend: Backend) {
    let (archive, id) = with_a_log_of(backend, 1_000, LOG_BYTES_MAX.max - 1_000).await;
    let long = line(&"x".repeat(1_000));
    let refusal = archive.owner().try_append(&id, &[long], None).await.expect_err("it does not fit");
    names(&refusal, LOG_BYTES_MAX);
    archive.owner().append(&id, &[line("short")]).await;
}
