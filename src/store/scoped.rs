//! Selects that carry their viewer's scope and cannot lose it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use sea_orm::sea_query::{
    Asterisk, Expr, ExprTrait as _, IntoCondition, LockType, Query, SelectStatement, UnionType,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait as _, DbErr, EntityTrait, FromQueryResult, Iden as _,
    Iterable as _, Order, PaginatorTrait as _, QueryFilter as _, QueryOrder, QueryResult, QuerySelect as _,
    QueryTrait as _, Select, Statement, TryGetableMany, Value,
};
use uuid::Uuid;

use super::dialect::Dialect;
use super::failure::failed;
use super::readers::Connection;
use crate::auth::{Scope, Viewer};
use crate::clock::Timestamp;
use crate::domain::page::{Cursor, Direction, Page};
use crate::error::{Error, Result};

/// A table whose rows belong to somebody.
pub(super) trait Owned: EntityTrait<Model: FromQueryResult + Send + Sync> {
    /// The column that names the tenant.
    const TENANT: Self::Column;
    /// The column that names the owner.
    const OWNER: Self::Column;
    /// A select that has no columns yet. SeaORM's own has all of them: to put them there was 2 % of the time of a list.
    fn without_columns() -> Select<Self>;
}

macro_rules! owned {
    ($($table:ident),*) => {
        $(impl Owned for entity::$table::Entity {
            const TENANT: Self::Column = entity::$table::Column::TenantId;
            const OWNER: Self::Column = entity::$table::Column::OwnerId;

            fn without_columns() -> Select<Self> {
                static EMPTY: LazyLock<Select<entity::$table::Entity>> =
                    LazyLock::new(|| unscoped::<entity::$table::Entity>().select_only());
                EMPTY.clone()
            }
        })*
    };
}

owned!(
    execution,
    execution_payload,
    execution_search,
    log_stream,
    log_chunk,
    change_event,
    project,
    deletion,
    code_agent,
    code_version,
    code_source,
    code_publish,
    generation,
    generation_manifest,
    statistic,
    code_version_run
);

/// Reads what one viewer may see.
#[derive(Debug)]
pub struct Reader<'c> {
    connection: Connection<'c>,
    scope: Scope,
    pub(super) dialect: Dialect,
}

impl<'c> Reader<'c> {
    pub(super) fn new(connection: Connection<'c>, viewer: &Viewer, dialect: Dialect) -> Self {
        Self { connection, scope: viewer.reads(), dialect }
    }

    /// A select of the rows of `E` in scope.
    pub(super) fn select<E: Owned>(&self) -> ScopedSelect<'_, 'c, E> {
        ScopedSelect {
            reader: self,
            select: E::without_columns(),
            condition: Condition::all(),
            by_its_keys: false,
        }
    }

    /// A select of the rows of `E` that belong to a row that has been read: within that row's tenant, so that the
    /// tenant's index serves a service's token, too.
    pub(super) fn select_within<E: Owned>(&self, tenant_id: &str) -> ScopedSelect<'_, 'c, E> {
        self.select::<E>().filter(E::TENANT.eq(tenant_id))
    }

    /// `column IN ids`, by the index that serves this scope.
    pub(super) fn id_in<C: ColumnTrait>(&self, column: C, ids: &[Uuid]) -> Expr {
        match self.scope.tenant_id() {
            Some(_) => column.is_in(ids.iter().copied()),
            None => self.dialect.ids_anywhere(column, ids),
        }
    }

