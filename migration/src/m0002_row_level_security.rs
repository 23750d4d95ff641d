//! The tenant rule inside PostgreSQL: a direct connection with a user's claims sees the rows that the API shows them.
//!
//! The role `authenticated` belongs to the whole cluster, so it is there before: Supabase has it, and Runledger makes it
//! by itself if it may.
//!
//! Claims are where Supabase and PostgREST put them, in the setting `request.jwt.claims`. Runledger itself connects as
//! the tables' owner, whom these policies do not bind. `runledger_tenant` and `runledger_owner_only` are replaced at
//! start when the organisation's claim or the ownership is set otherwise. Other databases have no such thing: nothing
//! happens there.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: [&str; 6] =
    ["execution", "execution_payload", "log_stream", "log_chunk", "change_event", "project"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        let connection = manager.get_connection();
        connection.execute_unprepared(FUNCTIONS).await?;
        for table in TABLES {
            connection.execute_unprepared(&policy(table)).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        let connection = manager.get_connection();
        for table in TABLES {
            connection
                .execute_unprepared(&format!(
                    "DROP POLICY runledger_read ON {table}; ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
                ))
                .await?;
        }
        connection
            .execute_unprepared(
                "DROP FUNCTION runledger_owner_only();
                 DROP FUNCTION runledger_tenant();
                 DROP FUNCTION runledger_claims()",
            )
            .await?;
        Ok(())
    }
}

const FUNCTIONS: &str = r"
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'authenticated') THEN
        RAISE EXCEPTION 'row-level security needs the role authenticated: let an administrator run CREATE ROLE authenticated NOLOGIN';
    END IF;
END $$;
GRANT USAGE ON SCHEMA public TO authenticated;

CREATE FUNCTION runledger_claims() RETURNS jsonb LANGUAGE sql STABLE AS
    $$ SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;

CREATE FUNCTION runledger_tenant() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        'org:' || coalesce(runledger_claims() ->> 'org_id', runledger_claims() #>> '{app_metadata,org_id}'),
        'user:' || (runledger_claims() ->> 'sub'))
$$;

-- Whether the claims see only their own rows. An admin never does.
CREATE FUNCTION runledger_owner_only() RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT false $$;
";

/// Functions inside a sub-select run once per statement, not once per row.
pub(crate) fn policy(table: &str) -> String {
    // What belongs to an execution is seen with it: the policy of its own table holds inside the sub-select.
    let kept = match table {
        "execution" => "AND discard_at IS NULL".to_owned(),
        "execution_payload" | "log_stream" | "log_chunk" => format!(
            "AND EXISTS (SELECT FROM execution
                 WHERE execution.tenant_id = {table}.tenant_id AND execution.id = {table}.execution_id)"
        ),
        _ => String::new(),
    };
    format!(
        "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
         GRANT SELECT ON {table} TO authenticated;
         CREATE POLICY runledger_read ON {table} FOR SELECT TO authenticated USING (
            ((SELECT runledger_claims() ->> 'role') = 'service_role'
             OR (tenant_id = (SELECT runledger_tenant())
                 AND (NOT (SELECT runledger_owner_only())
                      OR owner_id = (SELECT runledger_claims() ->> 'sub')))) {kept})"
    )
}
