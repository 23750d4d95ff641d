//! Sending, verifying, waiting.

use std::fs;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::fixture::{Fault, Mock, Shared, api, folder};
use crate::cli::import::report::{Entry, Status};
use crate::cli::import::scan::scan;
use crate::cli::import::send::Sender;

const NO_TIME: Duration = Duration::ZERO;
const SOME_TIME: Duration = Duration::from_secs(20);

fn three() -> TempDir {
    folder(&[
        ("blog/generations/v1__one/a", "1"),
        ("shop/generations/v1__one/a", "2"),
        ("shop/generations/v2__two/a", "3"),
        ("shop/generations/v2__two/manifest.json", r#"{"prompt": "A cart"}"#),
    ])
}

/// Imports a folder to a server as it was prepared.
async fn run(mock: &Mock, place: &TempDir, dry_run: bool, wait: Duration) -> Vec<Entry> {
    let mut sender = Sender::new(mock.api().await, dry_run);
    let mut entries = sender.send(scan(place.path(), None).unwrap().found, "acme").await;
    sender.await_uploads(&mut entries, wait).await;
    entries
}

fn with(prepare: impl FnOnce(&mut Shared)) -> Mock {
    let mock = Mock::default();
    prepare(&mut mock.lock());
    mock
}

fn statuses(entries: &[Entry]) -> Vec<Status> {
    entries.iter().map(|entry| entry.status).collect()
}

fn reason(entry: &Entry) -> &str {
    entry.reason.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn a_refusal_concerns_one_generation_only() {
    let mock = with(|server| server.save_faults.push_back(Fault::Forbidden));
    let entries = run(&mock, &three(), false, NO_TIME).await;
    assert_eq!(statuses(&entries), [Status::Failed, Status::Imported, Status::Imported]);
    assert_eq!(reason(&entries[0]), "no (FORBIDDEN)");
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let mock = with(|server| {
        server.look_up_faults.push_back(Fault::Busy);
        server.save_faults.extend([Fault::Busy, Fault::LostAnswer]);
    });
    let entries = run(&mock, &three(), false, NO_TIME).await;
    assert_eq!(statuses(&entries), [Status::Imported; 3]);
    assert_eq!(mock.lock().saved.len(), 3, "an answer that is lost saves nothing twice");
}

#[tokio::test]
async fn a_server_that_goes_away_is_not_asked_for_ever() {
    let mock = with(|server| server.save_faults.extend([Fault::Busy; 3]));
    let entries = run(&mock, &three(), false, NO_TIME).await;
    assert_eq!(statuses(&entries), [Status::Failed; 3]);
    assert!(reason(&entries[2]).starts_with("not tried: "), "{}", reason(&entries[2]));
    assert!(mock.lock().saved.is_empty());

    let mock = with(|server| server.save_faults.push_back(Fault::Unauthenticated));
    let entries = run(&mock, &three(), false, NO_TIME).await;
    assert_eq!(statuses(&entries), [Status::Failed; 3]);

    let nobody = "http://127.0.0.1:9".parse().unwrap();
    let error = api(&nobody).tenant().await.unwrap_err();
    assert!(error.retryable);
}

#[tokio::test]
async fn what_arrives_otherwise_than_it_was_sent_is_a_failure() {
    let mock = with(|server| server.save_faults.push_back(Fault::Torn));
    let entries = run(&mock, &three(), false, NO_TIME).await;
    assert_eq!(statuses(&entries), [Status::Failed, Status::Imported, Status::Imported]);
    assert!(reason(&entries[0]).contains("stored something else"), "{}", reason(&entries[0]));
}

#[tokio::test]
async fn a_folder_that_changes_meanwhile_is_skipped() {
    let (mock, place) = (Mock::default(), three());
    let found = scan(place.path(), None).unwrap().found;
    fs::remove_file(place.path().join("blog/generations/v1__one/a")).unwrap();
    let mut sender = Sender::new(mock.api().await, false);
    let entries = sender.send(found, "acme").await;
    assert_eq!(statuses(&entries), [Status::Skipped, Status::Imported, Status::Imported]);
    assert_eq!(reason(&entries[0]), "there are no files in it");
}

#[tokio::test]
async fn two_folders_with_one_id_are_not_mixed_up() {
    let uuid = "0195d5a8-7c1e-7b5a-9d3e-2f6a1b4c8d0e";
    let place = folder(&[
        (&format!("a/generations/v1__{uuid}/a"), "1"),
        (&format!("b/generations/v1__{uuid}/a"), "2"),
    ]);
    let entries = run(&Mock::default(), &place, false, NO_TIME).await;
    assert_eq!(statuses(&entries), [Status::Imported, Status::Skipped]);
    assert!(reason(&entries[1]).contains("another folder has the same id"));

    let mock = with(|server| {
        server.generations.insert(uuid.into(), json!({ "__typename": "Execution" }));
    });
    let entries = run(&mock, &place, false, NO_TIME).await;
    assert!(
        reason(&entries[0]).contains("something else on the server (Execution)"),
        "{}",
        reason(&entries[0])
    );
}

#[tokio::test]
async fn generations_are_sent_in_order_with_what_is_known_of_them() {
    let mock = Mock::default();
    let entries = run(&mock, &three(), false, NO_TIME).await;
    assert_eq!(statuses(&entries), [Status::Imported; 3]);
    let versions: Vec<_> =
        entries.iter().map(|entry| (entry.project.as_deref().unwrap(), entry.version)).collect();
    assert_eq!(versions, [("blog", Some(1)), ("shop", Some(1)), ("shop", Some(2))]);
    let shared = mock.lock();
    let messages: Vec<_> = shared.saved.iter().map(|input| input["message"].as_str()).collect();
    assert_eq!(messages, [None, None, Some("A cart")]);
    assert_eq!(shared.look_ups, 1);
    for (entry, input) in entries.iter().zip(&shared.saved) {
        assert_eq!(entry.id.unwrap().to_string(), input["id"]);
        let there = &shared.generations[&entry.id.unwrap().to_string()];
        assert_eq!(json!(entry.sha256), there["sha256"]);
        assert_eq!((json!(entry.file_count), entry.in_cloud), (there["fileCount"].clone(), None));
    }
}

#[tokio::test]
async fn a_second_run_sends_nothing_and_a_dry_run_neither() {
    let (mock, place) = (Mock::default(), three());
    assert_eq!(statuses(&run(&mock, &place, true, NO_TIME).await), [Status::Planned; 3]);
    assert!(mock.lock().saved.is_empty());

    run(&mock, &place, false, NO_TIME).await;
    let saved = mock.lock().saved.len();
    for dry_run in [false, true] {
        assert_eq!(statuses(&run(&mock, &place, dry_run, NO_TIME).await), [Status::Present; 3]);
    }
    assert_eq!(mock.lock().saved.len(), saved);

    fs::write(place.path().join("blog/generations/v1__one/b"), "new").unwrap();
    let entries = run(&mock, &place, false, NO_TIME).await;
    assert_eq!(statuses(&entries), [Status::Present; 3]);
    assert!(entries[0].notes[0].contains("1 files, the folder has 2 now"), "{:?}", entries[0].notes);
}

#[tokio::test]
async fn many_generations_are_looked_up_in_batches() {
    let files: Vec<_> = (0..250).map(|number| format!("p/generations/v{number}__{number}/a")).collect();
    let place = folder(&files.iter().map(|file| (file.as_str(), "x")).collect::<Vec<_>>());
    let mock = Mock::default();
    assert_eq!(statuses(&run(&mock, &place, true, NO_TIME).await), [Status::Planned; 250]);
    assert_eq!(mock.lock().look_ups, 3);
}

#[tokio::test]
async fn an_import_is_over_when_cloud_storage_has_everything() {
    let uploaded = json!({ "cloudEnabled": true, "uploadState": "UPLOADED", "uploadError": null });
    let failed =
        json!({ "cloudEnabled": true, "uploadState": "FAILED", "uploadError": "the bucket is gone" });
    let mock = with(|server| {
        server.cloud = true;
        server.uploads = [("blog".to_owned(), failed), ("shop".to_owned(), uploaded)].into();
    });
    let place = three();
    let entries = run(&mock, &place, false, SOME_TIME).await;
    assert_eq!(statuses(&entries), [Status::Failed, Status::Imported, Status::Imported]);
    assert_eq!(reason(&entries[0]), "saved, but not in cloud storage: the bucket is gone");
    assert_eq!(entries[1].in_cloud, Some(true));

    // The same to a second run.
    let entries = run(&mock, &place, false, SOME_TIME).await;
    assert_eq!(statuses(&entries), [Status::Failed, Status::Present, Status::Present]);
}

#[tokio::test]
async fn waiting_for_cloud_storage_has_an_end() {
    let mock = with(|server| server.cloud = true);
    let entries = run(&mock, &three(), false, Duration::from_millis(300)).await;
    assert_eq!(statuses(&entries), [Status::Failed; 3]);
    assert!(reason(&entries[0]).contains("the server goes on trying"), "{}", reason(&entries[0]));
}
