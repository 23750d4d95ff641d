//! What is deleted leaves nothing in storage, and takes nothing of others with it.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Archive, NEVER};
use crate::harness::support::faults::{Fault, On};
use crate::harness::{Backend, for_each_backend, id_of, line, lines, unique};

for_each_backend!(
    a_deleted_execution_takes_its_object_with_it_and_no_other,
    deleting_by_a_filter_removes_the_objects,
    an_execution_that_is_not_kept_leaves_no_object,
    an_execution_that_is_deleted_while_it_is_archived_leaves_no_object,
    an_execution_with_the_id_of_a_deleted_one_keeps_its_lines,
);

const DELETE: &str = "mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }";

impl Archive {
    pub(super) async fn object_gone(&self, id: &str) {
        let deadline = Instant::now() + Duration::from_secs(40);
        while self.object(id).is_some() {
            assert!(Instant::now() < deadline, "the object of {id} goes");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn archived_execution(&self, input: serde_json::Value) -> String {
        let id = id_of(&self.owner().start(input).await);
        self.owner().append(&id, &lines("line", 3)).await;
        self.owner().archived(&id, 3).await;
        id
    }
}

async fn a_deleted_execution_takes_its_object_with_it_and_no_other(archive: Archive) {
    let (id, other) =
        (archive.archived_execution(json!({})).await, archive.archived_execution(json!({})).await);
    archive.owner().query(DELETE, json!({ "id": id })).await;
    archive.object_gone(&id).await;
    assert_eq!(archive.messages_in_object(&other).len(), 3);
}

async fn deleting_by_a_filter_removes_the_objects(archive: Archive) {
    let run = unique("run");
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(archive.archived_execution(json!({ "workflowRunId": run })).await);
    }
    let delete =
        "mutation ($run: String!) { deleteExecutions(filter: { workflowRunIds: [$run] }) { deletedCount } }";
    let deleted = archive.owner().query(delete, json!({ "run": run })).await;
    assert_eq!(deleted["deleteExecutions"]["deletedCount"], 5);
    for id in &ids {
        archive.object_gone(id).await;
    }
}

async fn an_execution_that_is_not_kept_leaves_no_object(backend: Backend) {
    let mut archive = Archive::after(backend, 1).await;
    let id = archive.archived_execution(json!({ "keepHistory": false })).await;
    let kept = archive.archived_execution(json!({})).await;
    assert!(archive.object(&id).is_some());
    archive.owner().complete(&id).await;
    // Those who follow it are given a minute; nobody here waits for that.
    archive.server.terminate().await;
    archive.server.alter("UPDATE execution SET discard_at = created_at WHERE discard_at IS NOT NULL").await;
    archive.restart().await;
    archive.object_gone(&id).await;
    assert_eq!(archive.messages_in_object(&kept).len(), 3);
}

async fn an_execution_that_is_deleted_while_it_is_archived_leaves_no_object(backend: Backend) {
    let archive = Archive::in_s3(backend, 1, &[]).await;
    let id = archive.owner().start_any().await;
    let key = format!("job-{id}.log");
    archive.cloud().front().next(On::Upload, 1, Fault::Delay(Duration::from_secs(2)));
    archive.owner().append(&id, &[line("on its way")]).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while archive.cloud().front().count(On::Upload, &key) == 0 {
        assert!(Instant::now() < deadline, "it is archived");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(archive.object(&id), None, "the upload is held");
    archive.owner().query(DELETE, json!({ "id": id })).await;
    // It arrives, and is deleted then.
    let deadline = Instant::now() + Duration::from_secs(40);
    let is_deleted = || {
        let seen = archive.cloud().front().seen();
        seen.iter().any(|seen| {
            seen.method == "DELETE" && seen.path.split('?').next().is_some_and(|path| path.ends_with(&key))
        })
    };
    while !is_deleted() {
        assert!(Instant::now() < deadline, "it is deleted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    archive.object_gone(&id).await;
}

async fn an_execution_with_the_id_of_a_deleted_one_keeps_its_lines(backend: Backend) {
    let archive = Archive::in_s3(backend, NEVER, &[]).await;
    for _ in 0..3 {
        let id = runledger::clock::new_id().to_string();
        for round in ["first", "second"] {
            archive.owner().start(json!({ "id": id })).await;
            archive.owner().append(&id, &lines(round, 3)).await;
            archive.owner().complete(&id).await;
            if round == "first" {
                archive.owner().archived(&id, 3).await;
                // The deletion of its object takes longer than the next one needs to end.
                archive.cloud().front().next(On::Other, 1, Fault::Delay(Duration::from_secs(2)));
                archive.owner().query(DELETE, json!({ "id": id })).await;
            }
        }
        archive.owner().archived(&id, 3).await;
        let deletions = |seen: &&crate::harness::support::faults::Seen| {
            seen.method == "DELETE" && seen.path.contains(&id)
        };
        assert_eq!(archive.cloud().front().seen().iter().filter(deletions).count(), 1, "that of the first");
        assert_eq!(archive.messages_in_object(&id), ["second 0", "second 1", "second 2"]);
    }
}
