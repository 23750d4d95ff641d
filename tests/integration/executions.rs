//! The life of an execution: what is recorded reads back exactly, and only legal steps are taken.

use runledger::domain::limits::BATCH_EXECUTIONS_MAX;
use serde_json::{Value, json};

use crate::harness::{
    Client, Refusal, Socket, Tail, Team, execution_input, for_each_backend, id_of, line, lines, one_over,
    unique,
};

for_each_backend!(
    an_illegal_step_is_a_conflict_and_changes_nothing,
    a_legal_step_is_taken_and_raises_the_revision,
    finishing_again_with_the_same_status_changes_nothing,
    finishing_again_with_another_status_is_a_conflict,
    finishing_with_a_status_that_is_not_final_is_refused,
    a_change_that_expects_another_revision_is_a_conflict,
    a_cost_that_is_not_exact_is_refused,
    token_counts_that_cannot_be_are_refused,
    a_start_says_what_it_was_given,
    a_start_without_anything_takes_the_defaults,
    starting_again_with_the_same_id_returns_the_first,
    a_start_with_the_id_of_another_tenant_is_a_conflict,
    concurrent_starts_with_one_id_make_one_execution,
    calls_that_are_stored_together_succeed_and_fail_by_themselves,
    an_update_changes_only_what_it_names,
    a_finish_says_what_came_of_it,
    a_finish_without_a_duration_measures_it,
    any_json_reads_back_as_it_was_written,
    a_cancel_keeps_its_reason_and_may_be_repeated,
    a_queued_execution_starts_when_it_runs,
    a_batch_of_updates_is_all_or_nothing,
    a_batch_of_updates_changes_each,
    an_execution_without_history_is_gone_after_its_end,
    an_execution_without_history_shows_its_end_to_those_who_watch,
    a_thousand_finished_executions_are_recorded_in_one_call,
    recording_again_creates_nothing,
    recording_what_is_not_finished_is_refused_whole,
    a_deleted_execution_is_gone_with_its_lines,
    a_dry_run_of_a_deletion_only_counts,
    a_deletion_by_filter_removes_what_matches_and_nothing_else,
    a_project_comes_into_being_with_its_first_execution,
    a_workflow_run_sums_up_its_executions,
    a_node_is_found_by_its_id,
);

/// The calls that make a step.
const STATUSES: [&str; 5] = ["QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"];
const FINAL: [&str; 3] = ["COMPLETED", "FAILED", "CANCELLED"];

/// Whether an execution may go from one status to another.
fn may_follow(from: &str, to: &str) -> bool {
    match from {
        "QUEUED" => ["RUNNING", "FAILED", "CANCELLED"].contains(&to),
        "RUNNING" => FINAL.contains(&to),
        _ => false,
    }
}

/// Every way to ask for a step, with the status that it leads to.
const STEPS: [(&str, &str); 9] = [
    ("update", "QUEUED"),
    ("update", "RUNNING"),
    ("update", "COMPLETED"),
    ("update", "FAILED"),
    ("update", "CANCELLED"),
    ("finish", "COMPLETED"),
    ("finish", "FAILED"),
    ("finish", "CANCELLED"),
    ("cancel", "CANCELLED"),
];

async fn step(client: &Client, id: &str, call: &str, to: &str) -> Result<Value, Refusal> {
    match call {
        "update" => client.update(json!({ "id": id, "status": to })).await,
        "finish" => client.finish(json!({ "id": id, "status": to })).await,
        _ => client.cancel(id, None).await,
    }
}

/// An execution that has reached `status`.
async fn execution_that_is(client: &Client, status: &str) -> Value {
    if !FINAL.contains(&status) {
        return client.start(json!({ "status": status })).await;
    }
    let id = client.start_any().await;
    client.finish(json!({ "id": id, "status": status })).await.expect("a running execution can end")
}

async fn an_illegal_step_is_a_conflict_and_changes_nothing(team: Team) {
    for from in STATUSES {
        for (call, to) in STEPS.into_iter().filter(|(_, to)| from != *to && !may_follow(from, to)) {
            let before = execution_that_is(&team.owner, from).await;
            let id = id_of(&before);
            let refusal = step(&team.owner, &id, call, to).await.expect_err("the step is illegal");
            assert_eq!(refusal.code(), "CONFLICT", "{call} from {from} to {to}");
            assert_eq!(team.owner.execution(&id).await, before, "{call} from {from} to {to}");
        }
    }
}

