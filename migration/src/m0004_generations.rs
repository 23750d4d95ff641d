//! Generated projects, work in the background, and where large sources are.
//!
//! An execution names its generation without a foreign key: it stays when the generation is deleted.

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
            for table in OWNED_TABLES {
                connection.execute_unprepared(&policy(table)).await?;
            }
            for table in SYSTEM_TABLES {
                // No policy: nobody but the tables' owner sees a row.
                let hide = format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY");
                connection.execute_unprepared(&hide).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in DOWN {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        for table in SYSTEM_TABLES.iter().chain(OWNED_TABLES.iter().rev()) {
            manager.get_connection().execute_unprepared(&format!("DROP TABLE {table}")).await?;
        }
        Ok(())
    }
}

const OWNED_TABLES: [&str; 2] = ["generation", "generation_manifest"];
const SYSTEM_TABLES: [&str; 2] = ["job", "server_secret"];

const TABLES: &[&str] = &[
    "ALTER TABLE project ADD COLUMN latest_version integer NOT NULL DEFAULT 0",
    "CREATE TABLE generation (
        tenant_id text NOT NULL,
        id {uuid} NOT NULL,
        owner_id text NOT NULL,
        project_id {uuid} NOT NULL,
        version integer NOT NULL CHECK (version > 0),
        message text,
        size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
        sha256 text NOT NULL,
        file_count integer NOT NULL CHECK (file_count >= 0),
        files_bytes bigint NOT NULL CHECK (files_bytes >= 0),
        upload_state text NOT NULL CHECK (upload_state IN ('LOCAL_ONLY', 'PENDING', 'UPLOADED', 'FAILED')),
        upload_error text,
        node_id {uuid} NOT NULL,
        revision integer NOT NULL,
        created_at {time} NOT NULL,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, project_id) REFERENCES project (tenant_id, id) ON DELETE CASCADE
    )",
    "CREATE TABLE generation_manifest (
        tenant_id text NOT NULL,
        generation_id {uuid} NOT NULL,
        owner_id text NOT NULL,
        files text NOT NULL,
        PRIMARY KEY (tenant_id, generation_id),
        FOREIGN KEY (tenant_id, generation_id) REFERENCES generation (tenant_id, id) ON DELETE CASCADE
    )",
    "CREATE TABLE job (
        id {uuid} NOT NULL PRIMARY KEY,
        kind text NOT NULL,
        tenant_id text NOT NULL,
        subject_id {uuid} NOT NULL,
        node_id {uuid},
        detail text,
        attempts integer NOT NULL,
        run_at {time} NOT NULL,
        lease_id {uuid},
        leased_until {time},
        created_at {time} NOT NULL
    )",
    "CREATE TABLE server_secret (
        name text NOT NULL PRIMARY KEY,
        value {bytes} NOT NULL,
        created_at {time} NOT NULL
    )",
    "ALTER TABLE execution ADD COLUMN generation_id {uuid}",
    "ALTER TABLE code_version ADD COLUMN object_place text CHECK (object_place IN ('LOCAL', 'CLOUD'))",
];

const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX generation_id_unique ON generation (({id_text}))",
    // Numbers are given under a lock; should that ever fail, no two generations get the same one.
    "CREATE UNIQUE INDEX generation_by_version ON generation (tenant_id, project_id, version)",
    // What a server finds again when it starts.
    "CREATE INDEX generation_not_uploaded ON generation (node_id, id) WHERE upload_state <> 'UPLOADED'",
    "CREATE INDEX generation_to_upload ON generation (node_id, id)
        WHERE upload_state <> 'UPLOADED' AND upload_state <> 'LOCAL_ONLY'",
    "CREATE INDEX code_version_local ON code_version (id) WHERE object_place = 'LOCAL'",
    // 100 KiB.
    "CREATE INDEX code_version_large ON code_version (id) WHERE storage = 'DATABASE' AND size_bytes > 102400",
    "CREATE UNIQUE INDEX job_of_subject ON job (kind, subject_id)",
    "CREATE INDEX job_next ON job (run_at)",
];

const DOWN: &[&str] = &[
    "DROP INDEX code_version_large",
    "DROP INDEX code_version_local",
    "ALTER TABLE code_version DROP COLUMN object_place",
    "ALTER TABLE execution DROP COLUMN generation_id",
    "ALTER TABLE project DROP COLUMN latest_version",
];
