//! Importing: projects that are folders become generations, each once, and what is broken is told.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::support::faults::{Fault, On};
use crate::harness::{
    Backend, Cloud, CloudKind, ForBackend as _, PROJECTS as BUCKET, Team, runledger, sha256,
};

/// Projects of the hierarchical layout, with so many generations each.
const PROJECTS: usize = 12;
const GENERATIONS: usize = 5;
/// Generations of the flat layout.
const FLAT: usize = 40;

/// A hundred generations of both layouts; three of them are broken.
fn hundred() -> TempDir {
    let place = tempfile::tempdir().expect("a temporary folder");
    for project in 0..PROJECTS {
        for number in 1..=GENERATIONS {
            let generation =
                place.path().join(format!("shop-{project}/generations/v{number}__draft {number}"));
            project_files(&generation, &format!("{project}.{number}"));
            let description =
                json!({ "project_id": "other", "version": 99, "prompt": format!("Step {number}") });
            write(&generation.join("manifest.json"), &description.to_string());
        }
    }
    for number in 0..FLAT {
        let generation = place.path().join(runledger::clock::new_id().to_string());
        project_files(&generation, &format!("flat {number}"));
        if number % 2 == 0 {
            let description = json!({ "project_id": "described", "version": number + 1 });
            write(&generation.join("manifest.json"), &description.to_string());
        }
    }
    // Another project is broken in each of three ways.
    let broken = |name: &str| place.path().join(name);
    symlink("/etc/passwd", broken("shop-0/generations/v2__draft 2/link")).expect("a link can be made");
    fs::remove_dir_all(broken("shop-1/generations/v3__draft 3")).expect("it is there");
    fs::create_dir_all(broken("shop-1/generations/v3__draft 3/empty")).expect("a folder can be made");
    write(&broken("shop-2/generations/v1__draft 1/back\\slash"), "");
    place
}

fn project_files(folder: &Path, what: &str) {
    write(&folder.join("main.py"), &format!("print('{what}')\n"));
    write(&folder.join("app/models/user.py"), &format!("# {what}\n").repeat(100));
    fs::write(folder.join("logo.bin"), [0, 255, 1, 2]).expect("it can be written");
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder can be made");
    fs::write(path, text).expect("it can be written");
}

/// Runs `runledger import` as the owner; gives its output and its report.
async fn import(team: &Team, folder: &Path, options: &[&str]) -> (Output, Value) {
    let place = tempfile::tempdir().expect("a temporary folder");
    let mut command = runledger(place.path());
    command.arg("import").arg(folder).args(options).args(["--report", "report.json"]);
    command.env("RUNLEDGER_SERVER", team.server.url()).env("RUNLEDGER_TOKEN", team.owner_claims().token());
    let output = tokio::process::Command::from(command).kill_on_drop(true).output().await.expect("it runs");
    let report = fs::read_to_string(place.path().join("report.json"));
    let report = report.unwrap_or_else(|_| panic!("a report: {}", String::from_utf8_lossy(&output.stderr)));
    (output, serde_json::from_str(&report).expect("the report is JSON"))
}

fn counts(report: &Value) -> [i64; 5] {
    ["imported", "planned", "present", "skipped", "failed"]
        .map(|name| report["counts"][name].as_i64().expect("a count"))
}

