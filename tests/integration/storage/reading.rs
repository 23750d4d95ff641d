//! Reading what only the cloud has: fetched once, checked, and kept.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::{Subject, for_each_cloud, forget_copies, key_of, project_of, uploaded};
use crate::harness::support::faults::{Fault, On};
use crate::harness::{PROJECTS, Tar, files, get, id_of, sha256, unique};

for_each_cloud!(
    a_lost_copy_is_fetched_once_for_a_hundred_readers_and_kept,
    what_is_not_what_was_uploaded_is_an_error_and_not_kept,
    a_fetch_that_is_cut_off_is_no_short_file,
    storage_that_is_away_is_unavailable_for_what_only_it_has,
    reading_goes_on_while_the_archive_moves_to_the_cache,
    a_link_is_signed_by_storage_and_carries_the_name,
    a_link_from_before_the_upload_works_after_it,
);

async fn a_lost_copy_is_fetched_once_for_a_hundred_readers_and_kept(subject: Subject) {
    let (server, team) = subject.server().await;
    let files = Arc::new(project_of(50_000));
    let id = uploaded(&team.owner, &files).await;
    let key = key_of(&team.owner, &id).await;
    forget_copies(&server).await;
    assert_eq!(team.owner.generation(&id).await["storage"]["cachedLocally"], false);
    let mut readers = JoinSet::new();
    for _ in 0..100 {
        let (client, id, files) = (team.colleague.clone(), id.clone(), Arc::clone(&files));
        readers.spawn(async move { assert_eq!(client.contents(&id).await, *files) });
    }
    readers.join_all().await;
    assert_eq!(subject.cloud.front().count(On::Download, &key), 1);
    assert_eq!(team.owner.generation(&id).await["storage"]["cachedLocally"], true);
    assert_eq!(team.owner.contents(&id).await, *files);
    assert_eq!(subject.cloud.front().count(On::Download, &key), 1, "it was kept");
}

async fn what_is_not_what_was_uploaded_is_an_error_and_not_kept(subject: Subject) {
    let (server, team) = subject.server().await;
    let id = uploaded(&team.owner, &project_of(50_000)).await;
    let key = key_of(&team.owner, &id).await;
    forget_copies(&server).await;
    assert_eq!(team.owner.contents(&id).await, project_of(50_000));
    forget_copies(&server).await;
    subject.cloud.corrupt(PROJECTS, &key);
    for _ in 0..2 {
        let refusal = team.owner.try_contents(&id).await.expect_err("it is corrupt");
        assert_eq!(refusal.code(), "INTERNAL");
        assert!(server.files_in("cache").is_empty() && server.files_in("staging").is_empty());
    }
    subject.cloud.corrupt(PROJECTS, &key);
    assert_eq!(team.owner.contents(&id).await, project_of(50_000), "it is right again");
}

async fn a_fetch_that_is_cut_off_is_no_short_file(subject: Subject) {
    let (server, team) = subject.server().await;
    let id = uploaded(&team.owner, &project_of(200_000)).await;
    forget_copies(&server).await;
    subject.cloud.front().next(On::Download, 3, Fault::CutDownloadAfter(1_000));
    if let Err(refusal) = team.owner.try_contents(&id).await {
        assert_eq!(refusal.code(), "UNAVAILABLE");
        assert!(server.files_in("cache").is_empty() && server.files_in("staging").is_empty());
    }
    subject.cloud.front().mend();
    assert_eq!(team.owner.contents(&id).await, project_of(200_000));
}

async fn storage_that_is_away_is_unavailable_for_what_only_it_has(subject: Subject) {
    let (server, team) = subject.server().await;
    let id = uploaded(&team.owner, &project_of(1_000)).await;
    forget_copies(&server).await;
    subject.cloud.front().go_away().await;
    let refusal = team.owner.try_contents(&id).await.expect_err("it is away");
    assert_eq!(refusal.code(), "UNAVAILABLE");
    assert_eq!(team.owner.generation(&id).await["fileCount"], 2, "what the database has is read");
    subject.cloud.front().come_back().await;
    assert_eq!(team.owner.contents(&id).await, project_of(1_000));
}

async fn reading_goes_on_while_the_archive_moves_to_the_cache(subject: Subject) {
    let (_server, team) = subject.server().await;
    let files = Arc::new(project_of(1_000));
    for _ in 0..15 {
        let id = id_of(&team.owner.save(&unique("project"), &files).await);
        let link = team.owner.link(&id).await;
        let mut readers = JoinSet::new();
        for _ in 0..8 {
            let (client, id, files) = (team.owner.clone(), id.clone(), Arc::clone(&files));
            readers.spawn(async move { assert_eq!(client.contents(&id).await, *files) });
            let link = link.clone();
            readers.spawn(async move { assert_eq!(get(&link, &[]).await.status, 200) });
        }
        readers.join_all().await;
        team.owner.follow_upload(&id).await.until("UPLOADED").await;
    }
}

async fn a_link_is_signed_by_storage_and_carries_the_name(subject: Subject) {
    let (_server, team) = subject.server().await;
    let key = unique("my shop");
    let saved = team.owner.save(&key, &project_of(1_000)).await;
    let id = id_of(&saved);
    team.owner.follow_upload(&id).await.until("UPLOADED").await;
    let link = team.colleague.link(&id).await;
    assert!(link.starts_with(&subject.cloud.front().url()), "{link}");
    let downloaded = get(&link, &[]).await;
    assert_eq!((downloaded.status, json!(sha256(&downloaded.body))), (200, saved["sha256"].clone()));
    let name = downloaded.header("content-disposition");
    assert!(name.contains("my-shop") && name.contains("-v1.tar.gz"), "{name}");
    // Another archive cannot be had by it.
    let other = uploaded(&team.owner, &files(&[("other", b"secret")])).await;
    let other = key_of(&team.owner, &other).await;
    let changed = link.replace(saved["storage"]["key"].as_str().expect("a text"), &other);
    assert_ne!(link, changed);
    assert!(get(&changed, &[]).await.status >= 400);
    assert!(get(link.split('?').next().expect("it has a path"), &[]).await.status >= 400, "unsigned");
    let refusal = team.owner.try_link(&id, 604_801).await.expect_err("it is too long");
    assert_eq!(refusal.code(), "BAD_INPUT");
}

async fn a_link_from_before_the_upload_works_after_it(subject: Subject) {
    let (server, team) = subject.server().await;
    subject.cloud.front().go_away().await;
    let archive = Tar::of(&project_of(1_000)).gz();
    let input = json!({ "projectKey": unique("project") });
    let id = id_of(&team.owner.try_save_archive(input, &archive).await.expect("it is fine")["generation"]);
    let link = team.owner.link(&id).await;
    assert!(link.starts_with(&server.url()) && get(&link, &[]).await.body == archive);
    subject.cloud.front().come_back().await;
    team.owner.follow_upload(&id).await.until("UPLOADED").await;
    forget_copies(&server).await;
    let part = get(&link, &[("range", "bytes=10-19")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &archive[10..20]));
    assert!(get(&link, &[]).await.body == archive);
}
