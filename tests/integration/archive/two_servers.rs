//! Two servers on one PostgreSQL, both receiving lines of the same executions: one object each, complete, in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use super::{Archive, messages_of};
use crate::harness::support::faults::{Fault, On};
use crate::harness::{Backend, Cloud, CloudKind, Database, Server, Team, for_postgres, get, lines};

for_postgres!(
    two_servers_write_one_object_of_each_log,
    a_server_that_is_killed_leaves_its_logs_to_the_other,
    a_server_that_stops_leaves_alone_what_the_other_is_writing,
);

const EXECUTIONS: usize = 20;
const CALLS: usize = 60;

struct Pair {
    a: Archive,
    b: Archive,
}

impl Pair {
    async fn start(seconds: u32) -> Self {
        let cloud = Arc::new(Cloud::start(CloudKind::S3).await);
        let database = Database::fresh(Backend::Postgres).await.expect("the test runs only where it is");
        let server = async || {
            let builder = cloud.used_by(Server::on_database(database.clone()));
            builder.env("RUNLEDGER_LOG_FLUSH_INTERVAL_SECONDS", &seconds.to_string()).start().await
        };
        let (a, b) = tokio::join!(server(), server());
        let team = Team::of(&a);
        // The same callers at the other.
        let mut at_b = Team::of(&b);
        at_b.owner = team.owner.at(&b);
        Self {
            a: Archive { server: a, team, cloud: Some(Arc::clone(&cloud)) },
            b: Archive { server: b, team: at_b, cloud: Some(cloud) },
        }
    }
}

async fn two_servers_write_one_object_of_each_log(_: Backend) {
    let pair = Pair::start(1).await;
    let mut ids = Vec::new();
    for _ in 0..EXECUTIONS {
        ids.push(pair.a.owner().start_any().await);
    }
    let mut appenders = JoinSet::new();
    for id in &ids {
        for (name, client) in [("a", pair.a.owner()), ("b", pair.b.owner())] {
            let (client, id) = (client.clone(), id.clone());
            appenders.spawn(async move {
                for call in 0..CALLS {
                    client.append(&id, &lines(&format!("{name} {call}"), 5)).await;
                }
            });
        }
    }
    appenders.join_all().await;
    for id in &ids {
        pair.b.owner().complete(id).await;
    }
    for id in &ids {
        pair.a.owner().archived(id, 2 * CALLS * 5).await;
        let messages = pair.a.messages_in_object(id);
        for name in ["a ", "b "] {
            let of_one = messages.iter().filter(|message| message.starts_with(name));
            let sent = (0..CALLS).flat_map(|call| (0..5).map(move |number| format!("{name}{call} {number}")));
            assert!(of_one.eq(&sent.collect::<Vec<_>>()), "all of {name} in its order");
        }
        for archive in [&pair.a, &pair.b] {
            let whole = get(&archive.owner().link_to_log(id).await, &[]).await;
            assert_eq!(messages_of(&String::from_utf8(whole.body).expect("UTF-8")), messages);
        }
    }
    // Both have taken part.
    let document = "query ($id: ID!) { execution(id: $id) { logs(last: 1) { totalCount } } }";
    let data = pair.b.owner().query(document, json!({ "id": ids[0] })).await;
    assert_eq!(data["execution"]["logs"]["totalCount"], 2 * CALLS * 5);
}

async fn a_server_that_is_killed_leaves_its_logs_to_the_other(_: Backend) {
    let pair = Pair::start(1).await;
    let mut ids = Vec::new();
    for _ in 0..EXECUTIONS {
        let id = pair.a.owner().start_any().await;
        pair.a.owner().append(&id, &lines("of a", 10)).await;
        ids.push(id);
    }
    pair.a.server.kill9();
    for id in &ids {
        pair.b.owner().append(id, &lines("of b", 10)).await;
        pair.b.owner().complete(id).await;
    }
    for id in &ids {
        // What the dead one was writing at that moment is left alone until its lease has ended.
        pair.b.owner().archived_within(id, 20, Duration::from_secs(150)).await;
        assert_eq!(pair.b.messages_in_object(id).len(), 20);
    }
}

async fn a_server_that_stops_leaves_alone_what_the_other_is_writing(_: Backend) {
    let pair = Pair::start(super::NEVER).await;
    let (written, waits) = (pair.a.owner().start_any().await, pair.a.owner().start_any().await);
    let key = format!("job-{written}.log");
    let uploads = || pair.a.cloud().front().count(On::Upload, &key);
    // Whichever takes it is held for a while; the other is told to stop.
    pair.a.cloud().front().next(On::Upload, 1, Fault::Delay(Duration::from_secs(4)));
    pair.a.owner().append(&written, &lines("many", 1_000)).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while uploads() == 0 {
        assert!(Instant::now() < deadline, "it is archived");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    pair.a.owner().append(&waits, &lines("few", 3)).await;
    let (a, b) = tokio::join!(pair.a.server.terminate(), pair.b.server.terminate());
    assert!(a.success() && b.success());
    assert_eq!(uploads(), 1, "nobody else has written it");
    assert_eq!(pair.a.messages_in_object(&written).len(), 1_000);
    assert_eq!(pair.a.messages_in_object(&waits).len(), 3);
}
