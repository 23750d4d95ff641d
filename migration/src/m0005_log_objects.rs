//! Log lines leave the database for one object per execution.
//!
//! A chunk whose lines are in the object keeps its row, without its text: it is the index that says where in the object
//! its lines are.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::Statement;

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
        let archived = "SELECT 1 FROM log_chunk WHERE object_offset IS NOT NULL LIMIT 1";
        let archived = Statement::from_string(manager.get_database_backend(), archived);
        if manager.get_connection().query_one_raw(archived).await?.is_some() {
            return Err(DbErr::Custom(
                "log lines are in objects, and only these columns say where: the schema cannot go back"
                    .into(),
            ));
        }
        for statement in DOWN {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

const UP: &[&str] = &[
    "ALTER TABLE log_stream ADD COLUMN archived_seq bigint NOT NULL DEFAULT 0",
    "ALTER TABLE log_stream ADD COLUMN archived_bytes bigint NOT NULL DEFAULT 0",
    "ALTER TABLE log_stream ADD COLUMN object_place text CHECK (object_place IN ('LOCAL', 'CLOUD'))",
    "ALTER TABLE log_stream ADD COLUMN archive_due_at {time}",
    "ALTER TABLE log_stream ADD COLUMN archive_lease_id {uuid}",
    "ALTER TABLE log_stream ADD COLUMN archive_leased_until {time}",
    "ALTER TABLE log_stream ADD COLUMN archive_failures integer NOT NULL DEFAULT 0",
    "ALTER TABLE log_stream ADD COLUMN last_line_at {time}",
    "ALTER TABLE log_stream ADD COLUMN expired boolean NOT NULL DEFAULT false",
    "ALTER TABLE log_chunk ADD COLUMN object_offset bigint",
    "ALTER TABLE log_chunk ADD COLUMN object_place text CHECK (object_place IN ('LOCAL', 'CLOUD'))",
    "ALTER TABLE log_chunk ADD COLUMN arrivals text",
    // For logs from before: the end of their retention is counted from what is known of them.
    "UPDATE log_stream SET last_line_at = heartbeat_at WHERE next_seq > 0",
    "CREATE INDEX log_stream_to_archive ON log_stream (archive_due_at, execution_id)
        WHERE archive_due_at IS NOT NULL",
    // Lines that nobody has planned to archive: those from before.
    "CREATE INDEX log_stream_unplanned ON log_stream (execution_id)
        WHERE archive_due_at IS NULL AND next_seq > archived_seq",
    "CREATE INDEX log_stream_by_age ON log_stream (last_line_at, execution_id)
        WHERE ended AND NOT expired AND last_line_at IS NOT NULL",
];

const DOWN: &[&str] = &[
    "DROP INDEX log_stream_by_age",
    "DROP INDEX log_stream_unplanned",
    "DROP INDEX log_stream_to_archive",
    "ALTER TABLE log_chunk DROP COLUMN arrivals",
    "ALTER TABLE log_chunk DROP COLUMN object_place",
    "ALTER TABLE log_chunk DROP COLUMN object_offset",
    "ALTER TABLE log_stream DROP COLUMN expired",
    "ALTER TABLE log_stream DROP COLUMN last_line_at",
    "ALTER TABLE log_stream DROP COLUMN archive_failures",
    "ALTER TABLE log_stream DROP COLUMN archive_leased_until",
    "ALTER TABLE log_stream DROP COLUMN archive_lease_id",
    "ALTER TABLE log_stream DROP COLUMN archive_due_at",
    "ALTER TABLE log_stream DROP COLUMN object_place",
    "ALTER TABLE log_stream DROP COLUMN archived_bytes",
    "ALTER TABLE log_stream DROP COLUMN archived_seq",
];
