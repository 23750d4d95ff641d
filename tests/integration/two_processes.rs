//! Two servers on one PostgreSQL: each shows live what happens on the other.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{
    Backend, Client, Database, ForBackend, ResumingTail, Server, Session, Socket, Tail, Team, for_postgres,
    lines,
};

for_postgres!(
    lines_appended_on_one_are_tailed_on_the_other,
    changes_made_on_one_are_reported_on_the_other,
    lines_appended_on_both_at_once_are_numbered_densely_and_tailed_on_both,
    the_changes_of_both_are_reported_on_both_in_one_order,
    what_one_leaves_behind_when_it_is_killed_the_other_goes_on_with,
);

async fn lines_appended_on_one_are_tailed_on_the_other(pair: Pair) {
    let id = pair.a.start_any().await;
    let socket = Socket::connect(&pair.b).await;
    let mut tail = Tail::open(&socket, json!({ "execution": id }));
    assert_eq!(tail.until_caught_up().await, []);
    for round in 0..10 {
        let sent = lines(&format!("round {round} line"), 3);
        pair.a.append(&id, &sent).await;
        let received: Vec<_> =
            tail.lines(3).await.into_iter().map(|(_, message)| json!({ "message": message })).collect();
        assert_eq!(received, sent, "each append is seen before the next");
    }
    pair.a.complete(&id).await;
    assert_eq!(tail.rest().await, []);
}

async fn changes_made_on_one_are_reported_on_the_other(pair: Pair) {
    let socket = Socket::connect(&pair.b).await;
    let after = pair.a.query("{ changesCursor }", json!({})).await["changesCursor"].take();
    let mut feed = socket.subscribe(EXECUTIONS_CHANGED, json!({ "after": after }));
    let id = pair.a.start_any().await;
    assert_eq!(change(&feed.next().await), (json!("CREATED"), json!(id)));

    let mut watch = socket
        .subscribe("subscription ($id: ID!) { executionChanged(id: $id) { status } }", json!({ "id": id }));
    assert_eq!(watch.next().await["executionChanged"]["status"], "RUNNING");
    pair.a.complete(&id).await;
    assert_eq!(change(&feed.next().await), (json!("FINISHED"), json!(id)));
    assert_eq!(watch.next().await["executionChanged"]["status"], "COMPLETED");
    watch.completed().await;
}

async fn lines_appended_on_both_at_once_are_numbered_densely_and_tailed_on_both(pair: Pair) {
    const CALLS: usize = 50;
    const APPENDERS: usize = 5;
    let id = pair.a.start_any().await;
    let tails = [&pair.a, &pair.b]
        .map(|client| ResumingTail::start(client.server(), &id, Session::long(pair.team.owner_claims())));
    let mut appenders = JoinSet::new();
    for client in [&pair.a, &pair.b].into_iter().cycle().take(2 * APPENDERS) {
        let (client, id) = (client.clone(), id.clone());
        appenders.spawn(async move {
            for call in 0..CALLS {
                client.append(&id, &lines(&format!("{call}"), 2)).await;
            }
        });
    }
    appenders.join_all().await;
    pair.b.complete(&id).await;
    let [on_a, on_b] = tails;
    let (on_a, on_b) = (on_a.finish().await.messages, on_b.finish().await.messages);
    assert_eq!(on_a.len(), 2 * APPENDERS * CALLS * 2);
    assert_eq!(on_a, on_b);
}

async fn the_changes_of_both_are_reported_on_both_in_one_order(pair: Pair) {
    const EXECUTIONS: usize = 50;
    let after = pair.a.query("{ changesCursor }", json!({})).await["changesCursor"].take();
    let sockets = [Socket::connect(&pair.a).await, Socket::connect(&pair.b).await];
    let mut feeds = sockets
        .each_ref()
        .map(|socket| socket.subscribe(EXECUTIONS_CHANGED, json!({ "after": after.clone() })));
    let mut writers = JoinSet::new();
    for client in [&pair.a, &pair.b, &pair.a, &pair.b] {
        let client = client.clone();
        writers.spawn(async move {
            for _ in 0..EXECUTIONS {
                let id = client.start_any().await;
                client.complete(&id).await;
            }
        });
    }
    writers.join_all().await;
    let mut seen = [Vec::new(), Vec::new()];
    for (feed, seen) in feeds.iter_mut().zip(&mut seen) {
        while seen.len() < 4 * EXECUTIONS * 2 {
            seen.push(change(&feed.next().await));
        }
    }
    assert_eq!(seen[0], seen[1]);
    let mut distinct: Vec<_> = seen[0].iter().map(|change| format!("{change:?}")).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 4 * EXECUTIONS * 2, "each change once");
}

async fn what_one_leaves_behind_when_it_is_killed_the_other_goes_on_with(pair: Pair) {
    let id = pair.a.start_any().await;
    let socket = Socket::connect(&pair.b).await;
    let mut tail = Tail::open(&socket, json!({ "execution": id }));
    pair.a.append(&id, &lines("on a", 5)).await;
    pair.a.server().kill9();
    pair.b.append(&id, &lines("on b", 5)).await;
    pair.b.complete(&id).await;
    let received: Vec<_> = tail.rest().await;
    assert!(received.iter().map(|(seq, _)| *seq).eq(0..10), "{received:?}");
    assert_eq!((received[0].1.as_str(), received[9].1.as_str()), ("on a 0", "on b 4"));
}

const EXECUTIONS_CHANGED: &str = "subscription ($after: String) {
    executionsChanged(after: $after) { kind executionId }
}";

fn change(data: &Value) -> (Value, Value) {
    (data["executionsChanged"]["kind"].clone(), data["executionsChanged"]["executionId"].clone())
}

/// The same owner at two servers on one database.
struct Pair {
    team: Team,
    a: Client,
    b: Client,
}

impl ForBackend for Pair {
    async fn on(backend: Backend) -> Option<Self> {
        let database = Database::fresh(backend).await?;
        let (a, b) = tokio::join!(
            Server::on_database(database.clone()).start(),
            Server::on_database(database.clone()).start()
        );
        let team = Team::of(&a);
        Some(Self { a: team.owner.clone(), b: team.owner.at(&b), team })
    }
}
