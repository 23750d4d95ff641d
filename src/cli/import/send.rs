//! Sends what the server does not have, verifies it, and waits until cloud storage has it, too.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::api::{Api, Generation, LOOK_UP_IDS, Node, Packed, Saved, UploadState};
use super::id;
use super::progress::Progress;
use super::report::{Entry, Status};
use super::scan::{Broken, Found, reason};
use crate::archive::{Folder, Sum, Summed};
use crate::client::ClientError;
use crate::domain::limits::{UPLOAD_FILE_BYTES_MAX, at_most};
use crate::error::{Code, Error};

/// How often the server is asked about its uploads: at first, and at most.
const ASK_TIMES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// Sends generations, one after the other.
pub(super) struct Sender {
    api: Api,
    dry_run: bool,
    /// Set once the server does not answer any more, or lets nobody in: then nothing else is tried.
    given_up: Option<String>,
}

/// Why a generation is not on the server.
enum Problem {
    /// Something is wrong with its folder.
    Here(Error),
    /// Something is wrong with the server, or between.
    There(ClientError),
}

impl Sender {
    pub(super) fn new(api: Api, dry_run: bool) -> Self {
        Self { api, dry_run, given_up: None }
    }

    /// Sends those that the server does not have, in their order.
    pub(super) async fn send(&mut self, found: Vec<Found>, tenant_id: &str) -> Vec<Entry> {
        let progress = Progress::start(found.len());
        let mut entries = Vec::with_capacity(found.len());
        let mut seen = HashSet::new();
        let mut found = found.into_iter().map(|found| (id::of(&found, tenant_id), found)).peekable();
        while found.peek().is_some() {
            let batch: Vec<_> = found.by_ref().take(LOOK_UP_IDS).collect();
            progress.show("asking what is there already");
            let mut there = self.look_up(&batch).await;
            for (id, found) in batch {
                progress.show(found.name.escape_debug().to_string());
                entries.push(if seen.insert(id) {
                    self.import(id, found, there.remove(&id)).await
                } else {
                    let reason = format!("another folder has the same id, {id}");
                    Entry::broken(Broken { name: found.name, project: Some(found.project), reason })
                });
                progress.advance();
            }
        }
        entries
    }

    async fn look_up(&mut self, batch: &[(Uuid, Found)]) -> HashMap<Uuid, Node> {
        if self.given_up.is_some() {
            return HashMap::new();
        }
        let ids: Vec<_> = batch.iter().map(|(id, _)| *id).collect();
        match self.api.look_up(&ids).await {
            Ok(there) => there,
            Err(error) => {
                self.given_up = Some(format!("the server could not be asked what is there: {error}"));
                HashMap::new()
            }
        }
    }

    async fn import(&mut self, id: Uuid, found: Found, there: Option<Node>) -> Entry {
        let mut entry = Entry::of(&found, id);
        if let Some(reason) = &self.given_up {
            entry.end(Status::Failed, format!("not tried: {reason}"));
            return entry;
        }
        match there {
            Some(Node::Generation(generation)) => note_present(&mut entry, &generation),
            Some(Node::Other(name)) => {
                entry.end(Status::Failed, format!("its id belongs to something else on the server ({name})"));
            }
            None if self.dry_run => {}
            None => match self.upload(id, found).await {
                Ok((sum, saved)) => note_saved(&mut entry, &sum, &saved),
                Err(Problem::Here(error)) => entry.end(Status::Skipped, reason(&error)),
                Err(Problem::There(error)) => {
                    entry.end(Status::Failed, error.to_string());
                    // One that the server stumbles over does not keep the others from being tried.
                    let is_away = error.retryable && !error.is(Code::Internal);
                    if is_away || error.is(Code::Unauthenticated) {
                        self.given_up = Some(error.to_string());
                    }
                }
            },
        }
        entry
    }

    /// Packs and saves a generation.
    async fn upload(&self, id: Uuid, found: Found) -> Result<(Sum, Saved), Problem> {
        let Found { path, project, message, .. } = found;
        let packed = tokio::task::spawn_blocking(move || pack(&path)).await;
        let (file, sum) =
            packed.map_err(|error| Problem::Here(Error::internal(error)))?.map_err(Problem::Here)?;
        let packed = Packed { id, project, message, file: Arc::new(file), sum };
        let saved = self.api.save(&packed).await.map_err(Problem::There)?;
        Ok((packed.sum, saved))
    }

