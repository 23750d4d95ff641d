//! Rows that were deleted make room for new ones once PostgreSQL's autovacuum has been there: of the tables that grow with the
//! history, when a twentieth is gone instead of a fifth, which of ten million would be two million.

use sea_orm_migration::prelude::*;

use crate::on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: [&str; 5] = ["execution", "execution_payload", "execution_search", "log_stream", "log_chunk"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            let sooner = format!("ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.05)");
            on_postgres(manager, &[&sooner]).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            let as_others = format!("ALTER TABLE {table} RESET (autovacuum_vacuum_scale_factor)");
            on_postgres(manager, &[&as_others]).await?;
        }
        Ok(())
    }
}
