//! `registryStats`: how agents are published and used.

use serde_json::{Value, json};

use super::exact::agent;
use crate::harness::{Client, Team, for_each_backend, id_of};

for_each_backend!(
    publishing_is_counted_whatever_becomes_of_it,
    an_execution_of_a_version_that_was_run_before_is_reuse,
);

async fn registry(client: &Client, span: Value) -> Value {
    let document = "query ($from: DateTime, $to: DateTime) { registryStats(from: $from, to: $to) {
        codeAgents versions publishes validationFailures validationFailureRate agentExecutions reuseRate
    } }";
    client.query(document, span).await["registryStats"].take()
}

async fn publish(client: &Client, agent: &str, source: &str, allow_invalid: bool) {
    let input = json!({ "codeAgentId": agent, "source": source, "allowInvalid": allow_invalid });
    let document =
        "mutation ($input: PublishCodeVersionInput!) { publishCodeVersion(input: $input) { created } }";
    client.query(document, json!({ "input": input })).await;
}

async fn publishing_is_counted_whatever_becomes_of_it(team: Team) {
    let nothing = json!({
        "codeAgents": 0, "versions": 0, "publishes": 0, "validationFailures": 0, "validationFailureRate": null,
        "agentExecutions": 0, "reuseRate": null
    });
    assert_eq!(registry(&team.owner, json!({})).await, nothing);
    let agent = agent(&team.owner).await;
    publish(&team.owner, &agent, "[1]", false).await; // unchanged
    publish(&team.owner, &agent, "[2]", false).await;
    publish(&team.owner, &agent, "[", false).await; // refused
    publish(&team.owner, &agent, "[[", true).await; // kept
    let expected = json!({
        "codeAgents": 1, "versions": 3, "publishes": 5, "validationFailures": 2, "validationFailureRate": 40.0,
        "agentExecutions": 0, "reuseRate": null
    });
    assert_eq!(registry(&team.colleague, json!({})).await, expected);
    assert_eq!(registry(&team.stranger, json!({})).await, nothing);
    assert_eq!(registry(&team.owner, json!({ "to": "2020-01-01T00:00:00Z" })).await, nothing);
    assert_eq!(registry(&team.owner, json!({ "from": "2020-01-01T00:00:00Z" })).await, expected);
}

async fn an_execution_of_a_version_that_was_run_before_is_reuse(team: Team) {
    let agent = agent(&team.owner).await;
    let run = async || id_of(&team.owner.start(json!({ "codeAgentId": agent })).await);
    let rate = async || registry(&team.owner, json!({})).await["reuseRate"].as_f64();
    let first = run().await;
    assert_eq!(rate().await, Some(0.0));
    run().await;
    assert_eq!(rate().await, Some(50.0));
    publish(&team.owner, &agent, "[2]", false).await;
    run().await;
    run().await;
    assert_eq!(rate().await, Some(50.0), "the new version had not been run");
    team.owner.start(json!({})).await; // no agent
    let delete = "mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }";
    team.owner.query(delete, json!({ "id": first })).await;
    let found = registry(&team.owner, json!({})).await;
    assert_eq!(found["agentExecutions"], 3);
    let two_of_three = found["reuseRate"].as_f64().expect("there are some");
    assert!((two_of_three - 200.0 / 3.0).abs() < 1e-9, "what was deleted had run all the same");
}
