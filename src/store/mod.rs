//! All SQL. The connection never leaves this module; what leaves it has been scoped to a [`Viewer`].
//!
//! Reading starts at [`Store::reader`], writing at [`Store::begin`]. Both give `ScopedSelect`s, the only selects that can
//! run, but for what is read by id for several viewers at once ([`Store::find_execution`]), each in their own scope:
//!
//! ```
//! # async fn scoped(store: runledger::store::Store, viewer: runledger::auth::Viewer, id: uuid::Uuid) {
//! let execution = store.reader(&viewer).executions_by_ids(&[id]).await; // what this viewer may see
//! # }
//! ```
//!
//! The same without a viewer does not compile, in whichever way it is tried:
//!
//! ```compile_fail
//! # async fn unscoped(store: runledger::store::Store, id: uuid::Uuid) {
//! let execution = store.reader().executions_by_ids(&[id]).await; // no viewer
//! # }
//! ```
//!
//! ```compile_fail
//! # async fn unscoped(store: runledger::store::Store, id: uuid::Uuid) {
//! use sea_orm::EntityTrait as _;
//! let execution = entity::execution::Entity::find().all(&store).await; // a store is no connection
//! # }
//! ```
//!
//! ```compile_fail
//! # async fn unscoped(store: runledger::store::Store, viewer: runledger::auth::Viewer) {
//! let all = store.reader(&viewer).connection(); // nor does a reader give its own away
//! # }
//! ```
//!
//! ```compile_fail
//! let everything = runledger::auth::Scope { tenant_id: None, owner_id: None }; // only a viewer makes a scope
//! ```
//!
//! ```compile_fail
//! let admin = runledger::auth::Viewer(Default::default()); // and only a verified token makes a viewer
//! ```
//!
//! What workers do for all tenants is a closed list of named operations in `system`.

mod archive;
mod arrays;
mod arrivals;
mod by_id;
mod code_agents;
mod code_versions;
mod compact;
mod connect;
mod deletions;
mod dialect;
mod executions;
mod failure;
mod feed;
mod generations;
mod jobs;
mod locked;
mod logs;
mod projects;
mod readers;
mod rows;
mod scoped;
mod search;
mod silence;
mod stats;
mod system;
mod together;
mod write;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sea_orm::{
    AccessMode, ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
};
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use tokio::sync::Notify;

use crate::auth::Viewer;
use crate::error::Result;
use crate::monitor;

pub use archive::{Archived, Behind, Release, WaitingChunk};
pub use arrivals::Arrival;
pub use code_agents::CodeAgentRow;
pub use code_versions::{CodeVersionKey, CodeVersionRow};
pub use compact::Compacted;
pub use deletions::{DeletedStep, DeletionRow, Listed};
pub use entity::execution::Column as ExecutionColumn;
pub use executions::{ExecutionRow, LargeValue, NewExecution, PayloadChange, WorkflowRunRow, end};
pub use feed::{FeedEvent, FeedPage, FeedPosition};
pub use generations::GenerationRow;
pub use jobs::{JobKind, JobRow, NewJob, upload_job};
pub use locked::LockedExecutions;
pub use logs::{
    Append, Appended, ArchivedAt, ChunkSelection, ChunkSize, LogChunk, LogRange, LogStream, LogsOf,
    VisualTotals, has_ended,
};
pub use projects::{NewProject, ProjectRow};
pub use rows::Columns;
pub use scoped::{Reader, Writable};
pub use silence::{Checked, SilenceRule, first_check_at};
pub use stats::{CountedCodeAgent, Recount, RegistryCounts, StatsOf, StatsQuery, StatsRow, Waiting};

use dialect::Dialect;
use failure::failed;
use readers::{Connection, Readers};
use together::Line;

/// Tasks that store calls of one kind: one works while the other waits for the disk.
const POSTGRES_WRITERS: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store(Arc<Pools>);

#[derive(Debug)]
struct Pools {
    read: Readers,
    /// SQLite has one writer: a pool of one connection, so that writers wait in line instead of failing with `BUSY`.
    write: DatabaseConnection,
    /// For work in the background, one connection to SQLite whose commits do not wait for the disk. Whoever uses it has the
    /// writer's, too, so that there is one writer all the same.
    background: DatabaseConnection,
    dialect: Dialect,
    /// Told when somebody begins to write.
    writes: Notify,
    /// Whether the statistics have been seen to be complete: they stay so.
    has_statistics: AtomicBool,
    /// Those who ask for executions by id, for code agents, and for the statistics of code agents.
    executions_by_id: Line<by_id::WantedExecution>,
    code_agents_by_id: Line<by_id::WantedCodeAgent>,
    counted_code_agents: Line<stats::WantedCounted>,
}