async fn a_legal_step_is_taken_and_raises_the_revision(team: Team) {
    for from in STATUSES {
        for (call, to) in STEPS.into_iter().filter(|(_, to)| may_follow(from, to)) {
            let before = execution_that_is(&team.owner, from).await;
            let id = id_of(&before);
            let after = step(&team.owner, &id, call, to).await.expect("the step is legal");
            assert_eq!(after["status"], to, "{call} from {from} to {to}");
            assert_eq!(after["revision"], revision(&before) + 1, "{call} from {from} to {to}");
            assert_eq!(after["completedAt"].is_null(), !FINAL.contains(&to), "{call} from {from} to {to}");
            assert_eq!(team.owner.execution(&id).await, after);
        }
    }
}

async fn finishing_again_with_the_same_status_changes_nothing(team: Team) {
    for status in FINAL {
        let id = team.owner.start_any().await;
        let first = json!({ "id": id, "status": status, "result": { "of": "the first" }, "costUsd": "1.5" });
        let first = team.owner.finish(first).await.expect("a running execution can end");
        let again = json!({ "id": id, "status": status, "result": { "of": "the second" }, "costUsd": "2.5" });
        assert_eq!(team.owner.finish(again).await.expect("it has that status"), first);
        assert_eq!(team.owner.execution(&id).await, first);
    }
}

async fn finishing_again_with_another_status_is_a_conflict(team: Team) {
    let id = team.owner.start_any().await;
    team.owner.complete(&id).await;
    let refusal =
        team.owner.finish(json!({ "id": id, "status": "FAILED" })).await.expect_err("it has completed");
    assert_eq!(refusal.code(), "CONFLICT");
    assert_eq!(team.owner.execution(&id).await["status"], "COMPLETED");
}

async fn finishing_with_a_status_that_is_not_final_is_refused(team: Team) {
    for status in ["QUEUED", "RUNNING"] {
        let id = team.owner.start_any().await;
        let refusal =
            team.owner.finish(json!({ "id": id, "status": status })).await.expect_err("it is not final");
        assert_eq!((refusal.code(), refusal.field()), ("BAD_INPUT", Some("input.status")));
    }
}

async fn a_change_that_expects_another_revision_is_a_conflict(team: Team) {
    let id = team.owner.start_any().await;
    let stale = revision(&team.owner.execution(&id).await);
    let changed = team.owner.update(json!({ "id": id, "expectedRevision": stale, "costUsd": "1" })).await;
    assert_eq!(changed.expect("nobody has changed it")["revision"], stale + 1);

    let update = json!({ "id": id, "expectedRevision": stale, "costUsd": "2" });
    let finish = json!({ "id": id, "expectedRevision": stale, "status": "COMPLETED" });
    assert_eq!(team.owner.update(update).await.expect_err("it is stale").code(), "CONFLICT");
    assert_eq!(team.owner.finish(finish).await.expect_err("it is stale").code(), "CONFLICT");
    assert_eq!(team.owner.execution(&id).await["costUsd"], "1.000000");
}

async fn a_cost_that_is_not_exact_is_refused(team: Team) {
    let id = team.owner.start_any().await;
    for cost in
        [json!("0.0000001"), json!("-1"), json!("1e3"), json!("much"), json!(""), json!(0.25), json!("NaN")]
    {
        let refusal =
            team.owner.update(json!({ "id": id, "costUsd": cost })).await.expect_err("it is not exact");
        assert_eq!(refusal.code(), "BAD_INPUT", "{cost}");
    }
    assert_eq!(team.owner.execution(&id).await["costUsd"], "0.000000");
}

async fn token_counts_that_cannot_be_are_refused(team: Team) {
    let id = team.owner.start_any().await;
    for tokens in [json!({ "input": -1 }), json!({ "output": -1 }), json!({ "input": 1, "cachedInput": 2 })] {
        let refusal =
            team.owner.update(json!({ "id": id, "tokens": tokens })).await.expect_err("it cannot be");
        assert_eq!(refusal.code(), "BAD_INPUT", "{tokens}");
    }
    assert_eq!(team.owner.execution(&id).await["tokens"]["total"], 0);
}

