//! Projects.

use std::collections::HashMap;

use uuid::Uuid;

use super::Service;
use crate::auth::Viewer;
use crate::clock::{new_id, now};
use crate::domain::page::{Cursor, Page, Rows};
use crate::domain::text;
use crate::error::{Error, Result};
use crate::store::{NewProject, ProjectRow};

impl Service {
    /// Makes a project, or gives the one that has this key already. Its name is its key when none is given.
    ///
    /// # Errors
    /// `BAD_INPUT`, `TOO_LARGE`; `CONFLICT` when the key is taken by a project that the viewer cannot see.
    pub async fn create_project(
        &self,
        viewer: &Viewer,
        key: String,
        name: Option<String>,
    ) -> Result<ProjectRow> {
        let key = text::short("input.key", key)?;
        let name = text::short_optional("input.name", name)?.unwrap_or_else(|| key.clone());
        let stamp = viewer.stamp(None)?;
        let tx = self.store.begin().await?;
        let new = NewProject { stamp: stamp.clone(), id: new_id(), key: key.clone(), name };
        tx.ensure_projects(vec![new], now()).await?;
        tx.commit().await?;
        let id = (stamp.tenant_id().to_owned(), key);
        let mut found = self.store.reader(viewer).projects_by_key(std::slice::from_ref(&id)).await?;
        found.remove(&id).ok_or_else(|| Error::Conflict {
            field: Some("input.key".into()),
            message: "this key cannot be used; choose another".into(),
        })
    }

    /// One project.
    ///
    /// # Errors
    /// What the store says.
    pub async fn find_project(&self, viewer: &Viewer, id: Uuid) -> Result<Option<ProjectRow>> {
        Ok(self.store.reader(viewer).projects_by_ids(&[id]).await?.remove(&id))
    }

    /// Projects by id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn projects_by_ids(&self, viewer: &Viewer, ids: &[Uuid]) -> Result<HashMap<Uuid, ProjectRow>> {
        self.store.reader(viewer).projects_by_ids(ids).await
    }

    /// Projects by tenant and key.
    ///
    /// # Errors
    /// What the store says.
    pub async fn projects_by_key(
        &self,
        viewer: &Viewer,
        keys: &[(String, String)],
    ) -> Result<HashMap<(String, String), ProjectRow>> {
        self.store.reader(viewer).projects_by_key(keys).await
    }

    /// A page of projects, newest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list_projects(&self, viewer: &Viewer, page: &Page<Cursor>) -> Result<Rows<ProjectRow>> {
        self.store.reader(viewer).list_projects(page).await
    }

    /// How many projects there are.
    ///
    /// # Errors
    /// What the store says.
    pub async fn count_projects(&self, viewer: &Viewer) -> Result<u64> {
        self.store.reader(viewer).count_projects().await
    }
}
