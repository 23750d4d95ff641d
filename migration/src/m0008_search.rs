//! Finding executions by words.
//!
//! The words come split: see `runledger::domain::search`. The databases only index them, by triggers or an expression, so
//! that the index cannot be forgotten, nor left behind when an execution goes. One word more of each execution names its
//! tenant. Executions from before are marked as pending; a server fills their words in.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::m0001_executions::Types;
use crate::m0002_row_level_security::policy;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let types = Types::of(backend);
        let own: &[&str] = if backend == DbBackend::Postgres { POSTGRES } else { SQLITE };
        for statement in [TABLE].iter().chain(own).chain([PENDING, FILL].iter()) {
            manager.get_connection().execute_unprepared(&types.fill_in(statement)).await?;
        }
        if backend == DbBackend::Postgres {
            manager.get_connection().execute_unprepared(&policy("execution_search")).await?;
            manager.get_connection().execute_unprepared(KEPT).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let own: &[&str] = match manager.get_database_backend() {
            DbBackend::Postgres => &["DROP TABLE execution_search", "DROP FUNCTION runledger_terms"],
            _ => &["DROP TABLE execution_search", "DROP TABLE execution_words"],
        };
        for statement in own {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

const TABLE: &str = "CREATE TABLE execution_search (
        tenant_id text NOT NULL,
        execution_id {uuid} NOT NULL,
        owner_id text NOT NULL,
        created_at {time} NOT NULL,
        start_words text,
        result_words text,
        error_words text,
        pending boolean NOT NULL,
        PRIMARY KEY (tenant_id, execution_id),
        FOREIGN KEY (tenant_id, execution_id) REFERENCES execution (tenant_id, id) ON DELETE CASCADE
    )";

const PENDING: &str =
    "CREATE INDEX execution_search_pending ON execution_search (tenant_id, execution_id) WHERE pending";

const FILL: &str = "INSERT INTO execution_search (tenant_id, execution_id, owner_id, created_at, pending)
        SELECT tenant_id, id, owner_id, created_at, true FROM execution";

const POSTGRES: &[&str] = &[
    "CREATE FUNCTION runledger_terms(tenant_id text, start_words text, result_words text, error_words text)
        RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN ('_' || tenant_id) || string_to_array(coalesce(start_words, ''), ' ')
            || string_to_array(coalesce(result_words, ''), ' ') || string_to_array(coalesce(error_words, ''), ' ')",
    "CREATE INDEX execution_search_terms ON execution_search
        USING gin (runledger_terms(tenant_id, start_words, result_words, error_words))",
];

/// `place` sorts as the executions do, by the second of their creation, so that the index gives the newest first. Each
/// second has room for a milliard of them.
const SQLITE: &[&str] = &[
    "ALTER TABLE execution_search ADD COLUMN place integer",
    "CREATE UNIQUE INDEX execution_search_place ON execution_search (place, tenant_id, execution_id)",
    "CREATE VIRTUAL TABLE execution_words USING fts5 (
        words, content = '', contentless_delete = 1, detail = none, tokenize = \"ascii tokenchars '_'\"
    )",
    "CREATE TRIGGER execution_search_added AFTER INSERT ON execution_search BEGIN
        UPDATE execution_search SET place = (
            SELECT coalesce(max(other.place) + 1, second.first) FROM
                (SELECT max(unixepoch(new.created_at), 0) << 30 AS first) AS second
                LEFT JOIN execution_search AS other
                ON other.place >= second.first AND other.place < second.first + (1 << 30)
        ) WHERE tenant_id = new.tenant_id AND execution_id = new.execution_id;
        INSERT INTO execution_words (rowid, words)
            SELECT place, '_' || hex(tenant_id) || ' ' || coalesce(start_words, '') || ' ' || coalesce(result_words, '')
                || ' ' || coalesce(error_words, '')
            FROM execution_search WHERE tenant_id = new.tenant_id AND execution_id = new.execution_id;
    END",
    "CREATE TRIGGER execution_search_changed AFTER UPDATE OF start_words, result_words, error_words ON execution_search
    BEGIN
        UPDATE execution_words SET words = '_' || hex(new.tenant_id) || ' ' || coalesce(new.start_words, '') || ' '
            || coalesce(new.result_words, '') || ' ' || coalesce(new.error_words, '')
        WHERE rowid = new.place;
    END",
    "CREATE TRIGGER execution_search_deleted AFTER DELETE ON execution_search BEGIN
        DELETE FROM execution_words WHERE rowid = old.place;
    END",
];

/// Beside the policy of every table: what is hidden in `execution` is hidden here.
const KEPT: &str = "CREATE POLICY runledger_kept ON execution_search AS RESTRICTIVE FOR SELECT TO authenticated USING (
        EXISTS (SELECT FROM execution
            WHERE execution.tenant_id = execution_search.tenant_id AND execution.id = execution_search.execution_id))";
