//! The longest and the costliest executions of a status, a mode, a workflow, a project or an owner have indexes, as those of a code
//! agent have: all failures may be shorter than millions of others.

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
    ("status", "status", ""),
    ("mode", "mode", ""),
    ("workflow", "workflow_id", "WHERE workflow_id IS NOT NULL"),
    ("project", "project_key", "WHERE project_key IS NOT NULL"),
    ("owner", "owner_id", ""),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, columns) in indexes(manager.get_database_backend()) {
            let index = format!("CREATE INDEX {name} ON execution {columns}");
            manager.get_connection().execute_unprepared(&index).await?;
        }
        on_postgres(manager, &["ANALYZE execution"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, _) in indexes(manager.get_database_backend()) {
            manager.get_connection().execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        Ok(())
    }
}

fn indexes(backend: DbBackend) -> impl Iterator<Item = (String, String)> {
    ORDERS.into_iter().flat_map(move |(order, key, parts)| {
        let parts = if backend == DbBackend::Postgres { parts } else { "" };
        VALUES.into_iter().map(move |(value, column, having)| {
            let columns = format!("(tenant_id, {column}, {key}, id) {parts} {having}");
            (format!("execution_{order}_of_{value}"), columns)
        })
    })
}
