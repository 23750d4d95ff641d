//! Executions whose runners fall silent, and deletions of many executions.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::m0001_executions::Types;
use crate::m0002_row_level_security::policy;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let types = Types::of(backend);
        for statement in UP {
            manager.get_connection().execute_unprepared(&types.fill_in(statement)).await?;
        }
        if backend == DbBackend::Postgres {
            manager.get_connection().execute_unprepared(&policy("deletion")).await?;
            // No policy: nobody but the table's owner sees a row.
            let hide = "ALTER TABLE deletion_item ENABLE ROW LEVEL SECURITY";
            manager.get_connection().execute_unprepared(hide).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in DOWN {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

const UP: &[&str] = &[
    "ALTER TABLE execution ADD COLUMN stale_after_seconds integer CHECK (stale_after_seconds > 0)",
    "ALTER TABLE execution ADD COLUMN check_at {time}",
    "UPDATE execution SET check_at = updated_at WHERE status = 'RUNNING'",
    "CREATE INDEX execution_to_check ON execution (check_at, id) WHERE check_at IS NOT NULL",
    "CREATE TABLE deletion (
        tenant_id text NOT NULL,
        id {uuid} NOT NULL,
        owner_id text NOT NULL,
        matched bigint NOT NULL,
        deleted bigint NOT NULL,
        created_at {time} NOT NULL,
        finished_at {time},
        PRIMARY KEY (tenant_id, id)
    )",
    "CREATE UNIQUE INDEX deletion_id_unique ON deletion (({id_text}))",
    "CREATE TABLE deletion_item (
        deletion_id {uuid} NOT NULL,
        tenant_id text NOT NULL,
        execution_id {uuid} NOT NULL,
        created_at {time} NOT NULL,
        PRIMARY KEY (deletion_id, tenant_id, execution_id)
    )",
];

const DOWN: &[&str] = &[
    "DELETE FROM job WHERE kind = 'DELETE_EXECUTIONS'",
    "DROP TABLE deletion_item",
    "DROP TABLE deletion",
    "DROP INDEX execution_to_check",
    "ALTER TABLE execution DROP COLUMN check_at",
    "ALTER TABLE execution DROP COLUMN stale_after_seconds",
];
