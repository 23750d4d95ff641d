//! The orders of lists, and the bounds of their pages.

use entity::execution;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait as _, Condition, Order};
use uuid::Uuid;

use super::filter::{By, DURATION};
use crate::clock::Timestamp;
use crate::domain::execution::Order as ListOrder;
use crate::domain::page::{Cursor, Direction, Page};
use crate::store::dialect::Dialect;

/// In which order the rows of a page are read.
pub(in crate::store) fn reading_order(order: ListOrder, page: &Page<Cursor>) -> Order {
    let ascending = order == ListOrder::Oldest;
    if ascending == (page.direction == Direction::Forward) { Order::Asc } else { Order::Desc }
}

/// Between the cursors of a page.
pub(super) fn bounds(order: ListOrder, page: &Page<Cursor>) -> Condition {
    bounds_of((sort_key(order), execution::Column::Id.into_expr()), order, page)
}

/// The same for rows that are found by an index. That of a condition on values goes on in the order of creation.
pub(super) fn bounds_by(dialect: Dialect, by: By, order: ListOrder, page: &Page<Cursor>) -> Condition {
    let key = match by {
        By::Few(part) if !(part.is_of_values() && is_of_creation(order)) => sort_key_by(dialect, by, order),
        _ => sort_key(order),
    };
    bounds_of((key, execution::Column::Id.into_expr()), order, page)
}

/// Between the cursors of a page, for rows that have the key and the id of their place otherwise.
pub(in crate::store) fn bounds_of(
    (sort_key, id): (Expr, Expr),
    order: ListOrder,
    page: &Page<Cursor>,
) -> Condition {
    let ascending = order == ListOrder::Oldest;
    let bound = |cursor: &Cursor, greater: bool| {
        let row = Expr::tuple([sort_key.clone(), id.clone()]);
        let place = Expr::tuple([cursor_key(order, cursor.key), Expr::val(cursor.id)]);
        let beyond = if greater { row.gt(place) } else { row.lt(place) };
        // SQLite finds no range for a row value with an expression in it, but for the expression by itself.
        let range = (order == ListOrder::Longest).then(|| {
            let key = cursor_key(order, cursor.key);
            if greater { sort_key.clone().gte(key) } else { sort_key.clone().lte(key) }
        });
        Condition::all().add(beyond).add_option(range)
    };
    Condition::all()
        .add_option(page.after.as_ref().map(|after| bound(after, ascending)))
        .add_option(page.before.as_ref().map(|before| bound(before, !ascending)))
}

/// A row's place in an order, as [`Cursor`] has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) key: i64,
    pub(super) id: Uuid,
}

/// Nearer than a place in the order in which a page is read, or from there on, for rows that are found by an index.
pub(super) fn beside(
    dialect: Dialect,
    by: By,
    (order, reading): (ListOrder, &Order),
    (far, is_nearer): (Place, bool),
) -> Condition {
    // PostgreSQL finds the range in an index, and sorts all the same.
    let sort_key = || if dialect.is_postgres() { sort_key(order) } else { sort_key_by(dialect, by, order) };
    let row = Expr::tuple([sort_key(), execution::Column::Id.into_expr()]);
    let key = || cursor_key(order, far.key);
    let place = Expr::tuple([key(), Expr::val(far.id)]);
    let is_ascending = matches!(reading, Order::Asc);
    let (beside, range) = match (is_ascending, is_nearer) {
        (true, true) => (row.lt(place), sort_key().lte(key())),
        (true, false) => (row.gte(place), sort_key().gte(key())),
        (false, true) => (row.gt(place), sort_key().gte(key())),
        (false, false) => (row.lte(place), sort_key().lte(key())),
    };
    Condition::all().add(beside).add_option((order == ListOrder::Longest).then_some(range))
}

/// Whether the list is in the order of creation.
pub(super) fn is_of_creation(order: ListOrder) -> bool {
    matches!(order, ListOrder::Newest | ListOrder::Oldest)
}

pub(super) fn sort_key(order: ListOrder) -> Expr {
    match order {
        ListOrder::Newest | ListOrder::Oldest => execution::Column::CreatedAt.into_expr(),
        // A bound parameter would hide that it is the same.
        ListOrder::Longest => Expr::cust(DURATION),
        ListOrder::Costliest => execution::Column::CostMicrousd.into_expr(),
    }
}

/// The same for rows that are found by an index. Few are to be sorted: an expression does not have the index of the order.
pub(super) fn sort_key_by(dialect: Dialect, by: By, order: ListOrder) -> Expr {
    if !matches!(by, By::Few(_)) {
        return sort_key(order);
    }
    Expr::cust(match (order, dialect) {
        (ListOrder::Newest | ListOrder::Oldest, Dialect::Sqlite) => "+execution.created_at",
        (ListOrder::Newest | ListOrder::Oldest, Dialect::Postgres) => "execution.created_at + interval '0'",
        (ListOrder::Longest, _) => "coalesce(duration_ms, -1) + 0",
        (ListOrder::Costliest, _) => "execution.cost_microusd + 0",
    })
}

fn cursor_key(order: ListOrder, key: i64) -> Expr {
    match order {
        ListOrder::Newest | ListOrder::Oldest => {
            Expr::val(Timestamp::from_timestamp_micros(key).unwrap_or(Timestamp::UNIX_EPOCH))
        }
        ListOrder::Longest | ListOrder::Costliest => Expr::val(key),
    }
}