    /// These columns of all rows of some selects, in one statement and in no order: each select has its own place in an
    /// index, and its own limit. Takes no more than 500 of them, SQLite's limit.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn union_all<E: Owned, R: FromQueryResult + Send + Sync>(
        &self,
        selects: Vec<ScopedSelect<'_, 'c, E>>,
        columns: impl IntoIterator<Item = E::Column> + Clone + Send,
    ) -> Result<Vec<R>> {
        let Some(query) = union(selects, &columns) else { return Ok(Vec::new()) };
        let statement = self.dialect.backend().build(&query);
        R::find_by_statement(statement).all(self.connection()).await.map_err(failed)
    }

    /// The one tenant whose rows are in scope; `None` when those of all are.
    pub(super) fn tenant_id(&self) -> Option<&str> {
        self.scope.tenant_id()
    }

    /// All rows of some selects that have the same columns, each of its own table, in one statement and in no order.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn union_of<R>(
        &self,
        parts: Vec<Part>,
        read: impl Fn(&QueryResult) -> Result<R, DbErr>,
    ) -> Result<Vec<R>> {
        let mut parts = parts.into_iter().map(|Part(query)| query);
        let Some(mut union) = parts.next() else { return Ok(Vec::new()) };
        union.unions(parts.map(|query| (UnionType::All, query)));
        let statement = self.dialect.backend().build(&union);
        let rows = self.connection().query_all_raw(statement).await.map_err(failed)?;
        rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)
    }

    /// Whose rows are read, when that is only one owner's.
    pub(super) fn only_owner(&self) -> Option<&str> {
        self.scope.owner_id()
    }

    /// Whether rows of every tenant are read.
    pub(super) fn reads_every_tenant(&self) -> bool {
        self.scope.tenant_id().is_none()
    }

    pub(super) fn connection(&self) -> &Connection<'c> {
        &self.connection
    }

    fn condition<E: Owned>(&self, by_its_keys: bool) -> Condition {
        let of_tenant = |tenant_id: &str| {
            if by_its_keys && !self.dialect.is_postgres() {
                // With the sign SQLite looks for no index of the column: https://sqlite.org/optoverview.html#uplus
                let column = format!("+{}.{} = ?", E::default().table_name(), E::TENANT.unquoted());
                Expr::cust_with_values(column, [tenant_id])
            } else {
                E::TENANT.eq(tenant_id)
            }
        };
        Condition::all()
            .add_option(self.scope.tenant_id().map(of_tenant))
            .add_option(self.scope.owner_id().map(|owner_id| E::OWNER.eq(owner_id)))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where a select begins; the scope is added when it runs"
)]
fn unscoped<E: EntityTrait>() -> Select<E> {
    E::find()
}

/// A select that can only run under its scope. Conditions are AND-ed under it, also when they are `any()`.
#[must_use]
#[derive(Debug)]
pub(super) struct ScopedSelect<'r, 'c, E: EntityTrait> {
    reader: &'r Reader<'c>,
    /// Without columns.
    select: Select<E>,
    condition: Condition,
    by_its_keys: bool,
}

/// A select under its scope that is to be a part of a union: see [`Reader::union_of`].
#[derive(Debug)]
pub(super) struct Part(SelectStatement);

impl<E: Owned> ScopedSelect<'_, '_, E> {
    /// Only rows for which `condition` holds, too.
    pub(super) fn filter(mut self, condition: impl IntoCondition) -> Self {
        self.condition = self.condition.add(condition.into_condition());
        self
    }

    /// Found by the keys that its conditions name: SQLite, which nobody tells how many rows a tenant has, thinks that they are
    /// few, and would rather go through all of them.
    pub(super) fn by_its_keys(mut self) -> Self {
        self.by_its_keys = true;
        self
    }

    /// Sorted by `expression`, after what it is sorted by already.
    pub(super) fn order_by(mut self, expression: impl Into<Expr>, order: Order) -> Self {
        self.select = QueryOrder::order_by(self.select, expression.into(), order);
        self
    }

    /// Whether there is such a row, for a statement about something else.
    pub(super) fn exists(self) -> Expr {
        Expr::exists(self.scoped().expr(Expr::val(1)).into_query())
    }

    /// What its rows come to, for a statement about something else.
    pub(super) fn value(self, aggregate: Expr) -> Expr {
        subselect(self.scoped().expr(aggregate).into_query())
    }

    /// How many rows there are, counted to `max`, for a statement about something else.
    pub(super) fn counted_to(self, max: u64) -> Expr {
        let rows = self.limit(max).scoped().expr(Expr::val(1)).into_query();
        subselect(Query::select().expr(Expr::cust("count(*)")).from_subquery(rows, "counted").take())
    }

    /// At most `rows` rows.
    pub(super) fn limit(mut self, rows: u64) -> Self {
        self.select = self.select.limit(rows);
        self
    }

    /// A page of the rows, newest first, and one row more that tells whether there are others. A cursor's key is
    /// `created_at` in microseconds.
    pub(super) fn newest_first(mut self, created_at: E::Column, id: E::Column, page: &Page<Cursor>) -> Self {
        let place = |cursor: &Cursor| {
            let created_at = Timestamp::from_timestamp_micros(cursor.key).unwrap_or(Timestamp::UNIX_EPOCH);
            Expr::tuple([Expr::val(created_at), Expr::val(cursor.id)])
        };
        let row = || Expr::tuple([created_at.into_expr(), id.into_expr()]);
        let order = match page.direction {
            Direction::Forward => Order::Desc,
            Direction::Backward => Order::Asc,
        };
        if let Some(after) = &page.after {
            self = self.filter(row().lt(place(after)));
        }
        if let Some(before) = &page.before {
            self = self.filter(row().gt(place(before)));
        }
        self.order_by(created_at.into_expr(), order.clone())
            .order_by(id.into_expr(), order)
            .limit(page.rows + 1)
    }

