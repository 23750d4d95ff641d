//! Projects.

use std::collections::HashMap;

use entity::project;
use sea_orm::sea_query::{ExprTrait as _, OnConflict};
use sea_orm::{ColumnTrait as _, Set};
use uuid::Uuid;

use super::WriteTx;
use super::failure::failed;
use super::scoped::{Reader, any_of};
use super::write::insert_many;
use crate::auth::Stamp;
use crate::clock::Timestamp;
use crate::domain::page::{Cursor, Page, Rows};
use crate::error::Result;

/// A project.
pub type ProjectRow = project::Model;

/// A project that may not be there yet.
#[derive(Debug, Clone)]
pub struct NewProject {
    pub stamp: Stamp,
    pub id: Uuid,
    pub key: String,
    pub name: String,
}

impl NewProject {
    /// One that nobody has given a name.
    pub fn named_by_key(stamp: Stamp, id: Uuid, key: &str) -> Self {
        Self { stamp, id, key: key.to_owned(), name: key.to_owned() }
    }
}

impl Reader<'_> {
    /// Projects by id.
    ///
    /// # Errors
    /// What the database says.
    pub async fn projects_by_ids(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, ProjectRow>> {
        let rows =
            self.select::<project::Entity>().filter(self.id_in(project::Column::Id, ids)).all().await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }

    /// Projects by tenant and key.
    ///
    /// # Errors
    /// What the database says.
    pub async fn projects_by_key(
        &self,
        keys: &[(String, String)],
    ) -> Result<HashMap<(String, String), ProjectRow>> {
        let mut by_tenant: HashMap<&str, Vec<&str>> = HashMap::new();
        for (tenant_id, key) in keys {
            by_tenant.entry(tenant_id).or_default().push(key);
        }
        let of_tenant = |(tenant_id, keys)| {
            project::Column::TenantId.eq(tenant_id).and(project::Column::Key.is_in::<&str, _>(keys))
        };
        let any = any_of(&by_tenant.into_iter().map(of_tenant).collect::<Vec<_>>());
        let rows = self.select::<project::Entity>().filter(any).all().await?;
        Ok(rows.into_iter().map(|row| ((row.tenant_id.clone(), row.key.clone()), row)).collect())
    }

    /// A page of projects, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn list_projects(&self, page: &Page<Cursor>) -> Result<Rows<ProjectRow>> {
        use project::Column as C;
        let select = self.select::<project::Entity>().newest_first(C::CreatedAt, C::Id, page);
        Ok(Rows::from_read(select.all().await?, page))
    }

    /// How many projects there are.
    ///
    /// # Errors
    /// What the database says.
    pub async fn count_projects(&self) -> Result<u64> {
        self.select::<project::Entity>().count().await
    }
}

impl WriteTx {
    /// Makes the projects that are not there yet, by tenant and key.
    ///
    /// # Errors
    /// What the database says.
    pub async fn ensure_projects(&self, mut new: Vec<NewProject>, now: Timestamp) -> Result<()> {
        // In one order, so that two batches cannot wait for each other.
        new.sort_by(|a, b| (a.stamp.tenant_id(), &a.key).cmp(&(b.stamp.tenant_id(), &b.key)));
        let rows = new
            .into_iter()
            .map(|NewProject { stamp, id, key, name }| project::ActiveModel {
                tenant_id: Set(stamp.tenant_id().to_owned()),
                id: Set(id),
                owner_id: Set(stamp.owner_id().to_owned()),
                key: Set(key),
                name: Set(name),
                latest_version: Set(0),
                created_at: Set(now),
            })
            .collect();
        let on_conflict =
            OnConflict::columns([project::Column::TenantId, project::Column::Key]).do_nothing().to_owned();
        insert_many::<project::Entity>(self, rows, Some(on_conflict)).await.map_err(failed)
    }
}
