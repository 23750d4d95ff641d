//! Opening the database, and bringing its tables up to date.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use migration::{Migrator, MigratorTrait as _};
use sea_orm::{ConnectOptions, ConnectionTrait as _, DatabaseConnection, Statement, TransactionTrait as _};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use tokio::sync::Notify;

use super::dialect::Dialect;
use super::failure::failed;
use super::readers::{ACQUIRE_MAX, Readers, TRUSTED};
use super::together::Line;
use super::{Pools, Store, write_options};
use crate::auth::tenant_sql;
use crate::config::{Database, Ownership, Synchronous, Tokens};
use crate::error::{Error, Result};

/// The most connections to PostgreSQL, unless the settings say otherwise.
const POSTGRES_CONNECTIONS_MAX: u32 = 16;
/// The most readers of SQLite for each core, unless the settings say otherwise: what they wait for is a core, and each has a
/// cache and prepared statements of its own.
const SQLITE_READERS_PER_CORE: usize = 2;
const SQLITE_READERS: std::ops::RangeInclusive<u32> = 4..=16;
/// How long PostgreSQL may work on one statement.
const STATEMENT_SECONDS_MAX: u64 = 30;
/// How long a request waits for SQLite's one writer, who may be storing thousands of executions for others: nearly as long as a
/// request may take.
const WRITER_WAIT_MAX: Duration = Duration::from_secs(25);
/// How long SQLite waits for another process that holds the write lock.
const SQLITE_BUSY_SECONDS_MAX: u64 = 10;
/// Pages that each connection keeps; the system keeps the rest of the file.
const SQLITE_CACHE_KIBIBYTES: u32 = 1_024;
/// Rows that SQLite's thread reads ahead of whoever waits for them: more than the longest page of a list has.
const SQLITE_ROWS_AHEAD: usize = 256;
/// The write-ahead log is cut back to this once it has been checkpointed.
const SQLITE_WAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// When the log has so many pages (32 MiB), whoever writes carries them into the file: see `jobs::checkpoint`, which is
/// there first.
const SQLITE_WAL_PAGES_MAX: u32 = 8_192;
/// Prepared statements kept per connection.
const STATEMENT_CACHE_ENTRIES_MAX: usize = 256;

impl Store {
    /// Opens the database. The tables must be there: see [`Store::migrate`].
    ///
    /// # Errors
    /// `UNAVAILABLE` when it cannot be reached.
    pub async fn open(database: &Database) -> Result<Self> {
        let pools = match database {
            Database::Sqlite { path, synchronous, connections_max } => Pools {
                // The writer first: it makes the file.
                write: connect_sqlite(path, *synchronous, 1).await?,
                read: sqlite_readers(path, *synchronous, *connections_max).await?,
                background: connect_sqlite(path, Synchronous::Normal, 1).await?,
                dialect: Dialect::Sqlite,
                writes: Notify::new(),
                has_statistics: AtomicBool::default(),
                executions_by_id: Line::default(),
                code_agents_by_id: Line::default(),
                counted_code_agents: Line::default(),
            },
            Database::Postgres { url, connections_max } => {
                let connections = connections_max.unwrap_or(POSTGRES_CONNECTIONS_MAX);
                let pool = connect_postgres(url.expose(), connections).await?;
                Pools {
                    read: Readers::postgres(pool.clone(), connections),
                    background: pool.clone(),
                    write: pool,
                    dialect: Dialect::Postgres,
                    writes: Notify::new(),
                    has_statistics: AtomicBool::default(),
                    executions_by_id: Line::default(),
                    code_agents_by_id: Line::default(),
                    counted_code_agents: Line::default(),
                }
            }
        };
        Ok(Self(std::sync::Arc::new(pools)))
    }

    /// Applies the schema changes that are missing, and lets row-level security read tokens as the settings say.
    /// Several processes may do this at once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn migrate(&self, tokens: &Tokens) -> Result<()> {
        if self.0.dialect.is_postgres() {
            self.ensure_role().await?;
        }
        let schema = self.0.write.begin_with_options(write_options(self.0.dialect)).await.map_err(failed)?;
        if self.0.dialect.is_postgres() {
            // An index of a long history takes minutes. Those who write wait meanwhile.
            schema.execute_unprepared("SET LOCAL statement_timeout = 0").await.map_err(failed)?;
        }
        if let Some(lock) = self.0.dialect.lock_schema() {
            schema.execute_raw(lock).await.map_err(failed)?;
        }
        Migrator::up(&schema, None).await.map_err(failed)?;
        if self.0.dialect.is_postgres() {
            schema.execute_unprepared(&row_level_security(tokens)).await.map_err(failed)?;
        }
        schema.commit().await.map_err(failed)
    }

    /// Makes the role that row-level security is for, unless it is there; in a transaction of its own, because other
    /// databases of the cluster wait for it. Whether it may is seen by the migration that needs it.
    async fn ensure_role(&self) -> Result<()> {
        let there = "SELECT 1 FROM pg_roles WHERE rolname = 'authenticated'";
        let there = Statement::from_string(self.0.dialect.backend(), there);
        if self.0.write.query_one_raw(there).await.map_err(failed)?.is_some() {
            return Ok(());
        }
        if let Err(error) = self.0.write.execute_unprepared("CREATE ROLE authenticated NOLOGIN").await {
            tracing::debug!(%error, "the role authenticated was not made");
        }
        Ok(())
    }

    /// Undoes the newest `steps` schema changes, and with them the rows of the tables that they made.
    ///
    /// # Errors
    /// What the database says.
    pub async fn migrate_down(&self, steps: u32) -> Result<()> {
        Migrator::down(&self.0.write, Some(steps)).await.map_err(failed)
    }
}

