//! A caller that lost an answer may repeat its call: it gets the answer of the first one, and nothing is done twice. A
//! caller that does not wait for the answer still has done what it asked for, and those who follow hear of it.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tokio::task::JoinSet;

use crate::harness::{
    Backend, Server, Socket, Team, for_each_backend, for_sqlite, id_of, line, soon, unique,
};

for_each_backend!(
    an_execution_without_history_may_be_finished_and_started_again,
    a_final_update_with_a_result_may_be_repeated,
    one_start_of_many_at_once_creates_and_the_others_find,
    the_same_records_at_once_are_recorded_once,
    what_a_caller_who_has_left_changed_is_announced_at_once,
    one_call_changes_executions_of_a_thousand_tenants,
    lines_deleted_while_they_are_appended_leave_nothing_behind,
);

for_sqlite!(who_waits_for_the_writer_does_not_give_up_with_who_has_it);

async fn an_execution_without_history_may_be_finished_and_started_again(team: Team) {
    let start = json!({ "id": runledger::clock::new_id(), "keepHistory": false });
    let id = id_of(&team.owner.start(start.clone()).await);
    let finish = json!({ "id": id, "status": "COMPLETED", "result": 1 });
    let first = team.owner.finish(finish.clone()).await.expect("it is running");
    let again = team.owner.finish(finish).await.expect("it has ended like that");
    assert_eq!(again["revision"], first["revision"]);
    let other = team.owner.finish(json!({ "id": id, "status": "FAILED" })).await;
    assert_eq!(other.expect_err("it is gone").code(), "NOT_FOUND");
    assert_eq!(id_of(&team.owner.start(start).await), id);
}

async fn a_final_update_with_a_result_may_be_repeated(team: Team) {
    let id = team.owner.start_any().await;
    let update = json!({ "id": id, "status": "COMPLETED", "result": { "answer": 42 } });
    let first = team.owner.update(update.clone()).await.expect("it is running");
    assert_eq!(team.owner.update(update).await.expect("it is there already"), first);
}

async fn one_start_of_many_at_once_creates_and_the_others_find(team: Team) {
    let mut starts = JoinSet::new();
    let input = json!({ "id": runledger::clock::new_id(), "projectKey": unique("project") });
    for _ in 0..16 {
        let (owner, input) = (team.owner.clone(), input.clone());
        starts.spawn(async move {
            let document =
                "mutation ($input: StartExecutionInput!) { startExecution(input: $input) { created execution { id } } }";
            owner.query(document, json!({ "input": input })).await["startExecution"]["created"] == true
        });
    }
    let created = starts.join_all().await.into_iter().filter(|created| *created).count();
    assert_eq!(created, 1);
}

async fn the_same_records_at_once_are_recorded_once(team: Team) {
    let run = unique("run");
    let mut inputs: Vec<_> = (0..50)
        .map(|_| {
            json!({ "id": runledger::clock::new_id(), "status": "FAILED", "workflowRunId": run,
                    "startedAt": "2026-11-20T10:00:00Z", "completedAt": "2026-11-20T10:00:01Z" })
        })
        .collect();
    let mut records = JoinSet::new();
    for _ in 0..6 {
        inputs.reverse(); // another order must not make them wait for each other
        let (owner, inputs) = (team.owner.clone(), Value::from(inputs.clone()));
        records.spawn(
            async move { owner.record(inputs).await.expect("they are fine")["createdCount"].as_i64() },
        );
    }
    let created: i64 = records.join_all().await.into_iter().flatten().sum();
    assert_eq!(created, 50);
}