    /// Waits until cloud storage has what it should, for `limit` at most.
    pub(super) async fn await_uploads(&mut self, entries: &mut [Entry], limit: Duration) {
        let is_awaited = |entry: &Entry| {
            entry.in_cloud == Some(false) && matches!(entry.status, Status::Imported | Status::Present)
        };
        if self.dry_run || !entries.iter().any(is_awaited) {
            return;
        }
        let mut waiting: Vec<&mut Entry> = entries.iter_mut().filter(|entry| is_awaited(entry)).collect();
        let progress = Progress::start(waiting.len());
        progress.show("waiting for cloud storage");
        let (until, [mut pause, pause_max]) = (Instant::now() + limit, ASK_TIMES);
        while self.given_up.is_none() {
            for batch in waiting.chunks_mut(LOOK_UP_IDS) {
                let ids: Vec<_> = batch.iter().filter_map(|entry| entry.id).collect();
                match self.api.look_up(&ids).await {
                    Ok(there) => batch.iter_mut().for_each(|entry| note_upload(entry, &there)),
                    Err(error) => {
                        progress
                            .say(format_args!("the server could not be asked about its uploads: {error}"));
                        break;
                    }
                }
                if Instant::now() > until {
                    break;
                }
            }
            waiting.retain(|entry| {
                let is_over = !is_awaited(entry);
                if is_over {
                    progress.advance();
                }
                !is_over
            });
            if waiting.is_empty() || Instant::now() + pause > until {
                break;
            }
            sleep(pause).await;
            pause = (pause * 2).min(pause_max);
        }
        let reason = match &self.given_up {
            None => format!("not in cloud storage after {} s; the server goes on trying", limit.as_secs()),
            Some(reason) => format!("whether cloud storage has it is not known: {reason}"),
        };
        for entry in waiting {
            entry.end(Status::Failed, format!("saved, but {reason}"));
        }
    }
}

/// The archive of a folder in an unnamed file, which is gone when it is closed.
fn pack(path: &Path) -> Result<(File, Sum), Error> {
    let file =
        tempfile::tempfile().map_err(|error| Error::internal(format_args!("no temporary file: {error}")))?;
    let mut out = Summed::new(file);
    Folder::scan(path)?.pack(&mut out)?;
    let (file, sum) = out.finish();
    at_most("the archive", usize::try_from(sum.size_bytes).unwrap_or(usize::MAX), UPLOAD_FILE_BYTES_MAX)?;
    Ok((file, sum))
}

fn note_saved(entry: &mut Entry, sum: &Sum, saved: &Saved) {
    let generation = &saved.generation;
    entry.status = Status::Imported;
    note_server(entry, generation);
    if (&sum.sha256, sum.size_bytes) != (&generation.sha256, generation.size_bytes) {
        let what = if saved.created { "stored something else" } else { "had another one with this id" };
        entry.end(
            Status::Failed,
            format!(
                "the server {what}: {} bytes with checksum {}, where {} bytes with checksum {} were sent",
                generation.size_bytes, generation.sha256, sum.size_bytes, sum.sha256
            ),
        );
    }
}

fn note_present(entry: &mut Entry, generation: &Generation) {
    entry.status = Status::Present;
    let here = entry.file_count;
    note_server(entry, generation);
    if here.is_some_and(|here| here != generation.file_count) {
        let here = here.unwrap_or_default();
        entry.notes.push(format!(
            "the server has it with {} files, the folder has {here} now; a generation never changes",
            generation.file_count
        ));
    }
}

/// What the server says of it.
fn note_server(entry: &mut Entry, generation: &Generation) {
    entry.version = Some(generation.version);
    entry.size_bytes = Some(generation.size_bytes);
    entry.sha256 = Some(generation.sha256.clone());
    if entry.project.as_ref() != Some(&generation.project.key) {
        entry.notes.push(format!("on the server it belongs to the project {}", generation.project.key));
    }
    note_storage(entry, generation);
}

fn note_storage(entry: &mut Entry, generation: &Generation) {
    let storage = &generation.storage;
    if !storage.cloud_enabled {
        return;
    }
    entry.in_cloud = Some(storage.upload_state == UploadState::Uploaded);
    match storage.upload_state {
        UploadState::Uploaded | UploadState::Pending => {}
        UploadState::Failed => {
            let error = storage.upload_error.as_deref().unwrap_or("no reason is given");
            entry.end(Status::Failed, format!("saved, but not in cloud storage: {error}"));
        }
        // It was saved while there was no cloud storage; the server's next start plans its upload.
        UploadState::LocalOnly => {
            entry.in_cloud = None;
            entry
                .notes
                .push("it is not in cloud storage: the server uploads it when it is started again".into());
        }
    }
}

fn note_upload(entry: &mut Entry, there: &HashMap<Uuid, Node>) {
    match entry.id.and_then(|id| there.get(&id)) {
        Some(Node::Generation(generation)) => note_storage(entry, generation),
        _ => entry.end(Status::Failed, "it was deleted from the server meanwhile"),
    }
}
