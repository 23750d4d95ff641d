//! A log is gone some days after its last line: its object, its index, what is still in the database, and the disk that
//! they took. Nothing else is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Archive;
use crate::harness::support::lifecycle::Manner;
use crate::harness::support::s3::FakeS3;
use crate::harness::{Backend, Cloud, Socket, Tail, for_each_backend, for_sqlite, get, line, lines};

for_each_backend!(
    a_log_is_gone_after_its_retention_and_no_other_is,
    logs_are_kept_for_ever_when_the_operator_says_so,
    lines_that_were_never_archived_expire_too,
    storage_itself_keeps_logs_longer_than_runledger,
);
for_sqlite!(disk_that_archived_lines_took_is_given_back, a_log_whose_object_is_gone_is_told_to_be_gone,);

impl Archive {
    /// Makes logs look eight days older, while the server does not run.
    async fn age(&self, backend: Backend, ids: &[&String]) {
        for id in ids {
            let (time, which) = match backend {
                Backend::Sqlite => (
                    "'2025' || substr(last_line_at, 5)",
                    format!("hex(execution_id) = upper(replace('{id}', '-', ''))"),
                ),
                Backend::Postgres => ("last_line_at - interval '8 days'", format!("execution_id = '{id}'")),
            };
            self.server.alter(&format!("UPDATE log_stream SET last_line_at = {time} WHERE {which}")).await;
        }
    }

    async fn chunks(&self, backend: Backend, id: &str) -> i64 {
        let which = match backend {
            Backend::Sqlite => format!("hex(execution_id) = upper(replace('{id}', '-', ''))"),
            Backend::Postgres => format!("execution_id = '{id}'"),
        };
        self.server.count_rows(&format!("log_chunk WHERE {which}")).await
    }

    async fn expired(&self, id: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.owner().log_object(id).await["expired"] != true || self.object(id).is_some() {
            assert!(Instant::now() < deadline, "{id} expires");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

const LOGS: &str = "query ($id: ID!) { execution(id: $id) {
    status logs { nodes { seq } totalCount expired pageInfo { hasNextPage } }
    logObject { lineCount expired expiresAt download { url } }
} }";

async fn a_log_is_gone_after_its_retention_and_no_other_is(backend: Backend) {
    let mut archive = Archive::after(backend, 1).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        let id = archive.owner().start_any().await;
        archive.owner().append(&id, &lines("line", 50)).await;
        archive.owner().archived(&id, 50).await;
        ids.push(id);
    }
    let [old, young, running, other] = ids.try_into().expect("there are four");
    for _ in 0..20 {
        archive.owner().append(&old, &vec![line(&"x".repeat(60 * 1024)); 15]).await;
    }
    archive.owner().complete(&old).await;
    archive.owner().complete(&young).await;
    archive.owner().archived(&old, 350).await;
    let link = archive.owner().link_to_log(&old).await;
    let expires_at = archive.owner().log_object(&old).await["expiresAt"].take();
    assert!(expires_at.is_string(), "{expires_at}");
    assert_eq!(archive.owner().log_object(&running).await["expiresAt"], json!(null), "it has not ended");

    archive.server.terminate().await;
    archive.age(backend, &[&old, &running]).await;
    archive.restart().await;
    archive.expired(&old).await;

    assert_eq!(archive.chunks(backend, &old).await, 0);
    let data = archive.owner().query(LOGS, json!({ "id": old })).await;
    let execution = &data["execution"];
    assert_eq!(execution["status"], "COMPLETED", "the execution itself stays");
    assert_eq!((&execution["logs"]["nodes"], &execution["logs"]["expired"]), (&json!([]), &json!(true)));
    assert_eq!(execution["logs"]["pageInfo"]["hasNextPage"], false);
    assert_eq!(
        (&execution["logObject"]["expired"], &execution["logObject"]["download"]),
        (&json!(true), &json!(null))
    );
    assert_eq!(get(&link, &[]).await.status, 404);
    let socket = Socket::connect(archive.owner()).await;
    let refusal = Tail::open(&socket, json!({ "execution": old })).refused().await;
    assert_eq!(refusal.code(), "NOT_FOUND");

    for id in [&young, &running, &other] {
        assert_eq!(archive.messages_in_object(id).len(), 50);
        let data = archive.owner().query(LOGS, json!({ "id": id })).await;
        assert_eq!(data["execution"]["logs"]["nodes"].as_array().map(Vec::len), Some(50));
        assert_eq!(data["execution"]["logs"]["expired"], false);
    }
    archive.owner().append(&running, &[line("goes on")]).await;
    archive.owner().archived(&running, 51).await;
}