impl Store {
    /// Reads what `viewer` may see.
    pub fn reader(&self, viewer: &Viewer) -> Reader<'_> {
        Reader::new(Connection::Any(&self.0.read), viewer, self.0.dialect)
    }

    /// Begins a transaction that writes. Dropping it without [`WriteTx::commit`] undoes it.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the database cannot be reached.
    pub async fn begin(&self) -> Result<WriteTx> {
        let inner = self.0.write.begin_with_options(write_options(self.0.dialect)).await.map_err(failed)?;
        self.0.writes.notify_one();
        Ok(WriteTx { inner, dialect: self.0.dialect, _writer: None })
    }

    /// Begins a transaction of work in the background, which is done again if it is not there after a crash of the machine.
    /// Its commit does not wait for the disk: those who do wait have theirs sooner. Nothing that is committed later outlives
    /// it; a crash of the process changes nothing. Not for what goes into the change feed: a cursor that somebody was given
    /// must not come to stand for other events.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the database cannot be reached.
    async fn begin_in_background(&self) -> Result<WriteTx> {
        let writer = match self.0.dialect {
            Dialect::Sqlite => Some(self.the_writer().await?),
            Dialect::Postgres => None,
        };
        let options = write_options(self.0.dialect);
        let inner = self.0.background.begin_with_options(options).await.map_err(failed)?;
        if self.0.dialect.is_postgres() {
            inner.execute_unprepared("SET LOCAL synchronous_commit = off").await.map_err(failed)?;
        }
        Ok(WriteTx { inner, dialect: self.0.dialect, _writer: writer })
    }

    /// SQLite's one writer: as long as somebody has it, nobody else writes.
    async fn the_writer(&self) -> Result<PoolConnection<Sqlite>> {
        let acquired = self.0.write.get_sqlite_connection_pool().acquire().await;
        acquired.map_err(|error| failed(DbErr::Conn(RuntimeErr::SqlxError(error.into()))))
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// `UNAVAILABLE` when it does not.
    pub async fn ping(&self) -> Result<()> {
        self.0.read.execute_unprepared("SELECT 1").await.map_err(failed)?;
        Ok(())
    }

    /// Records how many connections are used now.
    pub fn show_connections(&self) {
        let show = |pool, (size, idle): (u32, usize)| {
            let idle = u32::try_from(idle).unwrap_or(u32::MAX).min(size);
            monitor::connections(pool, size - idle, idle);
        };
        if self.0.dialect.is_postgres() {
            return show("all", self.0.read.connections());
        }
        let write = self.0.write.get_sqlite_connection_pool();
        show("read", self.0.read.connections());
        show("write", (write.size(), write.num_idle()));
    }

    /// How many tasks that store calls of one kind are worth having: SQLite has one writer.
    pub fn writers(&self) -> NonZeroUsize {
        if self.0.dialect.is_postgres() { POSTGRES_WRITERS } else { NonZeroUsize::MIN }
    }

    /// The pool to listen on for wake-ups from other processes; `None` on SQLite, which has none.
    pub fn listen_pool(&self) -> Option<&sqlx::PgPool> {
        self.0.dialect.is_postgres().then(|| self.0.read.database.get_postgres_connection_pool())
    }

    /// Closes all connections.
    pub async fn close(&self) {
        let read = self.0.read.close().await;
        let background = self.0.background.close_by_ref().await;
        let write = self.0.write.close_by_ref().await;
        for error in [read, background, write].into_iter().filter_map(std::result::Result::err) {
            tracing::warn!(%error, "could not close the database");
        }
    }
}

fn write_options(dialect: Dialect) -> TransactionOptions {
    TransactionOptions {
        isolation_level: None,
        access_mode: Some(AccessMode::ReadWrite).filter(|_| dialect.is_postgres()),
        // Taking the lock at once: a transaction that upgrades later can fail half-way.
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
    }
}

/// A transaction that writes.
#[derive(Debug)]
pub struct WriteTx {
    inner: DatabaseTransaction,
    dialect: Dialect,
    _writer: Option<PoolConnection<Sqlite>>,
}

impl WriteTx {
    /// Reads, inside the transaction, what `viewer` may see.
    pub fn reader(&self, viewer: &Viewer) -> Reader<'_> {
        Reader::new(Connection::Transaction(&self.inner), viewer, self.dialect)
    }

    /// Makes everything durable. Only after this may anything be acknowledged.
    ///
    /// # Errors
    /// `UNAVAILABLE` or `INTERNAL`; whether it was stored is unknown when the connection broke.
    pub async fn commit(self) -> Result<()> {
        self.inner.commit().await.map_err(failed)
    }
}