async fn a_start_says_what_it_was_given(team: Team) {
    let visual = json!({ "enabled": true, "streaming": true, "quality": "high", "sessionId": "s-1",
                         "eventsCaptured": 7, "streamDurationMs": 250 });
    let id = runledger::clock::new_id().to_string();
    let execution = team
        .owner
        .start(json!({
            "id": id, "name": "nightly build", "status": "QUEUED", "mode": "LOCAL_RUN", "workflowId": "deploy",
            "workflowRunId": "deploy-17", "projectKey": "website", "inputs": { "branch": "main" }, "visual": visual,
        }))
        .await;
    let expected = [
        ("id", json!(id)),
        ("name", json!("nightly build")),
        ("status", json!("QUEUED")),
        ("mode", json!("LOCAL_RUN")),
        ("workflowId", json!("deploy")),
        ("workflowRunId", json!("deploy-17")),
        ("project", json!({ "key": "website" })),
        ("ownerId", json!(Team::OWNER)),
        ("inputs", json!({ "branch": "main" })),
        ("visual", visual),
        ("revision", json!(1)),
    ];
    for (field, value) in expected {
        assert_eq!(execution[field], value, "{field}");
    }
    assert_eq!(team.owner.execution(&id).await, execution);
}

async fn a_start_without_anything_takes_the_defaults(team: Team) {
    let before = runledger::clock::now();
    let execution = team.owner.start(json!({})).await;
    assert_eq!(execution["status"], "RUNNING");
    assert_eq!(execution["mode"], "CLOUD_RUN");
    assert_eq!(execution["costUsd"], "0.000000");
    assert_eq!(execution["tokens"], json!({ "input": 0, "cachedInput": 0, "output": 0, "total": 0 }));
    for nothing in
        ["name", "workflowId", "workflowRunId", "project", "inputs", "result", "error", "durationMs"]
    {
        assert!(execution[nothing].is_null(), "{nothing}");
    }
    for time in ["createdAt", "startedAt", "updatedAt"] {
        let time: runledger::clock::Timestamp =
            execution[time].as_str().expect("it is set").parse().expect("it is RFC 3339");
        assert!(before <= time && time <= runledger::clock::now(), "{time}");
    }
    assert!(execution["createdAt"].as_str().expect("it is set").ends_with('Z'), "times are written in UTC");
}

async fn starting_again_with_the_same_id_returns_the_first(team: Team) {
    let first = team.owner.start(json!({ "id": runledger::clock::new_id(), "name": "the first" })).await;
    let again = start_with_id(&team.owner, &id_of(&first), "the second").await.expect("it is ours");
    assert_eq!(again, json!({ "created": false, "execution": { "id": first["id"], "name": "the first" } }));
    assert_eq!(team.owner.execution(&id_of(&first)).await, first);
}

async fn a_start_with_the_id_of_another_tenant_is_a_conflict(team: Team) {
    let theirs = team.stranger.start(json!({ "id": runledger::clock::new_id(), "name": "theirs" })).await;
    let refusal = start_with_id(&team.owner, &id_of(&theirs), "ours").await.expect_err("the id is taken");
    assert_eq!(refusal.code(), "CONFLICT");
    assert_eq!(team.stranger.execution(&id_of(&theirs)).await, theirs);
    assert!(team.owner.execution(&id_of(&theirs)).await.is_null());
}

