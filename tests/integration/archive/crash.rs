//! `kill -9` at moments that nobody chose, of the server and of storage: each acknowledged line is there once, in order, in
//! the object, in what is read, and in what is tailed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::{Archive, messages_of};
use crate::crash::{Calls, append_until_stopped};
use crate::harness::{Backend, ResumingTail, Session, Socket, Tail, chance, for_each_backend, get};

for_each_backend!(
    acknowledged_lines_are_in_objects_once_after_kill_9,
    the_same_with_objects_in_s3_that_goes_away
);

const ROUNDS: usize = 20;
const APPENDERS: usize = 40;
const TAILS: usize = 3;
const CALLS_PER_ROUND: std::ops::Range<u64> = 100..500;
/// Longer than the lease of a server that was killed.
const LEASE: Duration = Duration::from_secs(150);

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
    for round in 0..ROUNDS {
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
        archive.owner().archived_within(id, written.len(), LEASE).await;
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
