//! Generations and the lists of their files.

use std::collections::HashMap;

use entity::{generation, generation_manifest, project};
use sea_orm::sea_query::{ExprTrait as _, OnConflict};
use sea_orm::{ColumnTrait as _, Condition, IntoActiveModel, Iterable as _, Order, Set};
use uuid::Uuid;

use super::WriteTx;
use super::failure::{failed, is_duplicate};
use super::projects::NewProject;
use super::projects::ProjectRow;
use super::scoped::{Reader, Writable, of_executions};
use super::write::{delete, insert_many};
use crate::auth::{Stamp, Viewer};
use crate::clock::Timestamp;
use crate::domain::page::{Direction, Page, Rows};
use crate::error::Result;

/// A generation without the list of its files.
pub type GenerationRow = generation::Model;

impl Reader<'_> {
    /// Generations by id.
    ///
    /// # Errors
    /// What the database says.
    pub async fn generations_by_ids(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, GenerationRow>> {
        let select = self.select::<generation::Entity>();
        let rows = select.filter(self.id_in(generation::Column::Id, ids)).all().await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }

    /// Generations that rows of these tenants name.
    ///
    /// # Errors
    /// What the database says.
    pub async fn generations_by_key(&self, keys: &[(String, Uuid)]) -> Result<Vec<GenerationRow>> {
        use generation::Column as C;
        self.select::<generation::Entity>().filter(of_executions(C::TenantId, C::Id, keys)).all().await
    }

    /// A page of a project's generations, newest first; a cursor is a version.
    ///
    /// # Errors
    /// What the database says.
    pub async fn list_generations(
        &self,
        project: &ProjectRow,
        page: &Page<i32>,
    ) -> Result<Rows<GenerationRow>> {
        use generation::Column as C;
        let direction = match page.direction {
            Direction::Forward => Order::Desc,
            Direction::Backward => Order::Asc,
        };
        let cursors = Condition::all()
            .add_option(page.after.map(|version| C::Version.lt(version)))
            .add_option(page.before.map(|version| C::Version.gt(version)));
        let select = self
            .select_within::<generation::Entity>(&project.tenant_id)
            .filter(C::ProjectId.eq(project.id))
            .filter(cursors)
            .order_by(C::Version.into_expr(), direction)
            .limit(page.rows + 1);
        Ok(Rows::from_read(select.all().await?, page))
    }

    /// How many generations a project has.
    ///
    /// # Errors
    /// What the database says.
    pub async fn count_generations(&self, project: &ProjectRow) -> Result<u64> {
        let select = self.select_within::<generation::Entity>(&project.tenant_id);
        select.filter(generation::Column::ProjectId.eq(project.id)).count().await
    }

    /// The newest generation of each of these projects, by the project's id.
    ///
    /// # Errors
    /// What the database says.
    pub async fn latest_generations(
        &self,
        projects: &[(String, Uuid)],
    ) -> Result<HashMap<Uuid, GenerationRow>> {
        use generation::Column as C;
        let newest = |(tenant_id, id): &(String, Uuid)| {
            self.select_within::<generation::Entity>(tenant_id)
                .filter(C::ProjectId.eq(*id))
                .order_by(C::Version.into_expr(), Order::Desc)
                .limit(1)
        };
        let selects = projects.iter().map(newest).collect();
        let rows: Vec<GenerationRow> = self.union_all(selects, C::iter().collect::<Vec<_>>()).await?;
        Ok(rows.into_iter().map(|row| (row.project_id, row)).collect())
    }

    /// The lists of files of generations that have been read, as JSON, by id.
    ///
    /// # Errors
    /// What the database says.
    pub async fn manifests(&self, generations: &[(String, Uuid)]) -> Result<HashMap<Uuid, String>> {
        use generation_manifest::Column as C;
        let rows: Vec<(Uuid, String)> = self
            .select::<generation_manifest::Entity>()
            .filter(of_executions(C::TenantId, C::GenerationId, generations))
            .tuples([C::GenerationId.into_expr(), C::Files.into_expr()])
            .await?;
        Ok(rows.into_iter().collect())
    }

    /// A generation that `viewer` may see, locked for writing, and checked that it may be written.
    ///
    /// # Errors
    /// `FORBIDDEN` when it may be read but not written.
    pub async fn writable_generation(
        &self,
        viewer: &Viewer,
        id: Uuid,
    ) -> Result<Option<Writable<GenerationRow>>> {
        let by_id = self.id_in(generation::Column::Id, &[id]);
        let row = self.select::<generation::Entity>().filter(by_id).lock().one().await?;
        row.map(|row| {
            let (tenant_id, owner_id) = (row.tenant_id.clone(), row.owner_id.clone());
            Writable::check(viewer, &tenant_id, &owner_id, row)
        })
        .transpose()
    }
}

