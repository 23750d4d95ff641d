//! A storage that is away: lines are taken all the same, up to a limit, and archived when it is back.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Archive;
use crate::harness::support::faults::{Fault, On};
use crate::harness::{Backend, Server, Team, for_each_backend, for_postgres, get, line, lines};

for_each_backend!(
    lines_beyond_the_waiting_limit_are_refused_until_storage_is_back,
    lines_are_taken_while_storage_is_away_and_archived_when_it_is_back,
    archiving_many_logs_with_few_connections_holds_nobody_up,
    one_log_that_storage_refuses_keeps_no_other_waiting,
    one_log_that_storage_refuses_keeps_no_other_from_being_written,
);
for_postgres!(without_cloud_storage_lines_stay_in_the_database_for_ever);

async fn lines_beyond_the_waiting_limit_are_refused_until_storage_is_back(backend: Backend) {
    let environment = [("RUNLEDGER_LOG_WAITING_BYTES_MAX", "1048576")];
    let archive = Archive::in_s3(backend, 1, &environment).await;
    archive.cloud().front().go_away().await;
    let id = archive.owner().start_any().await;
    let (call, mut written) = (vec![line(&"x".repeat(1_000)); 100], 0);
    let refusal = loop {
        match archive.owner().try_append(&id, &call, None).await {
            Ok(_) => written += 100,
            Err(refusal) => break refusal,
        }
        assert!(written < 1_000_000, "it must end");
    };
    assert_eq!(refusal.code(), "UNAVAILABLE");
    assert!(written > 500, "half of it was taken of this log, which has it all");
    archive.server.ready_says("new lines are refused").await;
    // Whatever else one does goes on.
    let document = "query ($id: ID!) { execution(id: $id) { logs(last: 1) { totalCount } } }";
    let data = archive.owner().query(document, json!({ "id": id })).await;
    assert_eq!(data["execution"]["logs"]["totalCount"], written, "what was refused is not there");

    archive.cloud().front().come_back().await;
    archive.owner().archived_within(&id, written, Duration::from_secs(120)).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while archive.owner().try_append(&id, &[line("open again")], None).await.is_err() {
        assert!(Instant::now() < deadline, "lines are taken again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    archive.owner().archived(&id, written + 1).await;
    assert_eq!(archive.messages_in_object(&id).len(), written + 1);
}

async fn lines_are_taken_while_storage_is_away_and_archived_when_it_is_back(backend: Backend) {
    const EXECUTIONS: usize = 100;
    let archive = Archive::in_s3(backend, 1, &[]).await;
    let mut ids = Vec::new();
    for _ in 0..EXECUTIONS {
        let id = archive.owner().start_any().await;
        archive.owner().append(&id, &lines("before", 2)).await;
        ids.push(id);
    }
    archive.owner().archived(&ids[0], 2).await;
    archive.cloud().front().go_away().await;
    for round in 0..10 {
        for id in &ids {
            archive.owner().append(id, &lines(&format!("round {round}"), 2)).await;
        }
    }
    archive.server.ready_says("cloud storage is away").await;
    archive.server.ready_says(&format!("{EXECUTIONS} logs wait")).await;
    archive.cloud().front().come_back().await;
    let back = Instant::now();
    for id in &ids {
        archive.owner().archived_within(id, 22, Duration::from_secs(120)).await;
        assert_eq!(archive.messages_in_object(id).len(), 22);
    }
    assert!(back.elapsed() < Duration::from_secs(120), "within two minutes");
    archive.server.ready_says("0 logs wait, 0 bytes\n").await;
}

async fn archiving_many_logs_with_few_connections_holds_nobody_up(backend: Backend) {
    let archive = Archive::in_s3(backend, 1, &[("RUNLEDGER_DATABASE_CONNECTIONS_MAX", "2")]).await;
    archive.cloud().front().go_away().await;
    let mut ids = Vec::new();
    for _ in 0..80 {
        let id = archive.owner().start_any().await;
        archive.owner().append(&id, &lines("a", 2)).await;
        ids.push(id);
    }
    archive.server.ready_says("80 logs wait").await;
    archive.cloud().front().come_back().await;
    for id in &ids {
        archive.owner().archived_within(id, 2, Duration::from_secs(60)).await;
    }
    let log = archive.server.log();
    assert!(!log.contains("timed out"), "nobody waits for what another one keeps:\n{log}");
}

async fn one_log_that_storage_refuses_keeps_no_other_waiting(backend: Backend) {
    let mut archive = Archive::in_s3(backend, 1, &[]).await;
    let broken = archive.owner().start_any().await;
    archive.owner().append(&broken, &lines("first", 2)).await;
    archive.owner().archived(&broken, 2).await;
    // Not all that is known to be there is there.
    archive.server.terminate().await;
    let longer = "UPDATE log_stream SET byte_count = byte_count + 9, archived_bytes = archived_bytes + 9";
    archive.server.alter(longer).await;
    archive.restart().await;
    archive.owner().append(&broken, &lines("second", 2)).await;
    archive.server.ready_says("not what was sent").await;
    for round in 0..5 {
        let id = archive.owner().start_any().await;
        archive.owner().append(&id, &lines(&format!("{round}"), 2)).await;
        archive.owner().archived_within(&id, 2, Duration::from_secs(10)).await;
    }
    assert_eq!(archive.owner().archived_lines(&broken).await, 2);
    // A passing fault of one write is no different.
    archive.cloud().front().next(On::Upload, 1, Fault::status(500));
    let id = archive.owner().start_any().await;
    archive.owner().append(&id, &[line("once more")]).await;
    archive.owner().archived(&id, 1).await;
}

async fn one_log_that_storage_refuses_keeps_no_other_from_being_written(backend: Backend) {
    const LIMIT: usize = 64 << 20;
    let environment = [("RUNLEDGER_LOG_WAITING_BYTES_MAX", LIMIT.to_string())];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut archive = Archive::in_s3(backend, 1, &environment).await;
    let broken = archive.owner().start_any().await;
    archive.owner().append(&broken, &lines("first", 2)).await;
    archive.owner().archived(&broken, 2).await;
    archive.server.terminate().await;
    let longer = "UPDATE log_stream SET byte_count = byte_count + 9, archived_bytes = archived_bytes + 9";
    archive.server.alter(longer).await;
    archive.restart().await;
    let call = vec![line(&"x".repeat(60 * 1024)); 16];
    let mut taken = 0;
    while taken <= LIMIT * 5 / 8 && archive.owner().try_append(&broken, &call, None).await.is_ok() {
        taken += 16 * 60 * 1024;
    }
    assert!(taken > LIMIT / 2, "half of the limit is everybody's");
    archive.server.ready_says("new lines of 1 logs are refused").await;
    let refusal = archive.owner().try_append(&broken, &call, None).await.expect_err("too much of it waits");
    assert_eq!(refusal.code(), "UNAVAILABLE");
    for client in [&archive.team.owner, &archive.team.stranger] {
        let id = client.start_any().await;
        client.append(&id, &lines("other", 3)).await;
        client.archived(&id, 3).await;
    }
}

async fn without_cloud_storage_lines_stay_in_the_database_for_ever(backend: Backend) {
    let server = Server::builder(backend).await;
    let server = server
        .env("RUNLEDGER_LOG_FLUSH_INTERVAL_SECONDS", "1")
        .env("RUNLEDGER_LOG_WAITING_BYTES_MAX", "1048576")
        .start()
        .await;
    let archive = Archive { team: Team::of(&server), server, cloud: None };
    let id = archive.owner().start_any().await;
    for _ in 0..30 {
        archive.owner().append(&id, &vec![line(&"x".repeat(1_000)); 100]).await;
    }
    archive.server.terminate().await;
    archive.server.restart().await;
    let archive = Archive { team: archive.team.after_a_restart(), ..archive };
    // By now it has looked how much waits.
    archive.server.ready_says("0 logs wait, 0 bytes\n").await;
    archive.owner().append(&id, &[line("not refused")]).await;
    assert_eq!(archive.owner().log_object(&id).await["lineCount"], 3_001);
    assert_eq!(archive.owner().archived_lines(&id).await, 0);
    let whole = get(&archive.owner().link_to_log(&id).await, &[]).await;
    assert_eq!(super::messages_of(&String::from_utf8(whole.body).expect("UTF-8")).len(), 3_001);
}
