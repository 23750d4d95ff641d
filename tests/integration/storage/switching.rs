//! Settings that change between starts, and storage that must not be used.

use super::{Subject, assert_in_storage, for_each_cloud, forget_copies, project_of, uploaded};
use crate::harness::support::s3::Exposure;
use crate::harness::{CODE, Cloud, LOGS, PROJECTS, id_of, line, unique};

for_each_cloud!(
    without_the_cloud_saving_is_local_and_what_it_has_is_still_read,
    what_stayed_local_is_uploaded_when_the_cloud_is_on_again,
    buckets_are_made_at_the_start_and_are_private,
    a_public_bucket_is_refused_with_an_explanation,
    a_wrong_key_is_refused_with_an_explanation,
    a_bucket_that_turns_out_to_be_public_gets_nothing,
    a_log_bucket_that_turns_out_to_be_public_gets_no_line,
);

async fn without_the_cloud_saving_is_local_and_what_it_has_is_still_read(subject: Subject) {
    let (server, team) = subject.server().await;
    let before = uploaded(&team.owner, &project_of(1_000)).await;
    forget_copies(&server).await;
    server.set_env("USE_CLOUD_STORAGE", "false");
    server.kill9();
    server.restart().await;
    let team = team.after_a_restart();
    let saved = team.owner.save(&unique("project"), &project_of(1_000)).await;
    assert_eq!(
        (&saved["storage"]["uploadState"], &saved["storage"]["cloudEnabled"]),
        (&"LOCAL_ONLY".into(), &false.into())
    );
    assert_eq!(team.owner.contents(&before).await, project_of(1_000));
    assert_eq!(team.owner.generation(&before).await["storage"]["uploadState"], "UPLOADED");
    assert_in_storage(&subject.cloud, &team.owner, &[before]).await;
    let document = "mutation ($id: ID!) { retryUpload(generationId: $id) { generation { id } } }";
    let refusal = team.owner.refused(document, serde_json::json!({ "id": id_of(&saved) })).await;
    assert_eq!(refusal.code(), "CONFLICT");
}

async fn what_stayed_local_is_uploaded_when_the_cloud_is_on_again(subject: Subject) {
    let builder = subject.cloud.server(subject.backend).await;
    let server = builder.env("USE_CLOUD_STORAGE", "false").start().await;
    let mut team = crate::harness::Team::of(&server);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(id_of(&team.owner.save(&unique("project"), &project_of(1_000)).await));
    }
    server.set_env("USE_CLOUD_STORAGE", "true");
    assert!(server.terminate().await.success());
    server.restart().await;
    team = team.after_a_restart();
    for id in &ids {
        team.owner.follow_upload(id).await.until("UPLOADED").await;
    }
    assert_in_storage(&subject.cloud, &team.owner, &ids).await;

    // Off again while some wait: they are local then, and wait for nothing.
    subject.cloud.front().go_away().await;
    let waiting = id_of(&team.owner.save(&unique("project"), &project_of(1_000)).await);
    team.owner.follow_upload(&waiting).await.until_it_fails().await;
    server.set_env("USE_CLOUD_STORAGE", "false");
    server.kill9();
    server.restart().await;
    let team = team.after_a_restart();
    let storage = &team.owner.generation(&waiting).await["storage"];
    assert_eq!(
        (&storage["uploadState"], &storage["uploadError"]),
        (&"LOCAL_ONLY".into(), &serde_json::Value::Null)
    );
}

async fn buckets_are_made_at_the_start_and_are_private(subject: Subject) {
    let (_server, team) = subject.server().await;
    for bucket in [PROJECTS, CODE, "agent-logs"] {
        match &subject.cloud {
            Cloud::Supabase(storage) => assert_eq!(storage.is_public(bucket), Some(false), "{bucket}"),
            Cloud::S3(storage) => {
                let path = format!("/{bucket}");
                let made = storage
                    .front()
                    .seen()
                    .into_iter()
                    .any(|seen| seen.method == "PUT" && seen.path.trim_end_matches('/') == path);
                assert!(made, "{bucket}");
            }
        }
    }
    uploaded(&team.owner, &project_of(10)).await;
}

async fn a_public_bucket_is_refused_with_an_explanation(subject: Subject) {
    let (server, team) = subject.server().await;
    uploaded(&team.owner, &project_of(10)).await;
    server.kill9();
    match &subject.cloud {
        Cloud::S3(storage) => storage.expose(PROJECTS, Exposure::Policy),
        Cloud::Supabase(storage) => storage.set_bucket(PROJECTS, true, None),
    }
    let said = server.restart_fails().await;
    assert!(said.contains(PROJECTS) && said.contains("public") && said.contains("private"), "{said}");
    // Without the cloud it is not asked.
    server.set_env("USE_CLOUD_STORAGE", "false");
    server.restart().await;
}

async fn a_wrong_key_is_refused_with_an_explanation(subject: Subject) {
    let (server, _team) = subject.server().await;
    server.kill9();
    let (name, key) = match &subject.cloud {
        Cloud::S3(_) => ("AWS_SECRET_ACCESS_KEY", "another-secret-access-key"),
        Cloud::Supabase(_) => ("SUPABASE_SERVICE_KEY", "sb_secret_another"),
    };
    server.set_env(name, key);
    let said = server.restart_fails().await;
    assert!(said.contains("cloud storage cannot be used") && !said.contains(key), "{said}");
}

/// Storage is away at the start, so that nobody can tell.
async fn a_bucket_that_turns_out_to_be_public_gets_nothing(subject: Subject) {
    let (server, team) = subject.server().await;
    team.owner.save_any().await;
    server.kill9();
    match &subject.cloud {
        Cloud::S3(storage) => storage.expose(PROJECTS, Exposure::Policy),
        Cloud::Supabase(storage) => storage.set_bucket(PROJECTS, true, None),
    }
    subject.cloud.front().go_away().await;
    server.restart().await;
    let before = subject.cloud.objects(PROJECTS);
    let team = team.after_a_restart();
    let id = id_of(&team.owner.save(&unique("project"), &project_of(1_000)).await);
    subject.cloud.front().come_back().await;
    let failed = team.owner.follow_upload(&id).await.until("FAILED").await;
    assert_eq!(failed["uploadError"], "the bucket can be read by the public");
    assert_eq!(subject.cloud.objects(PROJECTS), before);
    assert_eq!(team.owner.contents(&id).await, project_of(1_000), "it is still here");
}

async fn a_log_bucket_that_turns_out_to_be_public_gets_no_line(subject: Subject) {
    let (server, team) = subject.server().await;
    server.kill9();
    match &subject.cloud {
        Cloud::S3(storage) => storage.expose(LOGS, Exposure::Policy),
        Cloud::Supabase(storage) => storage.set_bucket(LOGS, true, None),
    }
    subject.cloud.front().go_away().await;
    server.restart().await;
    let team = team.after_a_restart();
    let id = team.owner.start_any().await;
    team.owner.append(&id, &[line("secret")]).await;
    team.owner.complete(&id).await;
    subject.cloud.front().come_back().await;
    server.ready_says("the bucket can be read by the public").await;
    assert!(subject.cloud.objects(LOGS).is_empty());
    let document = "query ($id: ID!) { execution(id: $id) { logs { nodes { message } } } }";
    let read = team.owner.query(document, serde_json::json!({ "id": id })).await;
    assert_eq!(read["execution"]["logs"]["nodes"][0]["message"], "secret", "it is still here");
}
