//! What is said at the end.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::cli::import::report::{Counts, Entry, Report, Status};
use crate::cli::import::scan::Broken;

fn entry(folder: &str, status: Status) -> Entry {
    let broken =
        Broken { name: folder.into(), project: Some("shop".into()), reason: format!("{folder} is odd") };
    let mut entry = Entry::broken(broken);
    if !matches!(status, Status::Skipped | Status::Failed) {
        entry.reason = None;
    }
    entry.status = status;
    entry.files_bytes = Some(2_500_000);
    entry.size_bytes = Some(999_999);
    entry.id = Some(Uuid::nil());
    entry
}

fn report(dry_run: bool, generations: Vec<Entry>) -> Report {
    Report {
        dry_run,
        folder: "projects".into(),
        server: "http://127.0.0.1:8080/".into(),
        started_at: "2026-11-21T09:30:00.125Z".into(),
        duration: Duration::from_millis(1250),
        counts: Counts::of(&generations),
        generations,
    }
}

#[test]
fn the_table_counts_everything_and_lists_what_needs_a_look() {
    let mut noted = entry("noted", Status::Imported);
    noted.notes.push("look at this".into());
    let report = report(
        false,
        vec![
            noted,
            entry("b", Status::Present),
            entry("line\nfeed", Status::Skipped),
            entry("d", Status::Failed),
        ],
    );
    assert!(!report.is_clean());
    let expected = "\
imported            1  2.5 MB in files, 1.0 MB sent
already there       1
skipped             1
failed              1
time              1.2 s

Skipped:
  line\\nfeed: line\nfeed is odd

Failed:
  d: d is odd

Notes:
  noted: look at this
";
    assert_eq!(report.text(), expected);
}

#[test]
fn a_dry_run_says_that_it_is_one() {
    let report = report(true, vec![entry("a", Status::Planned), entry("b", Status::Present)]);
    assert!(report.is_clean());
    let expected = "\
to import           1  2.5 MB in files
already there       1
skipped             0
failed              0
time              1.2 s

Nothing was sent: this was a dry run.
";
    assert_eq!(report.text(), expected);
}

#[test]
fn the_json_has_all_of_it() {
    let report = report(false, vec![entry("a", Status::Imported), entry("b", Status::Failed)]);
    let json: Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(json["counts"]["imported"], 1);
    assert_eq!(json["counts"]["sentBytes"], 999_999);
    assert_eq!(json["durationMs"], 1250);
    assert_eq!(json["generations"][0]["status"], "IMPORTED");
    assert_eq!(json["generations"][1]["reason"], "b is odd");
    assert!(json["generations"][0].get("reason").is_none());
}
