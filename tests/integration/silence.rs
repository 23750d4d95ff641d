//! Executions whose runners fall silent end by themselves, with an error that says so; those that give signs do not.

use runledger::domain::limits::STALE_AFTER_SECONDS_MAX;
use serde_json::{Value, json};

use crate::harness::{
    Backend, Client, Cloud, CloudKind, Database, Server, Socket, Tail, Team, for_each_backend, for_postgres,
    id_of, line, lines, soon,
};

for_each_backend!(
    a_time_that_cannot_be_is_refused,
    a_heartbeat_of_what_is_not_there_is_refused,
    an_execution_whose_runner_is_silent_fails_and_says_why,
    its_log_is_archived_at_once,
    a_runner_that_was_taken_for_lost_is_told_so,
    any_sign_of_life_keeps_an_execution_running,
    what_waits_in_the_queue_is_left_alone,
    one_that_is_not_kept_shows_its_end_and_is_gone,
    after_a_start_of_the_server_runners_have_time_to_come_back,
    a_server_that_waits_for_ever_ends_only_those_that_ask_for_it,
);
for_postgres!(two_servers_end_each_execution_once);

/// Starts one whose runner may be silent for a second.
async fn start_impatient(client: &Client, more: Value) -> String {
    let mut input = json!({ "name": "impatient", "staleAfterSeconds": 1 });
    input.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    id_of(&client.start(input).await)
}

/// Waits until it is FAILED, as one who follows it; the execution.
async fn failed(client: &Client, id: &str) -> Value {
    let socket = Socket::connect(client).await;
    let document = "subscription ($id: ID!) { executionChanged(id: $id) { status error } }";
    let mut changes = socket.subscribe(document, json!({ "id": id }));
    loop {
        let execution = soon("the end", changes.next()).await["executionChanged"].take();
        if execution["status"] != "RUNNING" {
            assert_eq!(execution["status"], "FAILED");
            changes.completed().await;
            return execution;
        }
    }
}

async fn heartbeat(client: &Client, id: &str) -> Value {
    let document = "mutation ($id: ID!) { heartbeat(id: $id) { execution { status revision heartbeatAt } } }";
    client.query(document, json!({ "id": id })).await["heartbeat"]["execution"].take()
}

async fn a_time_that_cannot_be_is_refused(team: Team) {
    let document = "mutation ($input: StartExecutionInput!) { startExecution(input: $input) { created } }";
    for seconds in [0, -1, STALE_AFTER_SECONDS_MAX + 1] {
        let refusal =
            team.owner.refused(document, json!({ "input": { "staleAfterSeconds": seconds } })).await;
        assert_eq!((refusal.code(), refusal.field()), ("BAD_INPUT", Some("input.staleAfterSeconds")));
    }
}

async fn a_heartbeat_of_what_is_not_there_is_refused(team: Team) {
    let document = "mutation ($id: ID!) { heartbeat(id: $id) { execution { id } } }";
    let unkept = id_of(&team.owner.start(json!({ "keepHistory": false })).await);
    team.owner.complete(&unkept).await;
    for (id, code) in [
        (runledger::clock::new_id().to_string(), "NOT_FOUND"),
        (unkept, "NOT_FOUND"),
        ("no id".to_owned(), "BAD_INPUT"),
    ] {
        assert_eq!(team.owner.refused(document, json!({ "id": id })).await.code(), code);
    }
}

