//! The schema changes of Runledger, in order. A change that has been released is never edited: a new one follows it.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

mod m0001_executions;
mod m0002_row_level_security;
mod m0003_code_agents;
mod m0004_generations;
mod m0005_log_objects;
mod m0006_statistics;
mod m0007_log_archiving;
mod m0008_search;
mod m0009_history;
mod m0010_visual_events;
mod m0011_few_statistics;
mod m0012_search_by_time;
mod m0013_opaque_terms;
mod m0014_short_pending_list;
mod m0015_room_for_new_rows;
mod m0016_more_filters;
mod m0017_orders_of_code_agents;
mod m0018_creation_in_ranges;
mod m0019_words_merged_later;
mod m0020_words_merged_by_eight;
mod m0021_orders_of_values;
mod m0022_orders_of_statuses;

async fn on_postgres(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    on(DbBackend::Postgres, manager, statements).await
}

async fn on_sqlite(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    on(DbBackend::Sqlite, manager, statements).await
}

async fn on(backend: DbBackend, manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    if manager.get_database_backend() != backend {
        return Ok(());
    }
    for statement in statements {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}

/// All changes.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_executions::Migration),
            Box::new(m0002_row_level_security::Migration),
            Box::new(m0003_code_agents::Migration),
            Box::new(m0004_generations::Migration),
            Box::new(m0005_log_objects::Migration),
            Box::new(m0006_statistics::Migration),
            Box::new(m0007_log_archiving::Migration),
            Box::new(m0008_search::Migration),
            Box::new(m0009_history::Migration),
            Box::new(m0010_visual_events::Migration),
            Box::new(m0011_few_statistics::Migration),
            Box::new(m0012_search_by_time::Migration),
            Box::new(m0013_opaque_terms::Migration),
            Box::new(m0014_short_pending_list::Migration),
            Box::new(m0015_room_for_new_rows::Migration),
            Box::new(m0016_more_filters::Migration),
            Box::new(m0017_orders_of_code_agents::Migration),
            Box::new(m0018_creation_in_ranges::Migration),
            Box::new(m0019_words_merged_later::Migration),
            Box::new(m0020_words_merged_by_eight::Migration),
            Box::new(m0021_orders_of_values::Migration),
            Box::new(m0022_orders_of_statuses::Migration),
        ]
    }
}