async fn calls_that_are_stored_together_succeed_and_fail_by_themselves(team: Team) {
    let id = team.owner.start_any().await;
    let before = team.owner.execution(&id).await["revision"].as_i64().expect("it is a number");
    let call = async |number: usize| {
        let costs = json!({ "id": id, "costUsd": format!("0.{number:06}") });
        match number % 5 {
            0 => team.owner.update(costs).await.map_err(|refusal| refusal.code().to_owned()),
            1 => {
                let refused =
                    team.owner.update(json!({ "id": id, "expectedRevision": 0, "costUsd": "9" })).await;
                refused.map_err(|refusal| refusal.code().to_owned())
            }
            2 => team.stranger.update(costs).await.map_err(|refusal| refusal.code().to_owned()),
            3 => team.colleague.update(costs).await.map_err(|refusal| refusal.code().to_owned()),
            _ => Ok(team.owner.start(json!({ "name": format!("number {number}") })).await),
        }
    };
    let answers = futures_util::future::join_all((1..=100).map(call)).await;
    for (number, answer) in (1..=100).zip(&answers) {
        let expected = [None, Some("CONFLICT"), Some("NOT_FOUND"), Some("FORBIDDEN"), None][number % 5];
        assert_eq!(answer.as_ref().err().map(String::as_str), expected, "{number}");
    }
    let after = team.owner.execution(&id).await;
    assert_eq!(after["revision"], before + 20, "each of the twenty counts once");
    let list = team.owner.query("{ executions(first: 200) { totalCount } }", json!({})).await;
    assert_eq!(list["executions"]["totalCount"], 21);
}

async fn concurrent_starts_with_one_id_make_one_execution(team: Team) {
    let id = runledger::clock::new_id().to_string();
    let starts = (0..10).map(|_| start_with_id(&team.owner, &id, "contended"));
    let created: Vec<_> = futures_util::future::join_all(starts)
        .await
        .into_iter()
        .map(|payload| payload.expect("each start succeeds")["created"] == true)
        .collect();
    assert_eq!(created.iter().filter(|created| **created).count(), 1);
    assert_eq!(revision(&team.owner.execution(&id).await), 1);
}

async fn an_update_changes_only_what_it_names(team: Team) {
    let before = team.owner.start(execution_input()).await;
    let id = id_of(&before);
    let changes = [
        ("tokens", json!({ "input": 10, "cachedInput": 4, "output": 5 })),
        ("costUsd", json!("0.004250")),
        ("visual", json!({ "enabled": true, "eventsCaptured": 3 })),
        ("result", json!({ "so far": "good" })),
    ];
    for (index, (field, value)) in changes.into_iter().enumerate() {
        let after = team.owner.update(json!({ "id": id, field: value })).await.expect("it is running");
        assert_eq!(revision(&after), revision(&before) + 1 + index as i64, "{field}");
    }
    let mut after = team.owner.execution(&id).await;
    assert_eq!(after["tokens"], json!({ "input": 10, "cachedInput": 4, "output": 5, "total": 15 }));
    assert_eq!(after["costUsd"], "0.004250");
    assert_eq!(after["visual"]["enabled"], true);
    assert_eq!(after["visual"]["streaming"], false);
    assert_eq!(after["visual"]["eventsCaptured"], 3);
    assert_eq!(after["result"], json!({ "so far": "good" }));
    for changed in ["tokens", "costUsd", "visual", "result", "revision", "updatedAt", "heartbeatAt"] {
        after[changed] = before[changed].clone();
    }
    assert_eq!(after, before);
}

async fn a_finish_says_what_came_of_it(team: Team) {
    let id = id_of(&team.owner.start(json!({ "startedAt": "2026-11-20T09:30:00Z" })).await);
    let finished = team
        .owner
        .finish(json!({
            "id": id, "status": "FAILED", "result": { "artifacts": 3 }, "error": "the disk is full\nand so am I",
            "tokens": { "input": 9, "output": 1 }, "costUsd": "12.34", "durationMs": 12_345_678_901_i64,
            "visual": { "streamDurationMs": 99 }, "completedAt": "2026-11-20T09:31:00.125Z",
        }))
        .await
        .expect("it is running");
    assert_eq!(finished["status"], "FAILED");
    assert_eq!(finished["result"], json!({ "artifacts": 3 }));
    assert_eq!(finished["error"], "the disk is full\nand so am I");
    assert_eq!(finished["tokens"]["total"], 10);
    assert_eq!(finished["costUsd"], "12.340000");
    assert_eq!(finished["durationMs"], 12_345_678_901_i64, "it is a 64-bit number");
    assert_eq!(finished["visual"]["streamDurationMs"], 99);
    assert_eq!(finished["completedAt"], "2026-11-20T09:31:00.125Z");
    assert_eq!(team.owner.execution(&id).await, finished);
}