async fn disk_that_archived_lines_took_is_given_back(backend: Backend) {
    let mut archive = Archive::in_s3(backend, 1, &[]).await;
    archive.cloud().front().go_away().await;
    let id = archive.owner().start_any().await;
    for _ in 0..40 {
        archive.owner().append(&id, &vec![line(&"x".repeat(60 * 1024)); 15]).await;
    }
    archive.server.kill9();
    let size =
        |archive: &Archive| std::fs::metadata(archive.server.database_file()).expect("it is there").len();
    archive.cloud().front().come_back().await;
    // The write-ahead log goes into the file.
    archive.server.count_rows("log_chunk").await;
    let before = size(&archive);
    assert!(before > 30 << 20, "{before} bytes: the lines were in it");
    archive.restart().await;
    archive.owner().archived_within(&id, 600, Duration::from_secs(120)).await;
    // It looks for what it can give back when it starts, and now and then.
    archive.server.terminate().await;
    archive.restart().await;
    let deadline = Instant::now() + Duration::from_secs(90);
    while size(&archive) > before / 2 {
        assert!(Instant::now() < deadline, "{} of {before} bytes are left", size(&archive));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn logs_are_kept_for_ever_when_the_operator_says_so(backend: Backend) {
    let mut archive = Archive::with(backend, 1, &[("RUNLEDGER_LOG_RETENTION_DAYS", "0")]).await;
    let (old, mark) = (archive.owner().start_any().await, archive.owner().start_any().await);
    archive.owner().append(&old, &lines("line", 5)).await;
    archive.owner().complete(&old).await;
    archive.owner().archived(&old, 5).await;
    archive.server.terminate().await;
    archive.age(backend, &[&old]).await;
    archive.restart().await;
    // Its first look for what has expired is over by then.
    archive.owner().append(&mark, &lines("line", 5)).await;
    archive.owner().archived(&mark, 5).await;
    assert_eq!(archive.messages_in_object(&old).len(), 5);
    let log = archive.owner().log_object(&old).await;
    assert_eq!((&log["expired"], &log["expiresAt"]), (&json!(false), &json!(null)));
}

async fn lines_that_were_never_archived_expire_too(backend: Backend) {
    let mut archive = Archive::in_s3(backend, 1, &[]).await;
    archive.cloud().front().go_away().await;
    let old = archive.owner().start_any().await;
    archive.owner().append(&old, &lines("line", 5)).await;
    archive.owner().complete(&old).await;
    archive.server.kill9();
    archive.age(backend, &[&old]).await;
    // Whoever was archiving it is gone, and nobody else begins before it is found.
    archive.server.alter("UPDATE log_stream SET archive_lease_id = NULL, archive_leased_until = NULL").await;
    archive.restart().await;
    archive.expired(&old).await;
    assert_eq!(archive.chunks(backend, &old).await, 0);
    archive.cloud().front().come_back().await;
    let young = archive.owner().start_any().await;
    archive.owner().append(&young, &lines("line", 5)).await;
    archive.owner().archived_within(&young, 5, Duration::from_secs(90)).await;
    assert_eq!(archive.object(&old), None);
}

async fn a_log_whose_object_is_gone_is_told_to_be_gone(backend: Backend) {
    let archive = Archive::after(backend, 1).await;
    let id = archive.owner().start_any().await;
    archive.owner().append(&id, &lines("line", 5)).await;
    archive.owner().archived(&id, 5).await;
    let object = archive.server.data_folder().join("objects").join(super::LOGS).join(format!("job-{id}.log"));
    std::fs::remove_file(object).expect("it is there");
    let refusal = archive.owner().refused(LOGS, json!({ "id": id })).await;
    assert_eq!(refusal.code(), "NOT_FOUND", "not UNAVAILABLE, which would be tried again for ever");
    assert!(refusal.errors[0]["message"].as_str().expect("a text").contains("expired"));
    let socket = Socket::connect(archive.owner()).await;
    let refusal = Tail::open(&socket, json!({ "execution": id })).refused().await;
    assert_eq!(refusal.code(), "NOT_FOUND");
}

async fn storage_itself_keeps_logs_longer_than_runledger(backend: Backend) {
    let s3 = FakeS3::start().await;
    s3.rules().be(Manner::Kept);
    let cloud = Arc::new(Cloud::S3(s3));
    let _archive = Archive::in_cloud(backend, Some(Arc::clone(&cloud)), 1, &[]).await;
    let Cloud::S3(s3) = &*cloud else { panic!("it is S3") };
    let (rules, _) = s3.rules().kept().expect("there is a rule");
    assert!(rules.contains("<Days>37</Days>"), "7 days and 30 more, for logs that are open: {rules}");
}
