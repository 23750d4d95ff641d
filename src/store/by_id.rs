//! Executions by id: what is asked for most, and therefore read together.

use entity::execution;
use sea_orm::{ColumnTrait as _, ConnectionTrait as _};
use uuid::Uuid;

use super::Store;
use super::executions::ExecutionRow;
use super::failure::failed;
use super::rows::Columns;
use super::scoped::{Reader, by_id_in_scopes};
use super::together::{Line, Shareable, ask};
use crate::auth::{Scope, Viewer};
use crate::error::Result;

/// One execution of the history, for somebody.
pub(super) struct Wanted {
    scope: Scope,
    id: Uuid,
    columns: Columns,
}

impl Store {
    /// Some columns of one execution of the history.
    ///
    /// # Errors
    /// What the database says.
    pub async fn find_execution(
        &self,
        viewer: &Viewer,
        id: Uuid,
        columns: Columns,
    ) -> Result<Option<ExecutionRow>> {
        let scope = viewer.reads();
        if scope.tenant_id().is_none() {
            return self.reader(viewer).find_anywhere(id, columns).await;
        }
        ask(self, Wanted { scope, id, columns }).await
    }
}

impl Reader<'_> {
    /// By the index that serves every tenant.
    async fn find_anywhere(&self, id: Uuid, columns: Columns) -> Result<Option<ExecutionRow>> {
        let select = self.executions_by_id(&[id]).filter(execution::Column::DiscardAt.is_null());
        let rows = select.all_of(columns.selected(), |row| columns.read(row)).await?;
        Ok(rows.into_iter().next())
    }
}

impl Shareable for Wanted {
    type Answer = Option<ExecutionRow>;
    type Source = Store;

    fn line(store: &Store) -> &Line<Self> {
        &store.0.executions_by_id
    }

    async fn read(store: &Store, calls: &[Self]) -> Result<Vec<Self::Answer>> {
        use execution::Column as C;
        // Whose a row is, because somebody else may ask for the same id in vain.
        let whose = Columns::EMPTY.with(C::TenantId).with(C::OwnerId);
        let columns = calls.iter().fold(whose, |columns, call| columns.and(call.columns));
        let wanted: Vec<_> = calls.iter().map(|call| (&call.scope, call.id)).collect();
        let statement = by_id_in_scopes::<execution::Entity>(
            store.0.dialect,
            columns.selected(),
            &wanted,
            C::Id,
            "discard_at IS NULL",
        );
        let rows = store.0.read.query_all_raw(statement).await.map_err(failed)?;
        let rows: Vec<_> =
            rows.iter().map(|row| columns.read(row)).collect::<Result<_, _>>().map_err(failed)?;
        let row_of = |call: &Self| {
            let is_it =
                |row: &&ExecutionRow| row.id == call.id && call.scope.admits(&row.tenant_id, &row.owner_id);
            rows.iter().find(is_it).cloned()
        };
        Ok(calls.iter().map(row_of).collect())
    }
}