async fn a_finish_without_a_duration_measures_it(team: Team) {
    let started = team.owner.start(json!({ "startedAt": "2026-11-20T09:30:00Z" })).await;
    let finish =
        json!({ "id": started["id"], "status": "COMPLETED", "completedAt": "2026-11-20T09:30:01.500Z" });
    assert_eq!(team.owner.finish(finish).await.expect("it is running")["durationMs"], 1500);
}

async fn any_json_reads_back_as_it_was_written(team: Team) {
    let deep = (0..25).fold(json!("the bottom"), |inner, _| json!({ "inner": [inner] }));
    let documents = [
        json!(null),
        json!(true),
        json!("a plain text"),
        json!(-12.5),
        json!(9_007_199_254_740_993_i64),
        json!([]),
        json!({}),
        json!({ "nul": "a\u{0}b", "\u{0}": 1, "emoji": "🦀", "surrogates": "\u{fffd}", "line": "a\r\n\u{2028}b" }),
        json!({ "z": 1, "a": { "y": [1, "2", null], "b": {} } }),
        deep,
        json!({ "big": "x".repeat(200_000) }),
    ];
    for document in documents {
        let execution = team.owner.start(json!({ "inputs": document })).await;
        let finish = json!({ "id": execution["id"], "status": "COMPLETED", "result": document });
        team.owner.finish(finish).await.expect("it is running");
        let execution = team.owner.execution(&id_of(&execution)).await;
        assert_eq!(execution["inputs"], document);
        assert_eq!(execution["result"], document);
    }
}

async fn a_cancel_keeps_its_reason_and_may_be_repeated(team: Team) {
    let id = team.owner.start_any().await;
    let cancelled = team.owner.cancel(&id, Some("not needed any more")).await.expect("it is running");
    assert_eq!(cancelled["status"], "CANCELLED");
    assert_eq!(cancelled["error"], "not needed any more");
    assert_eq!(team.owner.cancel(&id, Some("again")).await.expect("it is cancelled"), cancelled);
}

async fn a_queued_execution_starts_when_it_runs(team: Team) {
    let queued = team.owner.start(json!({ "status": "QUEUED" })).await;
    assert!(queued["startedAt"].is_null());
    let update = json!({ "id": queued["id"], "status": "RUNNING" });
    assert!(team.owner.update(update).await.expect("it is queued")["startedAt"].is_string());
}

const UPDATE_EXECUTIONS: &str = "mutation ($inputs: [UpdateExecutionInput!]!) {
    updateExecutions(inputs: $inputs) { executions { id costUsd revision } }
}";

async fn a_batch_of_updates_is_all_or_nothing(team: Team) {
    let running = team.owner.start_any().await;
    let theirs = team.stranger.start_any().await;
    let finished = team.owner.start_any().await;
    team.owner.complete(&finished).await;

    for (bad, code) in [
        (json!({ "id": theirs, "costUsd": "1" }), "NOT_FOUND"),
        (json!({ "id": finished, "status": "RUNNING" }), "CONFLICT"),
        (json!({ "id": finished, "costUsd": "x" }), "BAD_INPUT"),
    ] {
        let inputs = json!([{ "id": running, "costUsd": "1" }, bad]);
        let refusal = team.owner.refused(UPDATE_EXECUTIONS, json!({ "inputs": inputs })).await;
        assert_eq!(refusal.code(), code);
        assert_eq!(revision(&team.owner.execution(&running).await), 1, "nothing of the batch was done");
    }
}

async fn a_batch_of_updates_changes_each(team: Team) {
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(team.owner.start_any().await);
    }
    let inputs: Vec<_> =
        (1..).zip(&ids).map(|(n, id)| json!({ "id": id, "costUsd": n.to_string() })).collect();
    let data = team.owner.query(UPDATE_EXECUTIONS, json!({ "inputs": inputs })).await;
    let expected: Vec<_> = (1..)
        .zip(&ids)
        .map(|(n, id)| json!({ "id": id, "costUsd": format!("{n}.000000"), "revision": 2 }))
        .collect();
    assert_eq!(data["updateExecutions"]["executions"], json!(expected));
}

