//! What is in an object, and when.

use std::sync::Arc;

use serde_json::json;

use super::{Archive, NEVER};
use crate::harness::{Backend, Cloud, CloudKind, for_each_backend, id_of, line, lines, messages};

for_each_backend!(
    few_young_lines_of_a_running_execution_stay_in_the_database,
    an_object_has_the_documented_json_lines,
    an_object_is_what_was_appended_line_for_line,
    lines_are_archived_after_the_interval,
    a_thousand_waiting_lines_are_archived_at_once,
    a_mebibyte_of_waiting_lines_is_archived_at_once,
    what_waits_is_archived_at_once_when_the_execution_ends,
    what_waits_is_archived_when_the_server_stops,
    an_execution_without_lines_has_no_object,
    a_storage_that_only_rewrites_gets_whole_objects_too,
);

async fn few_young_lines_of_a_running_execution_stay_in_the_database(backend: Backend) {
    let archive = Archive::after(backend, NEVER).await;
    let (few, many) = (archive.owner().start_any().await, archive.owner().start_any().await);
    archive.owner().append(&few, &lines("few", 999)).await;
    archive.owner().append(&many, &lines("many", 1_000)).await;
    archive.owner().archived(&many, 1_000).await;
    assert_eq!(archive.owner().archived_lines(&few).await, 0, "they were there before");
    assert_eq!(archive.object(&few), None);
}

async fn an_object_has_the_documented_json_lines(archive: Archive) {
    let id = archive.owner().start_any().await;
    let full = json!({ "timestamp": "2026-11-21T09:30:00.123456Z", "level": "WARN", "stream": "stderr",
        "message": "a \"quoted\"\nline, ünï 🦀", "fields": { "b": [1, null], "a": "x" } });
    let short = json!({ "timestamp": "2026-11-21T09:30:01Z", "message": "" });
    archive.owner().append(&id, &[full, short]).await;
    archive.owner().archived(&id, 2).await;
    let expected = concat!(
        r#"{"seq":0,"timestamp":"2026-11-21T09:30:00.123456Z","level":"WARN","stream":"stderr","#,
        r#""message":"a \"quoted\"\nline, ünï 🦀","fields":{"b":[1,null],"a":"x"}}"#,
        "\n",
        r#"{"seq":1,"timestamp":"2026-11-21T09:30:01Z","level":"INFO","message":""}"#,
        "\n",
    );
    assert_eq!(archive.object(&id).as_deref(), Some(expected));
    let log = archive.owner().log_object(&id).await;
    assert_eq!(log["key"], format!("job-{id}.log"));
    assert_eq!((&log["lineCount"], &log["sizeBytes"]), (&json!(2), &json!(expected.len())));
}

async fn an_object_is_what_was_appended_line_for_line(archive: Archive) {
    let id = archive.owner().start_any().await;
    let mut written = Vec::new();
    // Small calls, a call of several pieces, and more than one write takes; S3 copies from 5 MiB on.
    for round in 0..12 {
        let mut sent = lines(&format!("round {round}"), 3);
        sent.extend((0..12).map(|number| line(&format!("{round} {number} {}", "x".repeat(60 * 1024)))));
        archive.owner().append(&id, &sent).await;
        written.extend(messages(&sent.into()).into_iter().map(str::to_owned));
        if round % 4 == 3 {
            archive.owner().archived(&id, written.len()).await;
        }
    }
    archive.owner().complete(&id).await;
    archive.owner().archived(&id, written.len()).await;
    assert_eq!(archive.messages_in_object(&id), written);
}

async fn lines_are_archived_after_the_interval(archive: Archive) {
    let id = archive.owner().start_any().await;
    archive.owner().append(&id, &[line("first")]).await;
    archive.owner().archived(&id, 1).await;
    archive.owner().append(&id, &[line("second")]).await;
    archive.owner().archived(&id, 2).await;
    assert_eq!(archive.messages_in_object(&id), ["first", "second"]);
}

