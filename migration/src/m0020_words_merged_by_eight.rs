//! SQLite's index of words is merged less often: each word is written again when there are eight parts of a size, not four. And
//! whoever adds words does not merge parts that a server is about to merge.

use sea_orm_migration::prelude::*;

use crate::on_sqlite;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Parts of a size that a server merges (<https://sqlite.org/fts5.html#the_usermerge_configuration_option>), and parts of a size of
/// which whoever adds one merges all at once (<https://sqlite.org/fts5.html#the_crisismerge_configuration_option>): more than come while
/// a server waits, and few enough for all sizes together to stay below FTS5's limit of two thousand.
const BY_EIGHT: &[&str] = &[
    "INSERT INTO execution_words (execution_words, rank) VALUES ('usermerge', 8)",
    "INSERT INTO execution_words (execution_words, rank) VALUES ('crisismerge', 200)",
];
const AS_USUAL: &[&str] = &[
    "INSERT INTO execution_words (execution_words, rank) VALUES ('usermerge', 4)",
    "INSERT INTO execution_words (execution_words, rank) VALUES ('crisismerge', 16)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_sqlite(manager, BY_EIGHT).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_sqlite(manager, AS_USUAL).await
    }
}