async fn an_execution_without_history_is_gone_after_its_end(team: Team) {
    let run = unique("run");
    let id = id_of(&team.owner.start(json!({ "keepHistory": false, "workflowRunId": run })).await);
    team.owner.append(&id, &lines("line", 3)).await;
    assert_eq!(team.owner.execution(&id).await["status"], "RUNNING", "it is there while it runs");
    assert_eq!(ids_in_lists(&team.owner, &run).await, [vec![id.clone()], vec![id.clone()], vec![id.clone()]]);

    let finished =
        team.owner.finish(json!({ "id": id, "status": "COMPLETED" })).await.expect("it is running");
    assert_eq!(finished["status"], "COMPLETED", "the one who ends it sees how");
    assert!(team.owner.execution(&id).await.is_null());
    assert_eq!(ids_in_lists(&team.owner, &run).await, [vec![], vec![], vec![]] as [Vec<String>; 3]);
    let refusal = team.owner.try_append(&id, &[line("late")], None).await.expect_err("it is gone");
    assert_eq!(refusal.code(), "CONFLICT", "as for any that has ended");
}

async fn an_execution_without_history_shows_its_end_to_those_who_watch(team: Team) {
    let id = id_of(&team.owner.start(json!({ "keepHistory": false })).await);
    let socket = Socket::connect(&team.owner).await;
    let mut tail = Tail::open(&socket, json!({ "execution": id }));
    let mut changes = socket.subscribe(
        "subscription ($id: ID!) { executionChanged(id: $id) { status result } }",
        json!({ "id": id }),
    );
    assert_eq!(changes.next().await["executionChanged"]["status"], "RUNNING");
    tail.until_caught_up().await;

    team.owner.append(&id, &lines("last", 2)).await;
    team.owner.finish(json!({ "id": id, "status": "FAILED", "result": 7 })).await.expect("it is running");
    assert_eq!(tail.seqs_to_the_end().await, [0, 1]);
    assert_eq!(changes.next().await["executionChanged"], json!({ "status": "FAILED", "result": 7 }));
    changes.completed().await;
}

async fn a_thousand_finished_executions_are_recorded_in_one_call(team: Team) {
    let run = unique("run");
    let inputs: Vec<_> = (0..1_000).map(|number| finished_input(&run, number)).collect();
    let payload = team.owner.record(json!(inputs)).await.expect("a thousand are allowed");
    assert_eq!(payload["createdCount"], 1_000);
    let expected: Vec<_> = inputs
        .iter()
        .map(|input| json!({ "id": input["id"], "status": input["status"], "revision": 1 }))
        .collect();
    assert_eq!(
        payload["executions"],
        json!(expected),
        "they come back in the order in which they were given"
    );

    let one = team.owner.execution(&id_of(&inputs[7])).await;
    for (field, value) in [
        ("name", json!("recorded 7")),
        ("inputs", json!({ "number": 7 })),
        ("result", json!([7])),
        ("costUsd", json!("0.000007")),
        ("durationMs", json!(1_000)),
        ("startedAt", json!("2026-11-20T10:00:00Z")),
        ("completedAt", json!("2026-11-20T10:00:01Z")),
        ("project", json!({ "key": "imported" })),
    ] {
        assert_eq!(one[field], value, "{field}");
    }
}

async fn recording_again_creates_nothing(team: Team) {
    let run = unique("run");
    let inputs = json!([finished_input(&run, 1), finished_input(&run, 2)]);
    let first = team.owner.record(inputs.clone()).await.expect("they are fine");
    let again = team.owner.record(inputs).await.expect("they are there");
    assert_eq!(again["createdCount"], 0);
    assert_eq!(again["executions"], first["executions"]);
}

async fn recording_what_is_not_finished_is_refused_whole(team: Team) {
    let run = unique("run");
    let mut running = finished_input(&run, 2);
    running["status"] = json!("RUNNING");
    let mut backwards = finished_input(&run, 2);
    backwards["completedAt"] = json!("2026-11-19T10:00:00Z");
    let too_many =
        (0..).map(|number| finished_input(&run, number)).take(one_over(BATCH_EXECUTIONS_MAX)).collect();
    for (inputs, code) in [
        (vec![finished_input(&run, 1), running], "BAD_INPUT"),
        (vec![finished_input(&run, 1), backwards], "BAD_INPUT"),
        (too_many, "TOO_LARGE"),
    ] {
        assert_eq!(team.owner.record(json!(inputs)).await.expect_err("one is wrong").code(), code);
    }
    assert_eq!(ids_in_lists(&team.owner, &run).await[0], [] as [String; 0], "nothing was written");
}

