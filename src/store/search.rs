//! The words by which executions are found: see [`crate::domain::search`].

use std::collections::HashMap;

use entity::{execution, execution_payload, execution_search};
use sea_orm::sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, OnConflict, Query};
use sea_orm::{
    ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _, Order, QueryFilter as _, QuerySelect as _,
};
use uuid::Uuid;

use super::dialect::sqlite_terms;
use super::executions::{ExecutionRow, PayloadChange, reading_order};
use super::failure::failed;
use super::scoped::{Reader, ScopedSelect, of_executions};
use super::write::insert_many;
use super::{Store, WriteTx};
use crate::domain::execution::Order as ListOrder;
use crate::domain::page::{Cursor, Page};
use crate::domain::search::Words;
use crate::error::Result;

/// The words of an execution's new texts, for the upsert of [`WriteTx::save_words`]; `None` when there are none.
pub(super) fn search_row(
    row: &ExecutionRow,
    name: Option<&str>,
    payload: &PayloadChange,
) -> Option<execution_search::Model> {
    let PayloadChange { inputs, result, error } = payload;
    let start_words = (name.is_some() || inputs.is_some()).then(|| {
        let name = Words::default().text(name.unwrap_or_default());
        name.json(inputs.as_deref().unwrap_or_default()).into_text()
    });
    let result_words = result.as_ref().map(|result| Words::default().json(result).into_text());
    let error_words = error.as_ref().map(|error| Words::default().text(error).into_text());
    if start_words.is_none() && result_words.is_none() && error_words.is_none() {
        return None;
    }
    Some(execution_search::Model {
        tenant_id: row.tenant_id.clone(),
        execution_id: row.id,
        owner_id: row.owner_id.clone(),
        created_at: row.created_at,
        start_words,
        result_words,
        error_words,
        pending: false,
    })
}

/// Where the executions of one page of a search are.
pub(super) struct Hits {
    /// A condition that they fulfil, and few others.
    pub among: Expr,
    /// Others have the words, too.
    pub there_are_more: bool,
}

/// The second that a place of SQLite's index of words is in: see the schema change that makes it.
const PLACES_OF_A_SECOND: u32 = 30;

impl Reader<'_> {
    /// Which executions the page of a search is to be looked for among: a few more than it shows, instead of all that have
    /// the words. `None` where they are found otherwise, as on PostgreSQL, whose planner knows which words are common.
    ///
    /// SQLite's index of words gives its rows in the order of the seconds in which the executions were created, so that
    /// reading ends with the second of the page's last row.
    pub(super) async fn hits_of_page(
        &self,
        select: ScopedSelect<'_, '_, execution::Entity>,
        words: &[String],
        order: ListOrder,
        page: &Page<Cursor>,
    ) -> Result<Option<Hits>> {
        let is_by_time = matches!(order, ListOrder::Newest | ListOrder::Oldest);
        if self.dialect.is_postgres() || !is_by_time {
            return Ok(None);
        }
        let place = || Expr::cust("execution_words.rowid");
        let terms = sqlite_terms(self.tenant_id(), words);
        let at_place = "(execution.tenant_id, execution.id) IN (
            SELECT execution_search.tenant_id, execution_search.execution_id
            FROM execution_search WHERE execution_search.place = execution_words.rowid)";
        let reading = reading_order(order, page);
        let query = Query::select()
            .expr_as(place(), "place")
            .from("execution_words")
            .and_where(Expr::cust_with_values("execution_words MATCH ?", [terms.clone()]))
            .and_where(select.filter(Expr::cust(at_place)).exists())
            .and_where_option(page.after.as_ref().map(|cursor| beyond(cursor, order == ListOrder::Oldest)))
            .and_where_option(page.before.as_ref().map(|cursor| beyond(cursor, order == ListOrder::Newest)))
            .order_by_expr(place(), reading.clone())
            .limit(page.rows + 1)
            .take();
        let found = self.connection().query_all(&query).await.map_err(failed)?;
        let places: Vec<i64> =
            found.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>().map_err(failed)?;
        let last = places.last().filter(|_| places.len() as u64 > page.rows);
        let Some(last) = last else {
            if places.is_empty() {
                return Ok(Some(Hits { among: Expr::val(false), there_are_more: false }));
            }
            let among = Expr::cust_with_values(
                format!(
                    "(execution.tenant_id, execution.id) IN (
                         SELECT execution_search.tenant_id, execution_search.execution_id
                         FROM execution_search WHERE execution_search.place IN ({}))",
                    vec!["?"; places.len()].join(", ")
                ),
                places,
            );
            return Ok(Some(Hits { among, there_are_more: false }));
        };
        let second = last >> PLACES_OF_A_SECOND;
        let range = match reading {
            Order::Asc => format!("< {}", (second + 1) << PLACES_OF_A_SECOND),
            _ => format!(">= {}", second << PLACES_OF_A_SECOND),
        };
        let range = format!(
            "(execution.tenant_id, execution.id) IN (
                 SELECT execution_search.tenant_id, execution_search.execution_id
                 FROM execution_words JOIN execution_search ON execution_search.place = execution_words.rowid
                 WHERE execution_words MATCH ? AND execution_words.rowid {range})"
        );
        Ok(Some(Hits { among: Expr::cust_with_values(range, [terms]), there_are_more: true }))
    }

    /// Whether an execution has all of these words.
    pub(super) fn has_words(&self, words: &[String]) -> Expr {
        self.dialect.has_words(self.tenant_id(), words)
    }
}

