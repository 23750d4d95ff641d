//! On PostgreSQL, the words of an execution say when it was created, too: in windows of 512 seconds and of eight, sixty-four
//! and more times that, up to 2²⁷ seconds. Executions that have a word can then be looked for in one window after another, from
//! the newest on, however many older ones have it. SQLite's index of words is in the order of time already.

use sea_orm_migration::prelude::*;

use crate::on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, DOWN).await
    }
}

/// Words are letters and digits, and a tenant's mark begins with `_`: nothing else begins with `+`.
///
/// A search looks into the index several times, and each time through the entries that are not merged into it yet: these are
/// few.
const UP: &[&str] = &[
    "CREATE FUNCTION runledger_second(created_at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN greatest(floor(date_part('epoch', created_at - timestamptz '1970-01-01 00:00:00+00')), 0)::bigint",
    "CREATE FUNCTION runledger_windows(created_at timestamptz) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN ARRAY[
            '+9:' || (runledger_second(created_at) >> 9)::text, '+12:' || (runledger_second(created_at) >> 12)::text,
            '+15:' || (runledger_second(created_at) >> 15)::text, '+18:' || (runledger_second(created_at) >> 18)::text,
            '+21:' || (runledger_second(created_at) >> 21)::text, '+24:' || (runledger_second(created_at) >> 24)::text,
            '+27:' || (runledger_second(created_at) >> 27)::text
        ]",
    "DROP INDEX execution_search_terms",
    "CREATE INDEX execution_search_terms ON execution_search
        USING gin ((runledger_windows(created_at) || runledger_terms(tenant_id, start_words, result_words, error_words)))
        WITH (gin_pending_list_limit = 256)",
];

const DOWN: &[&str] = &[
    "DROP INDEX execution_search_terms",
    "CREATE INDEX execution_search_terms ON execution_search
        USING gin (runledger_terms(tenant_id, start_words, result_words, error_words))",
    "DROP FUNCTION runledger_windows",
    "DROP FUNCTION runledger_second",
];
