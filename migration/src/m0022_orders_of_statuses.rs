//! The longest and the costliest executions of a code agent, a mode, a workflow, a project or an owner are indexed by status: the
//! failures of a project may all be shorter than its other executions. Those of all statuses are merged.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// What each sorts by, and what of that PostgreSQL reads out of an index only if it is there as well.
const ORDERS: [(&str, &str, &str); 2] =
    [("longest", "coalesce(duration_ms, -1)", "INCLUDE (duration_ms)"), ("costliest", "cost_microusd", "")];

/// What each is of, its column, and which executions have it.
const VALUES: [(&str, &str, &str); 5] = [
    ("code_agent", "code_agent_id", "WHERE code_agent_id IS NOT NULL"),
    ("mode", "mode", ""),
    ("workflow", "workflow_id", "WHERE workflow_id IS NOT NULL"),
    ("project", "project_key", "WHERE project_key IS NOT NULL"),
    ("owner", "owner_id", ""),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        make_anew(manager, |column, key| format!("(tenant_id, {column}, status, {key}, id)")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        make_anew(manager, |column, key| format!("(tenant_id, {column}, {key}, id)")).await
    }
}

async fn make_anew(manager: &SchemaManager<'_>, columns: fn(&str, &str) -> String) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
    for (order, key, parts) in ORDERS {
        let parts = if is_postgres { parts } else { "" };
        for (value, column, having) in VALUES {
            let name = format!("execution_{order}_of_{value}");
            connection.execute_unprepared(&format!("DROP INDEX {name}")).await?;
            let columns = columns(column, key);
            let index = format!("CREATE INDEX {name} ON execution {columns} {parts} {having}");
            connection.execute_unprepared(&index).await?;
        }
    }
    on_postgres(manager, &["ANALYZE execution"]).await
}
