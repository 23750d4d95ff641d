//! The two statements that change rows. Who may change them has been settled by then: their callers hold a stamp or a
//! proof that the rows are writable, or are named operations of [`super::system`].

use sea_orm::sea_query::OnConflict;
use sea_orm::{Condition, DbErr, EntityTrait, QueryFilter as _};

use super::WriteTx;
use super::failure::failed;
use crate::error::Result;

/// Rows of one statement: PostgreSQL takes 65,535 parameters, SQLite 32,766, and the widest table has 30 columns.
pub(super) const INSERT_ROWS_MAX: usize = 500;

/// Inserts rows, [`INSERT_ROWS_MAX`] a statement.
#[expect(clippy::disallowed_methods, reason = "the one place that inserts; callers stamp the rows")]
pub(super) async fn insert_many<E: EntityTrait>(
    tx: &WriteTx,
    rows: Vec<E::ActiveModel>,
    on_conflict: Option<OnConflict>,
) -> Result<(), DbErr> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut insert = E::insert_many(rows.by_ref().take(INSERT_ROWS_MAX));
        if let Some(on_conflict) = &on_conflict {
            insert = insert.on_conflict(on_conflict.clone());
        }
        insert.exec_without_returning(&tx.inner).await?;
    }
    Ok(())
}

/// Deletes rows, and says how many.
#[expect(clippy::disallowed_methods, reason = "the one place that deletes; callers know whose rows they are")]
pub(super) async fn delete<E: EntityTrait>(tx: &WriteTx, which: Condition) -> Result<u64> {
    let deleted = E::delete_many().filter(which).exec(&tx.inner).await.map_err(failed)?;
    Ok(deleted.rows_affected)
}
