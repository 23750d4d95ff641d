//! SQLite's index of words is in parts, which are merged by whoever adds to it: of millions of executions, for a quarter of a second
//! while everybody waits who wants to write. Now a server merges them, a few pages at a time. Only very many small parts are still
//! merged at once (`crisismerge`): <https://sqlite.org/fts5.html#the_automerge_configuration_option>.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// By nobody who adds words.
const NEVER: u32 = 0;
const AS_USUAL: u32 = 4;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        merge_words(manager, NEVER).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        merge_words(manager, AS_USUAL).await
    }
}

/// When one level has so many parts.
async fn merge_words(manager: &SchemaManager<'_>, parts: u32) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Postgres {
        return Ok(());
    }
    let set = format!("INSERT INTO execution_words (execution_words, rank) VALUES ('automerge', {parts})");
    manager.get_connection().execute_unprepared(&set).await?;
    Ok(())
}
