//! Rewriting the database without what was deleted: pages that lost only some of their rows are never given back otherwise.

use sea_orm::{ConnectionTrait as _, DbErr, RuntimeErr, Statement};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::Store;
use super::dialect::Dialect;
use super::failure::failed;
use crate::error::{Error, Result};

/// How many bytes the database had, and how many it has now.
#[derive(Debug, Clone, Copy)]
pub struct Compacted {
    pub bytes_before: u64,
    pub bytes_after: u64,
}

impl Store {
    /// Rewrites all tables; who wants one meanwhile waits. That takes as much more disk as SQLite's rows, or those of PostgreSQL's
    /// largest table, need.
    ///
    /// # Errors
    /// What the database says, such as that the disk is full; everything is as before then.
    pub async fn compact(&self) -> Result<Compacted> {
        let bytes_before = self.size_bytes().await?;
        match self.0.dialect {
            Dialect::Sqlite => {
                for statement in ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"] {
                    self.0.write.execute_unprepared(statement).await.map_err(failed)?;
                }
            }
            Dialect::Postgres => self.rewrite_tables().await.map_err(of_sqlx)?,
        }
        Ok(Compacted { bytes_before, bytes_after: self.size_bytes().await? })
    }

    async fn rewrite_tables(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.0.write.get_postgres_connection_pool().acquire().await?;
        connection.close_on_drop(); // the others have limits of time
        connection.execute("SET statement_timeout = 0").await?;
        let tables = "SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = current_schema()";
        for table in connection.fetch_all(tables).await? {
            let table: String = table.try_get(0)?;
            connection.execute(AssertSqlSafe(format!("VACUUM (FULL) {table}"))).await?;
            // It forgot which pages everybody sees, without which a count reads them all.
            connection.execute(AssertSqlSafe(format!("VACUUM (ANALYZE) {table}"))).await?;
        }
        Ok(())
    }

    async fn size_bytes(&self) -> Result<u64> {
        let size = match self.0.dialect {
            Dialect::Sqlite => "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
            Dialect::Postgres => "SELECT pg_database_size(current_database())",
        };
        let size = Statement::from_string(self.0.dialect.backend(), size);
        let row = self.0.read.query_one_raw(size).await.map_err(failed)?;
        let bytes: Option<i64> = row.map(|row| row.try_get_by_index(0)).transpose().map_err(failed)?;
        Ok(bytes.unwrap_or_default().unsigned_abs())
    }
}

fn of_sqlx(error: sqlx::Error) -> Error {
    failed(DbErr::Exec(RuntimeErr::SqlxError(error.into())))
}