async fn an_execution_whose_runner_is_silent_fails_and_says_why(team: Team) {
    let owner = &team.owner;
    let after = owner.query("{ changesCursor }", json!({})).await["changesCursor"].take();
    let id = start_impatient(owner, json!({ "visual": { "enabled": true, "streaming": true } })).await;
    let socket = Socket::connect(owner).await;
    let mut tail = Tail::open(&socket, json!({ "execution": id }));
    let sent = lines("line", 3);
    owner.append(&id, &sent).await;

    let error = failed(owner, &id).await["error"].take();
    let error = error.as_str().expect("it has an error");
    assert!(error.starts_with("RUNNER_SILENT") && error.contains("for 1 s"), "{error}");
    assert_eq!(tail.rest().await.len(), 3, "the tail ends after the last line");
    let execution = owner.execution(&id).await;
    assert_eq!(execution["revision"], 2);
    assert_eq!(execution["visual"]["streaming"], false);
    assert!(execution["completedAt"].is_string() && execution["durationMs"].is_i64(), "{execution}");

    let feed = "subscription ($after: String, $ids: [ID!]) {
        executionsChanged(after: $after, filter: { ids: $ids }) { kind }
    }";
    let mut feed = socket.subscribe(feed, json!({ "after": after, "ids": [id] }));
    for kind in ["CREATED", "FINISHED"] {
        assert_eq!(feed.next().await["executionsChanged"]["kind"], kind);
    }
    let found = "{ executions(filter: { search: \"runner_silent impatient\" }) { totalCount } }";
    assert_eq!(owner.query(found, json!({})).await["executions"]["totalCount"], 1);
}

async fn its_log_is_archived_at_once(backend: Backend) {
    let cloud = Cloud::start(CloudKind::S3).await;
    let server =
        cloud.server(backend).await.env("RUNLEDGER_LOG_FLUSH_INTERVAL_SECONDS", "3600").start().await;
    let owner = Team::of(&server).owner;
    let id = start_impatient(&owner, json!({})).await;
    owner.append(&id, &lines("line", 3)).await;
    failed(&owner, &id).await;
    let archived = "query ($id: ID!) { execution(id: $id) { logObject { archivedLineCount } } }";
    let all = async {
        while owner.query(archived, json!({ "id": id })).await["execution"]["logObject"]["archivedLineCount"]
            != 3
        {}
    };
    soon("its log in its object", all).await;
}

async fn a_runner_that_was_taken_for_lost_is_told_so(team: Team) {
    let owner = &team.owner;
    let id = start_impatient(owner, json!({})).await;
    failed(owner, &id).await;
    let before = owner.execution(&id).await;
    assert_eq!(heartbeat(owner, &id).await["status"], "FAILED", "a heartbeat only tells");
    let refusal = owner.try_append(&id, &[line("late")], None).await.expect_err("its log is closed");
    assert_eq!(refusal.code(), "CONFLICT");
    for change in [json!({ "status": "COMPLETED" }), json!({ "costUsd": "1" })] {
        let mut input = change.clone();
        input["id"] = json!(id);
        assert_eq!(owner.update(input).await.expect_err("it has ended").code(), "CONFLICT", "{change}");
    }
    let finish = json!({ "id": id, "status": "COMPLETED" });
    assert_eq!(owner.finish(finish).await.expect_err("it has failed").code(), "CONFLICT");
    let finish = json!({ "id": id, "status": "FAILED", "error": "mine" });
    assert_eq!(owner.finish(finish).await.expect("that took effect already"), before);
}

async fn any_sign_of_life_keeps_an_execution_running(team: Team) {
    let owner = &team.owner;
    let with = |seconds: u32| json!({ "staleAfterSeconds": seconds });
    let mut alive = Vec::new();
    for _ in 0..3 {
        alive.push(start_impatient(owner, with(8)).await);
    }
    let silent = start_impatient(owner, with(8)).await;
    let before = owner.execution(&alive[0]).await;
    let mut cost = 0;
    let signs = async {
        loop {
            let answer = heartbeat(owner, &alive[0]).await;
            assert_eq!(answer["status"], "RUNNING");
            owner.append(&alive[1], &[line("I live")]).await;
            cost += 1;
            let input = json!({ "id": alive[2], "costUsd": format!("0.{cost:06}") });
            owner.update(input).await.expect("it runs");
        }
    };
    tokio::select! {
        _ = failed(owner, &silent) => {}
        () = signs => {}
    }
    for id in &alive {
        assert_eq!(owner.execution(id).await["status"], "RUNNING");
    }
    let after = owner.execution(&alive[0]).await;
    assert_eq!(after["revision"], before["revision"], "a heartbeat is no change");
    assert_ne!(after["heartbeatAt"], before["heartbeatAt"]);
}

