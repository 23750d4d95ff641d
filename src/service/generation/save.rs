//! Saving a generation: its archive is whole and durable on this server's disk before its row is committed.

use std::fs::File;
use std::io::{Cursor, Seek as _};

use uuid::Uuid;

use super::super::Service;
use crate::analytics::Event;
use crate::archive::{self, PackFile};
use crate::auth::{Stamp, Viewer};
use crate::clock::{Timestamp, new_id, now};
use crate::domain::generation::UploadState;
use crate::domain::limits::GENERATION_MESSAGE_BYTES_MAX;
use crate::domain::manifest::{Manifest, ProjectPath};
use crate::domain::text;
use crate::error::{Error, Result};
use crate::event::Topic;
use crate::storage::{Copies, Finished, Storage};
use crate::store::{GenerationRow, upload_job};

/// A generation to be saved.
#[derive(Debug)]
pub struct SaveGeneration {
    /// Makes the call safe to repeat.
    pub id: Option<Uuid>,
    /// The project is made when it is new.
    pub project_key: String,
    pub message: Option<String>,
    pub files: ProjectFiles,
}

/// The files of a project, as they come.
#[derive(Debug)]
pub enum ProjectFiles {
    /// One by one: path and content.
    Each(Vec<(ProjectPath, Vec<u8>)>),
    /// A `tar.gz`, which is kept as it is once it has been looked through.
    Archive(File),
}

/// The generation that was saved.
#[derive(Debug)]
pub struct Saved {
    pub generation: GenerationRow,
    /// False when an earlier call had saved it.
    pub created: bool,
}

/// Where an error about an archive points to.
const ARCHIVE_FIELD: &str = "input.archive";
/// Where an error about files points to.
const FILES_FIELD: &str = "input.files";

impl Service {
    /// Saves a generation as the next version of its project. With an id, saving it again gives it as it is.
    ///
    /// # Errors
    /// `BAD_INPUT`, `TOO_LARGE`; `CONFLICT` when the id or the project's key is taken by something that the viewer cannot
    /// see.
    pub async fn save_generation(&self, viewer: &Viewer, save: SaveGeneration) -> Result<Saved> {
        let SaveGeneration { id, project_key, message, files } = save;
        let project_key = text::short("input.projectKey", project_key)?;
        let message = message
            .map(|text| text::long("input.message", text, GENERATION_MESSAGE_BYTES_MAX))
            .transpose()?;
        let stamp = viewer.stamp(None)?;
        if let Some(id) = id
            && let Some(saved) = self.find_saved(viewer, &stamp, id).await?
        {
            return Ok(saved);
        }
        let (finished, manifest) = self.write_archive(files).await?;
        let now = now();
        let mut row = self.new_row(id, message, &finished, &manifest, now)?;
        let list = serde_json::to_string(&manifest).map_err(Error::internal)?;

        let tx = self.store.begin().await?;
        let project = tx.next_generation_of(viewer, &stamp, (new_id(), project_key), now).await?;
        let project = project.ok_or_else(|| Error::Conflict {
            field: Some("input.projectKey".into()),
            message: "this key cannot be used; choose another".into(),
        })?;
        row.project_id = project.id;
        row.version = project.latest_version;
        if !tx.insert_generation(&stamp, &mut row, list).await? {
            drop(tx);
            // Somebody was faster, or it is not the viewer's to see.
            let saved = self.find_saved(viewer, &stamp, row.id).await?;
            return saved.ok_or_else(|| Error::Conflict {
                field: Some("input.id".into()),
                message: "this id cannot be used; choose another".into(),
            });
        }
        // Before the commit, so that a row always has its file; a file without a row is removed by the next cleaning.
        let name = self.storage.archive(row.project_id, row.version, row.id);
        self.on_disk(move |copies| copies.keep(finished, &name)).await?;
        if row.upload_state == UploadState::Pending {
            tx.insert_jobs(vec![upload_job(&row, now)], now).await?;
        }
        tx.commit().await?;
        if row.upload_state == UploadState::Pending {
            self.wakeups.announce([Topic::Jobs]);
        }
        let GenerationRow { id, version, file_count: files, size_bytes, .. } = row;
        let event = Event::GenerationCreated { id, version, files, size_bytes };
        self.analytics.tell(&row.owner_id, &row.tenant_id, &event);
        Ok(Saved { generation: row, created: true })
    }

    /// What an earlier call has saved.
    async fn find_saved(&self, viewer: &Viewer, stamp: &Stamp, id: Uuid) -> Result<Option<Saved>> {
        let found = self.store.reader(viewer).generations_by_ids(&[id]).await?.remove(&id);
        // A service sees every tenant's, but acts for one.
        let found = found.filter(|generation| generation.tenant_id == stamp.tenant_id());
        Ok(found.map(|generation| Saved { generation, created: false }))
    }

    fn new_row(
        &self,
        id: Option<Uuid>,
        message: Option<String>,
        finished: &Finished,
        manifest: &Manifest,
        now: Timestamp,
    ) -> Result<GenerationRow> {
        let uploads = self.storage.uses_cloud();
        Ok(GenerationRow {
            // Both are stamped when it is inserted; project and version are known then, too.
            tenant_id: String::new(),
            owner_id: String::new(),
            project_id: Uuid::nil(),
            version: 0,
            id: id.unwrap_or_else(new_id),
            message,
            size_bytes: i64::try_from(finished.size_bytes).map_err(Error::internal)?,
            sha256: finished.sha256.clone(),
            file_count: i32::try_from(manifest.count()).map_err(Error::internal)?,
            files_bytes: i64::try_from(manifest.total_bytes()).map_err(Error::internal)?,
            upload_state: if uploads { UploadState::Pending } else { UploadState::LocalOnly },
            upload_error: None,
            node_id: self.storage.node_id(),
            revision: 1,
            created_at: now,
        })
    }

    /// Makes the archive durable, without a name yet; dropped, it is gone.
    async fn write_archive(&self, files: ProjectFiles) -> Result<(Finished, Manifest)> {
        let _permit = self.saves.acquire().await.map_err(Error::internal)?;
        self.on_disk(move |copies| {
            let mut staged = copies.stage()?;
            let manifest = match files {
                ProjectFiles::Each(files) => {
                    let files = files.into_iter().map(|(path, content)| {
                        let size_bytes = content.len() as u64;
                        Ok(PackFile { path, executable: false, size_bytes, content: Cursor::new(content) })
                    });
                    archive::pack(FILES_FIELD, files, &mut staged)?
                }
                ProjectFiles::Archive(mut file) => {
                    let manifest = archive::inspect(ARCHIVE_FIELD, &file)?;
                    file.rewind().map_err(Error::internal)?;
                    std::io::copy(&mut file, &mut staged).map_err(crate::error::disk::failure)?;
                    manifest
                }
            };
            Ok((staged.finish()?, manifest))
        })
        .await
    }

    /// Works with files where nobody waits for them.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Copies) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let storage: Storage = self.storage.clone();
        tokio::task::spawn_blocking(move || work(storage.copies())).await.map_err(Error::internal)?
    }
}
