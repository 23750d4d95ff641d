//! SQLite's index of words is in parts, which are merged by whoever adds to it: of millions of executions, for a quarter of a second
//! while everybody waits who wants to write. Now a server merges them, a few pages at a time. Only very many small parts are still
//! merged at once (`crisismerge`): <https://sqlite.org/fts5.html#the_automerge_configuration_option>.

use sea_orm_migration::prelude::*;

use crate::on_sqlite;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// By nobody who adds words.
const NEVER: &[&str] = &["INSERT INTO execution_words (execution_words, rank) VALUES ('automerge', 0)"];
/// When one level has so many parts.
const AS_USUAL: &[&str] = &["INSERT INTO execution_words (execution_words, rank) VALUES ('automerge', 4)"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_sqlite(manager, NEVER).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_sqlite(manager, AS_USUAL).await
    }
}
