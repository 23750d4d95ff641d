//! What is done without a viewer: a closed list, by name. Each says why it may.

use std::time::Duration;

use entity::{change_event, execution, log_stream};
use sea_orm::sea_query::{ExprTrait as _, LockType};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Statement,
};
use uuid::Uuid;

use super::dialect::Unfolded;
use super::failure::failed;
use super::scoped::of_executions;
use super::write::delete;
use super::{Store, WriteTx};
use crate::clock::Timestamp;
use crate::error::Result;

/// Free pages that stay in SQLite's file: 8 MiB.
const FREE_PAGES_KEPT: i64 = 2_048;
/// Pages that are given back in one transaction: 128 KiB, as each may move another page into its place.
const FREE_PAGES_AT_ONCE: i64 = 32;
/// How long others have the database between two such transactions.
const GIVE_BACK_PAUSE: Duration = Duration::from_millis(20);

/// Locks the numbering of both streams of executions, in one order, so that two transactions cannot wait for each other.
///
/// Not scoped, because a group holds the calls of many viewers: whoever uses a row checks it against its own viewer.
#[expect(clippy::disallowed_methods, reason = "a system operation")]
pub(super) async fn lock_log_streams(
    tx: &WriteTx,
    keys: &[(String, Uuid)],
) -> Result<Vec<log_stream::Model>> {
    use log_stream::Column as C;
    let mut select = log_stream::Entity::find()
        .filter(of_executions(C::TenantId, C::ExecutionId, keys))
        .order_by_asc(C::TenantId)
        .order_by_asc(C::ExecutionId)
        .order_by_asc(C::Kind);
    if tx.dialect.is_postgres() {
        select = select.lock(LockType::NoKeyUpdate);
    }
    select.all(&tx.inner).await.map_err(failed)
}

impl Store {
    /// Removes executions that were not to be kept and ended before `now`, at most `rows` of them; says how many, and
    /// which. Their owners asked for this when they started them.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn discard_executions(&self, now: Timestamp, rows: u64) -> Result<Vec<execution::Model>> {
        let tx = self.begin().await?;
        let mut select = execution::Entity::find()
            .filter(execution::Column::DiscardAt.is_not_null())
            .filter(execution::Column::DiscardAt.lte(now))
            .limit(rows);
        if tx.dialect.is_postgres() {
            // Another process is at the others.
            select =
                select.lock_with_behavior(LockType::Update, sea_orm::sea_query::LockBehavior::SkipLocked);
        }
        let gone = select.all(&tx.inner).await.map_err(failed)?;
        if gone.is_empty() {
            return Ok(gone);
        }
        tx.remove_executions(&gone.iter().collect::<Vec<_>>(), now).await?;
        tx.commit().await?;
        Ok(gone)
    }

    /// Carries what is in SQLite's log into its file, as far as nobody reads what was there before; nobody waits for it.
    /// PostgreSQL does so by itself.
    ///
    /// # Errors
    /// What the database says.
    pub async fn checkpoint(&self) -> Result<()> {
        if self.0.dialect.is_postgres() {
            return Ok(());
        }
        self.0.read.execute_unprepared("PRAGMA wal_checkpoint(PASSIVE)").await.map_err(failed)?;
        Ok(())
    }

    /// Gives the pages of SQLite's file that are free back to the disk, a few at a time, but for some that the next rows take;
    /// a file that was not made for it (`auto_vacuum`) keeps them all. PostgreSQL's own autovacuum makes room for new rows.
    ///
    /// # Errors
    /// What the database says.
    pub async fn give_back_disk(&self) -> Result<()> {
        if self.0.dialect.is_postgres() {
            return Ok(());
        }
        // 0 is a file that keeps its pages for ever, whatever it is asked.
        if self.pragma("auto_vacuum").await? == 0 {
            return Ok(());
        }
        while self.pragma("freelist_count").await? > FREE_PAGES_KEPT {
            let give_back = format!("PRAGMA incremental_vacuum({FREE_PAGES_AT_ONCE})");
            let writer = self.the_writer().await?;
            self.0.background.execute_unprepared(&give_back).await.map_err(failed)?;
            drop(writer);
            tokio::time::sleep(GIVE_BACK_PAUSE).await;
        }
        Ok(())
    }

    async fn pragma(&self, name: &str) -> Result<i64> {
        let pragma = Statement::from_string(self.0.dialect.backend(), format!("PRAGMA {name}"));
        let row = self.0.read.query_one_raw(pragma).await.map_err(failed)?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose().map_err(failed)?.unwrap_or(0))
    }

    /// Removes at most `rows` events of the change feed that are older than `before`; says how many. No cursor reaches back
    /// that far, and the statistics have them.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn forget_changes(&self, before: Timestamp, rows: u64) -> Result<u64> {
        let old: Vec<i64> = change_event::Entity::find()
            .select_only()
            .column(change_event::Column::Seq)
            .filter(change_event::Column::CreatedAt.lt(before))
            .filter(self.0.dialect.unfolded(Unfolded::Anybody).not())
            .order_by_asc(change_event::Column::CreatedAt)
            .limit(rows)
            .into_tuple()
            .all(&self.0.read)
            .await
            .map_err(failed)?;
        if old.is_empty() {
            return Ok(0);
        }
        let tx = self.begin().await?;
        let deleted =
            delete::<change_event::Entity>(&tx, Condition::all().add(change_event::Column::Seq.is_in(old)))
                .await?;
        tx.commit().await?;
        Ok(deleted)
    }
}
