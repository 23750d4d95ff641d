//! `kill -9` at moments that nobody chose, of the server and of storage: each acknowledged line is there once, in order, in
//! the object, in what is read, and in what is tailed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::{Archive, messages_of};
use crate::crash::{Calls, append_until_stopped};
use crate::harness::{Backend, ResumingTail, Session, Socket, Tail, chance, for_each_backend, get, lines};

for_each_backend!(
    acknowledged_lines_are_in_objects_once_after_kill_9,
    the_same_with_objects_in_s3_that_goes_away,
    a_server_that_was_killed_soon_goes_on_with_what_it_was_sending,
);

const ROUNDS: u64 = 20;
const APPENDERS: usize = 40;
const TAILS: usize = 3;
const CALLS_PER_ROUND: std::ops::Range<u64> = 100..500;
/// A server that was killed has its logs back after 20 s, not after its lease of 90 s.
const TAKEN_OVER: Duration = Duration::from_secs(75);
/// Kills, unless this variable says how many.
const ROUNDS_VARIABLE: &str = "RUNLEDGER_TEST_KILLS";

async fn acknowledged_lines_are_in_objects_once_after_kill_9(backend: Backend) {
    try_it(Archive::after(backend, 1).await, false).await;
}

async fn the_same_with_objects_in_s3_that_goes_away(backend: Backend) {
    try_it(Archive::in_s3(backend, 1, &[]).await, true).await;
}

async fn try_it(mut archive: Archive, storage_goes_away: bool) {
    let mut ids = Vec::new();
    for _ in 0..APPENDERS {
        ids.push(archive.owner().start_any().await);
    }
    let session = Session::long(archive.team.owner_claims());
    let tails: Vec<_> =
        ids[..TAILS].iter().map(|id| ResumingTail::start(&archive.server, id, session.clone())).collect();
    let calls = Arc::new(Calls::default());
    let mut appenders = JoinSet::new();
    for id in &ids {
        appenders.spawn(append_until_stopped(archive.owner().clone(), id.clone(), Arc::clone(&calls)));
    }
    let rounds = std::env::var(ROUNDS_VARIABLE).ok().and_then(|rounds| rounds.parse().ok());
    for round in 0..rounds.unwrap_or(ROUNDS) {
        let more = || CALLS_PER_ROUND.start + chance(CALLS_PER_ROUND.end - CALLS_PER_ROUND.start);
        calls.wait_for_more(more()).await;
        let is_away = storage_goes_away && round % 3 == 1;
        if is_away {
            archive.cloud().front().go_away().await;
            calls.wait_for_more(more()).await;
        }
        archive.server.kill9();
        if is_away {
            archive.cloud().front().come_back().await;
        }
        archive.server.restart().await;
    }
    calls.stop.send_replace(true);
    let written: Vec<_> = appenders.join_all().await;

    archive.team = archive.team.after_a_restart();
    let socket = Socket::connect(archive.owner()).await;
    for (id, _) in &written {
        archive.owner().complete(id).await;
    }
    for (id, written) in &written {
        archive.owner().archived_within(id, written.len(), TAKEN_OVER).await;
        assert!(archive.messages_in_object(id).iter().eq(written), "the object of {id}");
        let tailed = Tail::open(&socket, json!({ "execution": id })).rest().await;
        assert!(tailed.iter().map(|(_, message)| message).eq(written), "what is tailed of {id}");
        let whole = get(&archive.owner().link_to_log(id).await, &[]).await;
        assert!(messages_of(&String::from_utf8(whole.body).expect("UTF-8")).iter().eq(written));
    }
    let mut followed = Vec::new();
    for tail in tails {
        followed.push(tail.finish().await.messages);
    }
    for (id, messages) in ids.iter().zip(followed) {
        let (_, written) = written.iter().find(|(of, _)| of == id).expect("it was appended to");
        assert_eq!(messages, *written, "what was followed of {id}");
    }
}

async fn a_server_that_was_killed_soon_goes_on_with_what_it_was_sending(backend: Backend) {
    let mut archive = Archive::in_s3(backend, 1, &[]).await;
    let (own, others) = (archive.owner().start_any().await, archive.owner().start_any().await);
    for id in [&own, &others] {
        archive.owner().append(id, &lines("first", 2)).await;
        archive.owner().archived(id, 2).await;
    }
    for id in [&own, &others] {
        archive.owner().append(id, &lines("second", 2)).await;
    }
    archive.server.kill9();
    let (lease, for_long, id) = match backend {
        Backend::Sqlite => ("randomblob(16)", "'2099' || substr(last_line_at, 5)", "hex(execution_id)"),
        Backend::Postgres => {
            ("gen_random_uuid()", "now() + interval '1 day'", "upper(replace(execution_id::text, '-', ''))")
        }
    };
    let leased = format!(
        "UPDATE log_stream SET archive_due_at = last_line_at, waiting_since = last_line_at, \
         archive_lease_id = {lease}, archive_leased_until = {for_long}"
    );
    archive.server.alter(&leased).await;
    let hex = others.replace('-', "").to_uppercase();
    archive
        .server
        .alter(&format!("UPDATE log_stream SET archive_node_id = {lease} WHERE {id} = '{hex}'"))
        .await;
    archive.restart().await;
    archive.owner().archived_within(&own, 4, Duration::from_secs(60)).await;
    assert_eq!(archive.messages_in_object(&own).len(), 4);
    assert_eq!(
        archive.owner().archived_lines(&others).await,
        2,
        "what another server is sending is left alone"
    );
}
