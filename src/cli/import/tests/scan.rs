//! Finding generations.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use super::fixture::{add, folder};
use crate::cli::import::id;
use crate::cli::import::scan::{Scan, scan};

fn broken(scan: &Scan) -> Vec<(&str, &str)> {
    scan.broken.iter().map(|broken| (broken.name.as_str(), broken.reason.as_str())).collect()
}

fn found(scan: &Scan) -> Vec<(&str, &str)> {
    scan.found.iter().map(|found| (found.project.as_str(), found.name.as_str())).collect()
}

#[test]
fn what_cannot_be_sent_is_listed_with_the_reason_and_keeps_nobody_else_back() {
    let place = folder(&[
        ("good/a", "x"),
        ("shop/generations/v1__good/a", "x"),
        ("shop/generations/v2__linked/a", "x"),
        ("shop/generations/draft/a", "x"),
        ("shop/generations/vx__1/a", "x"),
        ("shop/generations/v3__/a", "x"),
        ("long/generations/v1__a/a", "x"),
        ("back/a\\b", "x"),
        ("long-key/manifest.json", &format!(r#"{{"project_id": "{}"}}"#, "x".repeat(300))),
    ]);
    let path = |name: &str| place.path().join(name);
    symlink("/etc/passwd", path("shop/generations/v2__linked/passwd")).unwrap();
    symlink(path("good"), path("link")).unwrap();
    symlink(path("good"), path("shop/generations/v4__link")).unwrap();
    fs::create_dir_all(path("empty/folders/only")).unwrap();
    fs::create_dir(path("shop/generations/v5__empty")).unwrap();
    fs::create_dir(place.path().join(std::ffi::OsStr::from_bytes(b"latin\xe9"))).unwrap();

    let scan = scan(place.path(), None).unwrap();
    assert_eq!(
        found(&scan),
        [("imported", "good"), ("long", "long/generations/v1__a"), ("shop", "shop/generations/v1__good")]
    );
    let expected = [
        ("back", "\"a\\\\b\" cannot be taken: a path must not contain backslashes"),
        ("empty", "there are no files in it"),
        ("latin\u{fffd}", "its name is not UTF-8"),
        ("link", "is a symbolic link"),
        ("long-key", "the project's key is too large: short_text_chars_max is 255"),
        ("shop/generations/draft", "its name is not v{n}__{generationId}"),
        ("shop/generations/v2__linked", "\"passwd\" is a symbolic link; only files and folders can be taken"),
        ("shop/generations/v3__", "its name is not v{n}__{generationId}"),
        ("shop/generations/v4__link", "is a symbolic link"),
        ("shop/generations/v5__empty", "there are no files in it"),
        ("shop/generations/vx__1", "its name is not v{n}__{generationId}"),
    ];
    assert_eq!(broken(&scan), expected);
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let error = scan("/nonexistent/projects".as_ref(), None).unwrap_err();
    assert!(error.starts_with("/nonexistent/projects cannot be listed"), "{error}");
    let place = folder(&[("file", "x")]);
    assert!(scan(&place.path().join("file"), None).is_err());
}

#[test]
fn generations_come_by_project_and_then_by_number() {
    let place = folder(&[
        ("shop/generations/v10__j/a", ""),
        ("shop/generations/v9__i/a", ""),
        ("shop/generations/v09__i2/a", ""),
        ("shop/generations/.DS_Store", ""),
        ("shop/generations/README", ""),
        ("shop/other/a", "is not a generation"),
        ("blog/generations/v1__a/a", ""),
        ("README.md", ""),
        (".git/config", ""),
        ("late/manifest.json", r#"{"project_id": "flat", "created_at": "2025-01-02T00:00:00Z"}"#),
        ("early/manifest.json", r#"{"project_id": "flat", "created_at": "2025-01-01T23:00:00-02:00"}"#),
        ("second/manifest.json", r#"{"project_id": "flat", "version": 2}"#),
        ("first/manifest.json", r#"{"project_id": "flat", "version": 1}"#),
        ("undescribed/a", ""),
    ]);
    let scan = scan(place.path(), None).unwrap();
    assert_eq!(
        found(&scan),
        [
            ("blog", "blog/generations/v1__a"),
            ("flat", "first"),
            ("flat", "second"),
            ("flat", "late"),
            ("flat", "early"),
            ("imported", "undescribed"),
            ("shop", "shop/generations/v09__i2"),
            ("shop", "shop/generations/v9__i"),
            ("shop", "shop/generations/v10__j"),
        ]
    );
    assert!(broken(&scan).is_empty(), "{:?}", scan.broken);
}

#[test]
fn a_folder_named_generations_may_be_part_of_a_project() {
    let place =
        folder(&[("one/generations/model.py", ""), ("one/main.py", ""), ("two/generations/v1__x", "a file")]);
    let scan = scan(place.path(), None).unwrap();
    assert_eq!(found(&scan), [("imported", "one")]);
    assert_eq!(scan.found[0].file_count, 2);
}

#[test]
fn the_description_is_used_and_stays_part_of_the_files() {
    let text = r#"{"project_id": "shop", "version": 7, "prompt": "A shop", "unknown": {}}"#;
    let place = folder(&[("one/manifest.json", text), ("one/src/a", "12345"), ("two/manifest.json", "{")]);
    add(&place, &[("blog/generations/v3__x/manifest.json", text)]);
    let scan = scan(place.path(), None).unwrap();
    let [hierarchical, two, one] = &scan.found[..] else { panic!("{scan:?}") };
    assert_eq!(
        (one.project.as_str(), one.version, one.message.as_deref()),
        ("shop", Some(7), Some("A shop"))
    );
    assert_eq!((one.file_count, one.size_bytes), (2, text.len() as u64 + 5));
    assert_eq!((two.project.as_str(), two.notes.len()), ("imported", 1));
    assert!(two.notes[0].starts_with("manifest.json is no JSON object"), "{:?}", two.notes);
    // Where the layout says it, the description does not count.
    assert_eq!((hierarchical.project.as_str(), hierarchical.version), ("blog", Some(3)));
    assert_eq!(hierarchical.message.as_deref(), Some("A shop"));
}

#[test]
fn only_the_project_that_is_asked_for_is_looked_at() {
    let place = folder(&[
        ("shop/generations/v1__a/a", ""),
        ("shop/generations/bad/a", ""),
        ("blog/generations/v1__a/a", ""),
        ("blog/generations/bad/a", ""),
        ("flat/manifest.json", r#"{"project": "shop"}"#),
        ("other/a", ""),
    ]);
    fs::create_dir(place.path().join("empty")).unwrap();
    symlink("/", place.path().join("link")).unwrap();
    let shop = scan(place.path(), Some("shop")).unwrap();
    assert_eq!(found(&shop), [("shop", "shop/generations/v1__a"), ("shop", "flat")]);
    assert_eq!(shop.broken.len(), 1);
    let none = scan(place.path(), Some("nothing")).unwrap();
    assert!(none.found.is_empty() && none.broken.is_empty());
}

#[test]
fn an_id_is_kept_if_it_is_one_and_else_made_of_tenant_project_and_folder() {
    let uuid = "0195d5a8-7c1e-7b5a-9d3e-2f6a1b4c8d0e";
    let place = folder(&[
        (&format!("a/generations/v1__{uuid}/a"), ""),
        ("b/generations/v1__first/a", ""),
        ("c/generations/v1__first/a", ""),
        (&format!("{}/a", uuid.replace('-', "").replace("0195", "0196")), ""),
    ]);
    let scan = scan(place.path(), None).unwrap();
    let ids: Vec<_> = scan.found.iter().map(|found| id::of(found, "acme").to_string()).collect();
    assert_eq!(ids[0], uuid);
    assert_ne!(ids[1], ids[2]);
    assert_eq!(ids[3], uuid.replace("0195", "0196"));
    assert_eq!(ids[1], id::of(&scan.found[1], "acme").to_string());
    assert_ne!(ids[1], id::of(&scan.found[1], "other").to_string());
}
