//! Deletions of so many executions that they go on in the background, and by age.
//!
//! What is deleted is listed when a viewer asks for it, under their scope; the job only works the list off.

use std::time::{Duration, Instant};

use entity::{deletion, deletion_item, execution};
use sea_orm::sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, IntoActiveModel as _, Order, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Set,
};
use uuid::Uuid;

use super::executions::ExecutionRow;
use super::failure::failed;
use super::jobs::JobRow;
use super::scoped::{Reader, of_executions};
use super::write::{delete, insert_many};
use super::{Store, WriteTx};
use crate::auth::{Stamp, Viewer};
use crate::clock::Timestamp;
use crate::domain::execution::Filter;
use crate::error::Result;

/// A deletion that goes on in the background.
pub type DeletionRow = deletion::Model;

/// What a deletion lists: tenant, id and creation of an execution.
pub type Listed = (String, Uuid, Timestamp);

/// What one step of a deletion came to.
#[derive(Debug)]
pub struct DeletedStep {
    /// What is gone.
    pub gone: Vec<ExecutionRow>,
    /// Nothing is left, or somebody else is at it.
    pub is_last: bool,
    /// How long its transaction was open, in which others may have waited for it.
    pub held: Duration,
}

impl Reader<'_> {
    /// A deletion.
    ///
    /// # Errors
    /// What the database says.
    pub async fn find_deletion(&self, id: Uuid) -> Result<Option<DeletionRow>> {
        self.select::<deletion::Entity>().filter(self.id_in(deletion::Column::Id, &[id])).one().await
    }

    /// The next `rows` executions after `after`, by tenant and id, that match and that `viewer` may write.
    ///
    /// # Errors
    /// What the database says.
    pub async fn list_writable(
        &self,
        viewer: &Viewer,
        filter: &Filter,
        after: Option<&Listed>,
        rows: u64,
    ) -> Result<Vec<Listed>> {
        use execution::Column as C;
        let place = || Expr::tuple([C::TenantId.into_expr(), C::Id.into_expr()]);
        let after = after.map(|(tenant_id, id, _)| {
            place().gt(Expr::tuple([Expr::val(tenant_id.clone()), Expr::val(*id)]))
        });
        self.writable_history(viewer)
            .filter(self.matching(filter))
            .filter(Condition::all().add_option(after))
            .order_by(C::TenantId.into_expr(), Order::Asc)
            .order_by(C::Id.into_expr(), Order::Asc)
            .limit(rows)
            .tuples([C::TenantId.into_expr(), C::Id.into_expr(), C::CreatedAt.into_expr()])
            .await
    }
}

impl WriteTx {
    /// Begins a deletion, or saves how far it is.
    ///
    /// # Errors
    /// What the database says.
    pub async fn save_deletion(&self, stamp: &Stamp, mut row: DeletionRow) -> Result<DeletionRow> {
        stamp.tenant_id().clone_into(&mut row.tenant_id);
        stamp.owner_id().clone_into(&mut row.owner_id);
        self.save_deletion_row(row.clone()).await?;
        Ok(row)
    }

    async fn save_deletion_row(&self, row: DeletionRow) -> Result<()> {
        use deletion::Column as C;
        let on_conflict = OnConflict::columns([C::TenantId, C::Id])
            .update_columns([C::Matched, C::Deleted, C::FinishedAt])
            .to_owned();
        insert_many::<deletion::Entity>(self, vec![row.into_active_model()], Some(on_conflict))
            .await
            .map_err(failed)
    }

    /// Lists executions that a deletion is to delete.
    ///
    /// # Errors
    /// What the database says.
    pub async fn list_for_deletion(&self, deletion_id: Uuid, listed: &[Listed]) -> Result<()> {
        let item = |(tenant_id, execution_id, created_at): &Listed| deletion_item::ActiveModel {
            deletion_id: Set(deletion_id),
            tenant_id: Set(tenant_id.clone()),
            execution_id: Set(*execution_id),
            created_at: Set(*created_at),
        };
        let items = listed.iter().map(item).collect();
        insert_many::<deletion_item::Entity>(self, items, None).await.map_err(failed)
    }
}

