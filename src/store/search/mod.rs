//! The words by which executions are found: see [`crate::domain::search`].
//!
//! A page of a search costs what it shows, however many executions have the words: on SQLite because its index of words is in
//! the order of time, on PostgreSQL because a part of time is one more word.

mod merging;
mod past;
mod places;
mod spans;
mod windows;

use std::collections::HashMap;

use entity::{execution, execution_payload, execution_search};
use sea_orm::sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, OnConflict, Query};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QuerySelect as _,
};
use uuid::Uuid;

use self::spans::SECOND_MAX;
use super::dialect::Dialect;
use super::executions::{ExecutionRow, PayloadChange};
use super::failure::failed;
use super::scoped::{Reader, ScopedSelect, of_executions};
use super::write::insert_many;
use super::{Store, WriteTx};
use crate::clock::Timestamp;
use crate::domain::execution::{Order as ListOrder, Range};
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
    /// A condition that they fulfil, and few others; `None` when there are none.
    pub among: Option<Expr>,
    /// Others have the words, too.
    pub there_are_more: bool,
}

/// What a page of a search shows.
pub(super) struct Sought<'s> {
    pub words: &'s [String],
    pub page: &'s Page<Cursor>,
    pub order: ListOrder,
    /// When its executions were created, besides.
    pub created_at: &'s Range<Timestamp>,
}

impl Sought<'_> {
    /// The first and the last second in which what it shows may have been created, by its cursors and by its time.
    fn seconds(&self) -> (i64, i64) {
        let Self { page, order, created_at, .. } = self;
        let (lower, upper) = match order {
            ListOrder::Oldest => (&page.after, &page.before),
            _ => (&page.before, &page.after),
        };
        let of_cursor = |cursor: &Option<Cursor>| cursor.map(|cursor| cursor.key.div_euclid(1_000_000));
        let of_time = |time: Option<Timestamp>| time.map(|time| time.timestamp());
        let first = [of_cursor(lower), of_time(created_at.from)].into_iter().flatten().max();
        let last = [of_cursor(upper), of_time(created_at.to)].into_iter().flatten().min();
        (first.unwrap_or(i64::MIN), last.unwrap_or(i64::MAX))
    }
}

impl Reader<'_> {
    /// Which executions the page of a search is to be looked for among: a few more than it shows, instead of all that have
    /// the words. `None` where they are found otherwise, such as in another order than that of time.
    ///
    /// `select` selects what else the page's executions have to be, between its cursors.
    pub(super) async fn hits_of_page<'r>(
        &'r self,
        select: impl Fn() -> ScopedSelect<'r, 'r, execution::Entity>,
        sought: &Sought<'_>,
    ) -> Result<Option<Hits>> {
        if !matches!(sought.order, ListOrder::Newest | ListOrder::Oldest) {
            return Ok(None);
        }
        match self.dialect {
            Dialect::Sqlite => self.hits_in_places(select, sought).await.map(Some),
            Dialect::Postgres => self.hits_in_windows(select, sought).await,
        }
    }

    /// The seconds of the first and of the last execution among which a search may find any; `None` when there is none.
    async fn seconds(&self, sought: &Sought<'_>) -> Result<Option<(i64, i64)>> {
        use execution::Column as C;
        let (first, last) = sought.seconds();
        let (first, last) = (first.clamp(0, SECOND_MAX), last.clamp(0, SECOND_MAX));
        let at = |second| Timestamp::from_timestamp(second, 0).map(|time| self.dialect.opaque_time(time));
        let from = at(first).filter(|_| first > 0).map(|from| C::CreatedAt.into_expr().gte(from));
        let to = at(last + 1).filter(|_| last < SECOND_MAX).map(|to| C::CreatedAt.into_expr().lt(to));
        let end = |time: Expr| {
            let within = Condition::all().add_option(from.clone()).add_option(to.clone());
            self.history().filter(within).value(time)
        };
        let ends = Query::select().expr(end(C::CreatedAt.min())).expr(end(C::CreatedAt.max())).take();
        let row = self.connection().query_one(&ends).await.map_err(failed)?;
        let ends = row.map(|row| row.try_get_many_by_index()).transpose().map_err(failed)?;
        let Some((Some(first), Some(last))): Option<(Option<Timestamp>, Option<Timestamp>)> = ends else {
            return Ok(None);
        };
        let second = |time: Timestamp| time.timestamp().clamp(0, SECOND_MAX);
        Ok(Some((second(first), second(last))))
    }
}

impl WriteTx {
    /// Sets the words that are given; the others stay as they are.
    pub(super) async fn save_words(&self, mut rows: Vec<execution_search::Model>) -> Result<()> {
        use execution_search::Column as C;
        // SQLite's index of words takes what comes in its own order, which is that of time, at once, and anything else row by
        // row: https://sqlite.org/src/file?name=ext/fts5/fts5_index.c, sqlite3Fts5IndexBeginWrite.
        rows.sort_by_key(|row| row.created_at);
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
