//! What became of each generation: a table for people, and the whole as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::scan::{Broken, Found};

/// What became of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Status {
    /// Saved and verified.
    Imported,
    /// Would be saved; only in a dry run.
    Planned,
    /// The server had it before.
    Present,
    /// Not sent: something is wrong with the folder.
    Skipped,
    /// Something went wrong with the server, or in its cloud storage.
    Failed,
}

/// What became of one folder.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    /// From the folder that was imported.
    pub folder: String,
    pub status: Status,
    /// Why it was skipped or has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is worth a look.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// The number that it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_version: Option<u64>,
    /// The number that it has on the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_count: Option<usize>,
    /// Of its files together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_bytes: Option<u64>,
    /// Of its archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Of its archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether the server's cloud storage has it; absent when the server has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_cloud: Option<bool>,
}

impl Entry {
    /// Of a generation that is about to be imported.
    pub(super) fn of(found: &Found, id: Uuid) -> Self {
        Self {
            folder: found.name.clone(),
            status: Status::Planned,
            reason: None,
            notes: found.notes.clone(),
            project: Some(found.project.clone()),
            id: Some(id),
            source_version: found.version,
            version: None,
            file_count: Some(found.file_count),
            files_bytes: Some(found.size_bytes),
            size_bytes: None,
            sha256: None,
            in_cloud: None,
        }
    }

    /// Of what cannot be sent.
    pub(super) fn broken(broken: Broken) -> Self {
        Self {
            folder: broken.name,
            status: Status::Skipped,
            reason: Some(broken.reason),
            notes: Vec::new(),
            project: broken.project,
            id: None,
            source_version: None,
            version: None,
            file_count: None,
            files_bytes: None,
            size_bytes: None,
            sha256: None,
            in_cloud: None,
        }
    }

    fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().map(String::as_str)
    }

    /// It ends like this, for this reason.
    pub(super) fn end(&mut self, status: Status, reason: impl Into<String>) {
        self.status = status;
        self.reason = Some(reason.into());
    }
}

/// What became of all.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub dry_run: bool,
    /// The folder that was imported.
    pub folder: String,
    /// The server's address.
    pub server: String,
    pub started_at: String,
    #[serde(rename = "durationMs", serialize_with = "milliseconds")]
    pub duration: Duration,
    pub counts: Counts,
    pub generations: Vec<Entry>,
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_millis().try_into().unwrap_or(u64::MAX))
}

/// How many generations have each status, and the bytes that were sent.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    pub imported: usize,
    pub planned: usize,
    pub present: usize,
    pub skipped: usize,
    pub failed: usize,
    /// Archives that were imported.
    pub sent_bytes: u64,
    /// The files in what was imported, or would be.
    pub files_bytes: u64,
}

impl Counts {
    /// Of these.
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut counts = Self::default();
        for entry in entries {
            *match entry.status {
                Status::Imported => &mut counts.imported,
                Status::Planned => &mut counts.planned,
                Status::Present => &mut counts.present,
                Status::Skipped => &mut counts.skipped,
                Status::Failed => &mut counts.failed,
            } += 1;
            if entry.status == Status::Imported {
                counts.sent_bytes += entry.size_bytes.unwrap_or_default();
            }
            if matches!(entry.status, Status::Imported | Status::Planned) {
                counts.files_bytes += entry.files_bytes.unwrap_or_default();
            }
        }
        counts
    }
}

impl Report {
    /// Whether nothing was skipped and nothing has failed.
    pub(super) fn is_clean(&self) -> bool {
        self.counts.skipped == 0 && self.counts.failed == 0
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let Counts { imported, planned, present, skipped, failed, sent_bytes, files_bytes } = self.counts;
        let mut text = String::new();
        let mut row = |name: &str, count: usize, what: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<14} {count:>6}{what}");
        };
        if self.dry_run {
            row("to import", planned, &format!("  {} in files", size(files_bytes)));
        } else {
            row(
                "imported",
                imported,
                &format!("  {} in files, {} sent", size(files_bytes), size(sent_bytes)),
            );
        }
        row("already there", present, "");
        row("skipped", skipped, "");
        row("failed", failed, "");
        let _ = writeln!(text, "{:<14} {:>6.1} s", "time", self.duration.as_secs_f64());
        for (status, title) in [(Status::Skipped, "Skipped"), (Status::Failed, "Failed")] {
            let entries = self.generations.iter().filter(|entry| entry.status == status);
            list(&mut text, title, entries.map(|entry| (entry, entry.reason.as_deref().unwrap_or_default())));
        }
        let notes = |entry| Entry::notes(entry).map(move |note| (entry, note));
        list(&mut text, "Notes", self.generations.iter().flat_map(notes));
        if self.dry_run {
            text += "\nNothing was sent: this was a dry run.\n";
        }
        text
    }
}

fn list<'a>(text: &mut String, title: &str, lines: impl Iterator<Item = (&'a Entry, &'a str)>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "\n{title}:");
    for (entry, line) in lines {
        let _ = writeln!(text, "  {}: {line}", entry.folder.escape_debug());
    }
}

/// Bytes as people read them.
#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in units {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}
