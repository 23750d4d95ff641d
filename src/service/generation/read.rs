//! Reading generations and the lists of their files.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::super::Service;
use crate::auth::Viewer;
use crate::domain::limits::{PAGE_FILES_MAX, at_most};
use crate::domain::manifest::Manifest;
use crate::domain::object::ObjectName;
use crate::domain::page::{Page, Rows};
use crate::error::{Error, Result};
use crate::store::{GenerationRow, ProjectRow};

impl Service {
    /// Generations by id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn generations_by_ids(
        &self,
        viewer: &Viewer,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, GenerationRow>> {
        self.store.reader(viewer).generations_by_ids(ids).await
    }

    /// Generations by tenant and id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn generations_by_key(
        &self,
        viewer: &Viewer,
        keys: &[(String, Uuid)],
    ) -> Result<Vec<GenerationRow>> {
        self.store.reader(viewer).generations_by_key(keys).await
    }

    /// A page of a project's generations, newest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list_generations(
        &self,
        viewer: &Viewer,
        project: &ProjectRow,
        page: &Page<i32>,
    ) -> Result<Rows<GenerationRow>> {
        self.store.reader(viewer).list_generations(project, page).await
    }

    /// How many generations a project has.
    ///
    /// # Errors
    /// What the store says.
    pub async fn count_generations(&self, viewer: &Viewer, project: &ProjectRow) -> Result<u64> {
        self.store.reader(viewer).count_generations(project).await
    }

    /// The newest generation of each of these projects, by the project's id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn latest_generations(
        &self,
        viewer: &Viewer,
        projects: &[(String, Uuid)],
    ) -> Result<HashMap<Uuid, GenerationRow>> {
        self.store.reader(viewer).latest_generations(projects).await
    }

    /// The lists of files of generations that have been read, by id.
    ///
    /// # Errors
    /// `TOO_LARGE` when they have more than [`PAGE_FILES_MAX`] files together.
    pub async fn manifests(
        &self,
        viewer: &Viewer,
        generations: &[GenerationRow],
    ) -> Result<HashMap<Uuid, Arc<Manifest>>> {
        let files = generations.iter().map(|row| usize::try_from(row.file_count).unwrap_or(0)).sum();
        at_most("files", files, PAGE_FILES_MAX)?;
        let keys: Vec<_> = generations.iter().map(|row| (row.tenant_id.clone(), row.id)).collect();
        let lists = self.store.reader(viewer).manifests(&keys).await?;
        let parse = |(id, list): (Uuid, String)| {
            Ok((id, Arc::new(serde_json::from_str(&list).map_err(Error::internal)?)))
        };
        lists.into_iter().map(parse).collect()
    }

    /// The object of a generation's archive.
    pub fn archive_name(&self, row: &GenerationRow) -> ObjectName {
        self.storage.archive(row.project_id, row.version, row.id)
    }

    /// Whether this server has a copy of a generation's archive.
    pub fn has_archive(&self, row: &GenerationRow) -> bool {
        self.storage.copies().has(&self.archive_name(row))
    }

    /// Whether new generations go to cloud storage.
    pub fn uses_cloud(&self) -> bool {
        self.storage.uses_cloud()
    }
}