async fn what_a_caller_who_has_left_changed_is_announced_at_once(team: Team) {
    let socket = Socket::connect(&team.owner).await;
    for patience_ms in [1, 2, 3, 4, 5, 6, 8, 10] {
        let id = team.owner.start_any().await;
        let mut watch = socket.subscribe(
            "subscription ($id: ID!) { executionChanged(id: $id) { status } }",
            json!({ "id": id }),
        );
        assert_eq!(watch.next().await["executionChanged"]["status"], "RUNNING");
        let finish = team.owner.finish(json!({ "id": id, "status": "COMPLETED" }));
        let answered = tokio::time::timeout(Duration::from_millis(patience_ms), finish).await;
        if answered.is_err() && team.owner.execution(&id).await["status"] == "RUNNING" {
            continue; // it left before the server had read the request
        }
        // Long before anybody would look by itself.
        let change = soon("the end of the execution", watch.next()).await;
        assert_eq!(change["executionChanged"]["status"], "COMPLETED");
    }
}

async fn one_call_changes_executions_of_a_thousand_tenants(team: Team) {
    let document = "mutation ($inputs: [UpdateExecutionInput!]!) { updateExecutions(inputs: $inputs) { executions { id } } }";
    let mut ids = Vec::new();
    while ids.len() < 1_000 {
        let mut starts = JoinSet::new();
        for _ in 0..50 {
            let service = team.service.clone();
            let input = json!({ "onBehalfOf": { "userId": unique("user") } });
            starts.spawn(async move { id_of(&service.start(input).await) });
        }
        ids.extend(starts.join_all().await);
    }
    let inputs: Vec<_> = ids.iter().map(|id| json!({ "id": id, "costUsd": "1" })).collect();
    let data = team.service.query(document, json!({ "inputs": inputs })).await;
    assert_eq!(data["updateExecutions"]["executions"].as_array().map(Vec::len), Some(1_000));
}

async fn lines_deleted_while_they_are_appended_leave_nothing_behind(server: Server) {
    let team = Team::of(&server);
    for _ in 0..10 {
        let run = unique("run");
        let id = id_of(&team.owner.start(json!({ "workflowRunId": run })).await);
        // Another execution keeps the run.
        team.owner.start(json!({ "workflowRunId": run })).await;
        let mut appends = JoinSet::new();
        for _ in 0..8 {
            let (owner, id) = (team.owner.clone(), id.clone());
            appends.spawn(async move { while owner.try_append(&id, &[line("more")], None).await.is_ok() {} });
        }
        team.owner
            .query("mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }", json!({ "id": id }))
            .await;
        appends.join_all().await;
        let run = team
            .owner
            .query("query ($run: String!) { workflowRun(id: $run) { logs { seq } } }", json!({ "run": run }))
            .await;
        assert_eq!(run["workflowRun"]["logs"], json!([]));
    }
}

/// Another process has the file's lock. Of two calls one has the server's writer, and waits for the lock.
async fn who_waits_for_the_writer_does_not_give_up_with_who_has_it(backend: Backend) {
    let server = Server::builder(backend).await.start().await;
    let team = Team::of(&server);
    let url = format!("sqlite:{}", server.database_file().display());
    let mut other = SqliteConnection::connect(&url).await.expect("the file opens");
    other.execute("BEGIN IMMEDIATE").await.expect("it waits until nobody writes");

    let mut calls = JoinSet::new();
    let (starter, creator) = (team.owner.clone(), team.owner.clone());
    calls.spawn(async move {
        let start = "mutation { startExecution(input: {}) { execution { id } } }";
        starter.try_query(start, json!({})).await
    });
    calls.spawn(async move {
        let create = "mutation { createCodeAgent(input: { name: \"an agent\", language: \"json\" }) { codeAgent { id } } }";
        creator.try_query(create, json!({})).await
    });
    let first = calls.join_next().await.expect("there are two").expect("it does not panic");
    assert_eq!(first.expect_err("there is a lock").code(), "UNAVAILABLE");
    other.execute("ROLLBACK").await.expect("it has begun");
    let second = calls.join_next().await.expect("there is another").expect("it does not panic");
    second.expect("the lock is gone");
}