async fn what_waits_in_the_queue_is_left_alone(team: Team) {
    let queued = start_impatient(&team.owner, json!({ "status": "QUEUED" })).await;
    let running = start_impatient(&team.owner, json!({})).await;
    failed(&team.owner, &running).await;
    assert_eq!(team.owner.execution(&queued).await["status"], "QUEUED");
    // Once it runs, its runner has to give signs.
    team.owner.update(json!({ "id": queued, "status": "RUNNING" })).await.expect("it may start");
    failed(&team.owner, &queued).await;
}

async fn one_that_is_not_kept_shows_its_end_and_is_gone(team: Team) {
    let id = start_impatient(&team.owner, json!({ "keepHistory": false })).await;
    let execution = failed(&team.owner, &id).await;
    assert!(execution["error"].as_str().is_some_and(|error| error.starts_with("RUNNER_SILENT")));
    assert!(team.owner.execution(&id).await.is_null());
}

/// Makes everything that has happened long ago.
async fn let_years_pass(server: &Server) {
    let past = |column: &str| match server.database() {
        Database::Sqlite => format!("{column} = '2020' || substr({column}, 5)"),
        Database::Postgres { .. } => format!("{column} = {column} - interval '6 years'"),
    };
    let changes = [past("updated_at"), past("check_at")].join(", ");
    server.alter(&format!("UPDATE execution SET {changes}")).await;
    server.alter(&format!("UPDATE log_stream SET {}", past("heartbeat_at"))).await;
}

async fn after_a_start_of_the_server_runners_have_time_to_come_back(server: Server) {
    let team = Team::of(&server);
    let patient = team.owner.start_any().await;
    let impatient = start_impatient(&team.owner, json!({})).await;
    server.kill9();
    let_years_pass(&server).await;
    server.restart().await;
    let team = team.after_a_restart();
    failed(&team.owner, &impatient).await;
    assert_eq!(team.owner.execution(&patient).await["status"], "RUNNING", "it has 900 s from the start on");
    heartbeat(&team.owner, &patient).await;
    team.owner.complete(&patient).await;
}

async fn a_server_that_waits_for_ever_ends_only_those_that_ask_for_it(backend: Backend) {
    let builder = Server::builder(backend).await.env("RUNLEDGER_STALE_AFTER_SECONDS", "0");
    let server = builder.start().await;
    let team = Team::of(&server);
    let patient = team.owner.start_any().await;
    server.kill9();
    let_years_pass(&server).await;
    server.restart().await;
    let team = team.after_a_restart();
    let impatient = start_impatient(&team.owner, json!({})).await;
    failed(&team.owner, &impatient).await;
    assert_eq!(team.owner.execution(&patient).await["status"], "RUNNING");
    // Told otherwise, the next start does look after those, too.
    server.kill9();
    server.set_env("RUNLEDGER_STALE_AFTER_SECONDS", "1");
    let_years_pass(&server).await;
    server.restart().await;
    failed(&team.after_a_restart().owner, &patient).await;
}

async fn two_servers_end_each_execution_once(backend: Backend) {
    let database = Database::fresh(backend).await.expect("it is there");
    let a = Server::on_database(database.clone()).start().await;
    let _b = Server::on_database(database).start().await;
    let team = Team::of(&a);
    let mut ids = Vec::new();
    for _ in 0..60 {
        ids.push(start_impatient(&team.owner, json!({})).await);
    }
    for id in &ids {
        failed(&team.owner, id).await;
        assert_eq!(team.owner.execution(id).await["revision"], 2);
    }
    assert_eq!(a.count_rows("change_event WHERE kind = 'FINISHED'").await, 60);
}
