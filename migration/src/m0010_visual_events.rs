//! An execution has two streams, its log and its visual events: both are numbered, stored and archived alike, so they share
//! their tables, and their kind becomes a part of the key.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DbBackend, Statement};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The tables, and their keys before and after.
const KEYS: [(&str, &str, &str); 2] = [
    ("log_stream", "tenant_id, execution_id", "tenant_id, execution_id, kind"),
    ("log_chunk", "tenant_id, execution_id, last_seq", "tenant_id, execution_id, kind, last_seq"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for statement in UP {
            connection.execute_unprepared(statement).await?;
        }
        for (table, before, after) in KEYS {
            change_key(manager, table, before, after).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let events = "SELECT 1 FROM log_stream WHERE kind = 'VISUAL' AND next_seq > 0 LIMIT 1";
        let events = Statement::from_string(manager.get_database_backend(), events);
        if connection.query_one_raw(events).await?.is_some() {
            return Err(DbErr::Custom(
                "visual events are stored, and the schema before had no place for them: it cannot go back"
                    .into(),
            ));
        }
        connection.execute_unprepared("DELETE FROM log_stream WHERE kind = 'VISUAL'").await?;
        for (table, before, after) in KEYS {
            change_key(manager, table, after, before).await?;
        }
        for statement in DOWN {
            connection.execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

const UP: &[&str] = &[
    "ALTER TABLE log_stream ADD COLUMN kind text NOT NULL DEFAULT 'LOG' CHECK (kind IN ('LOG', 'VISUAL'))",
    "ALTER TABLE log_chunk ADD COLUMN kind text NOT NULL DEFAULT 'LOG' CHECK (kind IN ('LOG', 'VISUAL'))",
    "ALTER TABLE log_stream ADD COLUMN first_event_ms bigint",
    "ALTER TABLE log_stream ADD COLUMN last_event_ms bigint",
    "CREATE INDEX execution_visual ON execution (tenant_id, created_at, id) WHERE visual_enabled",
];

const DOWN: &[&str] = &[
    "DROP INDEX execution_visual",
    "ALTER TABLE log_stream DROP COLUMN last_event_ms",
    "ALTER TABLE log_stream DROP COLUMN first_event_ms",
    "ALTER TABLE log_chunk DROP COLUMN kind",
    "ALTER TABLE log_stream DROP COLUMN kind",
];

async fn change_key(
    manager: &SchemaManager<'_>,
    table: &str,
    before: &str,
    after: &str,
) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    if manager.get_database_backend() == DbBackend::Postgres {
        let change = format!("ALTER TABLE {table} DROP CONSTRAINT {table}_pkey, ADD PRIMARY KEY ({after})");
        connection.execute_unprepared(&change).await?;
        return Ok(());
    }
    // SQLite keeps a table's key for ever: the table is made anew as it describes itself, but for the key.
    let described = describe(manager, "table", table).await?.pop().unwrap_or_default();
    let columns = described.find('(').map(|start| &described[start..]).unwrap_or_default();
    let key = format!("PRIMARY KEY ({before})");
    if !columns.contains(&key) {
        return Err(DbErr::Custom(format!("{table} does not have the key ({before})")));
    }
    let columns = columns.replace(&key, &format!("PRIMARY KEY ({after})"));
    let indexes = describe(manager, "index", table).await?;
    let made_anew = [
        format!("CREATE TABLE {table}_anew {columns}"),
        format!("INSERT INTO {table}_anew SELECT * FROM {table}"),
        format!("DROP TABLE {table}"),
        format!("ALTER TABLE {table}_anew RENAME TO {table}"),
    ];
    for statement in made_anew.iter().chain(&indexes) {
        connection.execute_unprepared(statement).await?;
    }
    Ok(())
}

/// The statements that would make a table, or its indexes. Those that a key brings with it have none.
async fn describe(manager: &SchemaManager<'_>, kind: &str, table: &str) -> Result<Vec<String>, DbErr> {
    let query = format!(
        "SELECT sql FROM sqlite_master WHERE type = '{kind}' AND tbl_name = '{table}' AND sql IS NOT NULL"
    );
    let query = Statement::from_string(manager.get_database_backend(), query);
    let rows = manager.get_connection().query_all_raw(query).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}
