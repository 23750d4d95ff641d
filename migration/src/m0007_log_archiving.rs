//! What archiving log lines needs to be fair, punctual and seen: since when lines wait, how long a log is left alone by a
//! storage that can only rewrite objects, and which server has a lease.

use sea_orm_migration::prelude::*;

use crate::m0001_executions::Types;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let types = Types::of(manager.get_database_backend());
        for statement in UP {
            manager.get_connection().execute_unprepared(&types.fill_in(statement)).await?;
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
    "ALTER TABLE log_stream ADD COLUMN waiting_since {time}",
    "ALTER TABLE log_stream ADD COLUMN archive_from_bytes bigint",
    "ALTER TABLE log_stream ADD COLUMN archive_node_id {uuid}",
    "UPDATE log_stream SET waiting_since = last_line_at WHERE next_seq > archived_seq AND NOT expired",
];

const DOWN: &[&str] = &[
    "ALTER TABLE log_stream DROP COLUMN archive_node_id",
    "ALTER TABLE log_stream DROP COLUMN archive_from_bytes",
    "ALTER TABLE log_stream DROP COLUMN waiting_since",
];
