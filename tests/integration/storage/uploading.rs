//! The way to the cloud, when all is well, and when the server is not.

use serde_json::json;
use tokio::task::JoinSet;

use super::{Subject, assert_in_storage, eventually, for_each_cloud, key_of, project_of, uploaded};
use crate::harness::support::faults::{Fault, On};
use crate::harness::{PROJECTS, files, id_of, unique};

for_each_cloud!(
    a_generation_is_uploaded_behind_the_call_and_says_so,
    a_hundred_saves_at_once_are_uploaded_once_each,
    a_large_archive_is_uploaded_whole,
    an_upload_that_was_killed_arrives_after_the_restart,
    a_deletion_leaves_no_object,
    a_deletion_during_the_upload_leaves_no_object,
);

async fn a_generation_is_uploaded_behind_the_call_and_says_so(subject: Subject) {
    let (server, team) = subject.server().await;
    subject.cloud.front().next(On::Upload, 1, Fault::Delay(std::time::Duration::from_millis(500)));
    let saved = team.owner.save(&unique("project"), &project_of(1_000)).await;
    let pending = json!({ "key": saved["storage"]["key"], "cachedLocally": true, "cloudEnabled": true,
                          "uploaded": false, "uploadState": "PENDING", "uploadError": null });
    assert_eq!(saved["storage"], pending, "the call does not wait for it");
    let id = id_of(&saved);
    let mut states = team.colleague.follow_upload(&id).await;
    assert_eq!(states.next().await["uploadState"], "PENDING");
    let state = states.next().await;
    assert_eq!((&state["uploadState"], &state["uploaded"]), (&json!("UPLOADED"), &json!(true)));
    assert_in_storage(&subject.cloud, &team.owner, std::slice::from_ref(&id)).await;
    eventually("its copy is one of the cache", async || {
        server.files_in("objects").is_empty() && server.files_in("cache").len() == 1
    })
    .await;
    assert_eq!(team.owner.generation(&id).await["storage"]["cachedLocally"], true);
    assert_eq!(team.owner.contents(&id).await, project_of(1_000));
    assert_eq!(subject.cloud.front().count(On::Download, &key_of(&team.owner, &id).await), 0);
}

async fn a_hundred_saves_at_once_are_uploaded_once_each(subject: Subject) {
    let (_server, team) = subject.server().await;
    let key = unique("project");
    let mut savers = JoinSet::new();
    for number in 0..100 {
        let (client, key) = (team.owner.clone(), key.clone());
        savers.spawn(async move {
            id_of(&client.save(&key, &files(&[("number", format!("{number}").as_bytes())])).await)
        });
    }
    let ids = savers.join_all().await;
    for id in &ids {
        team.owner.follow_upload(id).await.until("UPLOADED").await;
        assert_eq!(subject.cloud.front().count(On::Upload, &key_of(&team.owner, id).await), 1);
    }
    assert_in_storage(&subject.cloud, &team.owner, &ids).await;
}

async fn a_large_archive_is_uploaded_whole(subject: Subject) {
    let (server, team) = subject.server().await;
    let input = json!({ "projectKey": unique("project") });
    // More than two parts of S3.
    let archive = crate::harness::Tar::of(&project_of(18 * 1024 * 1024)).gz();
    let saved = team.owner.try_save_archive(input, &archive).await.expect("it is fine");
    let id = id_of(&saved["generation"]);
    team.owner.follow_upload(&id).await.until("UPLOADED").await;
    assert_in_storage(&subject.cloud, &team.owner, std::slice::from_ref(&id)).await;
    super::forget_copies(&server).await;
    assert!(team.owner.archive(&id).await == archive);
}

async fn an_upload_that_was_killed_arrives_after_the_restart(subject: Subject) {
    let (server, mut team) = subject.server().await;
    let mut ids = Vec::new();
    for fault in [
        Fault::Delay(std::time::Duration::from_secs(600)),
        Fault::CutUploadAfter(50_000),
        // Its answer is the last thing that is missing.
        Fault::Delay(std::time::Duration::from_millis(1)),
    ] {
        subject.cloud.front().next(On::Upload, 1, fault);
        let id = id_of(&team.owner.save(&unique("project"), &project_of(100_000)).await);
        let key = key_of(&team.owner, &id).await;
        ids.push(id.clone());
        eventually("the upload begins", async || subject.cloud.front().count(On::Upload, &key) > 0).await;
        server.kill9();
        subject.cloud.front().mend();
        server.restart().await;
        team = team.after_a_restart();
        team.owner.follow_upload(&id).await.until("UPLOADED").await;
        assert_in_storage(&subject.cloud, &team.owner, &ids).await;
    }
}

async fn a_deletion_leaves_no_object(subject: Subject) {
    let (server, team) = subject.server().await;
    let (kept, deleted) =
        (uploaded(&team.owner, &project_of(10)).await, uploaded(&team.owner, &project_of(10)).await);
    assert_eq!(team.owner.delete_generation(&deleted).await.expect("it is ours"), 1);
    eventually("the object goes", async || subject.cloud.objects(PROJECTS).len() == 1).await;
    assert_in_storage(&subject.cloud, &team.owner, std::slice::from_ref(&kept)).await;
    eventually("the copies go", async || server.files_in("cache").len() == 1).await;

    // Also when storage is away at that moment, and the server is killed before it is back.
    subject.cloud.front().go_away().await;
    assert_eq!(team.owner.delete_generation(&kept).await.expect("it is ours"), 1);
    server.kill9();
    subject.cloud.front().come_back().await;
    server.restart().await;
    eventually("the object goes", async || subject.cloud.objects(PROJECTS).is_empty()).await;
}

async fn a_deletion_during_the_upload_leaves_no_object(subject: Subject) {
    let (server, team) = subject.server().await;
    subject.cloud.front().next(On::Upload, 1, Fault::Delay(std::time::Duration::from_secs(2)));
    let id = id_of(&team.owner.save(&unique("project"), &project_of(1_000)).await);
    let key = key_of(&team.owner, &id).await;
    eventually("the upload begins", async || subject.cloud.front().count(On::Upload, &key) > 0).await;
    assert_eq!(team.owner.delete_generation(&id).await.expect("it is ours"), 1);
    eventually("it arrives all the same", async || subject.cloud.objects(PROJECTS).len() == 1).await;
    eventually("and goes", async || subject.cloud.objects(PROJECTS).is_empty()).await;
    assert!(server.files_in("objects").is_empty() && server.files_in("cache").is_empty());
}
