//! Statistics of executions: each change of the feed carries the difference that it makes, and rows of sums say what
//! those differences have come to.

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
        let subject_text = if backend == DbBackend::Postgres { "subject::text" } else { "hex(subject)" };
        for statement in UP {
            let statement = types.fill_in(statement).replace("{subject_text}", subject_text);
            connection.execute_unprepared(&statement).await?;
        }
        if backend == DbBackend::Postgres {
            for table in OWNED_TABLES {
                connection.execute_unprepared(&policy(table)).await?;
            }
            // No policy: nobody but the tables' owner sees a row.
            let hide = "ALTER TABLE statistic_state ENABLE ROW LEVEL SECURITY";
            connection.execute_unprepared(hide).await?;
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

const OWNED_TABLES: [&str; 2] = ["statistic", "code_version_run"];

const UP: &[&str] = &[
    "ALTER TABLE change_event ADD COLUMN mode text",
    "ALTER TABLE change_event ADD COLUMN code_agent_id {uuid}",
    "ALTER TABLE change_event ADD COLUMN workflow_id text",
    "ALTER TABLE change_event ADD COLUMN project_key text",
    "ALTER TABLE change_event ADD COLUMN hour {time}",
    "ALTER TABLE change_event ADD COLUMN figures {bytes}",
    "CREATE TABLE statistic (
        id {uuid} NOT NULL,
        epoch integer NOT NULL,
        tenant_id text NOT NULL,
        subject {uuid} NOT NULL,
        width text NOT NULL CHECK (width IN ('HOUR', 'DAY', 'MONTH', 'ALL')),
        start {time} NOT NULL,
        mode text NOT NULL CHECK (mode IN ('CLOUD_RUN', 'LOCAL_RUN')),
        owner_id text,
        code_agent_id {uuid},
        workflow_id text,
        project_key text,
        figures {bytes} NOT NULL,
        PRIMARY KEY (id, epoch)
    )",
    "CREATE INDEX statistic_by_subject ON statistic (tenant_id, subject, width, start)",
    // What a service-role token sees; its total over all tenants has a row of its own. It is an expression so that no
    // planner prefers it to the tenant's own index.
    "CREATE INDEX statistic_anywhere ON statistic (({subject_text}), width, start)",
    "CREATE TABLE statistic_state (
        id integer PRIMARY KEY CHECK (id = 1),
        epoch integer NOT NULL,
        is_complete boolean NOT NULL,
        xid bigint NOT NULL,
        seq bigint NOT NULL,
        recount_id {uuid},
        recount_until {time}
    )",
    // Events from before have no figures: reading them adds nothing.
    "INSERT INTO statistic_state (id, epoch, is_complete, xid, seq)
        SELECT 1, 1, NOT EXISTS (SELECT 1 FROM execution), 0, 0",
    "CREATE TABLE code_version_run (
        tenant_id text NOT NULL,
        code_agent_id {uuid} NOT NULL,
        code_version integer NOT NULL,
        owner_id text NOT NULL,
        execution_id {uuid} NOT NULL,
        PRIMARY KEY (tenant_id, code_agent_id, code_version)
    )",
    "INSERT INTO code_version_run (tenant_id, code_agent_id, code_version, owner_id, execution_id)
        SELECT tenant_id, code_agent_id, code_version, owner_id, id FROM (
            SELECT tenant_id, code_agent_id, code_version, owner_id, id, row_number() OVER (
                PARTITION BY tenant_id, code_agent_id, code_version ORDER BY created_at, id) AS place
            FROM execution WHERE code_agent_id IS NOT NULL AND code_version IS NOT NULL) AS runs
        WHERE place = 1",
];

const DOWN: &[&str] = &[
    "DROP TABLE code_version_run",
    "DROP TABLE statistic_state",
    "DROP TABLE statistic",
    "ALTER TABLE change_event DROP COLUMN figures",
    "ALTER TABLE change_event DROP COLUMN hour",
    "ALTER TABLE change_event DROP COLUMN project_key",
    "ALTER TABLE change_event DROP COLUMN workflow_id",
    "ALTER TABLE change_event DROP COLUMN code_agent_id",
    "ALTER TABLE change_event DROP COLUMN mode",
];