    /// Locks the rows until the transaction ends. SQLite's one writer has them already.
    pub(super) fn lock(mut self) -> Self {
        if self.reader.dialect.is_postgres() {
            self.select = self.select.lock(LockType::NoKeyUpdate);
        }
        self
    }

    /// Locks many rows, by tenant and id as all do who wait for locks, so that two transactions cannot wait for each other.
    pub(super) fn lock_in_order(self, id: E::Column) -> Self {
        self.order_by(E::TENANT.into_expr(), Order::Asc).order_by(id.into_expr(), Order::Asc).lock()
    }

    /// Some columns of all rows, as `read` reads them.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn all_of<R>(
        self,
        columns: impl IntoIterator<Item = E::Column>,
        read: impl Fn(&QueryResult) -> Result<R, DbErr>,
    ) -> Result<Vec<R>> {
        let reader = self.reader;
        let select = self.scoped().columns(columns);
        let statement = select.build(reader.dialect.backend());
        let rows = reader.connection().query_all_raw(statement).await.map_err(failed)?;
        rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)
    }

    /// All rows.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn all(self) -> Result<Vec<E::Model>> {
        let reader = self.reader;
        self.with_all_columns().all(reader.connection()).await.map_err(failed)
    }

    /// The first row.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn one(self) -> Result<Option<E::Model>> {
        let reader = self.reader;
        self.with_all_columns().one(reader.connection()).await.map_err(failed)
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn count(self) -> Result<u64> {
        let reader = self.reader;
        self.with_all_columns().count(reader.connection()).await.map_err(failed)
    }

    /// Only these expressions of all rows.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn tuples<T: TryGetableMany>(
        self,
        expressions: impl IntoIterator<Item = Expr>,
    ) -> Result<Vec<T>> {
        let reader = self.reader;
        let select = expressions.into_iter().fold(self.scoped(), Select::expr);
        select.into_tuple().all(reader.connection()).await.map_err(failed)
    }

    /// One row of expressions over all rows, such as sums.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn aggregate<R: FromQueryResult>(
        self,
        expressions: Vec<(&'static str, Expr)>,
    ) -> Result<R> {
        let reader = self.reader;
        let select = expressions
            .into_iter()
            .fold(self.scoped(), |select, (name, expression)| select.expr_as(expression, name));
        let row = select.into_model::<R>().one(reader.connection()).await.map_err(failed)?;
        row.ok_or_else(|| Error::internal("an aggregate gave no row"))
    }

    /// These expressions of all rows, by name, as a part of a union.
    pub(super) fn part(self, expressions: Vec<(&'static str, Expr)>) -> Part {
        let named = |select: Select<E>, (name, expression)| select.expr_as(expression, name);
        Part(expressions.into_iter().fold(self.scoped(), named).into_query())
    }

    fn with_all_columns(self) -> Select<E> {
        self.scoped().columns(E::Column::iter())
    }

    /// Under the scope, without columns.
    fn scoped(self) -> Select<E> {
        self.select.filter(self.reader.condition::<E>(self.by_its_keys).add(self.condition))
    }
}

/// The one value that a query gives.
pub(super) fn subselect(query: SelectStatement) -> Expr {
    Expr::SubQuery(None, Box::new(query.into()))
}

/// Any of many conditions, in groups of groups: databases and builders recurse over a chain of ORs.
pub(super) fn any_of(conditions: &[Expr]) -> Condition {
    const GROUP: usize = 50;
    conditions.chunks(GROUP).fold(Condition::any(), |any, group| {
        any.add(group.iter().cloned().fold(Condition::any(), Condition::add))
    })
}

