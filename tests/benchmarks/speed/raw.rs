//! The same work without Runledger: its rows, read and written by prepared statements on bare connections.
//!
//! SQLite has one writer at a time: whoever writes waits for the one connection that does, which is faster than waiting for
//! the lock of the file.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::data::Tenant;
use crate::database::Address;

/// One connection, for one task.
pub(crate) enum Raw {
    Sqlite { read: sqlx::SqliteConnection, write: Arc<Mutex<sqlx::SqliteConnection>> },
    Postgres(sqlx::PgConnection),
}

/// As many as there are tasks.
pub(crate) async fn connections(address: &Address, count: usize) -> Vec<Raw> {
    let mut connections = Vec::with_capacity(count);
    match address {
        Address::Postgres(url) => {
            for _ in 0..count {
                connections.push(Raw::Postgres(sqlx::PgConnection::connect(url).await.expect("it is there")));
            }
        }
        Address::Sqlite(file) => {
            let options = SqliteConnectOptions::new()
                .filename(file)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(10));
            let write = Arc::new(Mutex::new(options.connect().await.expect("the file opens")));
            for _ in 0..count {
                let read = options.connect().await.expect("the file opens");
                connections.push(Raw::Sqlite { read, write: Arc::clone(&write) });
            }
        }
    }
    connections
}

/// Statements in order, on one connection; gives the number of rows of the last.
macro_rules! statements {
    ($connection:expr; $($sql:expr $(, $value:expr)*);+ $(;)?) => {{
        let connection = $connection;
        let mut rows = Vec::new();
        $( rows.push(sqlx::query($sql)$(.bind($value))*.fetch_all(&mut *connection).await.expect("it is fine").len()); )+
        rows[rows.len() - 1]
    }};
}

macro_rules! read {
    ($raw:expr; $($rest:tt)+) => {
        match $raw {
            Raw::Sqlite { read, .. } => statements!(read; $($rest)+),
            Raw::Postgres(connection) => statements!(connection; $($rest)+),
        }
    };
}

/// In one transaction. `$lock` follows selects of rows that are about to change, where a database has such locks.
macro_rules! write {
    ($raw:expr; |$lock:ident| $($rest:tt)+) => {
        match $raw {
            Raw::Sqlite { write, .. } => {
                macro_rules! $lock { ($sql:literal) => { $sql }; }
                let mut connection = write.lock().await;
                let connection = &mut *connection;
                statements!(&mut *connection; "BEGIN IMMEDIATE");
                statements!(&mut *connection; $($rest)+);
                statements!(&mut *connection; "COMMIT");
            }
            Raw::Postgres(connection) => {
                macro_rules! $lock { ($sql:literal) => { concat!($sql, " FOR NO KEY UPDATE") }; }
                statements!(&mut *connection; "BEGIN");
                statements!(&mut *connection; $($rest)+);
                statements!(&mut *connection; "COMMIT");
            }
        }
    };
}

impl Raw {
    pub(crate) async fn nothing(&mut self) {
        assert_eq!(read!(self; "SELECT 1"), 1);
    }

