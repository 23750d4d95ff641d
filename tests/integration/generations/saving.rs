//! Saving: what was given reads back byte for byte, versions are numbered densely, and what is refused leaves no trace.

use std::collections::BTreeSet;

use runledger::domain::limits::{GENERATION_MESSAGE_BYTES_MAX, PROJECT_PATH_BYTES_MAX, SHORT_TEXT_CHARS_MAX};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::project;
use crate::harness::{
    Backend, Claims, Server, Tar, Team, as_input, files, for_each_backend, id_of, sha256, too_long, unique,
    unpacked,
};

for_each_backend!(
    files_read_back_byte_for_byte,
    an_archive_is_kept_as_it_is_and_its_files_read_back,
    a_generation_says_who_saved_it_and_why,
    versions_count_from_one_in_each_project,
    a_hundred_concurrent_savers_of_one_project_make_versions_without_gaps_or_doubles,
    saving_again_with_the_same_id_gives_what_was_saved,
    concurrent_saves_with_one_id_make_one_generation,
    an_id_of_another_tenant_is_a_conflict_and_costs_no_number,
    a_key_of_a_project_that_the_caller_cannot_see_is_a_conflict,
    what_breaks_a_rule_is_refused_and_nothing_is_written,
);

async fn files_read_back_byte_for_byte(team: Team) {
    let files = project();
    let saved = team.owner.save(&unique("project"), &files).await;
    let id = id_of(&saved);
    assert_eq!(team.owner.contents(&id).await, files);
    assert_eq!(team.colleague.generation(&id).await, saved, "it is the tenant's to read");
    let listed: Vec<Value> = files
        .iter()
        .map(|(path, content)| {
            json!({ "path": path, "sizeBytes": content.len(), "sha256": sha256(content), "executable": false })
        })
        .collect();
    assert_eq!(saved["files"], json!(listed), "in the order of their paths");
    assert_eq!(saved["fileCount"], files.len());
    assert_eq!(saved["filesBytes"], files.values().map(Vec::len).sum::<usize>());
    let archive = team.owner.archive(&id).await;
    assert_eq!(unpacked(&archive), files, "also as another tool unpacks them");
    assert_eq!((&saved["sizeBytes"], &saved["sha256"]), (&json!(archive.len()), &json!(sha256(&archive))));
}

async fn an_archive_is_kept_as_it_is_and_its_files_read_back(team: Team) {
    let tar = Tar::default()
        .entry(b"./", tar::EntryType::Directory, 0o755, b"")
        .program("./run.sh", b"#!/bin/sh\n")
        .entry(b"src/", tar::EntryType::Directory, 0o755, b"")
        .file("src/a.bin", &[0, 159, 146, 150])
        .file("README", b"last in the archive, first in the list");
    let archive = tar.gz();
    let input = json!({ "projectKey": unique("project"), "message": "by hand" });
    let payload = team.owner.try_save_archive(input, &archive).await.expect("the archive is fine");
    assert_eq!(payload["created"], true);
    let saved = &payload["generation"];
    let id = id_of(saved);
    assert_eq!(team.owner.archive(&id).await, archive, "byte for byte");
    assert_eq!((&saved["sizeBytes"], &saved["sha256"]), (&json!(archive.len()), &json!(sha256(&archive))));
    let expected = files(&[
        ("README", b"last in the archive, first in the list"),
        ("run.sh", b"#!/bin/sh\n"),
        ("src/a.bin", &[0, 159, 146, 150]),
    ]);
    assert_eq!(team.owner.contents(&id).await, expected);
    let listed = saved["files"].as_array().expect("a list");
    let flags: Vec<_> =
        listed.iter().map(|file| (file["path"].clone(), file["executable"].clone())).collect();
    assert_eq!(
        flags,
        [("README", false), ("run.sh", true), ("src/a.bin", false)]
            .map(|(path, flag)| (json!(path), json!(flag)))
    );
}

async fn a_generation_says_who_saved_it_and_why(team: Team) {
    let key = unique("project");
    let input = json!({ "projectKey": key, "message": "First\ndraft ✓", "files": as_input(&project()) });
    let saved = team.colleague.try_save(input).await.expect("it is fine")["generation"].take();
    assert_eq!(saved["createdBy"], Team::COLLEAGUE);
    assert_eq!(saved["message"], "First\ndraft ✓");
    assert_eq!(saved["project"]["key"], json!(key));
    let key_of_object = format!(
        "{}/generations/v1__{}.tar.gz",
        saved["project"]["id"].as_str().expect("an id"),
        id_of(&saved)
    );
    let storage = json!({ "key": key_of_object, "cachedLocally": true, "cloudEnabled": false, "uploaded": false,
                          "uploadState": "LOCAL_ONLY", "uploadError": null });
    assert_eq!(saved["storage"], storage);
    assert!(team.owner.save(&key, &project()).await["message"].is_null());
}

