//! The longest and the costliest executions of a status, a mode, a workflow, a project or an owner have indexes, as those of a code
//! agent have: all failures may be shorter than millions of others.

use sea_orm_migration::prelude::*;

use crate::on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const ORDERS: [(&str, &str); 2] = [("longest", "coalesce(duration_ms, -1)"), ("costliest", "cost_microusd")];

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
        for (name, columns) in indexes() {
            let index = format!("CREATE INDEX {name} ON execution {columns}");
            manager.get_connection().execute_unprepared(&index).await?;
        }
        on_postgres(manager, &["ANALYZE execution"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, _) in indexes() {
            manager.get_connection().execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        Ok(())
    }
}

fn indexes() -> impl Iterator<Item = (String, String)> {
    ORDERS.into_iter().flat_map(|(order, key)| {
        VALUES.into_iter().map(move |(value, column, having)| {
            (format!("execution_{order}_of_{value}"), format!("(tenant_id, {column}, {key}, id) {having}"))
        })
    })
}
