//! The orders of lists, and the bounds of their pages.

use entity::execution;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait as _, Condition, Order};

use crate::clock::Timestamp;
use crate::domain::execution::Order as ListOrder;
use crate::domain::page::{Cursor, Direction, Page};

/// In which order the rows of a page are read.
pub(in crate::store) fn reading_order(order: ListOrder, page: &Page<Cursor>) -> Order {
    let ascending = order == ListOrder::Oldest;
    if ascending == (page.direction == Direction::Forward) { Order::Asc } else { Order::Desc }
}

/// Between the cursors of a page.
pub(super) fn bounds(order: ListOrder, page: &Page<Cursor>) -> Condition {
    bounds_of((sort_key(order), execution::Column::Id.into_expr()), order, page)
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

pub(super) fn sort_key(order: ListOrder) -> Expr {
    match order {
        ListOrder::Newest | ListOrder::Oldest => execution::Column::CreatedAt.into_expr(),
        // As the index has it; a bound parameter would hide that they are the same.
        ListOrder::Longest => Expr::cust("coalesce(duration_ms, -1)"),
        ListOrder::Costliest => execution::Column::CostMicrousd.into_expr(),
    }
}

fn cursor_key(order: ListOrder, key: i64) -> Expr {
    match order {
        ListOrder::Newest | ListOrder::Oldest => {
            Expr::val(Timestamp::from_timestamp_micros(key).unwrap_or(Timestamp::UNIX_EPOCH))
        }
        ListOrder::Longest | ListOrder::Costliest => Expr::val(key),
    }
}
