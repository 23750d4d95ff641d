//! Reading executions: by id, in lists, counted, with their large values.

use std::collections::HashMap;
use std::sync::Arc;

use entity::{execution, execution_payload};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, Condition};
use uuid::Uuid;

use super::filter::By;
use super::order::{bounds, bounds_by, reading_order, sort_key_by};
use super::{ExecutionRow, LargeValue, PayloadChange, WorkflowRunRow};
use crate::auth::{Role, Viewer};
use crate::domain::execution::{Filter, Order as ListOrder};
use crate::domain::export::LargeValues;
use crate::domain::limits::LARGE_VALUES_BYTES_MAX;
use crate::domain::page::{Cursor, Page, Rows};
use crate::error::{Error, Result};
use crate::store::rows::Columns;
use crate::store::scoped::{Reader, ScopedSelect, Writable, of_executions};
use crate::store::search::{Hits, Sought};

impl Reader<'_> {
    /// One execution, also when it has ended and is being discarded: for those who were following it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn find_followed_execution(&self, id: Uuid) -> Result<Option<ExecutionRow>> {
        self.executions_by_id(&[id]).one().await
    }

    /// Those of these executions that are in the history, by id.
    ///
    /// # Errors
    /// What the database says.
    pub async fn executions_by_ids(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, ExecutionRow>> {
        let rows = self.executions_by_id(ids).filter(execution::Column::DiscardAt.is_null()).all().await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }

    /// The tenants of those of these executions that are in scope, also of those being discarded.
    ///
    /// # Errors
    /// What the database says.
    pub async fn tenants_of_executions(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, String>> {
        use execution::Column as C;
        let rows: Vec<(Uuid, String)> =
            self.executions_by_id(ids).tuples([C::Id.into_expr(), C::TenantId.into_expr()]).await?;
        Ok(rows.into_iter().collect())
    }

    /// Those of these executions that are in scope, also those being discarded, if they pass the filter.
    ///
    /// # Errors
    /// What the database says.
    pub async fn followed_executions(
        &self,
        keys: &[(String, Uuid)],
        filter: &Filter,
    ) -> Result<HashMap<Uuid, ExecutionRow>> {
        let rows = self
            .select::<execution::Entity>()
            .filter(of_executions(execution::Column::TenantId, execution::Column::Id, keys))
            .filter(self.matching_of_keys(filter))
            .all()
            .await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }

    /// A page of the history, some columns of it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn list_executions(
        &self,
        filter: &Filter,
        order: ListOrder,
        page: &Page<Cursor>,
        columns: Columns,
    ) -> Result<Rows<Arc<ExecutionRow>>> {
        let filter = &self.with_creation_bounded(filter).await?;
        let Some(words) = &filter.words else {
            return self.page_of_matching(filter, order, page, columns).await;
        };
        let rest = Filter { words: None, ..Filter::clone(filter) };
        let select = || self.history().filter(self.matching_of_keys(&rest));
        let sought = Sought { words, page, order, created_at: &filter.created_at };
        let hits = self.hits_of_page(|| select().filter(bounds(order, page)), &sought).await?;
        if let Some(Hits { among, there_are_more }) = hits {
            let hits = match among {
                Some(among) => select().by_its_keys().filter(among),
                None => select().filter(Expr::val(false)),
            };
            let rows = self.page(vec![hits], By::Keys, order, page, columns).await?;
            if rows.has_more(page) || !there_are_more {
                return Ok(rows);
            }
            // Some of them were deleted in between.
        }
        self.page_of_matching(filter, order, page, columns).await
    }

    /// A page of those that wait or run, newest first, some columns of it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn list_active_executions(
        &self,
        page: &Page<Cursor>,
        columns: Columns,
    ) -> Result<Rows<Arc<ExecutionRow>>> {
        self.page(vec![self.active()], By::Any, ListOrder::Newest, page, columns).await
    }

    /// How many of the history match.
    ///
    /// # Errors
    /// What the database says.
    pub async fn count_executions(&self, filter: &Filter) -> Result<u64> {
        self.history().filter(self.matching(filter)).count().await
    }

    /// How many wait or run.
    ///
    /// # Errors
    /// What the database says.
    pub async fn count_active_executions(&self) -> Result<u64> {
        self.active().count().await
    }

    /// All executions with these ids that `viewer` may see, also those being discarded, locked for writing, and checked
    /// that they may be written.
    ///
    /// # Errors
    /// `FORBIDDEN` when one may be read but not written.
    pub async fn writable_executions(
        &self,
        viewer: &Viewer,
        ids: Vec<Uuid>,
    ) -> Result<HashMap<Uuid, Writable<ExecutionRow>>> {
        let rows = self.executions_by_id(&ids).lock_in_order(execution::Column::Id).all().await?;
        rows.into_iter().map(|row| Ok((row.id, check(viewer, row)?))).collect()
    }

    /// How many that match `viewer` may write.
    ///
    /// # Errors
    /// What the database says.
    pub async fn count_writable(&self, viewer: &Viewer, filter: &Filter) -> Result<u64> {
        self.writable_history(viewer).filter(self.matching(filter)).count().await
    }

    /// At most `rows` of those that match and that `viewer` may write, locked for writing.
    ///
    /// # Errors
    /// What the database says.
    pub async fn writable_matching(
        &self,
        viewer: &Viewer,
        filter: &Filter,
        rows: u64,
    ) -> Result<Vec<Writable<ExecutionRow>>> {
        let select = self.writable_history(viewer).filter(self.matching(filter)).limit(rows);
        let rows = select.lock_in_order(execution::Column::Id).all().await?;
        rows.into_iter().map(|row| check(viewer, row)).collect()
    }

    /// One of the large values of executions that have been read, by id; the others are not read.
    ///
    /// # Errors
    /// `TOO_LARGE` when together they have more than [`LARGE_VALUES_BYTES_MAX`].
    pub async fn large_values(
        &self,
        which: LargeValue,
        keys: &[(String, Uuid)],
    ) -> Result<HashMap<Uuid, String>> {
        use execution_payload::Column as C;
        let column = match which {
            LargeValue::Inputs => C::Inputs,
            LargeValue::Result => C::Result,
            LargeValue::Error => C::Error,
        };
        let name = sea_orm::Iden::unquoted(&column);
        // The sizes are read without the values: too many of them are not read at all.
        let total = format!("CAST(coalesce(sum(octet_length({name})) OVER (), 0) AS bigint)");
        let value = format!("CASE WHEN {total} <= {} THEN {name} END", LARGE_VALUES_BYTES_MAX.max);
        let rows: Vec<(Uuid, i64, Option<String>)> = self
            .select::<execution_payload::Entity>()
            .filter(of_executions(C::TenantId, C::ExecutionId, keys))
            .tuples([C::ExecutionId.into_expr(), Expr::cust(total), Expr::cust(value)])
            .await?;
        if rows.first().is_some_and(|(_, total, _)| total.cast_unsigned() > LARGE_VALUES_BYTES_MAX.max) {
            return Err(Error::TooLarge { field: name.to_owned().into(), limit: LARGE_VALUES_BYTES_MAX });
        }
        Ok(rows.into_iter().filter_map(|(id, _, value)| Some((id, value?))).collect())
    }

    /// How many bytes the large values of executions have together, by id. The values are not read.
    ///
    /// # Errors
    /// What the database says.
    pub async fn large_value_sizes(
        &self,
        which: LargeValues,
        keys: &[(String, Uuid)],
    ) -> Result<HashMap<Uuid, u64>> {
        use execution_payload::Column as C;
        let size = |column: C, is_asked_for: bool| {
            let name = sea_orm::Iden::unquoted(&column);
            if is_asked_for { format!("coalesce(octet_length({name}), 0)") } else { "0".to_owned() }
        };
        let sizes =
            [size(C::Inputs, which.inputs), size(C::Result, which.result), size(C::Error, which.error)];
        let total = Expr::cust(format!("CAST({} AS bigint)", sizes.join(" + ")));
        let rows: Vec<(Uuid, i64)> = self
            .select::<execution_payload::Entity>()
            .filter(of_executions(C::TenantId, C::ExecutionId, keys))
            .tuples([C::ExecutionId.into_expr(), total])
            .await?;
        Ok(rows.into_iter().map(|(id, bytes)| (id, bytes.cast_unsigned())).collect())
    }

    /// Some of the large values of executions, by id: inputs, result and error. Whoever asks keeps their sizes in mind.
    ///
    /// # Errors
    /// What the database says.
    pub async fn several_large_values(
        &self,
        which: LargeValues,
        keys: &[(String, Uuid)],
    ) -> Result<HashMap<Uuid, PayloadChange>> {
        use execution_payload::Column as C;
        let value = |column: C, is_asked_for: bool| {
            if is_asked_for { column.into_expr() } else { Expr::cust("CAST(NULL AS text)") }
        };
        type Text = Option<String>;
        let rows: Vec<(Uuid, Text, Text, Text)> = self
            .select::<execution_payload::Entity>()
            .filter(of_executions(C::TenantId, C::ExecutionId, keys))
            .tuples([
                C::ExecutionId.into_expr(),
                value(C::Inputs, which.inputs),
                value(C::Result, which.result),
                value(C::Error, which.error),
            ])
            .await?;
        let payload = |(id, inputs, result, error)| (id, PayloadChange { inputs, result, error });
        Ok(rows.into_iter().map(payload).collect())
    }

    /// What the executions of a workflow run add up to.
    ///
    /// # Errors
    /// What the database says.
    pub async fn workflow_run(&self, workflow_run_id: &str) -> Result<WorkflowRunRow> {
        let cast = |sql: &str| Expr::cust(format!("CAST(coalesce({sql}, 0) AS bigint)"));
        self.history()
            .filter(execution::Column::WorkflowRunId.eq(workflow_run_id))
            .aggregate(vec![
                ("executions", Expr::cust("count(*)")),
                ("workflow_id", Expr::cust("max(workflow_id)")),
                ("queued", cast("sum(CASE WHEN status = 'QUEUED' THEN 1 ELSE 0 END)")),
                ("running", cast("sum(CASE WHEN status = 'RUNNING' THEN 1 ELSE 0 END)")),
                ("failed", cast("sum(CASE WHEN status = 'FAILED' THEN 1 ELSE 0 END)")),
                ("cancelled", cast("sum(CASE WHEN status = 'CANCELLED' THEN 1 ELSE 0 END)")),
                ("started_at", Expr::cust("min(started_at)")),
                ("completed_at", Expr::cust("max(completed_at)")),
                ("input_tokens", cast("sum(input_tokens)")),
                ("cached_input_tokens", cast("sum(cached_input_tokens)")),
                ("output_tokens", cast("sum(output_tokens)")),
                ("cost_microusd", cast("sum(cost_microusd)")),
            ])
            .await
    }

    pub(in crate::store) fn history(&self) -> ScopedSelect<'_, '_, execution::Entity> {
        self.select::<execution::Entity>().filter(execution::Column::DiscardAt.is_null())
    }

    pub(in crate::store) fn writable_history(
        &self,
        viewer: &Viewer,
    ) -> ScopedSelect<'_, '_, execution::Entity> {
        let own = (viewer.role() == Role::Member).then(|| execution::Column::OwnerId.eq(viewer.user_id()));
        self.history().filter(Condition::all().add_option(own))
    }

    fn active(&self) -> ScopedSelect<'_, '_, execution::Entity> {
        // Spelled out, so that the planner sees that the partial index serves.
        self.history().filter(Expr::cust("status IN ('QUEUED', 'RUNNING')"))
    }

    pub(in crate::store) fn executions_by_id(&self, ids: &[Uuid]) -> ScopedSelect<'_, '_, execution::Entity> {
        self.select::<execution::Entity>().filter(self.id_in(execution::Column::Id, ids))
    }

    /// A page of what some strands of an index have together.
    pub(super) async fn page(
        &self,
        strands: Vec<ScopedSelect<'_, '_, execution::Entity>>,
        by: By,
        order: ListOrder,
        page: &Page<Cursor>,
        columns: Columns,
    ) -> Result<Rows<Arc<ExecutionRow>>> {
        let rows = self.read(strands, (by, page.rows + 1), order, page, columns).await?;
        Ok(Rows::from_read(rows, page))
    }

    /// So many rows between the cursors of a page, in the order in which it is read.
    pub(super) async fn read(
        &self,
        mut strands: Vec<ScopedSelect<'_, '_, execution::Entity>>,
        (by, rows): (By, u64),
        order: ListOrder,
        page: &Page<Cursor>,
        columns: Columns,
    ) -> Result<Vec<Arc<ExecutionRow>>> {
        let direction = reading_order(order, page);
        let (select, by) = if strands.len() == 1 {
            let strand = strands.remove(0);
            (strand.filter(bounds_by(self.dialect, by, order, page)), by)
        } else {
            let Some(mut keys) = self.keys_of(strands, by, order, page) else { return Ok(Vec::new()) };
            let is_one_of_them = self.dialect.is_one_of(keys.limit(rows).take());
            (self.history().by_its_keys().filter(is_one_of_them), By::Keys)
        };
        let select = select
            .order_by(sort_key_by(self.dialect, by, order), direction.clone())
            .order_by(execution::Column::Id.into_expr(), direction)
            .limit(rows);
        // They are large to be moved.
        select.all_of(columns.selected(), |row| columns.read(row).map(Arc::new)).await
    }
}

fn check(viewer: &Viewer, row: ExecutionRow) -> Result<Writable<ExecutionRow>> {
    let (tenant_id, owner_id) = (row.tenant_id.clone(), row.owner_id.clone());
    Writable::check(viewer, &tenant_id, &owner_id, row)
}
