//! A search on PostgreSQL looks through what is not merged into the index of words yet, each time that it looks into the index,
//! which may be twenty times: so that list is kept as short as PostgreSQL allows.

use sea_orm_migration::prelude::*;

use crate::on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, &["ALTER INDEX execution_search_terms SET (gin_pending_list_limit = 64)"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, &["ALTER INDEX execution_search_terms SET (gin_pending_list_limit = 256)"]).await
    }
}
