//! The schema goes down step by step, and up again, with rows in all tables; what older tables have stays.

use std::process::Output;

use serde_json::{Value, json};

use crate::harness::{
    Backend, Server, Team, files, for_each_backend, id_of, line, schema_changes_from, unique,
};

for_each_backend!(
    generations_can_be_taken_out_of_the_schema_and_put_in_again,
    code_agents_can_be_taken_out_of_the_schema_and_put_in_again,
    a_schema_that_went_down_is_brought_up_by_the_next_start,
);

/// One whose lines stay in the database: once they are in objects, the schema does not go back.
async fn server_on(backend: Backend) -> Server {
    Server::builder(backend).await.env("RUNLEDGER_LOG_FLUSH_INTERVAL_SECONDS", "3600").start().await
}

/// What is in the database when the schema changes.
struct Filled {
    team: Team,
    agent: Value,
    execution: String,
    project_key: String,
}

async fn filled(server: &Server) -> Filled {
    let team = Team::of(server);
    let project_key = unique("project");
    let generation = team.owner.save(&project_key, &files(&[("a", b"b")])).await;
    team.owner.save(&project_key, &files(&[("a", b"c")])).await;
    let source = format!("\"{}\"", "x".repeat(120 * 1024));
    let agent = team.owner.new_code_agent("large", &source).await;
    let input = json!({ "projectKey": project_key, "generationId": generation["id"], "codeAgentId": agent, "name": "kept" });
    let execution = id_of(&team.owner.start(input).await);
    team.owner.append(&execution, &[line("a line")]).await;
    Filled { team, agent, execution, project_key }
}

fn assert_done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn go_down_and_up(server: &Server, steps: &str) {
    server.kill9();
    for _ in 0..2 {
        assert_done(&server.run(&["migrate", "--down", steps]).await);
        assert_done(&server.run(&["migrate"]).await);
    }
    server.restart().await;
}

const EXECUTION: &str = "query ($id: ID!) { execution(id: $id) {
    name project { key latestGeneration { id } } generation { id } codeAgent { id } logs { nodes { message } }
} }";

async fn generations_can_be_taken_out_of_the_schema_and_put_in_again(backend: Backend) {
    let server = server_on(backend).await;
    let Filled { team, agent, execution, project_key } = filled(&server).await;
    go_down_and_up(&server, &schema_changes_from(4)).await;
    let team = team.after_a_restart();
    let found = team.owner.query(EXECUTION, json!({ "id": execution })).await;
    let expected = json!({ "name": "kept", "project": { "key": project_key, "latestGeneration": null },
                           "generation": null, "codeAgent": { "id": agent },
                           "logs": { "nodes": [{ "message": "a line" }] } });
    assert_eq!(found["execution"], expected);
    assert_eq!(team.owner.save(&project_key, &files(&[("a", b"b")])).await["version"], 1);
}

async fn code_agents_can_be_taken_out_of_the_schema_and_put_in_again(backend: Backend) {
    let server = server_on(backend).await;
    let Filled { team, agent, execution, project_key } = filled(&server).await;
    go_down_and_up(&server, &schema_changes_from(3)).await;
    let team = team.after_a_restart();
    let found = team.owner.query(EXECUTION, json!({ "id": execution })).await;
    let expected = json!({ "name": "kept", "project": { "key": project_key, "latestGeneration": null },
                           "generation": null, "codeAgent": null,
                           "logs": { "nodes": [{ "message": "a line" }] } });
    assert_eq!(found["execution"], expected);
    let document = "query ($id: ID!) { codeAgent(id: $id) { id } }";
    assert!(team.owner.query(document, json!({ "id": agent })).await["codeAgent"].is_null());
    filled(&server).await;
}

async fn a_schema_that_went_down_is_brought_up_by_the_next_start(backend: Backend) {
    let server = server_on(backend).await;
    let Filled { team, execution, .. } = filled(&server).await;
    server.kill9();
    assert_done(&server.run(&["migrate", "--down", &schema_changes_from(4)]).await);
    server.restart().await;
    let team = team.after_a_restart();
    assert_eq!(team.owner.execution(&execution).await["name"], "kept");
    assert!(team.owner.save_any().await.len() == 36);
}