/// The places from the second of a cursor on, or up to it.
fn beyond(cursor: &Cursor, greater: bool) -> Expr {
    let second = Ord::max(cursor.key.div_euclid(1_000_000), 0);
    let place = Expr::cust("execution_words.rowid");
    match greater {
        true => place.gte(second << PLACES_OF_A_SECOND),
        false => place.lt((second + 1) << PLACES_OF_A_SECOND),
    }
}

impl WriteTx {
    /// Sets the words that are given; the others stay as they are.
    pub(super) async fn save_words(&self, rows: Vec<execution_search::Model>) -> Result<()> {
        use execution_search::Column as C;
        // In an upsert, the old row goes by the table's name.
        let keep = |column: C| {
            let name = sea_orm::Iden::unquoted(&column).to_owned();
            (column, Expr::cust(format!("coalesce(excluded.{name}, execution_search.{name})")))
        };
        let on_conflict = OnConflict::columns([C::TenantId, C::ExecutionId])
            .values([keep(C::StartWords), keep(C::ResultWords), keep(C::ErrorWords)])
            .to_owned();
        let rows = rows.into_iter().map(|row| row.into_active_model()).collect();
        insert_many::<execution_search::Entity>(self, rows, Some(on_conflict)).await.map_err(failed)
    }
}

impl Store {
    /// Fills in the words of at most `rows` executions from before there was a search; says of how many.
    ///
    /// # Errors
    /// What the database says.
    #[expect(
        clippy::disallowed_methods,
        reason = "a system operation: their words change nothing for anybody"
    )]
    pub async fn fill_in_words(&self, rows: u64) -> Result<usize> {
        let tx = self.begin().await?;
        // As the index has it: a database cannot tell that from a parameter.
        let mut select = execution_search::Entity::find().filter(Expr::cust("pending")).limit(rows);
        if tx.dialect.is_postgres() {
            select = select.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        }
        let pending = select.all(&tx.inner).await.map_err(failed)?;
        if pending.is_empty() {
            return Ok(0);
        }
        let keys: Vec<_> = pending.iter().map(|row| (row.tenant_id.clone(), row.execution_id)).collect();
        let executions = execution::Entity::find()
            .filter(of_executions(execution::Column::TenantId, execution::Column::Id, &keys))
            .all(&tx.inner)
            .await
            .map_err(failed)?;
        let payloads = execution_payload::Entity::find()
            .filter(of_executions(
                execution_payload::Column::TenantId,
                execution_payload::Column::ExecutionId,
                &keys,
            ))
            .all(&tx.inner)
            .await
            .map_err(failed)?;
        let mut payloads: HashMap<Uuid, PayloadChange> = payloads
            .into_iter()
            .map(|row| {
                let payload = PayloadChange { inputs: row.inputs, result: row.result, error: row.error };
                (row.execution_id, payload)
            })
            .collect();
        let mut words: HashMap<Uuid, execution_search::Model> = executions
            .iter()
            .filter_map(|row| {
                let payload = payloads.remove(&row.id).unwrap_or_default();
                Some((row.id, search_row(row, row.name.as_deref(), &payload)?))
            })
            .collect();
        let count = pending.len();
        let filled = pending.into_iter().map(|row| {
            let filled = words.remove(&row.execution_id).unwrap_or(row);
            execution_search::Model { pending: false, ..filled }.into_active_model()
        });
        use execution_search::Column as C;
        let on_conflict = OnConflict::columns([C::TenantId, C::ExecutionId])
            .update_columns([C::StartWords, C::ResultWords, C::ErrorWords, C::Pending])
            .to_owned();
        insert_many::<execution_search::Entity>(&tx, filled.collect(), Some(on_conflict))
            .await
            .map_err(failed)?;
        tx.commit().await?;
        Ok(count)
    }
}
