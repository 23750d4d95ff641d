//! Merging the parts of SQLite's index of words: each commit that adds words makes one. A search looks into all of them.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait as _, Statement};

use crate::error::Result;
use crate::store::Store;
use crate::store::dialect::Dialect;
use crate::store::failure::failed;

/// A part of the work.
#[derive(Debug, Clone, Copy)]
pub struct MergedStep {
    /// Nothing is left to do.
    pub is_last: bool,
    /// How long nobody else wrote.
    pub held: Duration,
}

/// Of a merge that does nothing, by the total of all changes
/// (<https://sqlite.org/fts5.html#the_merge_command>).
const CHANGES_OF_NOTHING_MAX: i64 = 1;

impl Store {
    /// Waits until somebody of this process writes, or has written since the last time.
    pub async fn written(&self) {
        self.0.writes.notified().await;
    }

    /// Merges so many pages of SQLite's index of words. PostgreSQL's own autovacuum does so.
    ///
    /// # Errors
    /// What the database says.
    pub async fn merge_words(&self, pages: u32) -> Result<MergedStep> {
        if self.0.dialect.is_postgres() {
            return Ok(MergedStep { is_last: true, held: Duration::ZERO });
        }
        let tx = self.begin_in_background().await?;
        let began = Instant::now();
        let changes = async || {
            let total = Statement::from_string(Dialect::Sqlite.backend(), "SELECT total_changes()");
            let row = tx.inner.query_one_raw(total).await.map_err(failed)?;
            row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0)).map_err(failed)
        };
        let before = changes().await?;
        let merge = format!("INSERT INTO execution_words (execution_words, rank) VALUES ('merge', {pages})");
        tx.inner.execute_unprepared(&merge).await.map_err(failed)?;
        let is_last = changes().await? - before <= CHANGES_OF_NOTHING_MAX;
        tx.commit().await?;
        Ok(MergedStep { is_last, held: began.elapsed() })
    }
}
