//! `executionChanged` and `executionsChanged`: every change, once, in the order of its commit, across cuts and restarts.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{
    Client, Event, Server, Socket, Subscription, Team, chance, for_each_backend, id_of, unique,
};

for_each_backend!(
    watching_a_missing_execution_is_refused,
    watching_another_tenants_execution_is_refused_as_if_it_were_missing,
    a_cursor_that_was_never_given_is_refused,
    an_execution_is_shown_as_it_is_and_after_each_change,
    a_finished_execution_is_shown_once,
    rapid_changes_of_an_execution_never_go_backwards_and_end_with_the_last,
    a_deleted_execution_ends_its_watch,
    every_kind_of_change_is_reported,
    without_a_cursor_changes_are_reported_from_now_on,
    a_filter_leaves_out_changes_of_other_executions,
    another_tenant_sees_none_of_the_changes,
    any_cursor_continues_after_its_change,
    a_cursor_continues_across_a_restart_of_the_server,
    a_feed_that_is_cut_again_and_again_loses_and_repeats_nothing,
);

const EXECUTION_CHANGED: &str =
    "subscription ($id: ID!) { executionChanged(id: $id) { status revision costUsd } }";
const EXECUTIONS_CHANGED: &str = "subscription ($filter: ExecutionFilter, $after: String) {
    executionsChanged(filter: $filter, after: $after) { kind cursor executionId execution { name status revision } }
}";

async fn watching_a_missing_execution_is_refused(team: Team) {
    let socket = Socket::connect(&team.owner).await;
    let mut watch = socket.subscribe(EXECUTION_CHANGED, json!({ "id": runledger::clock::new_id() }));
    assert_eq!(watch.refused().await.code(), "NOT_FOUND");
}

async fn watching_another_tenants_execution_is_refused_as_if_it_were_missing(team: Team) {
    let id = team.owner.start_any().await;
    let socket = Socket::connect(&team.stranger).await;
    let theirs = socket.subscribe(EXECUTION_CHANGED, json!({ "id": id })).refused().await;
    let missing =
        socket.subscribe(EXECUTION_CHANGED, json!({ "id": runledger::clock::new_id() })).refused().await;
    assert_eq!((theirs.code(), theirs.message()), (missing.code(), missing.message()));
}

async fn a_cursor_that_was_never_given_is_refused(team: Team) {
    let socket = Socket::connect(&team.owner).await;
    for cursor in ["", "nonsense", "🦀"] {
        let mut feed = socket.subscribe(EXECUTIONS_CHANGED, json!({ "after": cursor }));
        assert_eq!(feed.refused().await.code(), "BAD_INPUT", "{cursor:?}");
    }
}

async fn an_execution_is_shown_as_it_is_and_after_each_change(team: Team) {
    let id = team.owner.start_any().await;
    let socket = Socket::connect(&team.colleague).await;
    let mut watch = socket.subscribe(EXECUTION_CHANGED, json!({ "id": id }));
    let mut next = async || watch.next().await["executionChanged"].take();
    assert_eq!(next().await, json!({ "status": "RUNNING", "revision": 1, "costUsd": "0.000000" }));

    team.owner.update(json!({ "id": id, "costUsd": "0.5" })).await.expect("it is running");
    assert_eq!(next().await, json!({ "status": "RUNNING", "revision": 2, "costUsd": "0.500000" }));

    team.owner.finish(json!({ "id": id, "status": "FAILED", "costUsd": "1" })).await.expect("it is running");
    assert_eq!(next().await, json!({ "status": "FAILED", "revision": 3, "costUsd": "1.000000" }));
    watch.completed().await;
}

async fn a_finished_execution_is_shown_once(team: Team) {
    let id = team.owner.start_any().await;
    team.owner.complete(&id).await;
    let socket = Socket::connect(&team.owner).await;
    let mut watch = socket.subscribe(EXECUTION_CHANGED, json!({ "id": id }));
    assert_eq!(watch.next().await["executionChanged"]["status"], "COMPLETED");
    watch.completed().await;
}