/// All rows of some sorted selects that have the same columns, in the same order, which is by these; none of nothing. What comes in
/// this order out of an index is read no further than it is asked for.
pub(super) fn merged(
    parts: impl IntoIterator<Item = Part>,
    order: impl IntoIterator<Item = (&'static str, Order)>,
) -> Option<SelectStatement> {
    let parts: Vec<_> = parts.into_iter().map(|Part(query)| query).collect();
    let mut merged = union_of_sorted(parts)?;
    merged.clear_order_by();
    for (column, order) in order {
        merged.order_by(column, order);
    }
    Some(merged)
}

fn union<E: Owned>(
    selects: Vec<ScopedSelect<'_, '_, E>>,
    columns: &(impl IntoIterator<Item = E::Column> + Clone),
) -> Option<SelectStatement> {
    union_of_sorted(
        selects.into_iter().map(|select| select.scoped().columns(columns.clone()).into_query()).collect(),
    )
}

/// A union of selects, each with its own order and limit; none of nothing.
fn union_of_sorted(mut queries: Vec<SelectStatement>) -> Option<SelectStatement> {
    if queries.len() <= 1 {
        return queries.pop();
    }
    // SQLite takes ORDER BY and LIMIT in a part of a union only below a FROM.
    let part = |query| Query::select().column(Asterisk).from_subquery(query, "part").take();
    let mut parts = queries.into_iter().map(part);
    let mut union = parts.next()?;
    union.unions(parts.map(|part| (UnionType::All, part)));
    Some(union)
}

/// The rows of these executions, or of anything else with an id, each by its own tenant's index.
pub(super) fn of_executions<C: ColumnTrait>(tenant: C, execution: C, keys: &[(String, Uuid)]) -> Condition {
    let mut by_tenant: BTreeMap<&str, Vec<Uuid>> = BTreeMap::new();
    for (tenant_id, id) in keys {
        by_tenant.entry(tenant_id).or_default().push(*id);
    }
    let of_tenant = |(tenant_id, ids): (&str, Vec<Uuid>)| tenant.eq(tenant_id).and(execution.is_in(ids));
    any_of(&by_tenant.into_iter().map(of_tenant).collect::<Vec<_>>())
}

/// Some columns of the rows with these ids, each in the scope in which it is asked for; `also` is one more condition. Only for
/// the statement that runs most: its text is put together without a syntax tree, and has one of a few lengths, so that it
/// stays prepared. No scope may be of every tenant: that has no index here.
pub(super) fn by_id_in_scopes<E: Owned>(
    dialect: Dialect,
    columns: impl Iterator<Item = E::Column>,
    wanted: &[(&Scope, Uuid)],
    id: E::Column,
    also: Option<&str>,
) -> Statement {
    let mut text = String::with_capacity(1_024);
    for (index, column) in columns.enumerate() {
        text.push_str(if index == 0 { "SELECT " } else { ", " });
        text.push_str(column.unquoted());
    }
    // What is written is memory: it cannot fail.
    let _ = write!(text, " FROM {} WHERE ", E::default().table_name());
    if let Some(also) = also {
        let _ = write!(text, "{also} AND ");
    }
    text.push('(');
    let mut bound: Vec<Value> = Vec::with_capacity(2 * wanted.len());
    let repeated = wanted.last().into_iter().cycle().take(wanted.len().next_power_of_two() - wanted.len());
    for (index, (scope, wanted_id)) in wanted.iter().chain(repeated).enumerate() {
        text.push_str(if index == 0 { "" } else { " OR " });
        bound.push(scope.tenant_id().into());
        let _ = write!(text, "{} = ${}", E::TENANT.unquoted(), bound.len());
        bound.push((*wanted_id).into());
        let _ = write!(text, " AND {} = ${}", id.unquoted(), bound.len());
        if let Some(owner_id) = scope.owner_id() {
            bound.push(owner_id.into());
            let _ = write!(text, " AND {} = ${}", E::OWNER.unquoted(), bound.len());
        }
    }
    text.push(')');
    Statement::from_sql_and_values(dialect.backend(), text, bound)
}

/// A row that its reader may also write: the proof that the writing operations ask for.
#[derive(Debug, Clone)]
pub struct Writable<M>(M);

impl<M> Writable<M> {
    /// Checks that `viewer` may write a row that they could read.
    ///
    /// # Errors
    /// `FORBIDDEN`.
    pub(super) fn check(viewer: &Viewer, tenant_id: &str, owner_id: &str, row: M) -> Result<Self> {
        viewer.may_write(tenant_id, owner_id)?;
        Ok(Self(row))
    }

    /// For a row that has just been inserted under its writer's stamp.
    pub(super) fn new(row: M) -> Self {
        Self(row)
    }

    /// The row.
    pub fn row(&self) -> &M {
        &self.0
    }

    /// The row, to be changed in memory before it is saved.
    pub fn row_mut(&mut self) -> &mut M {
        &mut self.0
    }

    /// The row, without the proof.
    pub fn into_row(self) -> M {
        self.0
    }
}
