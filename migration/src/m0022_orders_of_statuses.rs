//! The longest and the costliest executions of a code agent, a workflow, a project or an owner are indexed by status, and those of a
//! status by mode: the failures of a project may all be shorter than its other executions. Those of all statuses are merged.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// What each sorts by, and what of that PostgreSQL reads out of an index only if it is there as well.
const ORDERS: [(&str, &str, &str); 2] =
    [("longest", "coalesce(duration_ms, -1)", "INCLUDE (duration_ms)"), ("costliest", "cost_microusd", "")];

/// What an index is of, its columns, and which executions it has.
type Of = (&'static str, &'static str, &'static str);

const AFTER: [Of; 5] = [
    ("status", "status, mode", ""),
    ("code_agent", "code_agent_id, status", "WHERE code_agent_id IS NOT NULL"),
    ("workflow", "workflow_id, status", "WHERE workflow_id IS NOT NULL"),
    ("project", "project_key, status", "WHERE project_key IS NOT NULL"),
    ("owner", "owner_id, status", ""),
];

const BEFORE: [Of; 6] = [
    ("status", "status", ""),
    ("mode", "mode", ""),
    ("code_agent", "code_agent_id", "WHERE code_agent_id IS NOT NULL"),
    ("workflow", "workflow_id", "WHERE workflow_id IS NOT NULL"),
    ("project", "project_key", "WHERE project_key IS NOT NULL"),
    ("owner", "owner_id", ""),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        replace(manager, &BEFORE, &AFTER).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        replace(manager, &AFTER, &BEFORE).await
    }
}

async fn replace(manager: &SchemaManager<'_>, old: &[Of], new: &[Of]) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
    for (order, key, parts) in ORDERS {
        for (of, ..) in old {
            connection.execute_unprepared(&format!("DROP INDEX execution_{order}_of_{of}")).await?;
        }
        let parts = if is_postgres { parts } else { "" };
        for (of, columns, having) in new {
            let columns = format!("(tenant_id, {columns}, {key}, id) {parts} {having}");
            let index = format!("CREATE INDEX execution_{order}_of_{of} ON execution {columns}");
            connection.execute_unprepared(&index).await?;
        }
    }
    on_postgres(manager, &["ANALYZE execution"]).await
}
