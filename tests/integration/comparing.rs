//! Executions side by side: where their inputs and results differ.

use runledger::domain::limits::COMPARE_EXECUTIONS_MAX;
use serde_json::{Value, json};

use crate::harness::{Team, for_each_backend, id_of, one_over};

for_each_backend!(
    what_cannot_be_compared_is_refused,
    differences_are_shown_by_place_with_a_value_for_each,
    a_comparison_of_very_different_executions_has_an_end,
);

const COMPARE: &str = "query ($ids: [ID!]!) {
    compareExecutions(ids: $ids) { executions { id name } inputs { path values } results { path values } truncated }
}";

async fn what_cannot_be_compared_is_refused(team: Team) {
    let (ours, theirs) = (team.owner.start_any().await, team.stranger.start_any().await);
    let many: Vec<_> =
        (0..one_over(COMPARE_EXECUTIONS_MAX)).map(|_| runledger::clock::new_id().to_string()).collect();
    for (ids, code) in [
        (json!([]), "BAD_INPUT"),
        (json!([ours]), "BAD_INPUT"),
        (json!([ours, ours]), "BAD_INPUT"),
        (json!([ours, "no id"]), "BAD_INPUT"),
        (json!(many), "TOO_LARGE"),
        (json!([ours, theirs]), "NOT_FOUND"),
        (json!([ours, runledger::clock::new_id().to_string()]), "NOT_FOUND"),
    ] {
        assert_eq!(team.owner.refused(COMPARE, json!({ "ids": ids })).await.code(), code, "{ids}");
    }
}

async fn differences_are_shown_by_place_with_a_value_for_each(team: Team) {
    let owner = &team.owner;
    let mut ids = Vec::new();
    for (inputs, result) in [
        (json!({ "model": "a", "steps": [1, 2], "same": { "x/y": 1 } }), json!({ "ok": true })),
        (json!({ "model": "b", "steps": [1], "same": { "x/y": 1 } }), json!({ "ok": true })),
        (json!({ "steps": [1, 2], "same": { "x/y": 2 } }), Value::Null),
    ] {
        let id = id_of(&owner.start(json!({ "inputs": inputs })).await);
        owner.finish(json!({ "id": id, "status": "COMPLETED", "result": result })).await.expect("it runs");
        ids.push(id);
    }
    ids.reverse();
    let compared = owner.query(COMPARE, json!({ "ids": ids })).await["compareExecutions"].take();
    let shown: Vec<_> = compared["executions"].as_array().expect("a list").iter().map(id_of).collect();
    assert_eq!(shown, ids, "in the order that was asked for");
    assert_eq!(
        compared["inputs"],
        json!([
            { "path": "/steps/1", "values": [2, null, 2] },
            { "path": "/same/x~1y", "values": [2, 1, 1] },
            { "path": "/model", "values": [null, "b", "a"] },
        ])
    );
    let whole = json!({ "ok": true });
    assert_eq!(compared["results"], json!([{ "path": "", "values": [null, whole, whole] }]));
    assert_eq!(compared["truncated"], false);
}

async fn a_comparison_of_very_different_executions_has_an_end(team: Team) {
    let mut ids = Vec::new();
    for number in 0..2 {
        let inputs: Vec<_> = (0..5_000).map(|place| 2 * place + number).collect();
        ids.push(id_of(&team.owner.start(json!({ "inputs": inputs })).await));
    }
    let compared = team.owner.query(COMPARE, json!({ "ids": ids })).await["compareExecutions"].take();
    assert_eq!(compared["inputs"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(compared["truncated"], true);
}
