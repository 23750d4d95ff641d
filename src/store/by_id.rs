//! Executions and code agents by id: what is asked for most, and therefore read together.

use entity::{code_agent, execution};
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, FromQueryResult as _, Iterable as _};
use uuid::Uuid;

use super::Store;
use super::code_agents::CodeAgentRow;
use super::executions::ExecutionRow;
use super::failure::failed;
use super::rows::Columns;
use super::scoped::{Reader, by_id_in_scopes};
use super::together::{Line, Shareable, ask};
use crate::auth::{Scope, Viewer};
use crate::error::Result;

/// One execution of the history, for somebody.
pub(super) struct WantedExecution {
    scope: Scope,
    id: Uuid,
    columns: Columns,
}

/// One code agent, for somebody.
pub(super) struct WantedCodeAgent {
    scope: Scope,
    id: Uuid,
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
        ask(self, WantedExecution { scope, id, columns }).await
    }

    /// One code agent.
    ///
    /// # Errors
    /// What the database says.
    pub async fn find_code_agent(&self, viewer: &Viewer, id: Uuid) -> Result<Option<CodeAgentRow>> {
        let scope = viewer.reads();
        if scope.tenant_id().is_none() {
            return Ok(self.reader(viewer).code_agents_by_ids(&[id]).await?.remove(&id));
        }
        ask(self, WantedCodeAgent { scope, id }).await
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

/// To each who asks the row that they asked for and may see: somebody else may have asked for the same id in vain.
/// `whose` gives a row's id, tenant and owner.
fn hand_out<R: Clone>(
    rows: &[R],
    wanted: &[(&Scope, Uuid)],
    whose: impl Fn(&R) -> (Uuid, &str, &str),
) -> Vec<Option<R>> {
    let row_of = |(scope, wanted_id): &(&Scope, Uuid)| {
        let is_it = |row: &&R| {
            let (id, tenant_id, owner_id) = whose(row);
            id == *wanted_id && scope.admits(tenant_id, owner_id)
        };
        rows.iter().find(is_it).cloned()
    };
    wanted.iter().map(row_of).collect()
}

impl Shareable for WantedExecution {
    type Answer = Option<ExecutionRow>;
    type Source = Store;

    fn line(store: &Store) -> &Line<Self> {
        &store.0.executions_by_id
    }

    async fn read(store: &Store, calls: &[Self]) -> Result<Vec<Self::Answer>> {
        use execution::Column as C;
        let whose = Columns::EMPTY.with(C::TenantId).with(C::OwnerId);
        let columns = calls.iter().fold(whose, |columns, call| columns.and(call.columns));
        let wanted: Vec<_> = calls.iter().map(|call| (&call.scope, call.id)).collect();
        let statement = by_id_in_scopes::<execution::Entity>(
            store.0.dialect,
            columns.selected(),
            &wanted,
            C::Id,
            Some("discard_at IS NULL"),
        );
        let rows = store.0.read.query_all_raw(statement).await.map_err(failed)?;
        let rows: Vec<_> =
            rows.iter().map(|row| columns.read(row)).collect::<Result<_, _>>().map_err(failed)?;
        Ok(hand_out(&rows, &wanted, |row: &ExecutionRow| (row.id, &row.tenant_id, &row.owner_id)))
    }
}

impl Shareable for WantedCodeAgent {
    type Answer = Option<CodeAgentRow>;
    type Source = Store;

    fn line(store: &Store) -> &Line<Self> {
        &store.0.code_agents_by_id
    }

    async fn read(store: &Store, calls: &[Self]) -> Result<Vec<Self::Answer>> {
        use code_agent::Column as C;
        let wanted: Vec<_> = calls.iter().map(|call| (&call.scope, call.id)).collect();
        let statement =
            by_id_in_scopes::<code_agent::Entity>(store.0.dialect, C::iter(), &wanted, C::Id, None);
        let rows = store.0.read.query_all_raw(statement).await.map_err(failed)?;
        let read = |row| CodeAgentRow::from_query_result(row, "");
        let rows: Vec<_> = rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)?;
        Ok(hand_out(&rows, &wanted, |row: &CodeAgentRow| (row.id, &row.tenant_id, &row.owner_id)))
    }
}