impl WriteTx {
    /// Locks the project with this key in the stamp's tenant, makes it when it is new, and counts its versions on;
    /// `None` when the key is taken by a project that `viewer` cannot see.
    ///
    /// # Errors
    /// What the database says.
    pub async fn next_generation_of(
        &self,
        viewer: &Viewer,
        stamp: &Stamp,
        new: (Uuid, String),
        now: Timestamp,
    ) -> Result<Option<ProjectRow>> {
        use project::Column as C;
        let (id, key) = new;
        self.ensure_projects(vec![NewProject::named_by_key(stamp.clone(), id, &key)], now).await?;
        let reader = self.reader(viewer);
        let of_key = C::TenantId.eq(stamp.tenant_id()).and(C::Key.eq(&key));
        let Some(mut project) = reader.select::<project::Entity>().filter(of_key).lock().one().await? else {
            return Ok(None);
        };
        project.latest_version += 1;
        let on_conflict =
            OnConflict::columns([C::TenantId, C::Id]).update_column(C::LatestVersion).to_owned();
        let rows = vec![project.clone().into_active_model()];
        insert_many::<project::Entity>(self, rows, Some(on_conflict)).await.map_err(failed)?;
        Ok(Some(project))
    }

    /// Inserts a generation with its list of files; tenant and owner come from the stamp. False when its id is taken:
    /// then this transaction is of no use any more.
    ///
    /// # Errors
    /// What the database says.
    pub async fn insert_generation(
        &self,
        stamp: &Stamp,
        row: &mut GenerationRow,
        files: String,
    ) -> Result<bool> {
        stamp.tenant_id().clone_into(&mut row.tenant_id);
        stamp.owner_id().clone_into(&mut row.owner_id);
        let rows = vec![row.clone().into_active_model()];
        match insert_many::<generation::Entity>(self, rows, None).await {
            Ok(()) => {}
            Err(error) if is_duplicate(&error) => return Ok(false),
            Err(error) => return Err(failed(error)),
        }
        let manifest = generation_manifest::ActiveModel {
            tenant_id: Set(row.tenant_id.clone()),
            generation_id: Set(row.id),
            owner_id: Set(row.owner_id.clone()),
            files: Set(files),
        };
        insert_many::<generation_manifest::Entity>(self, vec![manifest], None).await.map_err(failed)?;
        Ok(true)
    }

    /// Saves the state of a generation's upload, after counting its revision on.
    ///
    /// # Errors
    /// What the database says.
    pub async fn save_upload_state(&self, changed: &mut Writable<GenerationRow>) -> Result<()> {
        changed.row_mut().revision += 1;
        save_upload_states(self, vec![changed.row().clone()]).await
    }

    /// Deletes a generation with its list of files; see their foreign key.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_generation(&self, row: &Writable<GenerationRow>) -> Result<u64> {
        use generation::Column as C;
        let which = C::TenantId.eq(&row.row().tenant_id).and(C::Id.eq(row.row().id));
        delete::<generation::Entity>(self, Condition::all().add(which)).await
    }
}

/// Saves what uploads change; the rows are locked.
pub(super) async fn save_upload_states(tx: &WriteTx, rows: Vec<GenerationRow>) -> Result<()> {
    use generation::Column as C;
    let on_conflict = OnConflict::columns([C::TenantId, C::Id])
        .update_columns([C::UploadState, C::UploadError, C::NodeId, C::Revision])
        .to_owned();
    let rows = rows.into_iter().map(IntoActiveModel::into_active_model).collect();
    insert_many::<generation::Entity>(tx, rows, Some(on_conflict)).await.map_err(failed)
}
