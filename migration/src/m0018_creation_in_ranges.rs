//! The indexes of ranges have the time of creation, too: those that one of them finds are sorted, and counted, without being read.
//!
//! PostgreSQL reads an expression out of an index only if what it is made of is there as well.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// What each is of, and what that is made of.
const INDEXES: [(&str, &str, &str); 3] = [
    ("execution_longest", "coalesce(duration_ms, -1)", "INCLUDE (duration_ms)"),
    ("execution_costliest", "cost_microusd", ""),
    ("execution_by_tokens", "(input_tokens + output_tokens)", "INCLUDE (input_tokens, output_tokens)"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
        for (name, key, parts) in INDEXES {
            let parts = if is_postgres { parts } else { "" };
            make_anew(manager, name, &format!("(tenant_id, {key}, id, created_at) {parts}")).await?;
        }
        on_postgres(manager, &["ANALYZE execution"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, key, _) in INDEXES {
            make_anew(manager, name, &format!("(tenant_id, {key}, id)")).await?;
        }
        on_postgres(manager, &["ANALYZE execution"]).await
    }
}

async fn make_anew(manager: &SchemaManager<'_>, name: &str, columns: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    connection.execute_unprepared(&format!("DROP INDEX {name}")).await?;
    connection.execute_unprepared(&format!("CREATE INDEX {name} ON execution {columns}")).await?;
    Ok(())
}
