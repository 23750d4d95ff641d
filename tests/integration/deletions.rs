//! Deletions of many executions go on in the background, also after a crash; and history is kept only so long.

use serde_json::{Value, json};

use crate::harness::{Backend, Client, Server, Team, chance, for_each_backend, id_of, line, soon, unique};

for_each_backend!(
    a_filter_without_conditions_is_refused,
    many_executions_are_deleted_in_the_background_and_no_others,
    a_deletion_is_only_its_tenants,
    a_deletion_goes_on_after_a_crash,
    a_list_of_what_is_to_be_deleted_is_completed_after_a_crash,
    a_deletion_finds_what_its_caller_may_delete_and_has_the_words,
    old_executions_are_deleted_and_no_others,
);

const DELETE: &str = "mutation ($filter: ExecutionFilter!, $dryRun: Boolean! = false) {
    deleteExecutions(filter: $filter, dryRun: $dryRun) {
        deletedCount dryRun deletion { id state matched deleted finishedAt }
    }
}";
const PROGRESS: &str = "query ($id: ID!) { deletion(id: $id) { state matched deleted ownerId finishedAt } }";

fn recorded(run: &str) -> Value {
    json!({ "name": "old", "status": "COMPLETED", "workflowRunId": run, "inputs": { "n": 1 },
            "startedAt": "2026-01-20T10:00:00Z", "completedAt": "2026-01-20T10:00:01Z" })
}

async fn record(client: &Client, run: &str, count: usize) {
    for part in vec![recorded(run); count].chunks(1_000) {
        client.record(json!(part)).await.expect("they are fine");
    }
}

async fn count(client: &Client, run: &str) -> Value {
    let document =
        "query ($run: String!) { executions(filter: { workflowRunIds: [$run] }, first: 0) { totalCount } }";
    client.query(document, json!({ "run": run })).await["executions"]["totalCount"].take()
}