/// The functions of the row-level-security migration, as the settings want them.
fn row_level_security(tokens: &Tokens) -> String {
    let tenant = tenant_sql(&tokens.org_claims);
    let owner_only = match tokens.ownership {
        Ownership::Tenant => "false",
        Ownership::User => "coalesce(runledger_claims() ->> 'org_role', '') <> 'admin'", // as `auth::claims` reads it
    };
    format!(
        "CREATE OR REPLACE FUNCTION runledger_tenant() RETURNS text LANGUAGE sql STABLE AS $$ SELECT {tenant} $$;
         CREATE OR REPLACE FUNCTION runledger_owner_only() RETURNS boolean LANGUAGE sql STABLE AS
             $$ SELECT {owner_only} $$;"
    )
}

async fn sqlite_readers(
    path: &std::path::Path,
    synchronous: Synchronous,
    readers: Option<u32>,
) -> Result<Readers> {
    let readers = readers.unwrap_or_else(|| {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let readers = u32::try_from(cores * SQLITE_READERS_PER_CORE).unwrap_or(u32::MAX);
        readers.clamp(*SQLITE_READERS.start(), *SQLITE_READERS.end())
    });
    // One more, for what reads in a transaction: a recount.
    Ok(Readers::sqlite(connect_sqlite(path, synchronous, readers + 1).await?, readers))
}

async fn connect_sqlite(
    path: &std::path::Path,
    synchronous: Synchronous,
    connections_max: u32,
) -> Result<DatabaseConnection> {
    let path = path.to_owned();
    let synchronous = match synchronous {
        Synchronous::Full => SqliteSynchronous::Full,
        Synchronous::Normal => SqliteSynchronous::Normal,
    };
    let mut options = common(ConnectOptions::new("sqlite:"), connections_max);
    if connections_max == 1 {
        options.acquire_timeout(WRITER_WAIT_MAX);
    }
    // It is in this process: it cannot have gone away.
    options.test_before_acquire(false);
    options.map_sqlx_sqlite_opts(move |sqlite| {
        sqlite
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(SQLITE_BUSY_SECONDS_MAX))
            .statement_cache_capacity(STATEMENT_CACHE_ENTRIES_MAX)
            .row_buffer_size(SQLITE_ROWS_AHEAD)
            .pragma("cache_size", format!("-{SQLITE_CACHE_KIBIBYTES}"))
            .pragma("journal_size_limit", SQLITE_WAL_BYTES_MAX.to_string())
            .pragma("wal_autocheckpoint", SQLITE_WAL_PAGES_MAX.to_string())
            // Deleted rows give their pages back; takes effect only before the first table is made.
            .pragma("auto_vacuum", "INCREMENTAL")
    });
    sea_orm::Database::connect(options).await.map_err(cannot_open)
}

async fn connect_postgres(url: &str, connections_max: u32) -> Result<DatabaseConnection> {
    // By itself first: a pool would try for ten seconds, and then not say why it failed.
    let first = sqlx::PgConnection::connect(url).await.map_err(|error| cannot_open_because(&error))?;
    first.close().await.map_err(|error| cannot_open_because(&error))?;
    let mut options = common(ConnectOptions::new(url), connections_max);
    options
        .set_application_name("runledger")
        .test_before_acquire_if_idle_for(TRUSTED)
        .statement_timeout(Duration::from_secs(STATEMENT_SECONDS_MAX))
        .map_sqlx_postgres_opts(|postgres| {
            // Compiling takes longer than any of these statements.
            postgres.statement_cache_capacity(STATEMENT_CACHE_ENTRIES_MAX).options([("jit", "off")])
        });
    sea_orm::Database::connect(options).await.map_err(cannot_open)
}

fn common(mut options: ConnectOptions, connections_max: u32) -> ConnectOptions {
    options
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_MAX)
        .sqlx_logging_level(log::LevelFilter::Debug); // under the target `sqlx::query`
    options
}

fn cannot_open_because(error: &sqlx::Error) -> Error {
    Error::Unavailable {
        message: "the database cannot be opened".into(),
        cause: Some(format!("the database cannot be opened: {error}")),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn cannot_open(error: sea_orm::DbErr) -> Error {
    Error::Unavailable { message: "the database cannot be opened".into(), cause: Some(error.to_string()) }
}
