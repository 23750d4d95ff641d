//! Executions, their logs, the change feed, projects.
//!
//! Every list is led by `tenant_id` and ended by its sort key, so that a page costs the same at any depth. What an
//! index cannot know is left to residual filters.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let types = Types::of(manager.get_database_backend());
        for statement in TABLES.iter().chain(INDEXES) {
            manager.get_connection().execute_unprepared(&types.fill_in(statement)).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["project", "change_event", "log_chunk", "log_stream", "execution_payload", "execution"]
        {
            manager.get_connection().execute_unprepared(&format!("DROP TABLE {table}")).await?;
        }
        Ok(())
    }
}

/// The few words that the two databases spell differently.
pub(crate) struct Types {
    uuid: &'static str,
    time: &'static str,
    seq: &'static str,
    xid: &'static str,
    id_text: &'static str,
    bytes: &'static str,
}

impl Types {
    pub(crate) fn of(backend: DbBackend) -> Self {
        match backend {
            // The transaction id is what puts events into commit order; see the change feed in `runledger::event`.
            DbBackend::Postgres => Self {
                uuid: "uuid",
                time: "timestamptz",
                seq: "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
                xid: "bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint)",
                id_text: "id::text",
                bytes: "bytea",
            },
            // AUTOINCREMENT: a number is never used twice, also when the newest events have been deleted.
            _ => Self {
                uuid: "uuid_text",
                time: "timestamp_with_timezone_text",
                seq: "integer PRIMARY KEY AUTOINCREMENT",
                xid: "bigint NOT NULL DEFAULT 0",
                id_text: "hex(id)",
                bytes: "blob",
            },
        }
    }

    pub(crate) fn fill_in(&self, statement: &str) -> String {
        statement
            .replace("{uuid}", self.uuid)
            .replace("{time}", self.time)
            .replace("{seq}", self.seq)
            .replace("{xid}", self.xid)
            .replace("{id_text}", self.id_text)
            .replace("{bytes}", self.bytes)
    }
}

const TABLES: &[&str] = &[
    "CREATE TABLE execution (
        tenant_id text NOT NULL,
        id {uuid} NOT NULL,
        owner_id text NOT NULL,
        status text NOT NULL CHECK (status IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
        mode text NOT NULL CHECK (mode IN ('CLOUD_RUN', 'LOCAL_RUN')),
        name text,
        workflow_id text,
        workflow_run_id text,
        project_key text,
        input_tokens bigint NOT NULL CHECK (input_tokens >= 0),
        cached_input_tokens bigint NOT NULL CHECK (cached_input_tokens BETWEEN 0 AND input_tokens),
        output_tokens bigint NOT NULL CHECK (output_tokens >= 0),
        cost_microusd bigint NOT NULL CHECK (cost_microusd >= 0),
        duration_ms bigint CHECK (duration_ms >= 0),
        visual_enabled boolean NOT NULL,
        visual_streaming boolean NOT NULL,
        visual_quality text,
        visual_session_id text,
        visual_events_captured bigint NOT NULL CHECK (visual_events_captured >= 0),
        visual_stream_duration_ms bigint NOT NULL CHECK (visual_stream_duration_ms >= 0),
        keep_history boolean NOT NULL,
        discard_at {time},
        revision integer NOT NULL,
        created_at {time} NOT NULL,
        started_at {time},
        completed_at {time},
        updated_at {time} NOT NULL,
        PRIMARY KEY (tenant_id, id)
    )",
    "CREATE TABLE execution_payload (
        tenant_id text NOT NULL,
        execution_id {uuid} NOT NULL,
        owner_id text NOT NULL,
        inputs text,
        result text,
        error text,
        PRIMARY KEY (tenant_id, execution_id),
        FOREIGN KEY (tenant_id, execution_id) REFERENCES execution (tenant_id, id) ON DELETE CASCADE
    )",
    "CREATE TABLE log_stream (
        tenant_id text NOT NULL,
        execution_id {uuid} NOT NULL,
        owner_id text NOT NULL,
        workflow_run_id text,
        next_seq bigint NOT NULL,
        byte_count bigint NOT NULL,
        ended boolean NOT NULL,
        heartbeat_at {time},
        PRIMARY KEY (tenant_id, execution_id),
        FOREIGN KEY (tenant_id, execution_id) REFERENCES execution (tenant_id, id) ON DELETE CASCADE
    )",
    "CREATE TABLE log_chunk (
        tenant_id text NOT NULL,
        execution_id {uuid} NOT NULL,
        last_seq bigint NOT NULL,
        first_seq bigint NOT NULL,
        owner_id text NOT NULL,
        workflow_run_id text,
        levels smallint NOT NULL,
        byte_count integer NOT NULL,
        appended_at {time} NOT NULL,
        body text NOT NULL,
        PRIMARY KEY (tenant_id, execution_id, last_seq)
    )",
    "CREATE TABLE change_event (
        seq {seq},
        xid {xid},
        tenant_id text NOT NULL,
        owner_id text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('CREATED', 'UPDATED', 'FINISHED', 'DELETED')),
        execution_id {uuid} NOT NULL,
        revision integer NOT NULL,
        created_at {time} NOT NULL
    )",
    "CREATE TABLE project (
        tenant_id text NOT NULL,
        id {uuid} NOT NULL,
        owner_id text NOT NULL,
        key text NOT NULL,
        name text NOT NULL,
        created_at {time} NOT NULL,
        PRIMARY KEY (tenant_id, id)
    )",
];