async fn a_deleted_execution_is_gone_with_its_lines(team: Team) {
    let id = team.owner.start_any().await;
    team.owner.append(&id, &lines("line", 3)).await;
    team.owner.complete(&id).await;
    let delete = "mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount dryRun } }";
    let data = team.owner.query(delete, json!({ "id": id })).await;
    assert_eq!(data["deleteExecution"], json!({ "deletedCount": 1, "dryRun": false }));

    assert!(team.owner.execution(&id).await.is_null());
    let socket = Socket::connect(&team.owner).await;
    assert_eq!(Tail::open(&socket, json!({ "execution": id })).refused().await.code(), "NOT_FOUND");
    let again = team.owner.query(delete, json!({ "id": id })).await;
    assert_eq!(again["deleteExecution"]["deletedCount"], 0, "deleting again is not an error");
}

const DELETE_EXECUTIONS: &str = "mutation ($filter: ExecutionFilter!, $dryRun: Boolean! = false) {
    deleteExecutions(filter: $filter, dryRun: $dryRun) { deletedCount dryRun }
}";

async fn a_dry_run_of_a_deletion_only_counts(team: Team) {
    let run = unique("run");
    team.owner
        .record(json!([finished_input(&run, 1), finished_input(&run, 2)]))
        .await
        .expect("they are fine");
    let variables = json!({ "filter": { "workflowRunIds": [run] }, "dryRun": true });
    let data = team.owner.query(DELETE_EXECUTIONS, variables).await;
    assert_eq!(data["deleteExecutions"], json!({ "deletedCount": 2, "dryRun": true }));
    assert_eq!(ids_in_lists(&team.owner, &run).await[0].len(), 2);
}

async fn a_deletion_by_filter_removes_what_matches_and_nothing_else(team: Team) {
    let (run, other_run) = (unique("run"), unique("run"));
    team.owner
        .record(json!([finished_input(&run, 1), finished_input(&run, 2)]))
        .await
        .expect("they are fine");
    team.owner.record(json!([finished_input(&other_run, 3)])).await.expect("it is fine");
    team.colleague.record(json!([finished_input(&run, 4)])).await.expect("it is fine");

    let data = team.owner.query(DELETE_EXECUTIONS, json!({ "filter": { "workflowRunIds": [run] } })).await;
    assert_eq!(data["deleteExecutions"], json!({ "deletedCount": 2, "dryRun": false }));
    assert_eq!(
        ids_in_lists(&team.owner, &run).await[0].len(),
        1,
        "a colleague's is not the owner's to delete"
    );
    assert_eq!(ids_in_lists(&team.owner, &other_run).await[0].len(), 1);

    let data = team.admin.query(DELETE_EXECUTIONS, json!({ "filter": { "workflowRunIds": [run] } })).await;
    assert_eq!(data["deleteExecutions"]["deletedCount"], 1, "but an admin's");
}

async fn a_project_comes_into_being_with_its_first_execution(team: Team) {
    for _ in 0..2 {
        let execution = team.owner.start(json!({ "projectKey": "website" })).await;
        assert_eq!(execution["project"]["key"], "website");
    }
    let data = team.colleague.query("{ projects { nodes { id key name } totalCount } }", json!({})).await;
    assert_eq!(data["projects"]["totalCount"], 1);
    let project = &data["projects"]["nodes"][0];
    assert_eq!(project["key"], "website");

    let by_id = "query ($id: ID!) { project(id: $id) { key } }";
    let variables = json!({ "id": project["id"] });
    assert_eq!(team.colleague.query(by_id, variables.clone()).await["project"]["key"], "website");
    assert!(team.stranger.query(by_id, variables).await["project"].is_null());
}

