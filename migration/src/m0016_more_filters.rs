//! Every condition of a list of executions has an index, so that few are found among many by each of them: by mode, by when
//! they completed, and by tokens.
//!
//! When an execution was created bounds when it completed, but for what Runledger was told of late, and for what took long:
//! by how much is indexed of those alone.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEXES: [(&str, &str); 3] = [
    ("execution_by_mode", "(tenant_id, mode, created_at, id)"),
    ("execution_completed", "(tenant_id, completed_at, id) WHERE completed_at IS NOT NULL"),
    ("execution_by_tokens", "(tenant_id, (input_tokens + output_tokens), id)"),
];

const EXCEPTIONS_ON_POSTGRES: [&str; 2] = [
    "CREATE INDEX execution_told_late ON execution (tenant_id, (created_at - completed_at))
        WHERE created_at - completed_at > interval '0'",
    "CREATE INDEX execution_took_long ON execution (tenant_id, (completed_at - created_at))
        WHERE completed_at - created_at > interval '1 hour'",
];

const EXCEPTIONS_ON_SQLITE: [&str; 2] = [
    "CREATE INDEX execution_told_late ON execution (tenant_id, (unixepoch(created_at) - unixepoch(completed_at)))
        WHERE unixepoch(created_at) - unixepoch(completed_at) > 0",
    "CREATE INDEX execution_took_long ON execution (tenant_id, (unixepoch(completed_at) - unixepoch(created_at)))
        WHERE unixepoch(completed_at) - unixepoch(created_at) > 3600",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for (name, columns) in INDEXES {
            connection.execute_unprepared(&format!("CREATE INDEX {name} ON execution {columns}")).await?;
        }
        let exceptions = match manager.get_database_backend() {
            DbBackend::Postgres => EXCEPTIONS_ON_POSTGRES,
            _ => EXCEPTIONS_ON_SQLITE,
        };
        for exception in exceptions {
            connection.execute_unprepared(exception).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let names = INDEXES.map(|(name, _)| name);
        for name in names.iter().chain(&["execution_told_late", "execution_took_long"]) {
            manager.get_connection().execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        Ok(())
    }
}
