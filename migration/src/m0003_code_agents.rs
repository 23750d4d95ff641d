//! Code agents, their versions, and which version an execution runs.
//!
//! An execution names its agent without a foreign key: it stays when the agent is deleted.

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
        let connection = manager.get_connection();
        for statement in TABLES.iter().chain(INDEXES) {
            connection.execute_unprepared(&types.fill_in(statement)).await?;
        }
        if backend == DbBackend::Postgres {
            for table in NEW_TABLES {
                connection.execute_unprepared(&policy(table)).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in DOWN {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        for table in NEW_TABLES.iter().rev() {
            manager.get_connection().execute_unprepared(&format!("DROP TABLE {table}")).await?;
        }
        Ok(())
    }
}

const NEW_TABLES: [&str; 4] = ["code_agent", "code_version", "code_source", "code_publish"];

const TABLES: &[&str] = &[
    "CREATE TABLE code_agent (
        tenant_id text NOT NULL,
        id {uuid} NOT NULL,
        owner_id text NOT NULL,
        name text NOT NULL,
        description text,
        language text NOT NULL,
        tags text NOT NULL,
        search_text text NOT NULL,
        latest_version integer NOT NULL CHECK (latest_version >= 0),
        created_at {time} NOT NULL,
        updated_at {time} NOT NULL,
        PRIMARY KEY (tenant_id, id)
    )",
    "CREATE TABLE code_version (
        tenant_id text NOT NULL,
        id {uuid} NOT NULL,
        owner_id text NOT NULL,
        code_agent_id {uuid} NOT NULL,
        number integer NOT NULL CHECK (number > 0),
        size_bytes integer NOT NULL CHECK (size_bytes >= 0),
        sha256 text NOT NULL,
        storage text NOT NULL CHECK (storage IN ('DATABASE', 'OBJECT')),
        storage_key text,
        is_checked boolean NOT NULL,
        problems text,
        created_by text NOT NULL,
        created_at {time} NOT NULL,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, code_agent_id) REFERENCES code_agent (tenant_id, id) ON DELETE CASCADE
    )",
    "CREATE TABLE code_source (
        tenant_id text NOT NULL,
        code_version_id {uuid} NOT NULL,
        owner_id text NOT NULL,
        source {bytes} NOT NULL,
        PRIMARY KEY (tenant_id, code_version_id),
        FOREIGN KEY (tenant_id, code_version_id) REFERENCES code_version (tenant_id, id) ON DELETE CASCADE
    )",
    "CREATE TABLE code_publish (
        tenant_id text NOT NULL,
        id {uuid} NOT NULL,
        owner_id text NOT NULL,
        code_agent_id {uuid},
        outcome text NOT NULL CHECK (outcome IN ('CREATED', 'UNCHANGED', 'KEPT_INVALID', 'REFUSED')),
        created_at {time} NOT NULL,
        PRIMARY KEY (tenant_id, id)
    )",
    "ALTER TABLE execution ADD COLUMN code_agent_id {uuid}",
    "ALTER TABLE execution ADD COLUMN code_version integer",
    "ALTER TABLE log_stream ADD COLUMN code_agent_id {uuid}",
    "ALTER TABLE log_chunk ADD COLUMN code_agent_id {uuid}",
];

const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX code_agent_id_unique ON code_agent (({id_text}))",
    "CREATE INDEX code_agent_newest ON code_agent (tenant_id, created_at, id)",
    "CREATE INDEX code_agent_by_name ON code_agent (tenant_id, name, created_at, id)",
    "CREATE INDEX code_agent_by_language ON code_agent (tenant_id, language, created_at, id)",
    "CREATE UNIQUE INDEX code_version_id_unique ON code_version (({id_text}))",
    // Numbers are given under a lock; should that ever fail, no two versions get the same one.
    "CREATE UNIQUE INDEX code_version_by_number ON code_version (tenant_id, code_agent_id, number)",
    "CREATE INDEX code_publish_newest ON code_publish (tenant_id, created_at, id)",
    "CREATE INDEX execution_by_code_agent ON execution (tenant_id, code_agent_id, created_at, id)
        WHERE code_agent_id IS NOT NULL",
    "CREATE INDEX log_chunk_by_code_agent ON log_chunk
        (tenant_id, code_agent_id, appended_at, execution_id, last_seq)
        WHERE code_agent_id IS NOT NULL",
];

const DOWN: &[&str] = &[
    "DROP INDEX log_chunk_by_code_agent",
    "DROP INDEX execution_by_code_agent",
    "ALTER TABLE log_chunk DROP COLUMN code_agent_id",
    "ALTER TABLE log_stream DROP COLUMN code_agent_id",
    "ALTER TABLE execution DROP COLUMN code_version",
    "ALTER TABLE execution DROP COLUMN code_agent_id",
];