async fn a_workflow_run_sums_up_its_executions(team: Team) {
    let run = unique("run");
    let document = "query ($run: String!) { workflowRun(id: $run) {
        id workflowId status startedAt completedAt durationMs costUsd tokens { input cachedInput output total }
        executions(first: 1) { nodes { name } totalCount pageInfo { hasNextPage } }
    } }";
    let variables = json!({ "run": run });
    assert!(
        team.owner.query(document, variables.clone()).await["workflowRun"].is_null(),
        "there is none yet"
    );

    let inputs = json!([finished_input(&run, 1), finished_input(&run, 2)]);
    team.owner.record(inputs).await.expect("they are fine");
    let sum = &team.owner.query(document, variables.clone()).await["workflowRun"];
    assert_eq!(sum["id"], json!(run));
    assert_eq!(sum["workflowId"], "import");
    assert_eq!(sum["status"], "COMPLETED");
    assert_eq!(sum["startedAt"], "2026-11-20T10:00:00Z");
    assert_eq!(sum["completedAt"], "2026-11-20T10:00:01Z");
    assert_eq!(sum["durationMs"], 1_000);
    assert_eq!(sum["costUsd"], "0.000003");
    assert_eq!(sum["tokens"], json!({ "input": 3, "cachedInput": 0, "output": 20, "total": 23 }));
    assert_eq!(sum["executions"]["totalCount"], 2);
    assert_eq!(sum["executions"]["pageInfo"]["hasNextPage"], true);

    team.owner.start(json!({ "workflowId": "import", "workflowRunId": run })).await;
    let sum = &team.owner.query(document, variables.clone()).await["workflowRun"];
    assert_eq!(sum["status"], "RUNNING");
    assert!(sum["completedAt"].is_null());
    assert!(team.stranger.query(document, variables).await["workflowRun"].is_null());
}

async fn a_node_is_found_by_its_id(team: Team) {
    let execution = team.owner.start(json!({ "name": "wanted", "projectKey": "website" })).await;
    let document = "query ($id: ID!, $ids: [ID!]!) {
        node(id: $id) { __typename id ... on Execution { name } }
        nodes(ids: $ids) { id }
    }";
    let missing = runledger::clock::new_id();
    let variables = json!({ "id": execution["id"], "ids": [execution["id"], missing, execution["id"]] });
    let data = team.owner.query(document, variables.clone()).await;
    assert_eq!(data["node"], json!({ "__typename": "Execution", "id": execution["id"], "name": "wanted" }));
    let one = json!({ "id": execution["id"] });
    assert_eq!(data["nodes"], json!([one, null, one]));

    let data = team.stranger.query(document, variables).await;
    assert_eq!(data, json!({ "node": null, "nodes": [null, null, null] }));
}

async fn start_with_id(client: &Client, id: &str, name: &str) -> Result<Value, Refusal> {
    let document = "mutation ($input: StartExecutionInput!) {
        startExecution(input: $input) { created execution { id name } }
    }";
    let mut data = client.try_query(document, json!({ "input": { "id": id, "name": name } })).await?;
    Ok(data["startExecution"].take())
}

fn revision(execution: &Value) -> i64 {
    execution["revision"].as_i64().expect("it is a number")
}

/// A finished execution to be recorded.
fn finished_input(run: &str, number: i64) -> Value {
    json!({
        "id": runledger::clock::new_id(), "name": format!("recorded {number}"), "status": "COMPLETED",
        "workflowId": "import", "workflowRunId": run, "projectKey": "imported",
        "inputs": { "number": number }, "result": [number], "costUsd": format!("0.{number:06}"),
        "tokens": { "input": number, "output": 10 },
        "startedAt": "2026-11-20T10:00:00Z", "completedAt": "2026-11-20T10:00:01Z",
    })
}

/// The ids of a workflow run's executions, in each list that may show them: all, active, and the run's own.
async fn ids_in_lists(client: &Client, run: &str) -> [Vec<String>; 3] {
    let document = "query ($run: String!, $runs: [String!]) {
        all: executions(filter: { workflowRunIds: $runs }) { nodes { id } }
        active: activeExecutions { nodes { id } }
        workflowRun(id: $run) { executions { nodes { id } } }
    }";
    let data = client.query(document, json!({ "run": run, "runs": [run] })).await;
    [&data["all"], &data["active"], &data["workflowRun"]["executions"]]
        .map(|list| list["nodes"].as_array().map_or_else(Vec::new, |nodes| nodes.iter().map(id_of).collect()))
}