impl Store {
    /// Deletes the next `rows` executions of the deletion that a job is about. Once there are none, the deletion is
    /// finished and the job removed.
    ///
    /// # Errors
    /// What the database says.
    #[expect(
        clippy::disallowed_methods,
        reason = "a system operation: a viewer who may delete them listed them"
    )]
    pub async fn delete_listed(&self, held: &JobRow, now: Timestamp, rows: u64) -> Result<DeletedStep> {
        use deletion_item::Column as Item;
        let tx = self.begin_in_background().await?;
        let began = Instant::now();
        let lost = DeletedStep { gone: Vec::new(), is_last: true, held: Duration::ZERO };
        let Some(job) = tx.held(held).await? else { return Ok(lost) };
        let which =
            deletion::Column::TenantId.eq(&job.tenant_id).and(deletion::Column::Id.eq(job.subject_id));
        let progress = deletion::Entity::find().filter(which).one(&tx.inner).await.map_err(failed)?;
        let items = deletion_item::Entity::find()
            .filter(Item::DeletionId.eq(job.subject_id))
            .order_by_asc(Item::TenantId)
            .order_by_asc(Item::ExecutionId)
            .limit(rows)
            .all(&tx.inner)
            .await
            .map_err(failed)?;
        if items.is_empty() {
            if let Some(progress) = progress {
                tx.save_deletion_row(DeletionRow { finished_at: Some(now), ..progress }).await?;
            }
            tx.remove_held(&job).await?;
            tx.commit().await?;
            return Ok(lost);
        }
        let keys: Vec<_> = items.iter().map(|item| (item.tenant_id.clone(), item.execution_id)).collect();
        let mut select = execution::Entity::find()
            .filter(of_executions(execution::Column::TenantId, execution::Column::Id, &keys))
            .order_by_asc(execution::Column::Id);
        if tx.dialect.is_postgres() {
            select = select.lock(LockType::Update);
        }
        let mut gone = select.all(&tx.inner).await.map_err(failed)?;
        let is_listed = |row: &ExecutionRow| {
            items.iter().any(|item| item.execution_id == row.id && item.created_at == row.created_at)
        };
        gone.retain(is_listed);
        tx.remove_executions(&gone.iter().collect::<Vec<_>>(), now).await?;
        let these = of_executions(Item::TenantId, Item::ExecutionId, &keys);
        let these = Condition::all().add(Item::DeletionId.eq(job.subject_id)).add(these);
        delete::<deletion_item::Entity>(&tx, these).await?;
        if let Some(progress) = progress {
            let deleted = progress.deleted + gone.len() as i64;
            tx.save_deletion_row(DeletionRow { deleted, ..progress }).await?;
        }
        tx.commit().await?;
        Ok(DeletedStep { gone, is_last: false, held: began.elapsed() })
    }

    /// Deletes at most `rows` executions that completed before `before`, the oldest first.
    ///
    /// # Errors
    /// What the database says.
    #[expect(
        clippy::disallowed_methods,
        reason = "a system operation: the operator says how long history is kept"
    )]
    pub async fn delete_old_executions(
        &self,
        before: Timestamp,
        now: Timestamp,
        rows: u64,
    ) -> Result<DeletedStep> {
        use execution::Column as C;
        let tx = self.begin_in_background().await?;
        let began = Instant::now();
        let mut select = execution::Entity::find()
            // By the index of creations: hardly any execution completed before it was created.
            .filter(C::CreatedAt.lt(before))
            .filter(C::CompletedAt.lt(before))
            .order_by_asc(C::CreatedAt)
            .order_by_asc(C::Id)
            .limit(rows);
        if tx.dialect.is_postgres() {
            select = select.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        }
        let gone = select.all(&tx.inner).await.map_err(failed)?;
        if !gone.is_empty() {
            tx.remove_executions(&gone.iter().collect::<Vec<_>>(), now).await?;
            tx.commit().await?;
        }
        Ok(DeletedStep { is_last: (gone.len() as u64) < rows, gone, held: began.elapsed() })
    }
}
