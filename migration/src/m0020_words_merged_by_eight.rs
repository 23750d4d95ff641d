//! SQLite's index of words is merged less often: each word is written again when there are eight parts of a size, not four. And
//! whoever adds words does not merge parts that a server would have merged a second later.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Parts of a size that a server merges (<https://sqlite.org/fts5.html#the_usermerge_configuration_option>), and parts of a size of
/// which whoever adds one merges all at once (<https://sqlite.org/fts5.html#the_crisismerge_configuration_option>): more than come while
/// a server waits, and few enough for all sizes together to stay below FTS5's limit of two thousand.
const PARTS: [(&str, u32); 2] = [("usermerge", 8), ("crisismerge", 200)];
const AS_USUAL: [(&str, u32); 2] = [("usermerge", 4), ("crisismerge", 16)];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        merge_words(manager, PARTS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        merge_words(manager, AS_USUAL).await
    }
}

async fn merge_words(manager: &SchemaManager<'_>, parts: [(&str, u32); 2]) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Postgres {
        return Ok(());
    }
    for (option, parts) in parts {
        let set = format!("INSERT INTO execution_words (execution_words, rank) VALUES ('{option}', {parts})");
        manager.get_connection().execute_unprepared(&set).await?;
    }
    Ok(())
}
