//! The statements that change rows. Who may change them has been settled by then: their callers hold a stamp or a
//! proof that the rows are writable, or are named operations of [`super::system`].

use sea_orm::sea_query::{InsertStatement, OnConflict, Query};
use sea_orm::{
    Condition, ConnectionTrait as _, DbErr, EntityTrait, QueryFilter as _, QueryTrait as _, TryGetable,
};

use super::dialect::Dialect;
use super::failure::failed;
use super::{WriteTx, arrays};
use crate::error::Result;

/// Rows that one statement names: SQLite takes 500 parts of a union.
pub(super) const INSERT_ROWS_MAX: usize = 500;

/// Rows of one insert into SQLite, which takes 32,766 parameters; the widest table has 32 columns.
const ROWS_AT_ONCE: usize = 256;

/// Parts of which each has one of a few sizes, so that the statements for them stay prepared.
pub(super) fn in_powers_of_two<T>(rows: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let some = 1 << Ord::min(rows.len(), ROWS_AT_ONCE).checked_ilog2()?;
        Some(rows.by_ref().take(some).collect())
    })
}

/// Inserts rows.
pub(super) async fn insert_many<E: EntityTrait>(
    tx: &WriteTx,
    rows: Vec<E::ActiveModel>,
    on_conflict: Option<OnConflict>,
) -> Result<(), DbErr> {
    for insert in inserts::<E>(tx.dialect, rows, on_conflict)? {
        tx.inner.execute_raw(tx.dialect.backend().build(&insert)).await?;
    }
    Ok(())
}

/// Inserts rows, but for those that a unique index refuses; gives two columns of those that were inserted.
pub(super) async fn insert_new<E: EntityTrait, A: TryGetable, B: TryGetable>(
    tx: &WriteTx,
    rows: Vec<E::ActiveModel>,
    columns: [E::Column; 2],
) -> Result<Vec<(A, B)>> {
    let mut inserted = Vec::with_capacity(rows.len());
    let on_conflict = OnConflict::new().do_nothing().to_owned();
    for mut insert in inserts::<E>(tx.dialect, rows, Some(on_conflict)).map_err(failed)? {
        insert.returning(Query::returning().columns(columns));
        let statement = tx.dialect.backend().build(&insert);
        for row in tx.inner.query_all_raw(statement).await.map_err(failed)? {
            inserted
                .push((row.try_get_by_index(0).map_err(failed)?, row.try_get_by_index(1).map_err(failed)?));
        }
    }
    Ok(inserted)
}

/// What inserts rows: on PostgreSQL one statement, on SQLite as many as their number has powers of two.
#[expect(clippy::disallowed_methods, reason = "the one place that inserts; callers stamp the rows")]
fn inserts<E: EntityTrait>(
    dialect: Dialect,
    rows: Vec<E::ActiveModel>,
    on_conflict: Option<OnConflict>,
) -> Result<Vec<InsertStatement>, DbErr> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    if dialect.is_postgres() {
        return Ok(vec![arrays::insert::<E>(rows, on_conflict)?]);
    }
    let insert = |rows| {
        let mut insert = E::insert_many(rows).into_query();
        if let Some(on_conflict) = &on_conflict {
            insert.on_conflict(on_conflict.clone());
        }
        insert
    };
    Ok(in_powers_of_two(rows).map(insert).collect())
}

/// Deletes rows, and says how many.
#[expect(clippy::disallowed_methods, reason = "the one place that deletes; callers know whose rows they are")]
pub(super) async fn delete<E: EntityTrait>(tx: &WriteTx, which: Condition) -> Result<u64> {
    let deleted = E::delete_many().filter(which).exec(&tx.inner).await.map_err(failed)?;
    Ok(deleted.rows_affected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_come_in_few_sizes() {
        let sizes: Vec<_> = in_powers_of_two((0..611).collect()).map(|some: Vec<i32>| some.len()).collect();
        assert_eq!(sizes, [256, 256, 64, 32, 2, 1]);
        assert!(in_powers_of_two((0..611).collect()).flatten().eq(0..611));
        assert_eq!(in_powers_of_two(Vec::<i32>::new()).count(), 0);
    }
}
