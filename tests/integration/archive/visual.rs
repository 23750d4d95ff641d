//! Visual events leave the database for an object of their own, beside that of the log.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Archive, LOGS, NEVER};
use crate::harness::{
    Backend, PATIENCE, Socket, Watch, event, events, for_each_backend, get, line, lines, unique,
};

for_each_backend!(
    events_are_archived_and_read_back_the_same,
    a_download_has_all_events_archived_or_not,
    events_of_an_ended_execution_are_archived_at_once,
    deleting_removes_both_objects,
    a_session_that_is_not_kept_leaves_no_object,
    a_session_is_gone_after_its_retention,
);

impl Archive {
    /// The events in the object of a session, if it is there.
    fn events_in_object(&self, id: &str) -> Option<Vec<Value>> {
        let key = format!("job-{id}.visual.ndjson");
        let bytes = match &self.cloud {
            Some(cloud) => cloud.objects(LOGS).remove(&key),
            None => std::fs::read(self.server.data_folder().join("objects").join(LOGS).join(key)).ok(),
        };
        let text = bytes.map(|bytes| String::from_utf8(bytes).expect("it is UTF-8"))?;
        Some(text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect())
    }

    async fn events_archived(&self, id: &str, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.events_in_object(id).map_or(0, |events| events.len()) < count {
            assert!(Instant::now() < deadline, "{count} events of {id} are archived");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn events_gone(&self, id: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.events_in_object(id).is_some() {
            assert!(Instant::now() < deadline, "the object of {id} goes");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn waiting_events(&self) -> i64 {
        self.server.count_rows("log_chunk WHERE kind = 'VISUAL' AND object_offset IS NULL").await
    }

    /// A link to all events, if there is one.
    async fn link_to_events(&self, id: &str) -> Value {
        let document = "query ($id: ID!) { execution(id: $id) { visual { download { url } } } }";
        self.owner().query(document, json!({ "id": id })).await["execution"]["visual"]["download"]["url"]
            .take()
    }
}

async fn events_are_archived_and_read_back_the_same(archive: Archive) {
    let id = archive.owner().start_any().await;
    for start in 0..5 {
        archive.owner().append_events(&id, &events(start * 10..start * 10 + 10)).await;
        archive.owner().append(&id, &[line("beside them")]).await;
    }
    archive.events_archived(&id, 50).await;
    while archive.waiting_events().await > 0 {}
    archive.owner().append_events(&id, &events(50..53)).await;
    archive.events_archived(&id, 53).await;
    assert_eq!(archive.events_in_object(&id).expect("it is there"), events(0..53));
    assert_eq!(archive.owner().all_visual_events(&id).await, events(0..53));
    assert_eq!(archive.owner().visual_events(&id, 17, 30).await["events"], json!(events(17..47)));
    let socket = Socket::connect(archive.owner()).await;
    let mut watch = Watch::open(&socket, &id, 3);
    assert_eq!(watch.events(50).await, events(3..53));
    archive.owner().append_events(&id, &[event(53)]).await;
    assert_eq!(watch.events(1).await, [event(53)]);
    archive.owner().archived(&id, 5).await;
    assert_eq!(archive.messages_in_object(&id).len(), 5, "the log has its lines alone");
}

async fn a_download_has_all_events_archived_or_not(archive: Archive) {
    let id = archive.owner().start_any().await;
    assert_eq!(archive.link_to_events(&id).await, json!(null), "there are none");
    archive.owner().append_events(&id, &events(0..20)).await;
    archive.events_archived(&id, 20).await;
    let link = archive.link_to_events(&id).await;
    archive.owner().append_events(&id, &events(20..25)).await;
    let downloaded = get(link.as_str().expect("a link"), &[]).await;
    assert_eq!(downloaded.status, 200);
    let text = String::from_utf8(downloaded.body.clone()).expect("it is UTF-8");
    let all: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(all, events(0..25));
}

async fn events_of_an_ended_execution_are_archived_at_once(backend: Backend) {
    let archive = Archive::after(backend, NEVER).await;
    let id = archive.owner().start_any().await;
    archive.owner().append_events(&id, &events(0..5)).await;
    archive.owner().complete(&id).await;
    archive.events_archived(&id, 5).await;
    while archive.waiting_events().await > 0 {}
    assert_eq!(archive.owner().all_visual_events(&id).await, events(0..5));
    assert_eq!(archive.owner().visual_events(&id, 5, 1).await["ended"], true);
}

async fn deleting_removes_both_objects(archive: Archive) {
    let run = unique("run");
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = crate::harness::id_of(&archive.owner().start(json!({ "workflowRunId": run })).await);
        archive.owner().append(&id, &lines("line", 3)).await;
        archive.owner().append_events(&id, &events(0..3)).await;
        archive.owner().archived(&id, 3).await;
        archive.events_archived(&id, 3).await;
        ids.push(id);
    }
    let kept = archive.owner().start_any().await;
    archive.owner().append_events(&kept, &events(0..3)).await;
    archive.events_archived(&kept, 3).await;
    let link = archive.link_to_events(&ids[0]).await;
    let delete = "mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }";
    archive.owner().query(delete, json!({ "id": ids[0] })).await;
    let delete =
        "mutation ($run: String!) { deleteExecutions(filter: { workflowRunIds: [$run] }) { deletedCount } }";
    archive.owner().query(delete, json!({ "run": run })).await;
    for id in &ids {
        archive.events_gone(id).await;
        archive.object_gone(id).await;
    }
    assert_eq!(get(link.as_str().expect("a link"), &[]).await.status, 404);
    assert_eq!(archive.owner().all_visual_events(&kept).await, events(0..3));
}

async fn a_session_that_is_not_kept_leaves_no_object(backend: Backend) {
    let mut archive = Archive::after(backend, 1).await;
    let id = crate::harness::id_of(&archive.owner().start(json!({ "keepHistory": false })).await);
    archive.owner().append_events(&id, &events(0..3)).await;
    archive.events_archived(&id, 3).await;
    archive.owner().complete(&id).await;
    archive.server.terminate().await;
    archive.server.alter("UPDATE execution SET discard_at = created_at WHERE discard_at IS NOT NULL").await;
    archive.restart().await;
    archive.events_gone(&id).await;
    assert_eq!(archive.server.count_rows("log_chunk WHERE kind = 'VISUAL'").await, 0);
}

async fn a_session_is_gone_after_its_retention(backend: Backend) {
    let mut archive = Archive::after(backend, 1).await;
    let (old, running) = (archive.owner().start_any().await, archive.owner().start_any().await);
    for id in [&old, &running] {
        archive.owner().append_events(id, &events(0..30)).await;
        archive.events_archived(id, 30).await;
    }
    // A young log beside an old session.
    archive.owner().append(&old, &lines("line", 3)).await;
    archive.owner().complete(&old).await;
    archive.owner().archived(&old, 3).await;
    let link = archive.link_to_events(&old).await;
    archive.server.terminate().await;
    let past = match backend {
        Backend::Sqlite => "'2025' || substr(last_line_at, 5)",
        Backend::Postgres => "last_line_at - interval '8 days'",
    };
    archive.server.alter(&format!("UPDATE log_stream SET last_line_at = {past} WHERE kind = 'VISUAL'")).await;
    archive.restart().await;
    archive.events_gone(&old).await;
    let document = "query ($id: ID!) { execution(id: $id) { visualEvents { nextSeq } } }";
    let refusal = archive.owner().refused(document, json!({ "id": old })).await;
    assert_eq!(refusal.code(), "NOT_FOUND");
    let socket = Socket::connect(archive.owner()).await;
    assert_eq!(Watch::open(&socket, &old, 0).refused().await.code(), "NOT_FOUND");
    assert_eq!(archive.link_to_events(&old).await, json!(null));
    assert_eq!(get(link.as_str().expect("a link"), &[]).await.status, 404);
    let visual = archive.owner().execution(&old).await["visual"].take();
    assert_eq!(
        (&visual["enabled"], &visual["eventsCaptured"]),
        (&json!(true), &json!(30)),
        "that there was one stays"
    );
    assert_eq!(archive.messages_in_object(&old).len(), 3, "the log is young");
    assert_eq!(archive.owner().all_visual_events(&running).await, events(0..30));
}
