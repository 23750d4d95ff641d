//! What was acknowledged survives `kill -9`: each line is there, once, in order, and tails go on where they were.

use std::sync::Arc;

use serde_json::json;
use tokio::{sync::watch, task::JoinSet};

use crate::harness::{
    Client, ResumingTail, Server, Session, Socket, Tail, Team, chance, for_each_backend, line, soon,
};

for_each_backend!(acknowledged_lines_survive_kill_9, an_acknowledged_change_survives_kill_9);

/// How often the server is killed.
const ROUNDS: usize = 20;
const APPENDERS: usize = 100;
/// Executions that are also tailed all the while.
const TAILS: usize = 5;
const LINES_PER_CALL: usize = 3;
/// Acknowledged calls between two kills: enough that all appenders are at work, at a moment that nobody chose.
const CALLS_PER_ROUND: std::ops::Range<u64> = 150..400;

async fn acknowledged_lines_survive_kill_9(server: Server) {
    let team = Team::of(&server);
    let mut executions = Vec::new();
    for _ in 0..APPENDERS {
        executions.push(team.owner.start_any().await);
    }
    let tails: Vec<_> = executions[..TAILS]
        .iter()
        .map(|id| ResumingTail::start(&server, id, Session::long(team.owner_claims())))
        .collect();

    let calls = Arc::new(Calls::default());
    let mut appenders = JoinSet::new();
    for id in &executions {
        appenders.spawn(append_until_stopped(team.owner.clone(), id.clone(), Arc::clone(&calls)));
    }
    for _ in 0..ROUNDS {
        calls
            .wait_for_more(CALLS_PER_ROUND.start + chance(CALLS_PER_ROUND.end - CALLS_PER_ROUND.start))
            .await;
        server.kill9();
        server.restart().await;
    }
    calls.stop.send_replace(true);

    let socket = Socket::connect(&team.owner).await;
    while let Some(appender) = appenders.join_next().await {
        let (id, written) = appender.expect("no append is refused");
        team.owner.complete(&id).await;
        let stored = Tail::open(&socket, json!({ "execution": id })).rest().await;
        assert!(
            stored.iter().map(|(seq, _)| *seq).eq(0..written.len() as i64),
            "{id} has a hole or a repeat"
        );
        assert!(
            stored.iter().map(|(_, message)| message).eq(&written),
            "{id} has other lines than were written"
        );
    }
    for tail in tails {
        let followed = tail.finish().await;
        assert_eq!(followed.close_codes.len(), ROUNDS, "each kill cut the tail, and nothing else did");
    }
}

async fn an_acknowledged_change_survives_kill_9(server: Server) {
    let owner = Team::of(&server).owner.clone();
    let id = owner.start_any().await;
    for round in 1..=5 {
        let change = json!({ "id": id, "costUsd": format!("{round}.000001"), "result": { "round": round } });
        let changed = owner.update(change).await.expect("it is running");
        server.kill9();
        server.restart().await;
        // A fresh connection: the old ones went with the process.
        let owner = Client::new(&server, owner.token().map(str::to_owned));
        assert_eq!(owner.execution(&id).await, changed);
    }
}

/// What the appenders have done so far, and whether they should go on.
#[derive(Default)]
pub(crate) struct Calls {
    acknowledged: watch::Sender<u64>,
    pub(crate) stop: watch::Sender<bool>,
}

impl Calls {
    pub(crate) async fn wait_for_more(&self, count: u64) {
        let mut acknowledged = self.acknowledged.subscribe();
        let target = *acknowledged.borrow() + count;
        soon("acknowledged calls", acknowledged.wait_for(|calls| *calls >= target))
            .await
            .expect("we hold the sender");
    }
}

/// Appends call after call, and repeats each until it is acknowledged. Gives back what it has written.
pub(crate) async fn append_until_stopped(
    client: Client,
    id: String,
    calls: Arc<Calls>,
) -> (String, Vec<String>) {
    let mut written = Vec::new();
    while !*calls.stop.borrow() {
        let first_seq = written.len();
        written.extend((0..LINES_PER_CALL).map(|number| format!("{id} {}", first_seq + number)));
        let lines: Vec<_> = written[first_seq..].iter().map(|message| line(message)).collect();
        let payload = client.append_until_acknowledged(&id, &lines, first_seq as i64).await;
        assert_eq!(payload["nextSeq"], written.len());
        let appended = payload["appended"].as_u64().expect("it is a number") as usize;
        assert!(appended == 0 || appended == LINES_PER_CALL, "{appended} lines of a call were written");
        calls.acknowledged.send_modify(|calls| *calls += 1);
    }
    (id, written)
}