const INDEXES: &[&str] = &[
    // An id is unique across tenants, and a service-role token looks it up without one. It is an expression so that no
    // planner prefers it to the tenant's own index.
    "CREATE UNIQUE INDEX execution_id_unique ON execution (({id_text}))",
    // The one list without a tenant: what a service-role token sees.
    "CREATE INDEX execution_newest_anywhere ON execution (created_at, id)",
    "CREATE INDEX execution_newest ON execution (tenant_id, created_at, id)",
    "CREATE INDEX execution_by_status ON execution (tenant_id, status, created_at, id)",
    "CREATE INDEX execution_by_owner ON execution (tenant_id, owner_id, created_at, id)",
    "CREATE INDEX execution_by_workflow ON execution (tenant_id, workflow_id, created_at, id)
        WHERE workflow_id IS NOT NULL",
    "CREATE INDEX execution_by_workflow_run ON execution (tenant_id, workflow_run_id, created_at, id)
        WHERE workflow_run_id IS NOT NULL",
    "CREATE INDEX execution_by_project ON execution (tenant_id, project_key, created_at, id)
        WHERE project_key IS NOT NULL",
    "CREATE INDEX execution_active ON execution (tenant_id, created_at, id) WHERE status IN ('QUEUED', 'RUNNING')",
    "CREATE INDEX execution_longest ON execution (tenant_id, coalesce(duration_ms, -1), id)",
    "CREATE INDEX execution_costliest ON execution (tenant_id, cost_microusd, id)",
    "CREATE INDEX execution_to_discard ON execution (discard_at) WHERE discard_at IS NOT NULL",
    "CREATE INDEX log_chunk_by_workflow_run ON log_chunk
        (tenant_id, workflow_run_id, appended_at, execution_id, last_seq)
        WHERE workflow_run_id IS NOT NULL",
    "CREATE INDEX change_event_feed ON change_event (tenant_id, xid, seq)",
    "CREATE INDEX change_event_anywhere ON change_event (xid, seq)",
    "CREATE INDEX change_event_age ON change_event (created_at)",
    "CREATE UNIQUE INDEX project_id_unique ON project (({id_text}))",
    "CREATE UNIQUE INDEX project_by_key ON project (tenant_id, key)",
    "CREATE INDEX project_newest ON project (tenant_id, created_at, id)",
];