async fn rapid_changes_of_an_execution_never_go_backwards_and_end_with_the_last(team: Team) {
    const UPDATES: i64 = 100;
    let id = team.owner.start_any().await;
    let socket = Socket::connect(&team.owner).await;
    let mut watch = socket.subscribe(EXECUTION_CHANGED, json!({ "id": id }));
    for update in 1..=UPDATES {
        team.owner.update(json!({ "id": id, "costUsd": update.to_string() })).await.expect("it is running");
    }
    team.owner.complete(&id).await;

    let mut seen = Vec::new();
    while let Event::Next(data) = watch.event().await {
        seen.push(data["executionChanged"]["revision"].as_i64().expect("it is a number"));
    }
    assert!(seen.is_sorted_by(|earlier, later| earlier < later), "{seen:?}");
    assert_eq!(seen.last(), Some(&(UPDATES + 2)));
}

async fn a_deleted_execution_ends_its_watch(team: Team) {
    let id = team.owner.start_any().await;
    let socket = Socket::connect(&team.owner).await;
    let mut watch = socket.subscribe(EXECUTION_CHANGED, json!({ "id": id }));
    watch.next().await;
    delete(&team.owner, &id).await;
    match watch.event().await {
        Event::Complete => {}
        Event::Refused(refusal) => assert_eq!(refusal.code(), "NOT_FOUND"),
        other => panic!("nothing more can be shown of it: {other:?}"),
    }
}

async fn every_kind_of_change_is_reported(team: Team) {
    let mut feed = Feed::open(&team.owner, json!({ "after": here(&team.owner).await })).await;
    let name = unique("observed");
    let id = id_of(&team.owner.start(json!({ "name": name })).await);
    let mut next = async |kind: &str, status: Option<&str>, revision: i64| {
        let change = feed.next().await;
        assert_eq!(change["kind"], kind);
        assert_eq!(change["executionId"], json!(id), "{kind}");
        let execution = status.map(|status| json!({ "name": name, "status": status, "revision": revision }));
        assert_eq!(change["execution"], json!(execution), "{kind}");
    };
    next("CREATED", Some("RUNNING"), 1).await;
    team.owner.update(json!({ "id": id, "costUsd": "1" })).await.expect("it is running");
    next("UPDATED", Some("RUNNING"), 2).await;
    team.owner.complete(&id).await;
    next("FINISHED", Some("COMPLETED"), 3).await;
    delete(&team.owner, &id).await;
    next("DELETED", None, 0).await;
}

async fn without_a_cursor_changes_are_reported_from_now_on(team: Team) {
    let before = team.owner.start_any().await;
    let mut feed = Feed::open(&team.owner, json!({})).await;
    // Nothing says when the subscription has begun, so executions are started until one is reported.
    let mut later = HashSet::new();
    let first = loop {
        later.insert(team.owner.start_any().await);
        match tokio::time::timeout(std::time::Duration::from_millis(100), feed.next()).await {
            Ok(change) => break change,
            Err(_) => assert!(later.len() < 100, "changes are reported soon"),
        }
    };
    let first = first["executionId"].as_str().expect("it has an id");
    assert!(first != before && later.contains(first));
}

async fn a_filter_leaves_out_changes_of_other_executions(team: Team) {
    let run = unique("run");
    let after = here(&team.owner).await;
    for (wanted, workflow_run) in
        [(false, "another"), (true, run.as_str()), (false, "another"), (true, run.as_str())]
    {
        team.owner.start(json!({ "workflowRunId": workflow_run, "name": format!("wanted: {wanted}") })).await;
    }
    let filter = json!({ "workflowRunIds": [run], "statuses": ["RUNNING"] });
    let mut feed = Feed::open(&team.owner, json!({ "after": after, "filter": filter })).await;
    for _ in 0..2 {
        assert_eq!(feed.next().await["execution"]["name"], "wanted: true");
    }
}

async fn another_tenant_sees_none_of_the_changes(team: Team) {
    let after = here(&team.stranger).await;
    let id = team.owner.start_any().await;
    team.owner.complete(&id).await;
    let own = team.stranger.start_any().await;
    let mut feed = Feed::open(&team.stranger, json!({ "after": after })).await;
    assert_eq!(feed.next().await["executionId"], json!(own), "their own change is the first that they see");
}

