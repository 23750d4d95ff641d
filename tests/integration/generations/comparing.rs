//! Comparing: what has to be done to the files of one generation to make it another.

use serde_json::{Value, json};

use super::project;
use crate::harness::{Client, Tar, Team, files, for_each_backend, unique};

for_each_backend!(
    a_comparison_names_what_was_added_removed_and_changed,
    a_diff_applies_to_the_old_file,
    a_file_that_only_becomes_a_program_is_changed_without_a_diff,
    what_has_no_lines_to_compare_has_no_diff,
    a_generation_does_not_differ_from_itself,
    generations_of_two_projects_are_compared,
    what_is_not_there_cannot_be_compared,
);

const COMPARE: &str = "query ($from: ID!, $to: ID!) { compareGenerations(from: $from, to: $to) {
    added { path sizeBytes text } removed { path text }
    changed { path diff before { sizeBytes text executable } after { sizeBytes text executable } }
} }";

async fn compared(client: &Client, from: &Value, to: &Value) -> Value {
    let data = client.query(COMPARE, json!({ "from": from["id"], "to": to["id"] })).await;
    data["compareGenerations"].clone()
}

async fn a_comparison_names_what_was_added_removed_and_changed(team: Team) {
    let key = unique("project");
    let old = files(&[("a", b"same\n"), ("b/gone", b"1\n"), ("c", b"one\ntwo\n"), ("moved", b"m\n")]);
    let new = files(&[("a", b"same\n"), ("b/new", b"2\n"), ("c", b"one\n2\n"), ("other", b"m\n")]);
    let (old, new) = (team.owner.save(&key, &old).await, team.owner.save(&key, &new).await);
    let forth = compared(&team.colleague, &old, &new).await;
    let file = |path: &str, text: &str| json!({ "path": path, "sizeBytes": 2, "text": text });
    assert_eq!(forth["added"], json!([file("b/new", "2\n"), file("other", "m\n")]));
    let removed = json!([{ "path": "b/gone", "text": "1\n" }, { "path": "moved", "text": "m\n" }]);
    assert_eq!(forth["removed"], removed);
    let changed = json!([{
        "path": "c", "diff": "--- a/c\n+++ b/c\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n",
        "before": { "sizeBytes": 8, "text": "one\ntwo\n", "executable": false },
        "after": { "sizeBytes": 6, "text": "one\n2\n", "executable": false },
    }]);
    assert_eq!(forth["changed"], changed);

    let back = compared(&team.owner, &new, &old).await;
    assert_eq!(back["added"].as_array().map(Vec::len), Some(2));
    assert_eq!(back["changed"][0]["diff"], "--- a/c\n+++ b/c\n@@ -1,2 +1,2 @@\n one\n-2\n+two\n");
}

async fn a_diff_applies_to_the_old_file(team: Team) {
    let key = unique("project");
    let lines = |change: &[usize]| {
        let line =
            |at: usize| if change.contains(&at) { format!("new {at}\n") } else { format!("line {at}\n") };
        (0..200).map(line).collect::<String>()
    };
    // The last one loses its line break, too.
    let (before, after) = (lines(&[]), lines(&[3, 4, 150, 199]).trim_end().to_owned());
    let old = team.owner.save(&key, &files(&[("dir/file.txt", before.as_bytes())])).await;
    let new = team.owner.save(&key, &files(&[("dir/file.txt", after.as_bytes())])).await;
    let comparison = compared(&team.owner, &old, &new).await;
    let diff = comparison["changed"][0]["diff"].as_str().expect("it has one");

    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("dir")).expect("the folder is ours");
    std::fs::write(folder.path().join("dir/file.txt"), &before).expect("the folder is ours");
    std::fs::write(folder.path().join("diff"), diff).expect("the folder is ours");
    let git = std::process::Command::new("git").args(["apply", "diff"]).current_dir(folder.path()).output();
    let git = git.expect("git is installed");
    assert!(git.status.success(), "{}\n{diff}", String::from_utf8_lossy(&git.stderr));
    let patched = std::fs::read_to_string(folder.path().join("dir/file.txt")).expect("it is there");
    assert!(patched == after, "{diff}");
}

async fn a_file_that_only_becomes_a_program_is_changed_without_a_diff(team: Team) {
    let key = unique("project");
    let save = async |tar: Tar| {
        let payload = team.owner.try_save_archive(json!({ "projectKey": key }), &tar.gz()).await;
        payload.expect("it is fine")["generation"].take()
    };
    let (plain, program) = (Tar::default().file("run", b"#!\n"), Tar::default().program("run", b"#!\n"));
    let (old, new) = (save(plain).await, save(program).await);
    let comparison = compared(&team.owner, &old, &new).await;
    let of = |executable: bool| json!({ "sizeBytes": 3, "text": "#!\n", "executable": executable });
    let changed = json!([{ "path": "run", "diff": "", "before": of(false), "after": of(true) }]);
    assert_eq!(comparison, json!({ "added": [], "removed": [], "changed": changed }));
}

async fn what_has_no_lines_to_compare_has_no_diff(team: Team) {
    const DIFFS: &str = "query ($from: ID!, $to: ID!) {
        compareGenerations(from: $from, to: $to) { changed { path diff } }
    }";
    let key = unique("project");
    let exactly = "x".repeat(1024 * 1024 - 1) + "\n";
    let larger = "x".repeat(1024 * 1024) + "\n";
    let old = files(&[
        ("binary", b"\xff\0\x01"),
        ("grows", b"a\n"),
        ("large", exactly.as_bytes()),
        ("to-binary", b"a\n"),
    ]);
    let new = files(&[
        ("binary", b"\xff\0\x02"),
        ("grows", larger.as_bytes()),
        ("large", b"a\n"),
        ("to-binary", b"\xff\0"),
    ]);
    let (old, new) = (team.owner.save(&key, &old).await, team.owner.save(&key, &new).await);
    let data = team.owner.query(DIFFS, json!({ "from": old["id"], "to": new["id"] })).await;
    let diffs: Vec<_> = data["compareGenerations"]["changed"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|change| (change["path"].as_str().expect("a path"), change["diff"].is_null()))
        .collect();
    assert_eq!(diffs, [("binary", true), ("grows", true), ("large", false), ("to-binary", true)]);
}

async fn a_generation_does_not_differ_from_itself(team: Team) {
    let saved = team.owner.save(&unique("project"), &project()).await;
    let nothing = json!({ "added": [], "removed": [], "changed": [] });
    assert_eq!(compared(&team.owner, &saved, &saved).await, nothing);
    let again = team.owner.save(&unique("project"), &project()).await;
    assert_eq!(compared(&team.owner, &saved, &again).await, nothing, "nor from one with the same files");
}

async fn generations_of_two_projects_are_compared(team: Team) {
    let one = team.owner.save(&unique("one"), &files(&[("a", b"1\n")])).await;
    let other = team.colleague.save(&unique("other"), &files(&[("a", b"2\n")])).await;
    let comparison = compared(&team.owner, &one, &other).await;
    assert_eq!(comparison["changed"][0]["diff"], "--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+2\n");
}

async fn what_is_not_there_cannot_be_compared(team: Team) {
    let (id, missing) = (team.owner.save_any().await, runledger::clock::new_id().to_string());
    for (from, to) in [(&id, &missing), (&missing, &id), (&missing, &missing)] {
        let refusal = team.owner.refused(COMPARE, json!({ "from": from, "to": to })).await;
        assert_eq!(refusal.code(), "NOT_FOUND");
    }
}
