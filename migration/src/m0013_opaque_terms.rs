//! PostgreSQL writes a function in SQL out wherever it is called, and the words of an execution come to a page of text: to plan
//! a search took longer than to carry it out. A function in PL/pgSQL stays what it is, and says what it costs, so that nobody
//! thinks that reading a small table as a whole is cheap. Neither changes what the words are: the index stays.

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

/// Connections that are open remember the index with the function written out, and would no longer use it: hence the
/// setting, which says what was said before.
const REMEMBER_ANEW: &str = "ALTER INDEX execution_search_terms SET (gin_pending_list_limit = 256)";

const UP: &[&str] = &[
    "CREATE OR REPLACE FUNCTION runledger_terms(
        tenant_id text, start_words text, result_words text, error_words text
    ) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 10000 AS $$
    BEGIN
        RETURN ('_' || tenant_id) || string_to_array(coalesce(start_words, ''), ' ')
            || string_to_array(coalesce(result_words, ''), ' ') || string_to_array(coalesce(error_words, ''), ' ');
    END $$",
    "CREATE OR REPLACE FUNCTION runledger_windows(created_at timestamptz)
    RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 10000 AS $$
    DECLARE
        second CONSTANT bigint :=
            greatest(floor(date_part('epoch', created_at - timestamptz '1970-01-01 00:00:00+00')), 0)::bigint;
    BEGIN
        RETURN ARRAY[
            '+9:' || (second >> 9)::text, '+12:' || (second >> 12)::text, '+15:' || (second >> 15)::text,
            '+18:' || (second >> 18)::text, '+21:' || (second >> 21)::text, '+24:' || (second >> 24)::text,
            '+27:' || (second >> 27)::text
        ];
    END $$",
    "DROP FUNCTION runledger_second",
    REMEMBER_ANEW,
];

const DOWN: &[&str] = &[
    "CREATE FUNCTION runledger_second(created_at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN greatest(floor(date_part('epoch', created_at - timestamptz '1970-01-01 00:00:00+00')), 0)::bigint",
    "CREATE OR REPLACE FUNCTION runledger_windows(created_at timestamptz) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN ARRAY[
            '+9:' || (runledger_second(created_at) >> 9)::text, '+12:' || (runledger_second(created_at) >> 12)::text,
            '+15:' || (runledger_second(created_at) >> 15)::text, '+18:' || (runledger_second(created_at) >> 18)::text,
            '+21:' || (runledger_second(created_at) >> 21)::text, '+24:' || (runledger_second(created_at) >> 24)::text,
            '+27:' || (runledger_second(created_at) >> 27)::text
        ]",
    "CREATE OR REPLACE FUNCTION runledger_terms(tenant_id text, start_words text, result_words text, error_words text)
        RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN ('_' || tenant_id) || string_to_array(coalesce(start_words, ''), ' ')
            || string_to_array(coalesce(result_words, ''), ' ') || string_to_array(coalesce(error_words, ''), ' ')",
    REMEMBER_ANEW,
];