/// Waits until a deletion is done; how it is then.
async fn done(client: &Client, id: &Value) -> Value {
    let ended = async {
        loop {
            let progress = client.query(PROGRESS, json!({ "id": id })).await["deletion"].take();
            if progress["state"] == "DONE" {
                return progress;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), ended).await.expect("the deletion ends")
}

async fn a_filter_without_conditions_is_refused(team: Team) {
    assert_eq!(team.owner.refused(DELETE, json!({ "filter": {} })).await.code(), "BAD_INPUT");
}

async fn many_executions_are_deleted_in_the_background_and_no_others(team: Team) {
    let (owner, run, other) = (&team.owner, unique("run"), unique("run"));
    record(owner, &run, 1_300).await;
    record(owner, &other, 5).await;
    record(&team.colleague, &run, 3).await;
    record(&team.stranger, &run, 4).await;
    let with_log = id_of(&owner.start(json!({ "workflowRunId": run })).await);
    owner.append(&with_log, &[line("a line")]).await;
    owner.complete(&with_log).await;

    let filter = json!({ "workflowRunIds": [run] });
    let dry =
        owner.query(DELETE, json!({ "filter": filter, "dryRun": true })).await["deleteExecutions"].take();
    assert_eq!(
        dry,
        json!({ "deletedCount": 1_301, "dryRun": true, "deletion": null }),
        "a member deletes their own"
    );
    let begun = owner.query(DELETE, json!({ "filter": filter })).await["deleteExecutions"].take();
    record(owner, &run, 2).await;
    assert_eq!((&begun["deletedCount"], &begun["dryRun"]), (&json!(0), &json!(false)));
    assert_eq!(begun["deletion"]["matched"], 1_301);
    let progress = done(owner, &begun["deletion"]["id"]).await;
    assert_eq!((&progress["matched"], &progress["deleted"]), (&json!(1_301), &json!(1_301)));
    assert!(progress["finishedAt"].is_string() && progress["ownerId"] == Team::OWNER, "{progress}");

    assert_eq!(count(owner, &run).await, 5, "what came afterwards is there, and so is a colleague's");
    assert_eq!(count(owner, &other).await, 5);
    assert_eq!(count(&team.stranger, &run).await, 4);
    assert!(owner.execution(&with_log).await.is_null());
    let few =
        owner.query(DELETE, json!({ "filter": { "workflowRunIds": [other] } })).await["deleteExecutions"]
            .take();
    assert_eq!(few, json!({ "deletedCount": 5, "dryRun": false, "deletion": null }), "few are gone at once");
}

async fn a_deletion_is_only_its_tenants(team: Team) {
    let run = unique("run");
    record(&team.owner, &run, 1_001).await;
    let filter = json!({ "workflowRunIds": [run] });
    let begun = team.admin.query(DELETE, json!({ "filter": filter })).await["deleteExecutions"].take();
    let id = &begun["deletion"]["id"];
    for client in [&team.owner, &team.colleague, &team.admin, &team.service] {
        assert!(client.query(PROGRESS, json!({ "id": id })).await["deletion"].is_object());
    }
    assert!(team.stranger.query(PROGRESS, json!({ "id": id })).await["deletion"].is_null());
    done(&team.admin, id).await;
    assert_eq!(count(&team.owner, &run).await, 0);
}

async fn a_deletion_goes_on_after_a_crash(server: Server) {
    let team = Team::of(&server);
    let run = unique("run");
    record(&team.owner, &run, 1_500).await;
    let filter = json!({ "workflowRunIds": [run] });
    let begun = team.owner.query(DELETE, json!({ "filter": filter })).await["deleteExecutions"].take();
    let id = &begun["deletion"]["id"];
    // Somewhere in the middle.
    let at = chance(1_000);
    while team.owner.query(PROGRESS, json!({ "id": id })).await["deletion"]["deleted"].as_u64() < Some(at) {}
    server.kill9();
    server.restart().await;
    let team = team.after_a_restart();
    assert_eq!(done(&team.owner, id).await["deleted"], 1_500);
    assert_eq!(count(&team.owner, &run).await, 0);
    for table in ["execution", "execution_search", "execution_payload", "log_stream", "deletion_item"] {
        assert_eq!(server.count_rows(table).await, 0, "{table}");
    }
    assert_eq!(server.count_rows("change_event WHERE kind = 'DELETED'").await, 1_500, "each is told once");
}

async fn a_list_of_what_is_to_be_deleted_is_completed_after_a_crash(server: Server) {
    const MANY: usize = 3_000;
    let team = Team::of(&server);
    let run = unique("run");
    record(&team.owner, &run, MANY).await;
    let filter = json!({ "workflowRunIds": [run] });
    let asking = team.owner.clone();
    let asked =
        tokio::spawn(async move { asking.try_post(DELETE, json!({ "filter": filter })).await.is_ok() });
    while server.count_rows("deletion_item").await == 0 {}
    server.kill9();
    asked.await.expect("it is answered or cut off");
    server.restart().await;
    let team = team.after_a_restart();
    let gone = async { while count(&team.owner, &run).await != 0 {} };
    tokio::time::timeout(std::time::Duration::from_secs(120), gone).await.expect("all of them go");
    assert_eq!(
        server.count_rows("change_event WHERE kind = 'DELETED'").await,
        MANY as i64,
        "each is told once"
    );
}

async fn a_deletion_finds_what_its_caller_may_delete_and_has_the_words(team: Team) {
    let run = unique("run");
    record(&team.owner, &run, 1_100).await;
    record(&team.colleague, &run, 1_100).await;
    let mut other = recorded(&run);
    other["name"] = json!("something else");
    team.owner.record(json!([other])).await.expect("it is fine");
    let filter = json!({ "workflowRunIds": [run], "search": "OLD" });
    let begun = team.owner.query(DELETE, json!({ "filter": filter })).await["deleteExecutions"].take();
    let progress = done(&team.owner, &begun["deletion"]["id"]).await;
    assert_eq!((&progress["matched"], &progress["deleted"]), (&json!(1_100), &json!(1_100)));
    assert_eq!(count(&team.owner, &run).await, 1_101, "a colleague's are there, and what has not the word");
    let begun = team.admin.query(DELETE, json!({ "filter": filter })).await["deleteExecutions"].take();
    done(&team.admin, &begun["deletion"]["id"]).await;
    assert_eq!(count(&team.owner, &run).await, 1);
}

async fn old_executions_are_deleted_and_no_others(backend: Backend) {
    let server = Server::builder(backend).await.start().await;
    let team = Team::of(&server);
    let (old, new) = (unique("run"), unique("run"));
    record(&team.owner, &old, 250).await;
    record(&team.stranger, &old, 5).await;
    let running = id_of(&team.owner.start(json!({ "startedAt": "2020-01-01T00:00:00Z" })).await);
    let mut young = recorded(&new);
    young["startedAt"] = json!("2020-01-20T10:00:00Z");
    young["completedAt"] = json!(runledger::clock::now().to_rfc3339());
    team.owner.record(json!([young])).await.expect("it is fine");
    server.terminate().await;
    server.set_env("RUNLEDGER_EXECUTION_RETENTION_DAYS", "30");
    server.restart().await;
    let team = team.after_a_restart();
    let gone =
        async { while count(&team.owner, &old).await != 0 || count(&team.stranger, &old).await != 0 {} };
    soon("the end of old executions", gone).await;
    assert_eq!(count(&team.owner, &new).await, 1, "it began long ago and has ended just now");
    assert_eq!(team.owner.execution(&running).await["status"], "RUNNING");
}