async fn any_cursor_continues_after_its_change(team: Team) {
    let start = here(&team.owner).await;
    for _ in 0..5 {
        let id = team.owner.start_any().await;
        team.owner.complete(&id).await;
    }
    let all = Feed::open(&team.owner, json!({ "after": start })).await.take(10).await;
    for (index, change) in all.iter().enumerate().take(9) {
        let mut feed = Feed::open(&team.owner, json!({ "after": change["cursor"] })).await;
        assert_eq!(cursors(&feed.take(9 - index).await), cursors(&all[index + 1..]));
    }
    let mut feed = Feed::open(&team.owner, json!({ "after": all[9]["cursor"] })).await;
    let id = team.owner.start_any().await;
    assert_eq!(feed.next().await["executionId"], json!(id), "the last cursor waits for the next change");
}

async fn a_cursor_continues_across_a_restart_of_the_server(server: Server) {
    let team = Team::of(&server);
    let mut feed = Feed::open(&team.owner, json!({ "after": here(&team.owner).await })).await;
    let before = team.owner.start_any().await;
    let seen = feed.next().await;
    assert_eq!(seen["executionId"], json!(before));
    let unseen = team.owner.start_any().await;

    assert!(server.terminate().await.success());
    server.restart().await;
    let mut feed = Feed::open(&team.owner, json!({ "after": seen["cursor"] })).await;
    let after = team.owner.start_any().await;
    assert_eq!(feed.next().await["executionId"], json!(unseen));
    assert_eq!(feed.next().await["executionId"], json!(after));
}

async fn a_feed_that_is_cut_again_and_again_loses_and_repeats_nothing(team: Team) {
    const WRITERS: usize = 10;
    const EXECUTIONS: usize = 10;
    const KINDS: [&str; 3] = ["CREATED", "UPDATED", "FINISHED"];
    let mut after = here(&team.owner).await;
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let owner = team.owner.clone();
        writers.spawn(async move {
            for _ in 0..EXECUTIONS {
                let id = owner.start_any().await;
                owner.update(json!({ "id": id, "costUsd": "1" })).await.expect("it is running");
                owner.complete(&id).await;
            }
        });
    }
    let mut seen: HashMap<String, Vec<String>> = HashMap::new();
    let mut count = 0;
    while count < WRITERS * EXECUTIONS * KINDS.len() {
        let mut feed = Feed::open(&team.owner, json!({ "after": after })).await;
        let until_cut = (1 + chance(30) as usize).min(WRITERS * EXECUTIONS * KINDS.len() - count);
        for change in feed.take(until_cut).await {
            let id = change["executionId"].as_str().expect("it has an id");
            seen.entry(id.into()).or_default().push(change["kind"].as_str().expect("it has a kind").into());
            after = change["cursor"].clone();
            count += 1;
        }
    }
    writers.join_all().await;
    assert_eq!(seen.len(), WRITERS * EXECUTIONS);
    for (id, kinds) in seen {
        assert_eq!(kinds, KINDS, "{id}");
    }
}

/// An `executionsChanged` and the socket that it is on.
struct Feed {
    changes: Subscription,
    _socket: Socket,
}

impl Feed {
    async fn open(client: &Client, variables: Value) -> Self {
        let socket = Socket::connect(client).await;
        Self { changes: socket.subscribe(EXECUTIONS_CHANGED, variables), _socket: socket }
    }

    async fn next(&mut self) -> Value {
        self.changes.next().await["executionsChanged"].take()
    }

    async fn take(&mut self, count: usize) -> Vec<Value> {
        let mut changes = Vec::new();
        while changes.len() < count {
            changes.push(self.next().await);
        }
        changes
    }
}

/// Where the change feed stands now.
async fn here(client: &Client) -> Value {
    client.query("{ changesCursor }", json!({})).await["changesCursor"].take()
}

fn cursors(changes: &[Value]) -> Vec<&Value> {
    changes.iter().map(|change| &change["cursor"]).collect()
}

async fn delete(client: &Client, id: &str) {
    client
        .query("mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }", json!({ "id": id }))
        .await;
}