async fn versions_count_from_one_in_each_project(team: Team) {
    let (one, other) = (unique("one"), unique("other"));
    for (client, key, version) in [
        (&team.owner, &one, 1),
        (&team.colleague, &one, 2),
        (&team.owner, &other, 1),
        (&team.admin, &one, 3),
        // The same key in another tenant is another project.
        (&team.stranger, &one, 1),
        (&team.owner, &other, 2),
    ] {
        assert_eq!(client.save(key, &project()).await["version"], version, "{key}");
    }
}

async fn a_hundred_concurrent_savers_of_one_project_make_versions_without_gaps_or_doubles(team: Team) {
    const SAVERS: usize = 100;
    let key = unique("project");
    let mut savers = JoinSet::new();
    for number in 0..SAVERS {
        let (client, key) = ([&team.owner, &team.colleague][number % 2].clone(), key.clone());
        savers.spawn(async move {
            let content = format!("{number}");
            let saved = client.save(&key, &files(&[("number", content.as_bytes())])).await;
            (saved["version"].as_u64().expect("a number"), id_of(&saved), content)
        });
    }
    let saved = savers.join_all().await;
    let versions: BTreeSet<_> = saved.iter().map(|(version, _, _)| *version).collect();
    assert!(versions.into_iter().eq(1..=SAVERS as u64), "each version once");
    for (_, id, content) in saved.iter().step_by(10) {
        assert_eq!(team.owner.contents(id).await, files(&[("number", content.as_bytes())]));
    }
}

async fn saving_again_with_the_same_id_gives_what_was_saved(team: Team) {
    let (key, id) = (unique("project"), runledger::clock::new_id().to_string());
    let input = json!({ "id": id, "projectKey": key, "files": as_input(&project()) });
    let first = team.owner.try_save(input.clone()).await.expect("it is fine");
    assert_eq!((&first["created"], id_of(&first["generation"])), (&json!(true), id.clone()));
    let others = as_input(&files(&[("other", b"content")]));
    for (client, again) in [
        (&team.owner, input.clone()),
        (&team.owner, json!({ "id": id, "projectKey": key, "message": "m", "files": others })),
        (&team.owner, json!({ "id": id, "projectKey": unique("other"), "files": others })),
        (&team.colleague, input),
    ] {
        let again = client.try_save(again).await.expect("it was saved before");
        assert_eq!(again["created"], false);
        assert_eq!(again["generation"], first["generation"]);
    }
    assert_eq!(team.owner.save(&key, &project()).await["version"], 2, "no number was lost");
}

async fn concurrent_saves_with_one_id_make_one_generation(server: Server) {
    let team = Team::of(&server);
    for _ in 0..5 {
        let (key, id) = (unique("project"), runledger::clock::new_id().to_string());
        let input = json!({ "id": id, "projectKey": key, "files": as_input(&project()) });
        let mut savers = JoinSet::new();
        for _ in 0..20 {
            let (client, input) = (team.owner.clone(), input.clone());
            savers.spawn(async move { client.try_save(input).await.expect("it is fine") });
        }
        let payloads = savers.join_all().await;
        assert_eq!(payloads.iter().filter(|payload| payload["created"] == true).count(), 1);
        assert!(payloads.iter().all(|payload| payload["generation"] == payloads[0]["generation"]));
        assert_eq!(payloads[0]["generation"]["version"], 1);
        assert_eq!(team.owner.contents(&id).await, project());
        assert_eq!(team.owner.save(&key, &project()).await["version"], 2);
    }
    assert_eq!(server.files_in("objects").len(), 10, "one file each");
    assert!(server.files_in("staging").is_empty());
}

async fn an_id_of_another_tenant_is_a_conflict_and_costs_no_number(server: Server) {
    let (team, key) = (Team::of(&server), unique("project"));
    let taken = team.stranger.save_any().await;
    let input = json!({ "id": taken, "projectKey": key, "files": as_input(&project()) });
    let refusal = team.owner.try_save(input.clone()).await.expect_err("the id is taken");
    assert_eq!((refusal.code(), refusal.field()), ("CONFLICT", Some("input.id")));
    let refusal = team.service.try_save(input).await.expect_err("a service saves in one tenant, too");
    assert_eq!((refusal.code(), refusal.field()), ("CONFLICT", Some("input.id")));
    assert_eq!(team.owner.save(&key, &project()).await["version"], 1);
    assert_eq!((server.files_in("objects").len(), server.files_in("staging").len()), (2, 0));
}

