//! The longest and the costliest executions of a code agent have indexes: those of one may all be shorter than millions of others.

use sea_orm_migration::prelude::*;

use crate::on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEXES: [(&str, &str); 2] = [
    ("execution_longest_of_code_agent", "coalesce(duration_ms, -1)"),
    ("execution_costliest_of_code_agent", "cost_microusd"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, key) in INDEXES {
            let columns = format!("(tenant_id, code_agent_id, {key}, id) WHERE code_agent_id IS NOT NULL");
            let index = format!("CREATE INDEX {name} ON execution {columns}");
            manager.get_connection().execute_unprepared(&index).await?;
        }
        // What an expression has PostgreSQL looks at only once there is an index of it: here, and in the change before.
        on_postgres(manager, &["ANALYZE execution"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, _) in INDEXES {
            manager.get_connection().execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        Ok(())
    }
}