    pub(crate) async fn by_id(&mut self, tenant: &Tenant, id: Uuid) {
        let rows = read!(self;
            "SELECT id, name, status, mode, workflow_id, workflow_run_id, project_key, owner_id, created_at, started_at,
                 completed_at, duration_ms, cost_microusd, input_tokens, output_tokens, revision
             FROM execution WHERE tenant_id = $1 AND id = $2 AND discard_at IS NULL", &tenant.id, id);
        assert_eq!(rows, 1);
    }

    pub(crate) async fn list(&mut self, tenant: &Tenant) {
        let rows = read!(self;
            "SELECT id, name, status, mode, workflow_id, owner_id, created_at, completed_at, duration_ms, cost_microusd,
                 input_tokens, output_tokens, revision
             FROM execution WHERE tenant_id = $1 AND status IN ('COMPLETED') AND discard_at IS NULL
             ORDER BY created_at DESC, id DESC LIMIT 51", &tenant.id);
        assert!(rows > 0);
    }

    /// The rows of all time, and the changes that are not in them yet.
    pub(crate) async fn stats(&mut self, tenant: &Tenant, subject: Uuid) {
        let rows = read!(self;
            "SELECT start, mode, figures FROM statistic WHERE tenant_id = $1 AND subject = $2 AND width = 'ALL'
                 AND epoch = (SELECT epoch FROM statistic_state WHERE id = 1)
             UNION ALL
             SELECT hour, mode, figures FROM change_event WHERE tenant_id = $1 AND code_agent_id = $3 AND figures IS NOT NULL
                 AND xid >= (SELECT xid FROM statistic_state WHERE id = 1)
                 AND (xid > (SELECT xid FROM statistic_state WHERE id = 1) OR seq > (SELECT seq FROM statistic_state WHERE id = 1))",
            &tenant.id, subject, tenant.agent);
        assert!(rows > 0);
    }

    pub(crate) async fn start(&mut self, tenant: &Tenant, figures: &[u8]) -> Uuid {
        let (id, now) = (runledger::clock::new_id(), runledger::clock::now());
        read!(self; "SELECT id, latest_version FROM code_agent WHERE tenant_id = $1 AND id = $2", &tenant.id, tenant.agent);
        write!(self; |_lock|
            "INSERT INTO execution (tenant_id, id, owner_id, status, mode, name, code_agent_id, code_version, workflow_id,
                 input_tokens, cached_input_tokens, output_tokens, cost_microusd, visual_enabled, visual_streaming,
                 visual_events_captured, visual_stream_duration_ms, keep_history, revision, created_at, updated_at)
             VALUES ($1, $2, 'olga', 'QUEUED', 'LOCAL_RUN', 'nightly build', $3, 1, 'workflow 3',
                 0, 0, 0, 0, false, false, 0, 0, true, 1, $4, $4)", &tenant.id, id, tenant.agent, now;
            "INSERT INTO execution_payload (tenant_id, execution_id, owner_id, inputs)
             VALUES ($1, $2, 'olga', '{\"branch\":\"main\",\"number\":7}')", &tenant.id, id;
            "INSERT INTO log_stream (tenant_id, execution_id, kind, owner_id, code_agent_id, next_seq, byte_count, ended,
                 archived_seq, archived_bytes, archive_failures, expired)
             VALUES ($1, $2, 'LOG', 'olga', $3, 0, 0, false, 0, 0, 0, false)", &tenant.id, id, tenant.agent;
            "INSERT INTO execution_search (tenant_id, execution_id, owner_id, created_at, start_words, pending)
             VALUES ($1, $2, 'olga', $3, 'nightly build branch main number 7', false)", &tenant.id, id, now;
            "INSERT INTO code_version_run (tenant_id, code_agent_id, code_version, owner_id, execution_id)
             VALUES ($1, $2, 1, 'olga', $3) ON CONFLICT DO NOTHING", &tenant.id, tenant.agent, id;
            EVENT, &tenant.id, id, tenant.agent, now, "CREATED", 1, hour(now), figures
        );
        id
    }

    pub(crate) async fn status_change(&mut self, tenant: &Tenant, id: Uuid, figures: &[u8]) {
        let now = runledger::clock::now();
        write!(self; |lock|
            lock!("SELECT * FROM execution WHERE tenant_id = $1 AND id = $2"), &tenant.id, id;
            "UPDATE execution SET status = 'RUNNING', started_at = $3, check_at = $3, updated_at = $3, revision = 2
             WHERE tenant_id = $1 AND id = $2", &tenant.id, id, now;
            EVENT, &tenant.id, id, tenant.agent, now, "UPDATED", 2, hour(now), figures
        );
    }

    pub(crate) async fn finish(&mut self, tenant: &Tenant, id: Uuid, figures: &[u8]) {
        let now = runledger::clock::now();
        write!(self; |lock|
            lock!("SELECT * FROM execution WHERE tenant_id = $1 AND id = $2"), &tenant.id, id;
            lock!("SELECT * FROM log_stream WHERE tenant_id = $1 AND execution_id = $2"), &tenant.id, id;
            "UPDATE log_stream SET ended = true, heartbeat_at = $3 WHERE tenant_id = $1 AND execution_id = $2",
            &tenant.id, id, now;
            "UPDATE execution SET status = 'COMPLETED', completed_at = $3, duration_ms = 1234, check_at = NULL, updated_at = $3,
                 cost_microusd = 12500, input_tokens = 7, output_tokens = 7, revision = 3
             WHERE tenant_id = $1 AND id = $2", &tenant.id, id, now;
            "INSERT INTO execution_payload (tenant_id, execution_id, owner_id, result) VALUES ($1, $2, 'olga', '{\"files\":7}')
             ON CONFLICT (tenant_id, execution_id) DO UPDATE SET result = excluded.result", &tenant.id, id;
            "INSERT INTO execution_search (tenant_id, execution_id, owner_id, created_at, result_words, pending)
             VALUES ($1, $2, 'olga', $3, 'files 7', false)
             ON CONFLICT (tenant_id, execution_id) DO UPDATE SET result_words = excluded.result_words", &tenant.id, id, now;
            EVENT, &tenant.id, id, tenant.agent, now, "FINISHED", 3, hour(now), figures
        );
    }