async fn a_key_of_a_project_that_the_caller_cannot_see_is_a_conflict(backend: Backend) {
    let server = Server::builder(backend).await.env("RUNLEDGER_OWNERSHIP", "user").start().await;
    let (team, key) = (Team::of(&server), unique("project"));
    let saved = team.owner.save(&key, &project()).await;
    let id = id_of(&saved);
    let input = json!({ "projectKey": key, "files": as_input(&project()) });
    let refusal = team.colleague.try_save(input).await.expect_err("it is the owner's");
    assert_eq!((refusal.code(), refusal.field()), ("CONFLICT", Some("input.projectKey")));
    assert!(team.colleague.generation(&id).await.is_null(), "nor is its generation to be seen");
    let with_id = json!({ "id": id, "projectKey": unique("own"), "files": as_input(&project()) });
    let refusal = team.colleague.try_save(with_id).await.expect_err("the id is taken");
    assert_eq!((refusal.code(), refusal.field()), ("CONFLICT", Some("input.id")));
    assert_eq!(team.owner.save(&key, &project()).await["version"], 2);
    assert_eq!(team.admin.save(&key, &project()).await["version"], 3, "an administrator sees all");
    let member = server.client(&Claims::member(Team::OWNER, &team.org));
    assert_eq!(member.generation(&id).await, saved);
}

async fn what_breaks_a_rule_is_refused_and_nothing_is_written(server: Server) {
    let team = Team::of(&server);
    let fine = || json!({ "projectKey": "p", "files": [{ "path": "a", "text": "b" }] });
    let with = |field: &str, value: Value| {
        let mut input = fine();
        input[field] = value;
        input
    };
    let file = |path: &str| json!([{ "path": path, "text": "" }]);
    let twice = |one: &str, other: &str| json!([{ "path": one, "text": "" }, { "path": other, "text": "" }]);
    let mut cases = vec![
        (json!({ "projectKey": "p" }), "BAD_INPUT", "input.files"),
        (with("files", json!([])), "BAD_INPUT", "input.files"),
        (with("files", json!(null)), "BAD_INPUT", "input.files"),
        (with("files", twice("a", "a")), "BAD_INPUT", "input.files"),
        (with("files", twice("a", "./a")), "BAD_INPUT", "input.files"),
        (with("files", twice("a", "a/b")), "BAD_INPUT", "input.files"),
        (with("files", json!([{ "path": "a" }])), "BAD_INPUT", "input.files.0.text"),
        (
            with("files", json!([{ "path": "a", "text": "", "base64": "" }])),
            "BAD_INPUT",
            "input.files.0.base64",
        ),
        (with("files", json!([{ "path": "a", "base64": "a" }])), "BAD_INPUT", "input.files.0.base64"),
        (with("files", json!([{ "path": "a", "base64": "_-==" }])), "BAD_INPUT", "input.files.0.base64"),
        (with("projectKey", json!("")), "BAD_INPUT", "input.projectKey"),
        (with("projectKey", json!("a\0b")), "BAD_INPUT", "input.projectKey"),
        (with("projectKey", json!(too_long(SHORT_TEXT_CHARS_MAX))), "TOO_LARGE", "input.projectKey"),
        (with("message", json!(too_long(GENERATION_MESSAGE_BYTES_MAX))), "TOO_LARGE", "input.message"),
        (with("message", json!("a\0b")), "BAD_INPUT", "input.message"),
        (with("id", json!("seven")), "BAD_INPUT", "input.id"),
    ];
    let too_long_path = vec!["x"; PROJECT_PATH_BYTES_MAX.to_usize()].join("/");
    for path in
        ["", ".", "..", "../a", "/a", "a/../b", "a//b", "a/", "a\\b", "C:/a", "a\0", "a\nb", &too_long_path]
    {
        cases.push((with("files", file(path)), "BAD_INPUT", "input.files.0.path"));
    }
    for (input, code, field) in cases {
        let refusal = team.owner.try_save(input.clone()).await.expect_err("it breaks a rule");
        assert_eq!((refusal.code(), refusal.field()), (code, Some(field)), "{input}: {refusal:?}");
    }
    let both = team.owner.try_save_archive(fine(), &Tar::of(&project()).gz()).await.expect_err("it is both");
    assert_eq!((both.code(), both.field()), ("BAD_INPUT", Some("input.archive")));
    let projects = team.owner.query("{ projects { totalCount } }", json!({})).await;
    assert_eq!(projects["projects"]["totalCount"], 0);
    assert_eq!((server.files_in("objects").len(), server.files_in("staging").len()), (0, 0));
    team.owner.try_save(fine()).await.expect("it keeps the rules");
}
