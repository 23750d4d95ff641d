//! Executions name the generation that they run or make.

use serde_json::{Value, json};

use crate::harness::{Client, Team, for_each_backend, id_of};

for_each_backend!(
    an_execution_names_a_generation_at_its_start_and_at_its_end,
    recorded_executions_name_theirs,
    a_generation_that_is_not_there_cannot_be_named,
    an_execution_outlives_its_generation,
);

async fn named(client: &Client, execution: &str) -> Value {
    let document = "query ($id: ID!) { execution(id: $id) { generation { id version project { key } } } }";
    client.query(document, json!({ "id": execution })).await["execution"]["generation"]["id"].take()
}

async fn an_execution_names_a_generation_at_its_start_and_at_its_end(team: Team) {
    let (one, other) = (team.owner.save_any().await, team.owner.save_any().await);
    let started = id_of(&team.owner.start(json!({ "generationId": one })).await);
    assert_eq!(named(&team.owner, &started).await, json!(one));
    team.owner.update(json!({ "id": started, "costUsd": "1" })).await.expect("it is running");
    assert_eq!(named(&team.owner, &started).await, json!(one), "a change of something else leaves it");
    team.owner.update(json!({ "id": started, "generationId": other })).await.expect("it is running");
    assert_eq!(named(&team.owner, &started).await, json!(other));

    let made = team.owner.start_any().await;
    assert!(named(&team.owner, &made).await.is_null());
    let end = json!({ "id": made, "status": "COMPLETED", "generationId": one });
    team.owner.finish(end).await.expect("it is running");
    assert_eq!(named(&team.colleague, &made).await, json!(one));
}

async fn recorded_executions_name_theirs(team: Team) {
    let id = team.owner.save_any().await;
    let times = ("2026-11-21T09:30:00Z", "2026-11-21T09:30:01Z");
    let input = |generation: Value| json!({ "status": "COMPLETED", "startedAt": times.0, "completedAt": times.1, "generationId": generation });
    let recorded =
        team.owner.record(json!([input(json!(id)), input(Value::Null)])).await.expect("it is fine");
    let executions = recorded["executions"].as_array().expect("a list");
    assert_eq!(named(&team.owner, &id_of(&executions[0])).await, json!(id));
    assert!(named(&team.owner, &id_of(&executions[1])).await.is_null());
}

async fn a_generation_that_is_not_there_cannot_be_named(team: Team) {
    let missing = runledger::clock::new_id().to_string();
    let running = team.owner.start_any().await;
    let document =
        "mutation ($input: StartExecutionInput!) { startExecution(input: $input) { execution { id } } }";
    let refusal = team.owner.refused(document, json!({ "input": { "generationId": missing } })).await;
    assert_eq!(refusal.code(), "NOT_FOUND");
    for refused in [
        team.owner.update(json!({ "id": running, "generationId": missing })).await,
        team.owner.finish(json!({ "id": running, "status": "COMPLETED", "generationId": missing })).await,
    ] {
        assert_eq!(refused.expect_err("it is not there").code(), "NOT_FOUND");
    }
    assert_eq!(team.owner.execution(&running).await["status"], "RUNNING");
}

async fn an_execution_outlives_its_generation(team: Team) {
    let generation = team.owner.save_any().await;
    let id = id_of(&team.owner.start(json!({ "generationId": generation })).await);
    team.owner.delete_generation(&generation).await.expect("it is ours");
    assert!(named(&team.owner, &id).await.is_null());
    team.owner.complete(&id).await;
}