async fn a_thousand_waiting_lines_are_archived_at_once(backend: Backend) {
    let archive = Archive::after(backend, NEVER).await;
    let id = archive.owner().start_any().await;
    for call in 0..10 {
        archive.owner().append(&id, &lines(&format!("call {call}"), 100)).await;
    }
    archive.owner().archived(&id, 1_000).await;
    assert_eq!(archive.messages_in_object(&id).len(), 1_000);
}

async fn a_mebibyte_of_waiting_lines_is_archived_at_once(backend: Backend) {
    let archive = Archive::after(backend, NEVER).await;
    let id = archive.owner().start_any().await;
    archive.owner().append(&id, &vec![line(&"x".repeat(60 * 1024)); 18]).await;
    archive.owner().archived(&id, 18).await;
    assert_eq!(archive.messages_in_object(&id).len(), 18);
}

async fn what_waits_is_archived_at_once_when_the_execution_ends(backend: Backend) {
    let archive = Archive::after(backend, NEVER).await;
    let owner = archive.owner();
    let mut ids = Vec::new();
    for status in ["COMPLETED", "FAILED", "CANCELLED"] {
        let id = owner.start_any().await;
        owner.append(&id, &[line(status)]).await;
        match status {
            "CANCELLED" => drop(owner.cancel(&id, None).await.expect("it is running")),
            _ => drop(owner.finish(json!({ "id": id, "status": status })).await.expect("it is running")),
        }
        ids.push((id, status));
    }
    for (id, status) in ids {
        owner.archived(&id, 1).await;
        assert_eq!(archive.messages_in_object(&id), [status]);
    }
}

async fn what_waits_is_archived_when_the_server_stops(backend: Backend) {
    let mut archive = Archive::after(backend, NEVER).await;
    let mut ids = Vec::new();
    for number in 0..40 {
        let id = archive.owner().start_any().await;
        archive.owner().append(&id, &lines(&format!("of {number}"), 3)).await;
        ids.push(id);
    }
    assert!(archive.server.terminate().await.success());
    for (number, id) in ids.iter().enumerate() {
        let written: Vec<_> = (0..3).map(|line| format!("of {number} {line}")).collect();
        assert_eq!(archive.messages_in_object(id), written);
    }
    archive.restart().await;
    assert_eq!(archive.owner().archived_lines(&ids[0]).await, 3);
}

async fn an_execution_without_lines_has_no_object(archive: Archive) {
    let empty = archive.owner().start_any().await;
    let other = id_of(&archive.owner().start(json!({})).await);
    archive.owner().append(&other, &[line("a line")]).await;
    archive.owner().complete(&empty).await;
    archive.owner().complete(&other).await;
    archive.owner().archived(&other, 1).await;
    assert_eq!(archive.object(&empty), None);
    let log = archive.owner().log_object(&empty).await;
    assert_eq!((&log["lineCount"], &log["expiresAt"]), (&json!(0), &json!(null)));
}

async fn a_storage_that_only_rewrites_gets_whole_objects_too(backend: Backend) {
    let cloud = Some(Arc::new(Cloud::start(CloudKind::Supabase).await));
    let mut archive = Archive::in_cloud(backend, cloud, 1, &[]).await;
    let (ends, goes_on) = (archive.owner().start_any().await, archive.owner().start_any().await);
    for id in [&ends, &goes_on] {
        archive.owner().append(id, &lines("many", 800)).await;
        archive.owner().archived(id, 800).await;
        // Too few to send all of it again.
        archive.owner().append(id, &lines("few", 3)).await;
    }
    archive.owner().complete(&ends).await;
    archive.owner().archived(&ends, 803).await;
    assert_eq!(archive.messages_in_object(&ends).len(), 803);
    assert_eq!(archive.owner().archived_lines(&goes_on).await, 800);
    assert!(archive.server.terminate().await.success());
    assert_eq!(archive.messages_in_object(&goes_on).len(), 803, "a server that stops sends what it has");
    archive.restart().await;
    assert_eq!(archive.owner().archived_lines(&goes_on).await, 803);
}
