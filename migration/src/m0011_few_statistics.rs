//! Statistics keep fewer rows: of each condition by itself, and of all that an execution meets together, but not of every
//! choice in between. How far the change feed has been summed up is known for each tenant.
//!
//! What has been counted is of no use to the other side, up or down: the next start of a server counts anew.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::m0001_executions::Types;
use crate::m0002_row_level_security::policy;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        change(manager, UP).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            // No policy: nobody but the table's owner sees a row.
            let hide = "ALTER TABLE statistic_place ENABLE ROW LEVEL SECURITY";
            manager.get_connection().execute_unprepared(hide).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        change(manager, DOWN).await
    }
}

/// Each side makes the table of the rows, which has lost its policy.
async fn change(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    let types = Types::of(backend);
    let subject_text = if backend == DbBackend::Postgres { "subject::text" } else { "hex(subject)" };
    for statement in statements.iter().chain(COUNT_ANEW) {
        let statement = types.fill_in(statement).replace("{subject_text}", subject_text);
        manager.get_connection().execute_unprepared(&statement).await?;
    }
    if backend == DbBackend::Postgres {
        manager.get_connection().execute_unprepared(&policy("statistic")).await?;
    }
    Ok(())
}

const UP: &[&str] = &[
    "DROP TABLE statistic",
    "CREATE TABLE statistic (
        id {uuid} NOT NULL,
        epoch integer NOT NULL,
        tenant_id text NOT NULL,
        subject {uuid},
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
    // Of one condition, or of none.
    "CREATE INDEX statistic_by_subject ON statistic (tenant_id, subject, width, start) WHERE subject IS NOT NULL",
    // What a service-role token sees; its total over all tenants has a row of its own. It is an expression so that no
    // planner prefers it to the tenant's own index.
    "CREATE INDEX statistic_anywhere ON statistic (({subject_text}), width, start) WHERE subject IS NOT NULL",
    // Of several conditions, of which the owner is always one: any two of them have one of these.
    "CREATE INDEX statistic_by_code_agent ON statistic (tenant_id, code_agent_id, width, start)
        WHERE subject IS NULL AND code_agent_id IS NOT NULL",
    "CREATE INDEX statistic_by_workflow ON statistic (tenant_id, workflow_id, width, start)
        WHERE subject IS NULL AND workflow_id IS NOT NULL",
    "CREATE INDEX statistic_by_project ON statistic (tenant_id, project_key, width, start)
        WHERE subject IS NULL AND project_key IS NOT NULL",
    "CREATE TABLE statistic_place (
        tenant_id text PRIMARY KEY,
        xid bigint NOT NULL,
        seq bigint NOT NULL
    )",
];

const DOWN: &[&str] = &[
    "DROP TABLE statistic_place",
    "DROP TABLE statistic",
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
    "CREATE INDEX statistic_anywhere ON statistic (({subject_text}), width, start)",
];

/// A database in which nothing has happened yet is complete as it is.
const COUNT_ANEW: &[&str] = &["UPDATE statistic_state SET
        is_complete = NOT EXISTS (SELECT 1 FROM execution) AND NOT EXISTS (SELECT 1 FROM change_event),
        recount_id = NULL, recount_until = NULL
    WHERE id = 1"];
