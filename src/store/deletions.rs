//! Deletions of so many executions that they go on in the background, and by age.
//!
//! What is deleted is listed when a viewer asks for it, under their scope; the job only works the list off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use entity::{deletion, deletion_item, execution, job};
use sea_orm::sea_query::{ExprTrait as _, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Select, Set,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::executions::ExecutionRow;
use super::failure::failed;
use super::jobs::{JobKind, JobRow, NewJob};
use super::rows::Columns;
use super::scoped::{Reader, of_executions};
use super::write::{delete, insert_many};
use super::{Store, WriteTx};
use crate::auth::{Delegation, Role, Viewer};
use crate::clock::{Timestamp, new_id};
use crate::domain::execution::{Filter, Order as ListOrder};
use crate::domain::limits::DELETION_LIST_ROWS;
use crate::domain::page::{Cursor, Direction, Page};
use crate::error::{Error, Result};

/// A deletion that goes on in the background.
pub type DeletionRow = deletion::Model;

/// What a deletion has still to look for. It is kept with its job, so that it is gone on with after a crash.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Search {
    viewer: Delegation,
    filter: Filter,
    /// Creation, in microseconds, and id of the last execution that was found.
    after: Option<(i64, Uuid)>,
}

/// How far the list of a deletion is.
#[derive(Debug)]
pub struct Listed {
    pub deletion: DeletionRow,
    /// Everything that matches is in the list.
    pub is_complete: bool,
    /// How long its transaction was open, in which others may have waited for it.
    pub held: Duration,
}

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
}

impl WriteTx {
    async fn save_deletion_row(&self, row: DeletionRow) -> Result<()> {
        use deletion::Column as C;
        let on_conflict = OnConflict::columns([C::TenantId, C::Id])
            .update_columns([C::Matched, C::Deleted, C::FinishedAt])
            .to_owned();
        insert_many::<deletion::Entity>(self, vec![row.into_active_model()], Some(on_conflict))
            .await
            .map_err(failed)
    }
}

impl Store {
    /// Begins a deletion of what matches and `viewer` may write: next, that is to be listed. Should nobody do so until
    /// `latest`, a job does.
    ///
    /// # Errors
    /// What the database says.
    pub async fn begin_deletion(
        &self,
        viewer: &Viewer,
        mut filter: Filter,
        now: Timestamp,
        latest: Timestamp,
    ) -> Result<DeletionRow> {
        if viewer.role() == Role::Member {
            let own = viewer.user_id();
            let is_asked_for = filter.owner_ids.is_none_or(|owners| owners.iter().any(|owner| owner == own));
            filter.owner_ids = Some(is_asked_for.then(|| own.to_owned()).into_iter().collect());
        }
        let stamp = viewer.stamp(None)?;
        let deletion = DeletionRow {
            tenant_id: stamp.tenant_id().to_owned(),
            id: new_id(),
            owner_id: stamp.owner_id().to_owned(),
            matched: 0,
            deleted: 0,
            created_at: now,
            finished_at: None,
        };
        let search = Search { viewer: viewer.delegate(), filter, after: None };
        let tx = self.begin().await?;
        tx.save_deletion_row(deletion.clone()).await?;
        tx.insert_jobs(vec![job_of(&deletion, Some(&search), latest)?], now).await?;
        tx.commit().await?;
        Ok(deletion)
    }