    /// Numbers them from `first_seq`: the caller is the only one who appends to this log.
    pub(crate) async fn append(&mut self, tenant: &Tenant, id: Uuid, first_seq: i64, lines: &str) {
        let (now, last_seq, bytes) = (runledger::clock::now(), first_seq + 99, lines.len() as i64);
        // So that the server leaves them where they are.
        let due_at = now + TimeDelta::days(365);
        write!(self; |lock|
            lock!("SELECT * FROM log_stream WHERE tenant_id = $1 AND execution_id = $2"), &tenant.id, id;
            "INSERT INTO log_chunk (tenant_id, execution_id, kind, first_seq, last_seq, owner_id, code_agent_id, levels,
                 byte_count, appended_at, body)
             VALUES ($1, $2, 'LOG', $3, $4, 'olga', $5, 4, $6, $7, $8)",
            &tenant.id, id, first_seq, last_seq, tenant.agent, bytes as i32, now, lines;
            "UPDATE log_stream SET next_seq = $3, byte_count = byte_count + $4, heartbeat_at = $5, last_line_at = $5,
                 waiting_since = $5, archive_due_at = $6
             WHERE tenant_id = $1 AND execution_id = $2", &tenant.id, id, last_seq + 1, bytes, now, due_at
        );
    }
}

/// What a change writes for those who follow, and for the statistics: its figures are those of some other change.
const EVENT: &str = "INSERT INTO change_event (tenant_id, owner_id, kind, execution_id, revision, created_at, mode, code_agent_id,
     workflow_id, hour, figures) VALUES ($1, 'olga', $5, $2, $6, $4, 'LOCAL_RUN', $3, 'workflow 3', $7, $8)";

fn hour(now: DateTime<Utc>) -> DateTime<Utc> {
    now.duration_trunc(TimeDelta::hours(1)).expect("an hour is no long time")
}

/// The figures of one change.
pub(crate) async fn figures(address: &Address) -> Vec<u8> {
    let sql = "SELECT figures FROM change_event WHERE kind = 'CREATED' AND figures IS NOT NULL LIMIT 1";
    let figures = match connections(address, 1).await.remove(0) {
        Raw::Sqlite { mut read, .. } => sqlx::query_scalar(sql).fetch_one(&mut read).await,
        Raw::Postgres(mut connection) => sqlx::query_scalar(sql).fetch_one(&mut connection).await,
    };
    figures.expect("there is one")
}

/// What the statistics of each tenant's agent are kept under.
pub(crate) async fn subjects(address: &Address, tenants: &[Tenant]) -> Vec<Uuid> {
    let mut raw = connections(address, 1).await.remove(0);
    let sql = "SELECT DISTINCT tenant_id, subject FROM statistic WHERE width = 'ALL' AND subject IS NOT NULL
         AND code_agent_id IS NOT NULL AND workflow_id IS NULL AND project_key IS NULL AND owner_id IS NULL";
    loop {
        let found: Vec<(String, Uuid)> = match &mut raw {
            Raw::Sqlite { read, .. } => sqlx::query_as(sql).fetch_all(read).await,
            Raw::Postgres(connection) => sqlx::query_as(sql).fetch_all(connection).await,
        }
        .expect("it is fine");
        let found: HashMap<String, Uuid> = found.into_iter().collect();
        let subjects = tenants.iter().map(|tenant| found.get(&tenant.id).copied());
        if let Some(subjects) = subjects.collect() {
            return subjects;
        }
        // Those of the first tenant are still to be folded.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