/// The owner's projects by their keys: the versions of their generations with their messages, oldest first.
async fn on_server(team: &Team) -> Vec<(String, Vec<(i64, Option<String>)>)> {
    let document =
        "{ projects(first: 50) { nodes { key generations(first: 50) { nodes { version message } } } } }";
    let data = team.owner.query(document, json!({})).await;
    let projects = data["projects"]["nodes"].as_array().expect("a list");
    let generations = |project: &Value| {
        let nodes = project["generations"]["nodes"].as_array().expect("a list");
        let mut generations: Vec<_> = nodes
            .iter()
            .map(|node| {
                (node["version"].as_i64().expect("a number"), node["message"].as_str().map(str::to_owned))
            })
            .collect();
        generations.sort();
        generations
    };
    let mut projects: Vec<_> = projects
        .iter()
        .map(|project| (project["key"].as_str().expect("a key").to_owned(), generations(project)))
        .collect();
    projects.sort();
    projects
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_projects_of_both_layouts_are_imported_once_and_three_broken_ones_are_listed() {
    let team = Team::on(Backend::Sqlite).await.expect("SQLite is built in");
    let place = hundred();

    let (output, report) = import(&team, place.path(), &["--dry-run"]).await;
    assert_eq!(output.status.code(), Some(1), "three are broken");
    assert_eq!(counts(&report), [0, 97, 0, 3, 0]);
    assert_eq!(on_server(&team).await, [], "a dry run changes nothing");

    let (output, report) = import(&team, place.path(), &[]).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(counts(&report), [97, 0, 0, 3, 0], "{text}");
    assert_eq!(output.status.code(), Some(1));
    for line in [
        "imported           97",
        "skipped             3",
        "  shop-0/generations/v2__draft 2: \"link\" is a symbolic link; only files and folders can be taken",
        "  shop-1/generations/v3__draft 3: there are no files in it",
        "  shop-2/generations/v1__draft 1: \"back\\\\slash\" cannot be taken: a path must not contain backslashes",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }

    let projects = on_server(&team).await;
    let of = |key: &str| {
        projects
            .iter()
            .find(|project| project.0 == key)
            .map(|project| project.1.clone())
            .expect("it is there")
    };
    assert_eq!(projects.len(), PROJECTS + 2);
    let steps = |numbers: &[i64]| -> Vec<_> {
        (1..).zip(numbers).map(|(version, number)| (version, Some(format!("Step {number}")))).collect()
    };
    assert_eq!(of("shop-5"), steps(&[1, 2, 3, 4, 5]));
    assert_eq!(of("shop-0"), steps(&[1, 3, 4, 5]), "in order, without the broken one");
    assert_eq!((of("described").len(), of("imported").len()), (FLAT / 2, FLAT / 2));

    let before: Vec<_> = projects;
    let (output, report) = import(&team, place.path(), &[]).await;
    assert_eq!(counts(&report), [0, 0, 97, 3, 0], "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(report["counts"]["sentBytes"], 0, "a second run uploads nothing");
    assert_eq!(on_server(&team).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_imported_reads_back_as_it_was_on_disk() {
    let team = Team::on(Backend::Sqlite).await.expect("SQLite is built in");
    let place = tempfile::tempdir().expect("a temporary folder");
    let id = runledger::clock::new_id().to_string();
    let generation = place.path().join(format!("site/generations/v7__{id}"));
    project_files(&generation, "it");
    write(&generation.join("manifest.json"), r#"{"message": "First"}"#);

    let (output, report) = import(&team, place.path(), &["--project", "site"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let entry = &report["generations"][0];
    assert_eq!((&entry["status"], &entry["id"]), (&json!("IMPORTED"), &json!(id)));
    assert_eq!((&entry["sourceVersion"], &entry["version"]), (&json!(7), &json!(1)));

    let document = "query ($id: ID!) { generation(id: $id) { version message sha256 sizeBytes fileCount \
         project { key } files { path sizeBytes } main: file(path: \"main.py\") { text } \
         logo: file(path: \"logo.bin\") { base64 } } }";
    let data = team.owner.query(document, json!({ "id": id })).await;
    let there = &data["generation"];
    assert_eq!(there["project"]["key"], "site");
    assert_eq!((&there["version"], &there["message"]), (&json!(1), &json!("First")));
    assert_eq!((&there["sha256"], &there["sizeBytes"]), (&entry["sha256"], &entry["sizeBytes"]));
    let paths: Vec<_> = there["files"].as_array().expect("a list").iter().map(|file| &file["path"]).collect();
    assert_eq!(paths, ["app/models/user.py", "logo.bin", "main.py", "manifest.json"]);
    assert_eq!(there["main"]["text"], "print('it')\n");
    assert_eq!(there["logo"]["base64"], "AP8BAg==");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_project_that_is_named_is_imported() {
    let team = Team::on(Backend::Sqlite).await.expect("SQLite is built in");
    let place = hundred();
    let (output, report) = import(&team, place.path(), &["--project", "shop-3"]).await;
    assert_eq!((output.status.code(), counts(&report)), (Some(0), [5, 0, 0, 0, 0]));
    let keys: Vec<_> = on_server(&team).await.into_iter().map(|project| project.0).collect();
    assert_eq!(keys, ["shop-3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tenants_may_import_the_same_folders() {
    let (one, other) = (Team::on(Backend::Sqlite).await, Team::on(Backend::Sqlite).await);
    let place = tempfile::tempdir().expect("a temporary folder");
    project_files(&place.path().join("same"), "same");
    for team in [one, other] {
        let team = team.expect("SQLite is built in");
        assert_eq!(counts(&import(&team, place.path(), &[]).await.1), [1, 0, 0, 0, 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_is_over_when_cloud_storage_has_everything_byte_for_byte() {
    let cloud = Cloud::start(CloudKind::Supabase).await;
    let team = Team::of(&cloud.server(Backend::Sqlite).await.start().await);
    let place = tempfile::tempdir().expect("a temporary folder");
    for number in 1..=5 {
        project_files(
            &place.path().join(format!("site/generations/v{number}__{number}")),
            &number.to_string(),
        );
    }
    // The first uploads meet a storage that is busy.
    cloud.front().next(On::Upload, 2, Fault::status(503));
    let (output, report) = import(&team, place.path(), &[]).await;
    assert_eq!(counts(&report), [5, 0, 0, 0, 0], "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(0));
    let entries = report["generations"].as_array().expect("a list");
    assert!(entries.iter().all(|entry| entry["inCloud"] == true), "{report}");
    let objects = cloud.objects(BUCKET);
    for entry in entries {
        let end = format!("__{}.tar.gz", entry["id"].as_str().expect("an id"));
        let object = objects.iter().find(|(key, _)| key.ends_with(&end)).expect("it is in the cloud").1;
        assert_eq!(sha256(object), entry["sha256"]);
    }
    let puts = cloud.front().count(On::Upload, "");
    let (_, report) = import(&team, place.path(), &[]).await;
    assert_eq!(counts(&report), [0, 0, 5, 0, 0]);
    assert_eq!(cloud.front().count(On::Upload, ""), puts, "a second run uploads nothing");
}

#[test]
fn without_a_server_it_says_how_to_start_one() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let mut command = runledger(place.path());
    command.args(["import", ".", "--server", "http://127.0.0.1:9", "--token", "t"]);
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("http://127.0.0.1:9/ cannot be asked") && text.contains("`runledger` starts one"),
        "{text}"
    );
}

#[tokio::test]
async fn a_folder_or_a_project_that_is_not_there_is_a_failure() {
    let team = Team::on(Backend::Sqlite).await.expect("SQLite is built in");
    let place = tempfile::tempdir().expect("a temporary folder");
    project_files(&place.path().join("one"), "one");
    for (arguments, reason) in
        [(&["missing"][..], "missing cannot be listed"), (&[".", "--project", "none"], "has no project none")]
    {
        let mut command = runledger(place.path());
        command.arg("import").args(arguments);
        command
            .env("RUNLEDGER_SERVER", team.server.url())
            .env("RUNLEDGER_TOKEN", team.owner_claims().token());
        let output = tokio::process::Command::from(command).output().await.expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(reason), "{text}");
    }
}
