//! Storage that is away, busy, slow, full or broken: saving goes on at local speed, and the upload arrives.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Subject, assert_in_storage, for_each_cloud, project_of};
use crate::harness::support::faults::{Fault, On};
use crate::harness::support::supabase::error_body;
use crate::harness::{Client, CloudKind, id_of, unique};

for_each_cloud!(
    saving_goes_on_while_storage_is_away_and_is_made_up_for,
    whatever_goes_wrong_once_the_upload_arrives_whole,
    what_storage_does_not_take_is_given_up_with_a_reason_and_can_be_tried_again,
    what_was_given_up_is_tried_again_at_the_next_start,
    a_server_starts_while_storage_is_away,
);

/// More attempts than one job makes at once.
const ALL_ATTEMPTS: usize = 3;

async fn saving_goes_on_while_storage_is_away_and_is_made_up_for(subject: Subject) {
    let (server, team) = subject.server().await;
    subject.cloud.front().go_away().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(id_of(&team.owner.save(&unique("project"), &project_of(1_000)).await));
    }
    let mut states = team.owner.follow_upload(&ids[0]).await;
    assert_eq!(states.until_it_fails().await, "cloud storage is away or busy");
    for id in &ids {
        assert_eq!(team.owner.contents(id).await, project_of(1_000), "it is read all the while");
    }
    assert_eq!(server.files_in("objects").len(), 5, "and kept");
    subject.cloud.front().come_back().await;
    for id in &ids {
        let storage = team.owner.follow_upload(id).await.until("UPLOADED").await;
        assert!(storage["uploadError"].is_null(), "what went wrong before is history");
    }
    assert_in_storage(&subject.cloud, &team.owner, &ids).await;
}

async fn whatever_goes_wrong_once_the_upload_arrives_whole(subject: Subject) {
    let (_server, team) = subject.server().await;
    let mut ids = Vec::new();
    for (times, fault) in [
        (1, Fault::status(500)),
        (ALL_ATTEMPTS, Fault::status(500)),
        (1, Fault::busy(429, "1")),
        (1, Fault::busy(503, "1")),
        (1, Fault::Delay(Duration::from_millis(1_500))),
        (ALL_ATTEMPTS, Fault::CutUploadAfter(30_000)),
        (1, Fault::CutUploadAfter(0)),
        (1, Fault::TurnBit),
    ] {
        subject.cloud.front().next(On::Upload, times, fault.clone());
        let id = id_of(&team.owner.save(&unique("project"), &project_of(100_000)).await);
        let mut states = team.owner.follow_upload(&id).await;
        states.until("UPLOADED").await;
        ids.push(id);
        subject.cloud.front().mend();
        assert_in_storage(&subject.cloud, &team.owner, &ids).await;
    }
}

/// As this storage says that something is too large.
fn too_large(subject: &Subject) -> Fault {
    match subject.kind {
        CloudKind::S3 => Fault::Answer {
            status: 400,
            headers: vec![("content-type", "application/xml".into())],
            body: "<Error><Code>EntityTooLarge</Code><Message>too large</Message></Error>".into(),
        },
        CloudKind::Supabase => Fault::Answer {
            status: 400,
            headers: vec![("content-type", "application/json".into())],
            body: error_body("413", "EntityTooLarge", "The object exceeded the maximum allowed size"),
        },
    }
}

async fn retry(client: &Client, id: &str) -> Value {
    let document = "mutation ($id: ID!) {
        retryUpload(generationId: $id) { generation { storage { uploadState uploadError } } }
    }";
    client.query(document, json!({ "id": id })).await["retryUpload"]["generation"]["storage"].take()
}

async fn what_storage_does_not_take_is_given_up_with_a_reason_and_can_be_tried_again(subject: Subject) {
    let (_server, team) = subject.server().await;
    for fault in [too_large(&subject), Fault::status(413)] {
        subject.cloud.front().next(On::Upload, ALL_ATTEMPTS, fault);
        let id = id_of(&team.owner.save(&unique("project"), &project_of(1_000)).await);
        let mut states = team.owner.follow_upload(&id).await;
        let failed = states.until("FAILED").await;
        assert_eq!(failed["uploadError"], "cloud storage does not take anything as large");
        assert_eq!(team.owner.contents(&id).await, project_of(1_000), "it is still here");
        subject.cloud.front().mend();
        assert_eq!(retry(&team.owner, &id).await, json!({ "uploadState": "PENDING", "uploadError": null }));
        states.until("UPLOADED").await;
        assert_eq!(retry(&team.owner, &id).await["uploadState"], "UPLOADED", "there is nothing to retry");
    }
    assert_eq!(subject.cloud.objects(crate::harness::PROJECTS).len(), 2);
}

async fn what_was_given_up_is_tried_again_at_the_next_start(subject: Subject) {
    let (server, team) = subject.server().await;
    subject.cloud.front().next(On::Upload, ALL_ATTEMPTS, too_large(&subject));
    let id = id_of(&team.owner.save(&unique("project"), &project_of(1_000)).await);
    team.owner.follow_upload(&id).await.until("FAILED").await;
    subject.cloud.front().mend();
    server.kill9();
    server.restart().await;
    let team = team.after_a_restart();
    team.owner.follow_upload(&id).await.until("UPLOADED").await;
    assert_in_storage(&subject.cloud, &team.owner, &[id]).await;
}

async fn a_server_starts_while_storage_is_away(subject: Subject) {
    let builder = subject.cloud.server(subject.backend).await;
    subject.cloud.front().go_away().await;
    let server = builder.start().await;
    let team = crate::harness::Team::of(&server);
    let id = id_of(&team.owner.save(&unique("project"), &project_of(1_000)).await);
    assert_eq!(team.owner.contents(&id).await, project_of(1_000));
    subject.cloud.front().come_back().await;
    // The buckets are made only now.
    team.owner.follow_upload(&id).await.until("UPLOADED").await;
    assert_in_storage(&subject.cloud, &team.owner, &[id]).await;
}