    /// Lists the next executions of a deletion. The job that does the rest is due at `due`, or now once the list is complete.
    ///
    /// # Errors
    /// What the database says.
    #[expect(
        clippy::disallowed_methods,
        reason = "a system operation: it reads as the viewer who asked for the deletion"
    )]
    pub async fn list_for_deletion(
        &self,
        deletion: DeletionRow,
        now: Timestamp,
        due: Timestamp,
    ) -> Result<Listed> {
        let job_of_it = || {
            let of_it = job::Column::SubjectId.eq(deletion.id);
            job::Entity::find().filter(job::Column::Kind.eq(JobKind::DeleteExecutions)).filter(of_it)
        };
        let there = job_of_it().one(&self.0.read).await.map_err(failed)?;
        let Some(detail) = there.and_then(|job| job.detail) else {
            return Ok(Listed { deletion, is_complete: true, held: Duration::ZERO });
        };
        let search: Search = serde_json::from_str(&detail).map_err(Error::internal)?;
        // Whoever may not delete any more may have asked for it all the same.
        let viewer = search.viewer.clone().accept(now + TimeDelta::days(1));
        let after = search.after.map(|(key, id)| Cursor { order: 'E', key, id });
        let page = Page { direction: Direction::Forward, rows: DELETION_LIST_ROWS, after, before: None };
        let columns = Columns::EMPTY.with(execution::Column::TenantId);
        let found =
            self.reader(&viewer).list_executions(&search.filter, ListOrder::Oldest, &page, columns).await?;

        let tx = self.begin_in_background().await?;
        let began = Instant::now();
        let mut locked = job_of_it();
        if tx.dialect.is_postgres() {
            locked = locked.lock(LockType::Update);
        }
        let is_unchanged =
            locked.one(&tx.inner).await.map_err(failed)?.and_then(|job| job.detail) == Some(detail);
        let there = the_deletion(&deletion.tenant_id, deletion.id).one(&tx.inner).await.map_err(failed)?;
        let Some(mut deletion) = there else {
            return Ok(Listed { deletion, is_complete: true, held: began.elapsed() });
        };
        if !is_unchanged {
            // Somebody else was faster.
            return Ok(Listed { deletion, is_complete: false, held: began.elapsed() });
        }
        let is_complete = !found.has_next_page;
        let last = found.rows.last().map(|row| (row.created_at.timestamp_micros(), row.id));
        let rest = Search { after: last.or(search.after), ..search };
        deletion.matched += found.rows.len() as i64;
        let item = |row: &Arc<ExecutionRow>| deletion_item::ActiveModel {
            deletion_id: Set(deletion.id),
            tenant_id: Set(row.tenant_id.clone()),
            execution_id: Set(row.id),
            created_at: Set(row.created_at),
        };
        let items = found.rows.iter().map(item).collect();
        insert_many::<deletion_item::Entity>(&tx, items, None).await.map_err(failed)?;
        tx.save_deletion_row(deletion.clone()).await?;
        let rest = Some(&rest).filter(|_| !is_complete);
        tx.insert_jobs(vec![job_of(&deletion, rest, if is_complete { now } else { due })?], now).await?;
        tx.commit().await?;
        Ok(Listed { deletion, is_complete, held: began.elapsed() })
    }

    /// The deletion that a job is about.
    ///
    /// # Errors
    /// What the database says.
    pub async fn deletion_of(&self, job: &JobRow) -> Result<Option<DeletionRow>> {
        the_deletion(&job.tenant_id, job.subject_id).one(&self.0.read).await.map_err(failed)
    }

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
        let tx = self.begin().await?;
        let began = Instant::now();
        let lost = DeletedStep { gone: Vec::new(), is_last: true, held: Duration::ZERO };
        let Some(job) = tx.held(held).await? else { return Ok(lost) };
        let progress = the_deletion(&job.tenant_id, job.subject_id).one(&tx.inner).await.map_err(failed)?;
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
            .order_by_asc(execution::Column::TenantId)
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
        let tx = self.begin().await?;
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

fn job_of(deletion: &DeletionRow, search: Option<&Search>, run_at: Timestamp) -> Result<NewJob> {
    Ok(NewJob {
        kind: JobKind::DeleteExecutions,
        tenant_id: deletion.tenant_id.clone(),
        subject_id: deletion.id,
        node_id: None,
        detail: search.map(serde_json::to_string).transpose().map_err(Error::internal)?,
        run_at,
    })
}

#[expect(clippy::disallowed_methods, reason = "a system operation: its job says whose it is")]
fn the_deletion(tenant_id: &str, id: Uuid) -> Select<deletion::Entity> {
    let which = deletion::Column::TenantId.eq(tenant_id).and(deletion::Column::Id.eq(id));
    deletion::Entity::find().filter(which)
}
